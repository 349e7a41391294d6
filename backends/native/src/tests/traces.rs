//! A million random commits in a hundred thousand short traces: the same answers and the same content
//! as in memory, with checkpoints and restarts between them.
//!
//! Each seed is a store of its own. One that fails is run again, alone, by
//! `FAIRLEAD_TRACE_SEED=<seed> cargo test -p fairlead-native --lib traces`.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{EntityId, Timestamp};
use fairlead_memory::Memory;
use fairlead_ports::{
    BoxFuture, Committed, Document, Documents, Log, Space, Store, StoreError, Unit, Watcher,
};
use fairlead_testkit::{Subject, trace};
use parking_lot::Mutex;

use super::{Fixed, Inline};
use crate::checkpoint::Checkpoint;
use crate::log::Handle;
use crate::reader::Reads;
use crate::vfs::sim::SimFs;

/// Stores, each with so many commits: a hundred traces of ten.
const SEEDS: u64 = 1_000;
const COMMITS: usize = 1_000;
/// Commits between two checkpoints, and how many come between its beginning and its end.
const CHECKPOINT_EVERY: usize = 50;
const CHECKPOINT_TAKES: usize = 7;

/// A store that does everything as it is asked, behind the ports.
struct Single {
    reads: Reads,
    shared: Arc<crate::sequencer::Shared>,
    inline: Mutex<Turn>,
}

struct Turn {
    inline: Inline,
    commits: usize,
    begun: Option<Checkpoint>,
}

impl std::fmt::Debug for Single {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Single")
    }
}

impl Single {
    fn open(fs: &SimFs) -> Self {
        let inline = Inline::open(fs).expect("the directory opens");
        let (files, sites) = (&inline.files, &inline.sealer.sites);
        let shared = Arc::clone(&inline.shared);
        let reads = Reads::start(Path::new("data/wal"), files, sites, &shared);
        Self {
            reads: reads.expect("threads"),
            shared,
            inline: Mutex::new(Turn {
                inline,
                commits: 0,
                begun: None,
            }),
        }
    }
}

impl Drop for Single {
    fn drop(&mut self) {
        // The threads that read end a little later, and have it as well.
        self.shared.state.ground.index.close();
    }
}

impl Turn {
    fn commit(&mut self, unit: Unit) -> Result<Committed, StoreError> {
        let mut outcomes = self.inline.commit(unit).expect("the disk does not fail");
        self.commits += 1;
        match self.commits % CHECKPOINT_EVERY {
            0 => self.begun = Some(self.inline.begin_checkpoint()),
            CHECKPOINT_TAKES => {
                if let Some(begun) = self.begun.take() {
                    self.inline.write_checkpoint(begun).expect("a checkpoint");
                }
            }
            _ => {}
        }
        outcomes.remove(0)
    }
}

impl Store for Single {
    fn name(&self) -> &'static str {
        "single"
    }

    fn commit(&self, units: Vec<Unit>) -> BoxFuture<'static, Vec<Result<Committed, StoreError>>> {
        let mut turn = self.inline.lock();
        let outcomes: Vec<_> = units.into_iter().map(|unit| turn.commit(unit)).collect();
        Box::pin(std::future::ready(outcomes))
    }

    fn open(&self, entity: EntityId) -> Result<Arc<dyn Log>, StoreError> {
        Ok(Arc::new(Handle {
            shared: Arc::clone(&self.shared),
            reads: self.reads.clone(),
            entity,
        }))
    }

    fn watch(&self, watcher: Arc<dyn Watcher>) {
        drop(self.shared.watcher.set(watcher));
    }
}

impl Documents for Single {
    fn get(&self, space: Space, key: Bytes) -> BoxFuture<'_, Result<Option<Document>, StoreError>> {
        let found = self.shared.state.documents.lock().get(space, &key);
        Box::pin(std::future::ready(Ok(found)))
    }

    fn list(
        &self,
        space: Space,
        prefix: Bytes,
        after: Option<Bytes>,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Document>, StoreError>> {
        let documents = self.shared.state.documents.lock();
        let found = documents.list(space, &prefix, after.as_ref(), max);
        Box::pin(std::future::ready(Ok(found)))
    }

    fn due(&self, now: Timestamp, max: usize) -> BoxFuture<'_, Result<Vec<Document>, StoreError>> {
        let found = self.shared.state.documents.lock().due(now, max);
        Box::pin(std::future::ready(Ok(found)))
    }
}

async fn run(seed: u64) {
    let fs = SimFs::default();
    let memory = Memory::new(1 << 30).timed_by(Arc::new(Fixed));
    let reference = Subject::new(Arc::new(memory), ());
    let tested = Subject::new(Arc::new(Single::open(&fs)), ());
    let restart = |subject| {
        drop(subject);
        Subject::new(Arc::new(Single::open(&fs)), ())
    };
    trace::run(seed, COMMITS, reference, tested, restart).await;
}

/// Every second seed from `first` on, so that two threads share the work.
#[expect(clippy::disallowed_methods, reason = "a seed to repeat")]
fn run_half(first: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime");
    match std::env::var("FAIRLEAD_TRACE_SEED") {
        Ok(seed) if first == 0 => runtime.block_on(run(seed.parse().expect("a number"))),
        Ok(_) => {}
        Err(_) => {
            for seed in (first..SEEDS).step_by(2) {
                runtime.block_on(run(seed));
            }
        }
    }
}

#[test]
fn fifty_thousand_short_traces_end_as_in_memory() {
    run_half(0);
}

#[test]
fn fifty_thousand_more_do() {
    run_half(1);
}
