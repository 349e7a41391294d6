//! The ports, over one world behind one lock.

use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{EntityId, Timestamp};
use fairlead_ports::{
    BoxFuture, Clock, Commit, Document, Documents, Log, Space, Store, StoreError, Units, Watcher,
};
use parking_lot::Mutex;

use crate::log::Handle;
use crate::world::{Told, World};

/// A store whose content ends with the process. Every promise is kept as soon as it is given, so a
/// commit has taken effect when the call returns.
#[derive(Debug)]
pub struct Memory {
    world: Arc<Mutex<World>>,
    watched: Mutex<Watched>,
}

/// Who watches, and what he is told: kept from commit to commit for its memory.
#[derive(Debug, Default)]
struct Watched {
    watcher: Option<Arc<dyn Watcher>>,
    told: Told,
}

impl Memory {
    /// An empty store that answers `Full` when its messages would count for more than `bytes_max`.
    pub fn new(bytes_max: u64) -> Self {
        Self {
            world: Arc::new(Mutex::new(World::new(bytes_max))),
            watched: Mutex::default(),
        }
    }

    /// What tells it how old messages are. Without one, a batch is appended at its own time, and
    /// logs forget nothing for its age.
    pub fn timed_by(self, clock: Arc<dyn Clock>) -> Self {
        self.world.lock().clock = Some(clock);
        self
    }

    /// Lets logs forget what is too old by now, and compacts them, although nobody appends or reads.
    /// To be called every now and then; costs nothing while nothing is due.
    pub fn tend(&self) {
        self.world.lock().tend();
    }
}

impl Store for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn commit(&self, mut units: Units) -> Commit {
        // Held until the watcher knows, so that it hears of offsets in their order.
        let mut watched = self.watched.lock();
        let Watched { watcher, told } = &mut *watched;
        let mut world = self.world.lock();
        world.begin();
        let outcomes = units
            .iter_mut()
            .map(|unit| world.take(unit, told))
            .collect();
        drop(world);
        if let Some(watcher) = watcher {
            told.tell(watcher.as_ref());
        }
        told.clear();
        Commit::ended(outcomes)
    }

    fn open(&self, entity: EntityId) -> Result<Arc<dyn Log>, StoreError> {
        let world = Arc::clone(&self.world);
        Ok(Arc::new(Handle { world, entity }))
    }

    fn watch(&self, watcher: Arc<dyn Watcher>) {
        self.watched.lock().watcher = Some(watcher);
    }
}

impl Documents for Memory {
    fn get(&self, space: Space, key: Bytes) -> BoxFuture<'_, Result<Option<Document>, StoreError>> {
        let document = self.world.lock().documents.get(space, &key).cloned();
        Box::pin(std::future::ready(Ok(document)))
    }

    fn list(
        &self,
        space: Space,
        prefix: Bytes,
        after: Option<Bytes>,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Document>, StoreError>> {
        let documents = self
            .world
            .lock()
            .documents
            .list(space, &prefix, after.as_ref(), max);
        Box::pin(std::future::ready(Ok(documents)))
    }

    fn due(&self, now: Timestamp, max: usize) -> BoxFuture<'_, Result<Vec<Document>, StoreError>> {
        let documents = self.world.lock().documents.due(now, max);
        Box::pin(std::future::ready(Ok(documents)))
    }
}
