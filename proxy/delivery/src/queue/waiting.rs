//! How much of a queue is ready, for limits that count nothing else.

use fairlead_canon::Offset;

use super::lane::Lane;
use super::{Facts, Place, Queue};

/// An amount of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many.
    pub count: u64,
    /// Their bytes, as far as [`Facts::bytes`] were told.
    pub bytes: u64,
}

impl Amount {
    /// A message of so many bytes.
    pub fn message(bytes: u32) -> Self {
        Self {
            count: 1,
            bytes: u64::from(bytes),
        }
    }

    /// One message.
    pub(super) fn one(facts: Facts) -> Self {
        Self::of(facts, 1)
    }

    /// Several messages of which the same is known.
    pub(super) fn of(facts: Facts, count: u64) -> Self {
        let bytes = u64::from(facts.bytes).saturating_mul(count);
        Self { count, bytes }
    }

    /// Adds another amount; saturates.
    pub fn add(&mut self, more: Self) {
        self.count = self.count.saturating_add(more.count);
        self.bytes = self.bytes.saturating_add(more.bytes);
    }

    pub(super) fn subtract(&mut self, less: Self) {
        self.count = self.count.saturating_sub(less.count);
        self.bytes = self.bytes.saturating_sub(less.bytes);
    }
}

impl Queue {
    /// What a lane held in the store below `end` when nobody had been given anything of it. Without
    /// this a lane knows what waits in it once a load has read all of it.
    pub fn counted(&mut self, lane: u8, held: Amount, end: Offset) {
        if let Some(lane) = self.lane(lane) {
            lane.counted(held, end);
        }
    }

    /// What is ready, in memory and in the store.
    pub fn waiting(&self) -> Amount {
        let mut all = Amount::default();
        let known = self.lanes.iter().filter_map(Lane::waiting);
        known.for_each(|amount| all.add(amount));
        all
    }

    /// A message of so many bytes is on its way here. It is answered with [`Queue::came`].
    pub fn expect(&mut self, bytes: u32) {
        let busy = self.busy.get_or_insert_default();
        busy.coming.add(Amount::message(bytes));
    }

    /// A message that was expected is here, or does not come after all.
    pub fn came(&mut self, bytes: u32) {
        if let Some(busy) = &mut self.busy {
            busy.coming.subtract(Amount::message(bytes));
        }
    }

    /// What will be ready once everything that is expected has come, and every member with room was
    /// given something. Of messages that come and go at once the bytes are those of an average one.
    pub fn foreseen(&self) -> Amount {
        let mut all = self.waiting();
        let coming = self.busy.as_ref().map(|busy| busy.coming);
        all.add(coming.unwrap_or_default());
        let left = all.count.saturating_sub(self.members.room());
        let bytes = u128::from(all.bytes) * u128::from(left);
        let bytes = bytes.checked_div(u128::from(all.count)).unwrap_or(0);
        Amount {
            count: left,
            bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
        }
    }

    /// Takes out the message that would be given out next: it is nobody's, and has to be settled as
    /// dead. `None` when none is known here; [`Queue::lacks_all`] tells whether to load.
    pub fn displace(&mut self) -> Option<Place> {
        let lane = self.ready_lane()?;
        let (offset, _) = self.lane(lane)?.pop()?;
        Some(Place { lane, offset })
    }

    /// A message has died in the store. Nobody is given it any more; false if a member holds it, who
    /// then ends it as [`End::Doomed`](super::End::Doomed).
    pub fn doom(&mut self, place: Place) -> bool {
        let busy = self.busy.as_mut();
        if let Some(held) = busy.and_then(|busy| busy.unsettled.get_mut(&place)) {
            held.is_doomed = true;
            return false;
        }
        // Whoever let it die has counted it out.
        if let Some(lane) = self.lane(place.lane) {
            lane.forget(place.offset);
        }
        true
    }

    /// Forgets a message of so many bytes that is about to be settled by somebody else; false if a
    /// member holds it.
    pub fn forget(&mut self, place: Place, bytes: u32) -> bool {
        if self.is_held(place) {
            return false;
        }
        if let Some(lane) = self.lane(place.lane)
            && lane.forget(place.offset)
        {
            lane.subtract(Amount::message(bytes));
        }
        true
    }
}
