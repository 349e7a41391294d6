//! Keeps from a watcher what only seems new: messages on their way from one store to the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use fairlead_canon::EntityId;
use fairlead_ports::{Appended, Condition, Watcher};
use foldhash::fast::FixedState;
use hashbrown::HashSet;
use parking_lot::RwLock;

/// Entities that are being moved.
#[derive(Debug, Default)]
pub(crate) struct Muted {
    /// Whether there are any.
    is_set: AtomicBool,
    entities: RwLock<HashSet<EntityId, FixedState>>,
}

/// A watcher that hears nothing of those.
#[derive(Debug)]
pub(crate) struct Muffle {
    pub(crate) watcher: Arc<dyn Watcher>,
    pub(crate) muted: Arc<Muted>,
}

impl Muted {
    pub(crate) fn set(&self, entities: &[EntityId]) {
        self.entities.write().extend(entities);
        self.is_set.store(true, Ordering::Release);
    }

    pub(crate) fn clear(&self) {
        self.is_set.store(false, Ordering::Release);
        self.entities.write().clear();
    }

    fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Acquire)
    }

    fn has(&self, entity: EntityId) -> bool {
        self.entities.read().contains(&entity)
    }
}

impl Watcher for Muffle {
    fn appended(&self, appended: &[Appended]) {
        if !self.muted.is_set() {
            return self.watcher.appended(appended);
        }
        let heard = appended.iter().filter(|at| !self.muted.has(at.entity));
        let heard: Vec<_> = heard.copied().collect();
        if !heard.is_empty() {
            self.watcher.appended(&heard);
        }
    }

    fn appended_here(&self, appended: &[Appended], bodies: &[Option<Bytes>]) {
        match self.muted.is_set() {
            true => self.appended(appended),
            false => self.watcher.appended_here(appended, bodies),
        }
    }

    fn died(&self, entities: &[EntityId]) {
        // That something died is looked up by who is told, and is then found as it is.
        self.watcher.died(entities);
    }

    fn condition(&self, condition: Condition) {
        self.watcher.condition(condition);
    }
}
