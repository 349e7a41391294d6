//! What callers and operators learn of the store's condition.

use std::sync::Mutex;

use fairlead_kernel::{BoxFuture, Condition, Document};
use fairlead_ports::{Committed, Documents, Log, Space, Store, StoreError, Unit, Watcher};

use crate::*;

/// A store that says what it is told to say about itself.
#[derive(Debug)]
struct Moody {
    store: Memory,
    watcher: Mutex<Option<Arc<dyn Watcher>>>,
}

impl Moody {
    fn say(&self, condition: Condition) {
        let watcher = self.watcher.lock().unwrap().clone();
        watcher.unwrap().condition(condition);
    }
}

impl Store for Moody {
    fn name(&self) -> &'static str {
        "moody"
    }

    fn commit(&self, units: Vec<Unit>) -> BoxFuture<'static, Vec<Result<Committed, StoreError>>> {
        self.store.commit(units)
    }

    fn open(&self, entity: fairlead_canon::EntityId) -> Result<Arc<dyn Log>, StoreError> {
        self.store.open(entity)
    }

    fn watch(&self, watcher: Arc<dyn Watcher>) {
        self.store.watch(Arc::clone(&watcher));
        *self.watcher.lock().unwrap() = Some(watcher);
    }
}

impl Documents for Moody {
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

    fn due(
        &self,
        now: fairlead_canon::Timestamp,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Document>, StoreError>> {
        self.store.due(now, max)
    }
}

#[tokio::test]
async fn whoever_asked_is_told_of_a_change_and_the_metrics_show_it() {
    let store = Arc::new(Moody {
        store: Memory::new(1 << 30),
        watcher: Mutex::new(None),
    });
    let clock = Arc::new(ManualClock::at(1_000_000));
    let kernel = kernel(Arc::clone(&store), clock).await.unwrap();
    let (mut asked, mut other) = (enter(&kernel), enter(&kernel));
    assert_eq!(asked.watch_condition(), Condition::Well);
    store.say(Condition::Well);
    assert_quiet(&mut asked);
    store.say(Condition::Full);
    match event(&mut asked).await {
        Event::Condition(condition) => assert_eq!(condition, Condition::Full),
        other => panic!("not a condition: {other:?}"),
    }
    assert_quiet(&mut other);
    assert_eq!(kernel.condition(), Condition::Full);
    let page = kernel.metrics_page();
    assert!(page.contains("fairlead_store_condition{condition=\"full\"} 1"));
    assert!(page.contains("fairlead_store_condition{condition=\"well\"} 0"));
    drop(asked);
    store.say(Condition::Well);
    assert_eq!(kernel.condition(), Condition::Well);
}
