//! A store in a directory of its own, the operations that scenarios are made of, and what is measured of this process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use bytes::Bytes;
use fairlead_canon::{
    Batch, BatchFlags, Class, Codec, EntityId, EpochTag, Kind, Offset, Outcome, Promise, Spec,
    Timestamp,
};
use fairlead_native::{Native, Settings, World};
use fairlead_ports::{
    Clock, Committed, CursorId, Entropy, Op, Outcomes, Place, Store, Target, Unit,
};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// Says on the command line that a part of a scenario follows.
pub(crate) const PART: &str = "part";

/// A place for one scenario.
pub(crate) struct Bench {
    dir: PathBuf,
    /// Removes the directory at the end, if this made it.
    temporary: Option<TempDir>,
    pub(crate) runtime: Runtime,
}

#[derive(Debug)]
struct Outside;

impl Clock for Outside {
    fn wall(&self) -> Timestamp {
        let since = std::time::UNIX_EPOCH.elapsed().unwrap();
        Timestamp(u64::try_from(since.as_millis()).unwrap())
    }
}

impl Entropy for Outside {
    fn fill(&self, out: &mut [u8]) {
        StdRng::from_os_rng().fill_bytes(out);
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
        fs::create_dir_all(root).unwrap();
        let temporary = tempfile::tempdir_in(root).unwrap();
        let mut bench = Self::at(temporary.path().to_path_buf());
        bench.temporary = Some(temporary);
        bench
    }

    /// In a directory of somebody else.
    pub(crate) fn at(dir: PathBuf) -> Self {
        Self {
            dir,
            temporary: None,
            runtime: as_of_a_node(),
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Starts a part of the scenario in a process of its own, on the same directory.
    pub(crate) fn start(&self, part: &str) -> Child {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(PART).arg(part).arg(&self.dir);
        command.stdout(Stdio::piped()).spawn().unwrap()
    }

    pub(crate) fn open(&self) -> Arc<Native> {
        self.open_with(|_| {})
    }

    pub(crate) fn open_with(&self, change: impl FnOnce(&mut Settings)) -> Arc<Native> {
        let world = World::on_disk(Arc::new(Outside), Arc::new(Outside));
        let mut settings = Settings::new(self.dir.join("data"));
        change(&mut settings);
        Arc::new(Native::open(&settings, &world).unwrap())
    }

    /// Commits and expects success.
    pub(crate) fn commit(&self, store: &dyn Store, units: Vec<Unit>) -> Vec<Committed> {
        all(self.runtime.block_on(store.commit(units.into())))
    }

    pub(crate) fn pause(&self, time: Duration) {
        self.runtime
            .block_on(async { tokio::time::sleep(time).await });
    }

    /// Bytes of the index of a store that is there, as the disk counts them; none where it is not.
    pub(crate) fn bytes_of_index(&self) -> u64 {
        use std::os::unix::fs::MetadataExt as _;
        let about = fs::metadata(self.dir.join("data/index.redb"));
        about.map_or(0, |about| about.blocks() * 512)
    }

    /// Bytes of files under the data directory, as the disk counts them.
    pub(crate) fn bytes_on_disk(&self) -> u64 {
        bytes_under(&self.dir)
    }
}

/// A runtime with as many threads as a node serves its clients with: as there are cores, but for one.
fn as_of_a_node() -> Runtime {
    let threads = available_parallelism().map_or(1, usize::from) - 1;
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(threads.max(1)).enable_all();
    builder.build().unwrap()
}

fn bytes_under(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let size = |entry: fs::DirEntry| {
        // A file may go while this looks.
        let Ok(about) = entry.metadata() else {
            return 0;
        };
        if about.is_dir() {
            bytes_under(&entry.path())
        } else {
            about.blocks() * 512
        }
    };
    entries.map(size).sum()
}

pub(crate) fn all(outcomes: Outcomes) -> Vec<Committed> {
    outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap())
        .collect()
}

pub(crate) fn durable(ops: impl IntoIterator<Item = Op>) -> Unit {
    Unit {
        ops: ops.into_iter().collect(),
        promise: Promise::Durable,
    }
}

pub(crate) fn create(entity: u64, kind: Kind, class: Class) -> Op {
    Op::Create {
        entity: EntityId(entity),
        spec: Spec::new(kind, class),
    }
}

pub(crate) fn delete(entity: u64) -> Op {
    Op::Delete {
        entity: EntityId(entity),
    }
}

pub(crate) fn append(entities: impl IntoIterator<Item = u64>, body: &Bytes) -> Op {
    let target = |entity| Target {
        entity: EntityId(entity),
        place: Place::Next,
        tag: EpochTag(0),
    };
    let batch = Batch {
        codec: Codec::Envelope,
        bytes: body.clone(),
        count: 1,
        span: 1,
        time: Timestamp(1),
        deadline: None,
        stamp: None,
        flags: BatchFlags::default(),
        keys: Vec::new(),
    };
    Op::Append {
        to: entities.into_iter().map(target).collect(),
        batch,
    }
}

pub(crate) fn settle(entity: u64, offset: Offset) -> Op {
    Op::Settle {
        entity: EntityId(entity),
        cursor: CursorId(0),
        ranges: std::iter::once(offset.0..offset.0 + 1).collect(),
        outcome: Outcome::Done,
    }
}

/// CPU time of this process so far, all threads.
pub(crate) fn cpu() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(spent).unwrap()
}

/// Resident memory of this process, in bytes.
pub(crate) fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// The middle of some times.
pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap()
}

pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
