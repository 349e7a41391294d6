//! Room in queues that refuse what is too much: taken before a message is handed to the store.
//!
//! Such a limit counts what is ready, over all lanes, and the store knows neither who holds what nor
//! which lanes are one queue. So the queue itself judges, at the publish, and reckons with what is
//! on its way through the store.

use std::sync::Arc;

use fairlead_canon::EntityId;
use smallvec::SmallVec;

use crate::hub::{Hot, Hub};

/// Room taken in queues for the messages of one unit. Given back when it is dropped, unless the unit
/// was kept.
#[derive(Debug, Default)]
pub(crate) struct Admitted(SmallVec<[(Arc<Hot>, u32); 1]>);

impl Admitted {
    /// Takes room for a message in the queue of this entity; false if it is full.
    pub(crate) fn take(&mut self, hub: &Hub, entity: EntityId, bytes: u32) -> bool {
        let Some(queue) = hub.get(entity) else {
            // Not declared to the end, or removed.
            return true;
        };
        let has_room = queue.admit(bytes);
        if has_room {
            self.0.push((queue, bytes));
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

    /// The messages come: the store tells each queue of them.
    pub(crate) fn kept(mut self) {
        self.0.clear();
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        for (queue, bytes) in self.0.drain(..) {
            queue.came(bytes);
        }
    }
}
