//! Random commits: the same answers and the same content as in memory, with checkpoints, sealing and
//! restarts between them.
//!
//! Each trace is a seed and a store of its own. One that fails is run again, alone, by
//! `FAIRLEAD_TRACE_SEED=<seed> cargo test -p fairlead-native --lib traces`.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use bytes::Bytes;
use fairlead_canon::{EntityId, Timestamp};
use fairlead_memory::Memory;
use fairlead_ports::{
    BoxFuture, Commit, Committed, Document, Documents, Log, Space, Store, StoreError, Unit, Units,
    Watcher,
};
use fairlead_segment::Segments;
use fairlead_testkit::{Subject, Time, trace};
use parking_lot::Mutex;

use super::Inline;
use crate::checkpoint::Checkpoint;
use crate::log::Handle;
use crate::reader::Reads;
use crate::vfs::sim::SimFs;

/// Short traces, which with those of [`super::switches`] are a hundred thousand.
const SHORT: (Range<u64>, usize) = (0..97_000, 10);
/// Traces long enough to fill log files and use them again.
const LONG: (Range<u64>, usize) = (0..100, 1_000);
/// Commits between two checkpoints at most, and how many come between its beginning and its end.
const CHECKPOINT_EVERY_MAX: u64 = 50;
/// Checkpoints between two times that full log files are sealed.
const SEAL_EVERY: u64 = 3;

/// A store that does everything as it is asked, behind the ports.
pub(super) struct Single {
    reads: Reads,
    shared: Arc<crate::sequencer::Shared>,
    inline: Mutex<Turn>,
}

struct Turn {
    inline: Inline,
    /// Commits between two checkpoints, and between the beginning and the end of one.
    every: (u64, u64),
    commits: u64,
    begun: Option<Checkpoint>,
}

impl std::fmt::Debug for Single {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Single")
    }
}

impl Single {
    /// Opens what is there, with another place for class object or none; the seed says how often there is a checkpoint.
    pub(super) fn open(fs: &SimFs, seed: u64, objects: Option<Arc<dyn Segments>>) -> Self {
        let every = 1 + seed % CHECKPOINT_EVERY_MAX;
        let inline = Inline::open_with(fs, objects).expect("the directory opens");
        let (files, sites) = (&inline.files, &inline.sealer.sites);
        let shared = Arc::clone(&inline.shared);
        let reads = Reads::start(Path::new("data/wal"), files, sites, &shared);
        Self {
            reads: reads.expect("threads"),
            shared,
            inline: Mutex::new(Turn {
                inline,
                every: (every, every / 7),
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
        let (every, takes) = self.every;
        if self.commits.is_multiple_of(every) {
            self.begun = Some(self.inline.begin_checkpoint());
        }
        if self.commits % every == takes
            && let Some(begun) = self.begun.take()
        {
            self.inline.write_checkpoint(begun).expect("a checkpoint");
            let is_one_full = self.inline.files.count() > 1;
            if is_one_full && (self.commits / every).is_multiple_of(SEAL_EVERY) {
                self.inline.seal().expect("segments");
            }
        }
        outcomes.remove(0)
    }
}

impl Store for Single {
    fn name(&self) -> &'static str {
        "single"
    }

    fn commit(&self, units: Units) -> Commit {
        let mut turn = self.inline.lock();
        Commit::ended(units.into_iter().map(|unit| turn.commit(unit)).collect())
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

async fn run(seed: u64, commits: usize) {
    let fs = SimFs::default();
    let memory = Memory::new(1 << 30).timed_by(Arc::new(Time::at(1)));
    let reference = Subject::new(Arc::new(memory), ());
    let tested = Subject::new(Arc::new(Single::open(&fs, seed, None)), ());
    let restart = |subject| {
        drop(subject);
        Subject::new(Arc::new(Single::open(&fs, seed, None)), ())
    };
    trace::run(seed, commits, reference, tested, restart).await;
}

/// Runs these seeds on two threads, or the one that the environment names.
#[expect(clippy::disallowed_methods, reason = "a seed to repeat")]
pub(super) fn each_seed(seeds: Range<u64>, run: impl AsyncFn(u64) + Sync) {
    let seeds = match std::env::var("FAIRLEAD_TRACE_SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("a number");
            seed..seed + 1
        }
        Err(_) => seeds,
    };
    let next = AtomicU64::new(seeds.start);
    let work = || {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.expect("a runtime");
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if !seeds.contains(&seed) {
                break;
            }
            runtime.block_on(run(seed));
        }
    };
    thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
}

#[test]
fn short_traces_end_as_in_memory() {
    each_seed(SHORT.0, async |seed| run(seed, SHORT.1).await);
}

#[test]
fn long_traces_end_as_in_memory() {
    each_seed(LONG.0, async |seed| run(seed, LONG.1).await);
}
