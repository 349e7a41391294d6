//! Room in queues that refuse what is too much: taken before a message is handed to the store.
//!
//! Such a limit counts what is ready, over all lanes, and the store knows neither who holds what nor
//! which lanes are one queue. So the queue itself judges, at the publish, and reckons with what is
//! on its way through the store.

use std::sync::Arc;

use fairlead_canon::EntityId;
use fairlead_ports::{Committed, Placement};

use crate::hub::{Hot, Hub};

/// Room taken in queues for the messages of one unit. Given back when it is dropped, unless the unit
/// was kept. Mostly there is none, so it is small to move and quick to drop then.
#[derive(Debug, Default)]
pub(crate) struct Admitted(Vec<Admission>);

#[derive(Debug)]
struct Admission {
    queue: Arc<Hot>,
    /// Which of its lanes.
    lane: EntityId,
    bytes: u32,
}

impl Admitted {
    /// Takes room for a message in the queue of this entity; false if it is full.
    pub(crate) fn take(&mut self, hub: &Hub, entity: EntityId, bytes: u32) -> bool {
        let Some(queue) = hub.get(entity) else {
            // Not declared to the end, or removed.
            return true;
        };
        let has_room = queue.admit(bytes);
        if has_room {
            self.0.push(Admission {
                queue,
                lane: entity,
                bytes,
            });
        }
        has_room
    }

    /// Takes over what was taken for the same unit.
    pub(crate) fn join(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All messages come: the store tells each queue of them.
    pub(crate) fn kept(mut self) {
        self.0.clear();
    }

    /// The messages come where the store took them.
    pub(crate) fn kept_by(mut self, committed: &Committed) {
        let mut placed = committed.placed.iter();
        if placed.all(|placed| placed.how == Placement::New) {
            return self.kept();
        }
        let came = |lane| {
            let mut placed = committed.placed.iter();
            placed.any(|placed| placed.entity == lane && placed.how == Placement::New)
        };
        self.0.retain(|one| !came(one.lane));
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        while let Some(Admission { queue, bytes, .. }) = self.0.pop() {
            queue.came(bytes);
        }
    }
}
