//! One queue with members, and what each of them is given.

use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{EntityId, Offset, Overflow, SizeLimits};
use fairlead_delivery::{Amount, Assigned, Facts, Left, Manner, MemberId, Place, Queue, Stretch};
use fairlead_ports::{Appended, Clock, Log, Store, StoreError};
use fairlead_topology::Stream;
use parking_lot::Mutex;
use smallvec::SmallVec;

use super::{Chores, Entrant, Hub, Looked};
use crate::inbox::{Given, Inbox};
use crate::surplus::is_over;
use crate::{AttachmentId, Error, Reason};

/// A queue with members.
#[derive(Debug)]
pub(crate) struct Hot {
    pub(super) lanes: SmallVec<[EntityId; 2]>,
    /// How much may be ready; most queues have no limit.
    limits: Option<Box<SizeLimits>>,
    chores: Arc<Chores>,
    state: Mutex<State>,
}

/// Where a member is told of its messages.
#[derive(Debug)]
struct Receiver {
    member: MemberId,
    inbox: Arc<Inbox>,
}

/// What a lane has just been told of, oldest first.
struct News<'a> {
    lane: u8,
    run: &'a [Appended],
    /// As far as the store has them at hand.
    bodies: &'a [Option<Bytes>],
}

#[derive(Debug)]
struct State {
    queue: Queue,
    /// In the order of their numbers. Most queues have one: a map would take room for eleven.
    members: SmallVec<[Receiver; 1]>,
    is_exclusive: bool,
    /// The stream is being removed: nobody may join.
    is_gone: bool,
    /// It stays although nobody uses it.
    is_pinned: bool,
}

impl Hot {
    pub(super) fn new(lanes: &Looked, stream: &Stream, hub: &Hub) -> Self {
        let settings = stream.settings();
        let manner = Manner {
            returns_max: settings.returns_max,
            is_single_active: settings.is_single_active,
        };
        let known = lanes
            .iter()
            .map(|(_, marks)| (marks.start, marks.handed_out));
        let state = State {
            queue: Queue::new(known, manner),
            members: SmallVec::new(),
            is_exclusive: false,
            is_gone: false,
            is_pinned: false,
        };
        Self {
            state: Mutex::new(state),
            limits: stream.ready_limits().map(Box::new),
            chores: Arc::clone(&hub.chores),
            lanes: lanes.iter().map(|(lane, _)| *lane).collect(),
        }
    }

    pub(super) fn enter(&self, entrant: Entrant) -> Result<(), Error> {
        let mut state = self.state.lock();
        let is_taken = entrant.is_consumer && state.is_exclusive
            || entrant.is_exclusive && state.queue.members() > 0;
        if is_taken {
            return Err(Error::peer(
                Reason::Locked,
                "somebody is attached for himself alone",
            ));
        }
        let member = entrant.joining.id;
        if entrant.is_consumer {
            state.is_exclusive = entrant.is_exclusive;
            state.queue.join(entrant.joining);
        }
        let receiver = Receiver {
            member,
            inbox: entrant.inbox,
        };
        if let Err(place) = state.place_of(member) {
            state.members.insert(place, receiver);
        }
        state.pump(&News::NONE);
        Ok(())
    }

    /// Keeps it although nobody uses it.
    pub(super) fn pin(&self) {
        self.state.lock().is_pinned = true;
    }

    /// How many take part, and whether it is needed here at all.
    pub(super) fn use_of(&self) -> (usize, bool) {
        let state = self.state.lock();
        let is_used = !state.queue.is_idle() || !state.members.is_empty();
        let is_needed = is_used || state.is_gone || state.is_pinned;
        (state.queue.members(), is_needed)
    }

    /// Its stream was removed: tells its members, once.
    pub(super) fn end(&self) {
        let mut state = self.state.lock();
        if std::mem::replace(&mut state.is_gone, true) {
            return;
        }
        for Receiver { member, inbox } in &state.members {
            inbox.put(|contents| contents.ended.push(AttachmentId::of(*member)));
        }
    }

    /// The first lane, which stands for the queue.
    pub(crate) fn entity(&self) -> EntityId {
        // A queue has at least one lane.
        self.lanes.first().copied().unwrap_or(EntityId(0))
    }

    /// Whether it is the queue of this stream, and not of another one under its name.
    pub(crate) fn is_of(&self, stream: &Stream) -> bool {
        stream.lanes.first() == Some(&self.entity())
    }

    /// A lane by its number.
    pub(crate) fn lane(&self, number: u8) -> Option<EntityId> {
        self.lanes.get(usize::from(number)).copied()
    }

    /// For reading a lane.
    pub(crate) fn open(&self, store: &dyn Store, number: u8) -> Result<Arc<dyn Log>, StoreError> {
        store.open(self.lane(number).ok_or(StoreError::Unavailable)?)
    }

    /// The number of a lane.
    pub(crate) fn number_of(&self, entity: EntityId) -> u8 {
        let place = self.lanes.iter().position(|lane| *lane == entity);
        place
            .and_then(|place| u8::try_from(place).ok())
            .unwrap_or(0)
    }

    /// These are messages of one lane.
    pub(super) fn grown(&self, run: &[Appended], bodies: &[Option<Bytes>], clock: &dyn Clock) {
        let number = run.first().map_or(0, |first| self.number_of(first.entity));
        let news = News {
            lane: number,
            run,
            bodies,
        };
        let mut state = self.state.lock();
        for part in run {
            let is_born_dead = part.deadline.is_some_and(|at| at <= clock.wall());
            if is_born_dead {
                // Who still waits is known once those before it are handed out.
                state.pump(&news);
            }
            let facts = Facts {
                requeued: 0,
                deadline: part.deadline,
                bytes: self.weigh(part.bytes),
                // Without a life it is for whoever waits, or for nobody.
                is_spared: is_born_dead && state.queue.gives_at_once(),
            };
            let stretch = Stretch {
                base: part.base.0,
                span: part.span,
                facts,
            };
            state.queue.came(facts.bytes);
            state.queue.grown(number, stretch);
        }
        // Whoever waits is given it first: then it does not count.
        state.pump(&news);
        self.chores.surplus.take(self, &mut state.queue);
        self.note_due(&mut state);
    }

    /// Takes room for a message that is about to come; false when then more would be ready than may
    /// be. What lets its oldest go has room.
    pub(crate) fn admit(&self, bytes: u32) -> bool {
        let Some(limits) = self.limits_refusing() else {
            return true;
        };
        let bytes = self.weigh(bytes);
        let queue = &mut self.state.lock().queue;
        let mut ready = queue.foreseen();
        ready.add(Amount::message(bytes));
        let has_room = !is_over(limits, ready);
        if has_room {
            queue.expect(bytes);
        }
        has_room
    }

    /// A message for which room was taken does not come.
    pub(crate) fn came(&self, bytes: u32) {
        self.quietly(|queue| queue.came(self.weigh(bytes)));
    }

    /// What so many bytes count for here.
    pub(crate) fn weigh(&self, bytes: u32) -> u32 {
        let limits = self.limits.as_ref();
        match limits.and_then(|limits| limits.bytes_max) {
            Some(_) => bytes,
            None => 0,
        }
    }

    /// Its limits, if its oldest go at them.
    pub(crate) fn limits_displacing(&self) -> Option<&SizeLimits> {
        let limits = self.limits.as_deref()?;
        (limits.overflow == Overflow::DropHead).then_some(limits)
    }

    /// Its limits, if what comes at them is refused.
    fn limits_refusing(&self) -> Option<&SizeLimits> {
        let limits = self.limits.as_deref()?;
        (limits.overflow != Overflow::DropHead).then_some(limits)
    }

    /// Changes the queue, then hands out what became possible.
    pub(crate) fn with<R>(&self, change: impl FnOnce(&mut Queue) -> R) -> R {
        let mut state = self.state.lock();
        let result = change(&mut state.queue);
        // What came back may be too much, and is not given out again then.
        self.chores.surplus.take(self, &mut state.queue);
        state.pump(&News::NONE);
        self.note_due(&mut state);
        result
    }

    /// A member takes so many messages out of its inbox.
    pub(crate) fn takes(&self, member: MemberId, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.with(|queue| queue.taken(member, count));
    }

    /// The same up to a last one. If the store has to know first that this one is handed out nothing changes.
    pub(crate) fn takes_marked(&self, member: MemberId, count: usize, last: Place) -> bool {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.with(|queue| {
            let is_marked = queue.lacks_mark(last).is_none();
            if is_marked {
                queue.taken(member, count);
            }
            is_marked
        })
    }

    /// Changes the queue and hands out nothing: whoever calls this sees to that.
    pub(crate) fn quietly<R>(&self, change: impl FnOnce(&mut Queue) -> R) -> R {
        change(&mut self.state.lock().queue)
    }

    /// Takes a member off the list; what it holds goes back, unless it did so too often.
    pub(crate) fn remove(&self, member: MemberId) -> Left {
        let mut state = self.state.lock();
        if let Ok(place) = state.place_of(member) {
            state.members.remove(place);
        }
        let left = state.queue.remove(member);
        if state.queue.members() == 0 {
            state.is_exclusive = false;
        }
        self.chores.surplus.take(self, &mut state.queue);
        state.pump(&News::NONE);
        self.note_due(&mut state);
        left
    }

    /// What came back, or to the head, may outlive its deadline if nobody takes it.
    fn note_due(&self, state: &mut State) {
        while let Some((lane, deadline)) = state.queue.take_due() {
            if let Some(lane) = self.lane(lane) {
                self.chores.expiry.note(lane, deadline);
            }
        }
    }

    /// Gives a member nothing more; it may settle what it holds. How many still take part.
    pub(crate) fn leave(&self, member: MemberId) -> usize {
        let mut state = self.state.lock();
        state.queue.leave(member);
        if state.queue.members() == 0 {
            state.is_exclusive = false;
        }
        state.pump(&News::NONE);
        state.queue.members()
    }

    /// A load of a lane's backlog ended: what it found, or `None` if it failed.
    pub(crate) fn loaded(&self, lane: u8, found: Option<(Vec<Stretch>, bool, Offset)>) {
        self.with(|queue| match found {
            Some((stretches, is_all, end)) => queue.loaded(lane, &stretches, is_all, end),
            None => queue.load_failed(lane),
        });
    }
}

impl News<'_> {
    const NONE: Self = Self {
        lane: 0,
        run: &[],
        bodies: &[],
    };

    /// The envelope of a message that has just come.
    fn body_of(&self, place: Place) -> Option<Bytes> {
        if place.lane != self.lane {
            return None;
        }
        let at = self
            .run
            .binary_search_by_key(&place.offset, |part| part.base);
        self.bodies.get(at.ok()?)?.clone()
    }
}

impl State {
    fn place_of(&self, member: MemberId) -> Result<usize, usize> {
        self.members
            .binary_search_by_key(&member, |held| held.member)
    }

    fn pump(&mut self, news: &News<'_>) {
        let mut assigned: SmallVec<[Assigned; 16]> = SmallVec::new();
        self.queue.assign(&mut assigned);
        let mut rest = assigned.as_slice();
        while let Some(first) = rest.first() {
            let run = rest
                .iter()
                .take_while(|next| next.member == first.member)
                .count();
            let (own, after) = rest.split_at(run);
            let receiver = self.place_of(first.member).ok();
            if let Some(receiver) = receiver.and_then(|place| self.members.get(place)) {
                let own = own.iter().map(|assigned| Given {
                    attachment: AttachmentId::of(receiver.member),
                    assigned: *assigned,
                    body: news.body_of(assigned.place),
                });
                receiver.inbox.put(|contents| contents.assigned.extend(own));
            }
            rest = after;
        }
        if self.queue.lacks_load()
            && let Some(receiver) = self.members.first()
        {
            receiver.inbox.put(|contents| contents.look = true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As much as an allocator hands out for it, with the two counters of an `Arc`.
    #[test]
    fn an_idle_queue_takes_224_bytes() {
        let counters = 2 * size_of::<usize>();
        assert!(size_of::<Hot>() + counters <= 224, "{}", size_of::<Hot>());
    }
}
