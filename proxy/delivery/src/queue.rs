//! Who holds which message of one queue: ready, assigned and unsettled.
//!
//! ```text
//!             grown, loaded                assign                 settle(Done)
//!   (store) ───────────────> ready ──────────────────> unsettled ─────────────> gone
//!                              ^                           │  │
//!                              └───────────────────────────┘  └───────────────> dead
//!                               settle(Returned), member        returned too often
//!                               gone: to its old place
//! ```
//! A queue has a lane per priority; the highest one that has messages goes first. Of each lane the
//! queue knows a window of at most [`Queue::READY_MAX`] ready messages from its head. What lies
//! behind is in the store and comes by way of [`Queue::wants_load`] and [`Queue::loaded`].

use std::sync::Arc;

use fairlead_canon::{Offset, Series, Timestamp};
use smallvec::SmallVec;

use self::lane::Lane;
use self::member::Members;
use crate::Allowance;

mod lane;
mod member;
mod slim;
mod waiting;

pub use member::MemberId;
pub use waiting::Amount;

/// Where a message is in a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// In which of its lanes.
    pub lane: u8,
    /// At which offset there.
    pub offset: Offset,
}

/// The ready and unsettled messages of one queue, and its members.
#[derive(Debug)]
pub struct Queue {
    lanes: SmallVec<[Lane; 1]>,
    /// Made with the first message: most queues of a node have none.
    busy: Option<Box<Busy>>,
    members: Members,
    /// A message that was returned more often dies; as many as are counted: never.
    returns_max: u16,
}

/// What is under way in a queue.
#[derive(Debug, Default)]
struct Busy {
    unsettled: Series<Place, Held>,
    /// Admitted, and on its way through the store. Only queues with a limit ever count it.
    coming: Amount,
}

/// How a queue gives out its messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// How often a message may be returned before it dies; `None`: for ever.
    pub returns_max: Option<u16>,
    /// Whether one member at a time is given messages.
    pub is_single_active: bool,
}

/// What the queue knows of a message without having read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// How often it was returned.
    pub requeued: u16,
    /// When it must no longer be delivered.
    pub deadline: Option<Timestamp>,
    /// What it counts for against a limit on bytes; 0 in a queue without one, so that messages of
    /// different sizes are known as one stretch.
    pub bytes: u32,
    /// It came when its life was over already, and was given to somebody who waited all the same.
    pub is_spared: bool,
}

/// Ready offsets of a lane without a gap, all with the same facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The first.
    pub base: u64,
    /// How many.
    pub span: u32,
    /// What is known of each.
    pub facts: Facts,
}

/// A wish to become a member.
#[derive(Clone, Debug)]
pub struct Joining {
    /// Who.
    pub id: MemberId,
    /// Most unsettled messages; 0 pauses.
    pub window: u32,
    /// Most messages assigned and not yet taken.
    pub ahead_max: u32,
    /// Members of a lower priority are given messages only while this one has no room.
    pub priority: i32,
    /// Room that it shares with others, if it does.
    pub allowance: Option<Arc<Allowance>>,
}

/// A message that was given to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// To whom.
    pub member: MemberId,
    /// Which.
    pub place: Place,
    /// What is known of it.
    pub facts: Facts,
    /// Whether it was possibly delivered before.
    pub is_redelivered: bool,
}

/// What became of a message that a member is done with or gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The member did not hold it.
    NotHeld,
    /// It is gone for good.
    Done,
    /// It is ready again, at its old place.
    Ready,
    /// It came back too often: it is nobody's, and has to be settled as dead.
    Spent,
    /// It died in the store while it was held, and is nobody's.
    Doomed,
}

/// What a member held when it was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Ready again, at their old places.
    pub returned: Vec<Place>,
    /// Nobody's: to be settled as dead.
    pub spent: Vec<Place>,
    /// Nobody's: dead already.
    pub doomed: Vec<Place>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    member: MemberId,
    facts: Facts,
    is_doomed: bool,
}

impl Queue {
    /// Most ready messages of a lane kept in memory; the rest stays in the store.
    pub const READY_MAX: u64 = 16_384;
    /// How far a hand-out mark runs ahead: after a restart at most so many messages say
    /// redelivered that were not.
    pub const MARK_AHEAD: u64 = 256;

    /// A queue whose messages are all in the store: per lane, from where on, and below which offset
    /// they were possibly delivered before. The lanes that matter most come last.
    pub fn new(lanes: impl IntoIterator<Item = (Offset, Offset)>, manner: Manner) -> Self {
        Self {
            lanes: lanes
                .into_iter()
                .map(|(start, handed_out)| Lane::new(start, handed_out))
                .collect(),
            busy: None,
            members: Members::new(manner.is_single_active),
            returns_max: manner.returns_max.unwrap_or(u16::MAX),
        }
    }

    /// Adds a member at the end of the turn order.
    pub fn join(&mut self, joining: Joining) {
        self.members.join(joining);
    }

    /// Gives a member nothing more; what it holds can still be settled.
    pub fn leave(&mut self, id: MemberId) {
        self.members.leave(id);
    }

    /// Removes a member; what it holds goes back to its place, once more returned.
    pub fn remove(&mut self, id: MemberId) -> Left {
        let held: Vec<Place> = self.held_by(id).collect();
        let mut left = Left::default();
        for place in held {
            match self.put_back(id, place) {
                End::Ready => left.returned.push(place),
                End::Spent => left.spent.push(place),
                End::Doomed => left.doomed.push(place),
                End::Done | End::NotHeld => {}
            }
        }
        self.members.remove(id);
        left
    }

    /// Sets how many unsettled messages a member may hold.
    pub fn set_window(&mut self, id: MemberId, window: u32) {
        if let Some(member) = self.members.get(id) {
            member.window = window;
        }
    }

    /// A member took so many of the messages assigned to it out of its inbox.
    pub fn taken(&mut self, id: MemberId, count: u32) {
        if let Some(member) = self.members.get(id) {
            member.ahead = member.ahead.saturating_sub(count);
        }
    }

    /// Up to where the store has to know that messages of that lane were handed out before this one
    /// is, when it does not yet; answered with [`Queue::marked`]. Marks run ahead, so that one is
    /// written per [`Queue::MARK_AHEAD`] messages.
    pub fn lacks_mark(&mut self, place: Place) -> Option<Offset> {
        self.lane(place.lane)?.lacks_mark(place.offset)
    }

    /// The store knows, and will after a crash, that messages of a lane below `upto` were handed out.
    pub fn marked(&mut self, lane: u8, upto: Offset) {
        if let Some(lane) = self.lane(lane) {
            lane.marked(upto);
        }
    }

    /// Members that still take part.
    pub fn members(&self) -> usize {
        self.members.count()
    }

    /// Whether nobody takes part and nobody holds anything.
    pub fn is_idle(&self) -> bool {
        self.members.is_empty() && self.all_unsettled() == 0
    }

    /// Messages of a lane that are held by members.
    pub fn unsettled(&self, lane: u8) -> usize {
        match self.lanes.len() {
            1 => self.all_unsettled(),
            _ => self.held(lane).count(),
        }
    }

    /// The store made these offsets of a lane visible.
    pub fn grown(&mut self, lane: u8, stretch: Stretch) {
        if let Some(lane) = self.lane(lane) {
            lane.grown(stretch);
        }
    }

    /// Where the next load from the store should begin, if one is due and none is under way in that
    /// lane. The caller must answer with [`Queue::loaded`] or [`Queue::load_failed`].
    pub fn wants_load(&mut self) -> Option<Place> {
        let place = self.next_load()?;
        self.lane(place.lane)?.start_load();
        Some(place)
    }

    /// Whether a load is due and none is under way in that lane.
    pub fn lacks_load(&self) -> bool {
        self.next_load().is_some()
    }

    /// Where to load from for somebody who takes a message by himself, when nothing is ready here
    /// but there may be something in the store. Answered like [`Queue::wants_load`].
    pub fn lacks_all(&self) -> Option<Place> {
        let numbered = self.numbered().rev();
        let mut found = numbered.skip_while(|(_, lane)| !lane.has_ready() && !lane.is_behind());
        let (number, lane) = found.next().filter(|(_, lane)| !lane.has_ready())?;
        Some(Place {
            lane: number,
            offset: lane.load_from(),
        })
    }

    /// A load gave these stretches. `is_all`: there was no more when the load read the store.
    pub fn loaded(&mut self, lane: u8, stretches: &[Stretch], is_all: bool, end: Offset) {
        if let Some(lane) = self.lane(lane) {
            lane.loaded(stretches, is_all, end);
        }
    }

    /// A load could not read the store; another one may try.
    pub fn load_failed(&mut self, lane: u8) {
        if let Some(lane) = self.lane(lane) {
            lane.load_failed();
        }
    }

    /// Gives ready messages to members with room, in turn, lowest offset of the highest lane first.
    pub fn assign(&mut self, out: &mut impl Extend<Assigned>) {
        while let Some(lane) = self.ready_lane() {
            let Some(member) = self.members.next() else {
                return;
            };
            let Some(assigned) = self.hand_out(lane, member) else {
                return;
            };
            if let Some(member) = self.members.get(member) {
                member.ahead += 1;
            }
            out.extend([assigned]);
        }
    }

    /// Gives one ready message to a member outside its window and turn.
    pub fn take(&mut self, id: MemberId) -> Option<Assigned> {
        let lane = self.ready_lane()?;
        self.hand_out(lane, id)
    }

    /// Ends a delivery for good.
    pub fn done(&mut self, id: MemberId, place: Place) -> End {
        match self.release(id, place) {
            None => End::NotHeld,
            Some(held) if held.is_doomed => End::Doomed,
            Some(_) => End::Done,
        }
    }

    /// Puts a delivery back to its place, once more returned.
    pub fn put_back(&mut self, id: MemberId, place: Place) -> End {
        let Some(Held {
            facts, is_doomed, ..
        }) = self.release(id, place)
        else {
            return End::NotHeld;
        };
        if is_doomed {
            return End::Doomed;
        }
        let facts = Facts {
            requeued: facts.requeued.saturating_add(1),
            is_spared: false,
            ..facts
        };
        if facts.requeued > self.returns_max {
            return End::Spent;
        }
        if let Some(lane) = self.lane(place.lane) {
            lane.put_back(place.offset, facts);
        }
        End::Ready
    }

    /// Puts a message that its member was never shown back to its place.
    pub fn unassign(&mut self, id: MemberId, place: Place) {
        if let Some(held) = self.release(id, place)
            && !held.is_doomed
            && let Some(lane) = self.lane(place.lane)
        {
            lane.put_back(place.offset, held.facts);
        }
    }

    /// The earliest deadline, in its lane, of what came back or to the head since this was asked last.
    pub fn take_due(&mut self) -> Option<(u8, Timestamp)> {
        let mut numbered = (0..=u8::MAX).zip(&mut self.lanes);
        numbered.find_map(|(number, lane)| Some((number, lane.take_due()?)))
    }

    /// Whether a message that comes now would be given to a member at once.
    pub fn gives_at_once(&self) -> bool {
        let is_empty = |lane: &Lane| !lane.has_ready() && !lane.is_behind();
        self.lanes.iter().all(is_empty) && self.members.has_room()
    }

    /// Forgets every ready message of a lane below `to`; how many were known here.
    pub fn purge(&mut self, lane: u8, to: Offset) -> u64 {
        self.lane(lane).map_or(0, |lane| lane.purge(to))
    }

    /// Messages of a lane that anybody holds, oldest first.
    pub fn held(&self, lane: u8) -> impl Iterator<Item = Offset> {
        let first = Place {
            lane,
            offset: Offset(0),
        };
        let held = self
            .busy
            .iter()
            .flat_map(move |busy| busy.unsettled.range(first..));
        let of_lane = held.take_while(move |(place, _)| place.lane == lane);
        of_lane.map(|(place, _)| place.offset)
    }

    /// Whether anybody holds a message.
    pub fn is_held(&self, place: Place) -> bool {
        let busy = self.busy.as_ref();
        busy.is_some_and(|busy| busy.unsettled.contains_key(&place))
    }

    /// The first offset of a lane that may be ready; `None` when there is none.
    pub fn head(&self, lane: u8) -> Option<Offset> {
        self.lanes.get(usize::from(lane))?.head()
    }

    /// Messages that a member holds, oldest first.
    pub fn held_by(&self, id: MemberId) -> impl Iterator<Item = Place> {
        let held = self.busy.iter().flat_map(|busy| busy.unsettled.iter());
        let own = held.filter(move |(_, held)| held.member == id);
        own.map(|(place, _)| place)
    }

    fn all_unsettled(&self) -> usize {
        self.busy.as_ref().map_or(0, |busy| busy.unsettled.len())
    }

    fn lane(&mut self, number: u8) -> Option<&mut Lane> {
        self.lanes.get_mut(usize::from(number))
    }

    fn numbered(&self) -> impl DoubleEndedIterator<Item = (u8, &Lane)> {
        // At most 256 lanes: as many as numbers.
        let numbered = self.lanes.iter().enumerate();
        numbered.map(|(number, lane)| (u8::try_from(number).unwrap_or(u8::MAX), lane))
    }

    /// The highest lane that a message can be taken from. What a higher lane has in the store goes
    /// first, so until that is loaded there is none.
    fn ready_lane(&self) -> Option<u8> {
        let (number, lane) = self
            .numbered()
            .rev()
            .find(|(_, lane)| lane.has_ready() || lane.is_behind())?;
        lane.has_ready().then_some(number)
    }

    fn next_load(&self) -> Option<Place> {
        if self.members.count() == 0 {
            return None;
        }
        let lane = self.numbered().rev().find(|(_, lane)| lane.lacks_load());
        lane.map(|(number, lane)| Place {
            lane: number,
            offset: lane.load_from(),
        })
    }

    fn hand_out(&mut self, number: u8, id: MemberId) -> Option<Assigned> {
        let lane = self.lane(number)?;
        let (offset, facts) = lane.pop()?;
        let is_redelivered = facts.requeued > 0 || lane.was_handed_out(offset);
        let place = Place {
            lane: number,
            offset,
        };
        if let Some(member) = self.members.get(id) {
            member.unsettled += 1;
        }
        let held = Held {
            member: id,
            facts,
            is_doomed: false,
        };
        let busy = self.busy.get_or_insert_default();
        busy.unsettled.insert(place, held);
        Some(Assigned {
            member: id,
            place,
            facts,
            is_redelivered,
        })
    }

    fn release(&mut self, id: MemberId, place: Place) -> Option<Held> {
        let unsettled = &mut self.busy.as_mut()?.unsettled;
        let held = unsettled.remove_if(&place, |held| held.member == id)?;
        self.members.settled(id);
        Some(held)
    }
}

impl Stretch {
    fn end(&self) -> u64 {
        self.base.saturating_add(u64::from(self.span))
    }

    /// What is before one of its offsets, and what is after it.
    fn without(&self, offset: u64) -> (Self, Self) {
        let count = |from: u64, to: u64| u32::try_from(to.saturating_sub(from)).unwrap_or(0);
        let before = Self {
            span: count(self.base, offset),
            ..*self
        };
        let after = Self {
            base: offset.saturating_add(1),
            span: count(offset.saturating_add(1), self.end()),
            ..*self
        };
        (before, after)
    }
}

#[cfg(test)]
mod tests;
