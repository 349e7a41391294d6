//! A caller that leaves while its commits are under way.

use std::sync::atomic::{AtomicUsize, Ordering};

use fairlead_canon::{EntityId, Timestamp};
use fairlead_ports::{
    BoxFuture, Committed, Document, Documents, Log, Space, Store, StoreError, Unit, Watcher,
};

use fairlead_kernel::{Binding, Destination, Lifetime, Match};

use crate::*;

/// A store whose commits take their last step only while somebody awaits them.
#[derive(Debug)]
struct Slow {
    inner: Memory,
    finished: Arc<AtomicUsize>,
}

impl Store for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn commit(&self, units: Vec<Unit>) -> BoxFuture<'static, Vec<Result<Committed, StoreError>>> {
        let (inner, finished) = (self.inner.commit(units), Arc::clone(&self.finished));
        Box::pin(async move {
            tokio::task::yield_now().await;
            let results = inner.await;
            finished.fetch_add(1, Ordering::Relaxed);
            results
        })
    }

    fn open(&self, entity: EntityId) -> Result<Arc<dyn Log>, StoreError> {
        self.inner.open(entity)
    }

    fn watch(&self, watcher: Arc<dyn Watcher>) {
        self.inner.watch(watcher);
    }
}

impl Documents for Slow {
    fn get(&self, space: Space, key: Bytes) -> BoxFuture<'_, Result<Option<Document>, StoreError>> {
        self.inner.get(space, key)
    }

    fn list(
        &self,
        space: Space,
        prefix: Bytes,
        after: Option<Bytes>,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Document>, StoreError>> {
        self.inner.list(space, prefix, after, max)
    }

    fn due(&self, now: Timestamp, max: usize) -> BoxFuture<'_, Result<Vec<Document>, StoreError>> {
        self.inner.due(now, max)
    }
}

#[tokio::test]
async fn what_a_caller_had_handed_over_is_seen_to_its_end_without_it() {
    let finished = Arc::new(AtomicUsize::new(0));
    let inner = Memory::new(1 << 30);
    let store = Slow {
        inner,
        finished: Arc::clone(&finished),
    };
    let clock = Arc::new(ManualClock::at(1));
    let kernel = kernel(Arc::new(store), Arc::clone(&clock)).await.unwrap();
    let mesh = Mesh { kernel, clock };
    let mut caller = mesh.caller();
    declare_queue(&mut caller, "jobs").await;
    let before = finished.load(Ordering::Relaxed);
    publish(&mut caller, &to_queue("jobs"), "a");
    publish(&mut caller, &to_queue("jobs"), "b");
    drop(caller);
    let end = async {
        while finished.load(Ordering::Relaxed) < before + 2 {
            tokio::task::yield_now().await;
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(5), end).await;
    ended.expect("both commits are awaited by somebody");
}

#[tokio::test]
async fn what_lies_in_memory_goes_with_its_caller_and_waits_for_nobody() {
    let store = Arc::new(Memory::new(1 << 30));
    let clock = Arc::new(ManualClock::at(1));
    let kernel = kernel(Arc::clone(&store), clock).await.unwrap();
    let mut caller = enter(&kernel);
    let key = StreamKey::new(Family::Mailbox, "fleeting");
    let new = NewStream {
        lifetime: Lifetime::Connection(caller.id()),
        ..NewStream::new(key.clone(), Kind::Queue, Class::Memory, ORIGIN)
    };
    let pattern = Pattern::exact(RealmId::SHARED, &shared("here").path);
    let binding = Binding {
        from: RealmId::SHARED,
        on: Match::Pattern(pattern),
        to: Destination::Stream(key.clone()),
        no_local: false,
        document: Bytes::new(),
    };
    let changes = vec![Change::CreateStream(new), Change::Bind(binding)];
    let declared = caller.declare(changes).await.unwrap();
    let lane = declared.streams[0].lanes[0];
    let mut publisher = enter(&kernel);
    assert!(publisher.is_bound(&shared("here")));
    drop(caller);
    // Nothing has been awaited since.
    assert!(!publisher.is_bound(&shared("here")));
    assert!(publisher.topology(|all| all.stream(&key).is_none()));
    let log = store.open(lane).unwrap();
    assert!(log.marks().await.is_err(), "the entity is gone as well");
}
