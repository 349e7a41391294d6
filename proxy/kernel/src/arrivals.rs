//! Readers that wait for an entity to grow.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fairlead_canon::EntityId;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Who waits for which entity. Waiters are told once and register again if they want more.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    waiting: Mutex<HashMap<EntityId, Vec<Arc<Notify>>, RandomState>>,
    count: AtomicUsize,
}

/// A registration; ends when dropped.
#[derive(Debug)]
pub(crate) struct Waiting {
    arrivals: Arc<Arrivals>,
    entities: Vec<EntityId>,
    notify: Arc<Notify>,
}

impl Arrivals {
    /// Waits for any of these entities from now on.
    pub(crate) fn register(self: &Arc<Self>, entities: Vec<EntityId>) -> Waiting {
        let notify = Arc::new(Notify::new());
        let mut waiting = self.waiting.lock();
        for entity in &entities {
            waiting
                .entry(*entity)
                .or_default()
                .push(Arc::clone(&notify));
        }
        self.count.store(waiting.len(), Ordering::Release);
        Waiting {
            arrivals: Arc::clone(self),
            entities,
            notify,
        }
    }

    /// An entity has grown, or is gone.
    pub(crate) fn tell(&self, entity: EntityId) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        if let Some(waiters) = self.waiting.lock().get(&entity) {
            waiters.iter().for_each(|waiter| waiter.notify_one());
        }
    }
}

impl Waiting {
    /// Resolves once one of the entities has grown since the registration or the last call.
    pub(crate) async fn grown(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waiting = self.arrivals.waiting.lock();
        for entity in &self.entities {
            if let Some(waiters) = waiting.get_mut(entity) {
                waiters.retain(|waiter| !Arc::ptr_eq(waiter, &self.notify));
                if waiters.is_empty() {
                    waiting.remove(entity);
                }
            }
        }
        self.arrivals.count.store(waiting.len(), Ordering::Release);
    }
}
