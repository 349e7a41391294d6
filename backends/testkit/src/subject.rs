//! A store under test, and what it told its watcher.

use std::any::Any;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use fairlead_canon::{EntityId, Offset, Promise};
use fairlead_ports::{
    Appended, Committed, Condition, CursorId, Document, Documents, Entry, KeyPage, Log, Marks, Op,
    Space, Store, StoreError, Stored, Unit, Want, Watcher,
};

/// A store under test.
#[derive(Debug)]
pub struct Subject {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Its documents.
    pub documents: Arc<dyn Documents>,
    told: Arc<Told>,
    /// What has to live as long as the store, such as its directory.
    _keep: Box<dyn Keep>,
}

trait Keep: Any + Send + Sync + std::fmt::Debug {}
impl<T: Any + Send + Sync + std::fmt::Debug> Keep for T {}

#[derive(Debug, Default)]
struct Told {
    appended: Mutex<Vec<Appended>>,
    died: Mutex<Vec<EntityId>>,
}

impl Watcher for Told {
    fn appended(&self, appended: &[Appended]) {
        self.appended.lock().unwrap().extend_from_slice(appended);
    }

    fn died(&self, entities: &[EntityId]) {
        self.died.lock().unwrap().extend_from_slice(entities);
    }

    fn condition(&self, _condition: Condition) {}
}

impl Subject {
    /// Watches a store; `keep` is dropped after it.
    pub fn new<S>(store: Arc<S>, keep: impl Any + Send + Sync + std::fmt::Debug) -> Self
    where
        S: Store + Documents + 'static,
    {
        Self::of(Arc::clone(&store) as Arc<dyn Store>, store, keep)
    }

    /// Watches a store whose documents live elsewhere.
    pub fn of(
        store: Arc<dyn Store>,
        documents: Arc<dyn Documents>,
        keep: impl Any + Send + Sync + std::fmt::Debug,
    ) -> Self {
        let told = Arc::new(Told::default());
        store.watch(Arc::clone(&told) as Arc<dyn Watcher>);
        Self {
            store,
            documents,
            told,
            _keep: Box::new(keep),
        }
    }

    /// What the watcher heard of an entity so far.
    pub fn told(&self, entity: EntityId) -> Vec<Appended> {
        let told = self.told.appended.lock().unwrap();
        told.iter()
            .copied()
            .filter(|appended| appended.entity == entity)
            .collect()
    }

    /// The entities in which messages died by the store's own decision so far, as often as it said so.
    pub fn died(&self) -> Vec<EntityId> {
        self.told.died.lock().unwrap().clone()
    }

    /// Commits one unit, durably.
    pub async fn commit(&self, ops: Vec<Op>) -> Result<Committed, StoreError> {
        self.commit_as(Promise::Durable, ops).await
    }

    /// Commits one unit.
    pub async fn commit_as(&self, promise: Promise, ops: Vec<Op>) -> Result<Committed, StoreError> {
        let ops = ops.into();
        let mut results = self.store.commit([Unit { ops, promise }].into()).await;
        assert_eq!(results.len(), 1, "one result per unit");
        results.remove(0)
    }

    /// Commits one unit that must succeed.
    pub async fn done(&self, ops: Vec<Op>) -> Committed {
        self.commit(ops).await.expect("the unit is taken")
    }

    /// The entity, for reading.
    pub fn log(&self, entity: EntityId) -> Arc<dyn Log> {
        self.store.open(entity).expect("a handle can always be had")
    }

    /// Its marks.
    pub async fn marks(&self, entity: EntityId) -> Marks {
        self.log(entity).marks().await.expect("the entity is there")
    }

    /// Everything that can be read of it, from its start.
    pub async fn all(&self, entity: EntityId) -> Vec<Stored> {
        let start = self.marks(entity).await.start;
        let chunk = self.log(entity).read(start, Want::bytes(u32::MAX)).await;
        chunk.expect("the start can be read").batches
    }

    /// Offset and body of everything that can be read of it.
    pub async fn bodies(&self, entity: EntityId) -> Vec<(u64, Bytes)> {
        let all = self.all(entity).await;
        all.into_iter()
            .map(|stored| (stored.base.0, stored.batch.bytes))
            .collect()
    }

    /// The unsettled entries of a cursor.
    pub async fn backlog(&self, entity: EntityId, cursor: u64) -> Vec<Entry> {
        let backlog = self
            .log(entity)
            .backlog(CursorId(cursor), Offset(0), usize::MAX)
            .await;
        backlog.expect("the entity is there")
    }

    /// Keys and bodies of an entity of latest values.
    pub async fn latest(&self, entity: EntityId) -> Vec<(Bytes, Bytes)> {
        let page: KeyPage = self
            .log(entity)
            .latest(Bytes::new(), None, usize::MAX)
            .await
            .expect("latest values");
        page.entries
            .into_iter()
            .map(|(key, stored)| (key, stored.batch.bytes))
            .collect()
    }

    /// One document.
    pub async fn document(&self, space: u16, key: &'static str) -> Option<Document> {
        self.documents
            .get(Space(space), key.into())
            .await
            .expect("documents can be read")
    }
}
