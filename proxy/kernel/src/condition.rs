//! How the store is, and who wants to know.

use std::collections::BTreeMap;
use std::sync::Arc;

use fairlead_ports::Condition;
use parking_lot::Mutex;

use crate::inbox::Inbox;
use crate::{Caller, Kernel};

/// The store's condition. Callers that asked are told of each change.
#[derive(Debug, Default)]
pub(crate) struct Conditions(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    now: Condition,
    /// By caller; as many as there are connections at most.
    told: BTreeMap<u64, Arc<Inbox>>,
}

impl Conditions {
    pub(crate) fn set(&self, condition: Condition) {
        let mut known = self.0.lock();
        if known.now == condition {
            return;
        }
        tracing::warn!(?condition, "the store's condition changed");
        known.now = condition;
        for inbox in known.told.values() {
            inbox.put(|contents| contents.condition = Some(condition));
        }
    }

    /// A caller leaves.
    pub(crate) fn forget(&self, caller: u64) {
        self.0.lock().told.remove(&caller);
    }
}

impl Kernel {
    /// How the store is.
    pub fn condition(&self) -> Condition {
        self.conditions.0.lock().now
    }
}

impl Caller {
    /// How the store is now; changes from here on come as
    /// [`Event::Condition`](crate::Event::Condition), the latest one of several.
    pub fn watch_condition(&mut self) -> Condition {
        self.watches_condition = true;
        let mut known = self.kernel.conditions.0.lock();
        known.told.insert(self.id, Arc::clone(&self.inbox));
        known.now
    }
}
