//! Who waits for a frame, and for what: to be in the file, or to be durable.

use std::time::Duration;

use fairlead_canon::{EntityId, SyncMode};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::call::Receipt;
use crate::limits::CROWD;
use crate::state::Hidden;

/// Of each, the room that is kept for the next frame.
const ROOM_KEPT: usize = 1_024;

/// Receipts that wait.
#[derive(Debug, Default)]
pub(crate) struct Receipts(Vec<Receipt>);

/// Receipts that are due, and are given when this is let go of: by whoever has it, at the latest by a
/// runtime that ends before it came to them.
struct Due(Vec<Receipt>);

/// What happens once frames are where they were promised to be.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    pub(crate) hidden: Vec<Hidden>,
    /// Entities in which messages died by the store's own decision.
    pub(crate) died: Vec<EntityId>,
    pub(crate) receipts: Receipts,
}

/// What happens once a frame is written, and once it is durable. Emptied, it is used again for its
/// room.
#[derive(Debug, Default)]
pub(crate) struct Stages {
    pub(crate) written: Waiting,
    pub(crate) synced: Waiting,
}

/// Frames that were written and are not durable yet.
#[derive(Debug)]
pub(crate) struct Unsynced {
    since: Instant,
    pub(crate) waiting: Waiting,
}

impl Receipts {
    pub(crate) fn add(&mut self, receipt: Receipt) {
        self.0.push(receipt);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    fn append(&mut self, later: &mut Self) {
        append(&mut self.0, &mut later.0);
    }

    /// Gives them: to a crowd in the runtime of its callers, if there is one, where waking each takes no
    /// system call, while the log goes on.
    pub(crate) fn give(&mut self, callers: Option<&Handle>) {
        if let Some(callers) = callers.filter(|_| self.0.len() >= CROWD) {
            let room = Vec::with_capacity(self.0.len());
            let due = Due(std::mem::replace(&mut self.0, room));
            callers.spawn(async move { drop(due) });
        } else {
            self.0.drain(..).for_each(Receipt::give);
        }
    }
}

impl Drop for Due {
    fn drop(&mut self) {
        self.0.drain(..).for_each(Receipt::give);
    }
}

impl Waiting {
    pub(crate) fn is_empty(&self) -> bool {
        self.hidden.is_empty() && self.died.is_empty() && self.receipts.0.is_empty()
    }

    /// Adds what waits behind this, and leaves the room that it took.
    pub(crate) fn append(&mut self, later: &mut Self) {
        append(&mut self.hidden, &mut later.hidden);
        append(&mut self.died, &mut later.died);
        self.receipts.append(&mut later.receipts);
    }
}

/// Adds what comes later. Mostly nothing is there, and nothing is moved but the two places.
fn append<T>(all: &mut Vec<T>, later: &mut Vec<T>) {
    if all.is_empty() {
        std::mem::swap(all, later);
    } else {
        all.append(later);
    }
}

impl Stages {
    /// Gives back room that only an exceptional frame takes. Nothing waits here any more.
    pub(crate) fn shrink(&mut self) {
        for waiting in [&mut self.written, &mut self.synced] {
            waiting.hidden.shrink_to(ROOM_KEPT);
            waiting.died.shrink_to(ROOM_KEPT);
            waiting.receipts.0.shrink_to(ROOM_KEPT);
        }
    }

    /// Calls that wait.
    pub(crate) fn callers(&self) -> usize {
        self.written.receipts.len() + self.synced.receipts.len()
    }

    /// Where that waits which was promised in this mode.
    pub(crate) fn of(&mut self, sync: SyncMode) -> &mut Waiting {
        match sync {
            SyncMode::Always => &mut self.synced,
            SyncMode::Interval => &mut self.written,
        }
    }
}

impl Unsynced {
    pub(crate) fn begin() -> Self {
        Self {
            since: Instant::now(),
            waiting: Waiting::default(),
        }
    }

    /// How long the sync may still be put off, when it may be put off for `most`.
    pub(crate) fn patience(&self, most: Duration) -> Duration {
        if self.waiting.is_empty() {
            most.saturating_sub(self.since.elapsed())
        } else {
            Duration::ZERO
        }
    }
}
