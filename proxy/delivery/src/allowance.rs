//! Room for unsettled messages that several members share.

use std::sync::atomic::{AtomicU32, Ordering};

/// How many messages its members may hold together, in whatever queues they are.
///
/// A place is claimed before a message is given and given back when it is settled, so that they never
/// hold more, also while several queues give at once.
#[derive(Debug)]
pub struct Allowance {
    max: AtomicU32,
    used: AtomicU32,
    turn: AtomicU32,
}

impl Allowance {
    /// Room for so many; `u32::MAX` is no limit.
    pub fn new(max: u32) -> Self {
        Self {
            max: AtomicU32::new(max),
            used: AtomicU32::new(0),
            turn: AtomicU32::new(0),
        }
    }

    /// From now on there is room for so many. What is held above that is settled like the rest.
    pub fn set_max(&self, max: u32) {
        self.max.store(max, Ordering::Release);
    }

    /// Whether there is any limit at all.
    pub fn is_bounded(&self) -> bool {
        self.max.load(Ordering::Acquire) != u32::MAX
    }

    /// Which of so many is the first to be asked when room becomes free: another one each time.
    pub fn turn(&self, count: usize) -> usize {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let turn = usize::try_from(turn).unwrap_or(0);
        turn.checked_rem(count).unwrap_or(0)
    }

    /// For how many more there is room at this moment.
    pub(crate) fn room(&self) -> u32 {
        let max = self.max.load(Ordering::Acquire);
        max.saturating_sub(self.used.load(Ordering::Acquire))
    }

    /// Claims room for one; false when there is none.
    pub(crate) fn claim(&self) -> bool {
        let max = self.max.load(Ordering::Acquire);
        let claim = |used: u32| (used < max).then(|| used + 1);
        self.used
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, claim)
            .is_ok()
    }

    /// Gives back the room of one.
    pub(crate) fn give_back(&self) {
        let less = |used: u32| Some(used.saturating_sub(1));
        // It always succeeds: the closure never declines.
        self.used
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, less)
            .ok();
    }
}
