//! What an idle queue gives back.

use super::lane::Lane;
use super::{Amount, Busy, Queue};

impl Queue {
    /// Gives back the room for messages, as far as there are none; it is made again with the next one. For a queue that
    /// has been idle for a while: a busy one would make it again each time.
    pub fn slim(&mut self) {
        let is_over =
            |busy: &mut Box<Busy>| busy.unsettled.is_empty() && busy.coming == Amount::default();
        drop(self.busy.take_if(is_over));
        self.lanes.iter_mut().for_each(Lane::slim);
    }
}

#[cfg(test)]
mod tests {
    use fairlead_canon::Offset;

    use crate::{Amount, End, Facts, Joining, Manner, MemberId, Place, Queue, Stretch};

    const MEMBER: MemberId = MemberId(1);

    fn queue() -> Queue {
        let mut queue = Queue::new([(Offset(0), Offset(0))], Manner::default());
        queue.loaded(0, &[], true, Offset(0));
        queue.join(Joining {
            id: MEMBER,
            window: 10,
            ahead_max: 10,
            priority: 0,
            allowance: None,
        });
        queue
    }

    fn grow(queue: &mut Queue, base: u64) {
        let facts = Facts::default();
        let span = 1;
        queue.grown(0, Stretch { base, span, facts });
    }

    fn given(queue: &mut Queue) -> Option<Place> {
        queue.take(MEMBER).map(|assigned| assigned.place)
    }

    #[test]
    fn what_had_a_message_and_has_none_is_as_small_as_before_and_knows_where_it_is() {
        let mut queue = queue();
        for offset in 0..3 {
            grow(&mut queue, offset);
            let place = given(&mut queue).unwrap();
            assert_eq!(place.offset, Offset(offset));
            assert_eq!(queue.done(MEMBER, place), End::Done);
            queue.slim();
            assert!(queue.busy.is_none());
            assert!(queue.lanes.iter().all(|lane| !lane.has_room()));
            assert_eq!(queue.foreseen(), Amount::default());
        }
    }

    #[test]
    fn what_is_ready_or_held_stays() {
        let mut queue = queue();
        grow(&mut queue, 0);
        grow(&mut queue, 1);
        let place = given(&mut queue).unwrap();
        queue.slim();
        assert!(queue.is_held(place));
        assert_eq!(queue.done(MEMBER, place), End::Done);
        queue.slim();
        assert_eq!(given(&mut queue).unwrap().offset, Offset(1));
    }
}
