//! A store that a test bends in a few places.

use std::fmt::Debug;
use std::future::ready;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{EntityId, Timestamp};
use fairlead_ports::{
    BoxFuture, Commit, Document, Documents, Log, Space, Store, StoreError, Units, Watcher,
};

/// Where a store differs from the one below it; what is left out is as there.
pub trait Manner: Debug + Send + Sync {
    /// Commits, in its own way, to the store below.
    fn commit(&self, below: &dyn Store, units: Units) -> Commit {
        below.commit(units)
    }

    /// A handle for reading from the store below.
    fn open(&self, below: &dyn Store, entity: EntityId) -> Result<Arc<dyn Log>, StoreError> {
        below.open(entity)
    }

    /// Documents are listed once this resolves.
    fn before_list(&self) -> BoxFuture<'_, ()> {
        Box::pin(ready(()))
    }

    /// Is shown who watches the store from now on.
    fn watched_by(&self, _watcher: &Arc<dyn Watcher>) {}
}

/// A store over another one.
#[derive(Debug)]
pub struct Over<S, M> {
    store: Arc<S>,
    /// How it differs.
    pub manner: M,
}

impl<S, M> Over<S, M> {
    /// `store`, in this manner.
    pub fn new(store: Arc<S>, manner: M) -> Self {
        Self { store, manner }
    }
}

impl<S: Store, M: Manner> Store for Over<S, M> {
    fn name(&self) -> &'static str {
        self.store.name()
    }

    fn commit(&self, units: Units) -> Commit {
        self.manner.commit(&*self.store, units)
    }

    fn is_busy(&self) -> bool {
        self.store.is_busy()
    }

    fn backup(&self, to: PathBuf) -> BoxFuture<'static, io::Result<u64>> {
        self.store.backup(to)
    }

    fn open(&self, entity: EntityId) -> Result<Arc<dyn Log>, StoreError> {
        self.manner.open(&*self.store, entity)
    }

    fn watch(&self, watcher: Arc<dyn Watcher>) {
        self.manner.watched_by(&watcher);
        self.store.watch(watcher);
    }
}

impl<S: Documents, M: Manner> Documents for Over<S, M> {
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
        Box::pin(async move {
            self.manner.before_list().await;
            self.store.list(space, prefix, after, max).await
        })
    }

    fn due(&self, now: Timestamp, max: usize) -> BoxFuture<'_, Result<Vec<Document>, StoreError>> {
        self.store.due(now, max)
    }
}
