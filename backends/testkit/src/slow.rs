//! A store whose answers take a while, so that others get their turn in between.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::{future, io};

use bytes::Bytes;
use fairlead_canon::{EntityId, Offset};
use fairlead_ports::{
    BoxFuture, By, Chunk, Commit, CursorId, Entry, KeyPage, Log, Marks, Store, StoreError, Stored,
    Units, Want, Watcher, Writers,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Does what another store does, and answers some turns later: how many is up to the seed.
#[derive(Clone, Debug)]
pub struct Slow {
    store: Arc<dyn Store>,
    turns: Turns,
}

#[derive(Clone, Debug)]
struct Turns(Arc<Mutex<StdRng>>);

#[derive(Debug)]
struct SlowLog {
    log: Arc<dyn Log>,
    turns: Turns,
}

impl Slow {
    /// A slow store in front of `store`.
    pub fn new(store: Arc<dyn Store>, seed: u64) -> Self {
        let random = StdRng::seed_from_u64(seed);
        let turns = Turns(Arc::new(Mutex::new(random)));
        Self { store, turns }
    }
}

impl Turns {
    /// Lets others do something, mostly.
    fn pass(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut left = self.0.lock().unwrap().random_range(0..3_u32);
        future::poll_fn(move |context| match left.checked_sub(1) {
            Some(fewer) => {
                left = fewer;
                context.waker().wake_by_ref();
                std::task::Poll::Pending
            }
            None => std::task::Poll::Ready(()),
        })
    }
}

impl Store for Slow {
    fn name(&self) -> &'static str {
        self.store.name()
    }

    fn commit(&self, units: Units) -> Commit {
        let (outcome, pass) = (self.store.commit(units), self.turns.pass());
        Commit::steps(async move {
            pass.await;
            outcome.await
        })
    }

    fn is_busy(&self) -> bool {
        self.store.is_busy()
    }

    fn backup(&self, to: PathBuf) -> BoxFuture<'static, io::Result<u64>> {
        self.store.backup(to)
    }

    fn open(&self, entity: EntityId) -> Result<Arc<dyn Log>, StoreError> {
        Ok(Arc::new(SlowLog {
            log: self.store.open(entity)?,
            turns: self.turns.clone(),
        }))
    }

    fn watch(&self, watcher: Arc<dyn Watcher>) {
        self.store.watch(watcher);
    }
}

/// Asks after a while, and answers after another.
macro_rules! slowly {
    ($slow:ident, $question:expr) => {
        Box::pin(async move {
            $slow.turns.pass().await;
            let answer = $question.await;
            $slow.turns.pass().await;
            answer
        })
    };
}

impl Log for SlowLog {
    fn marks(&self) -> BoxFuture<'_, Result<Marks, StoreError>> {
        slowly!(self, self.log.marks())
    }

    fn read(&self, from: Offset, want: Want) -> BoxFuture<'_, Result<Chunk, StoreError>> {
        slowly!(self, self.log.read(from, want))
    }

    fn fetch(&self, at: Vec<Offset>) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>> {
        slowly!(self, self.log.fetch(at))
    }

    fn backlog(
        &self,
        cursor: CursorId,
        from: Offset,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Entry>, StoreError>> {
        slowly!(self, self.log.backlog(cursor, from, max))
    }

    fn find(&self, by: By) -> BoxFuture<'_, Result<Option<Offset>, StoreError>> {
        slowly!(self, self.log.find(by))
    }

    fn latest(
        &self,
        prefix: Bytes,
        after: Option<Bytes>,
        max: usize,
    ) -> BoxFuture<'_, Result<KeyPage, StoreError>> {
        slowly!(self, self.log.latest(prefix, after, max))
    }

    fn writers(&self) -> BoxFuture<'_, Result<Writers, StoreError>> {
        slowly!(self, self.log.writers())
    }

    fn cursors(&self) -> BoxFuture<'_, Result<Vec<CursorId>, StoreError>> {
        slowly!(self, self.log.cursors())
    }
}
