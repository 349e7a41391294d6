//! A store that says of itself what it is told to say.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use fairlead_canon::{EntityId, Timestamp};
use fairlead_ports::{
    BoxFuture, Committed, Condition, Document, Documents, Log, Space, Store, StoreError, Unit,
    Watcher,
};

/// Any store, whose condition is what a test says.
#[derive(Debug)]
pub struct Moody<S> {
    store: S,
    watcher: OnceLock<Arc<dyn Watcher>>,
}

impl<S> Moody<S> {
    /// A store that is well.
    pub fn new(store: S) -> Self {
        Self {
            store,
            watcher: OnceLock::new(),
        }
    }

    /// Tells whoever watches that the store is so from now on.
    pub fn say(&self, condition: Condition) {
        if let Some(watcher) = self.watcher.get() {
            watcher.condition(condition);
        }
    }
}

impl<S: Store> Store for Moody<S> {
    fn name(&self) -> &'static str {
        "moody"
    }

    fn commit(&self, units: Vec<Unit>) -> BoxFuture<'static, Vec<Result<Committed, StoreError>>> {
        self.store.commit(units)
    }

    fn open(&self, entity: EntityId) -> Result<Arc<dyn Log>, StoreError> {
        self.store.open(entity)
    }

    fn watch(&self, watcher: Arc<dyn Watcher>) {
        self.watcher.get_or_init(|| Arc::clone(&watcher));
        self.store.watch(watcher);
    }
}

impl<S: Documents> Documents for Moody<S> {
    fn get(&self, space: Space, key: Bytes) -> BoxFuture<'_, Result<Option<Document>, StoreError>> {
        self.store.get(space, key)
    }

    fn list(
        &self,
        space: Space,
        prefix: Bytes,
        after: Option<Bytes>,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Document>, StoreError>> {
        self.store.list(space, prefix, after, max)
    }

    fn due(&self, now: Timestamp, max: usize) -> BoxFuture<'_, Result<Vec<Document>, StoreError>> {
        self.store.due(now, max)
    }
}
