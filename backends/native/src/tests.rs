//! Crashes, damage and failed disks, over the simulated file system.

mod backup;
mod checkpoint;
mod crash;
mod damage;
mod failure;
mod full;
mod grouping;
mod inspect;
mod keys;
mod moving;
#[cfg(feature = "mutations")]
mod mutations;
mod parsers;
mod reading;
mod reaping;
mod recycling;
mod rot;
mod sealing;
mod switches;
mod syncing;
mod traces;
mod worn;

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fairlead_canon::{EntityId, Promise, SyncMode};
use fairlead_memory::Memory;
use fairlead_ports::{Commit, Entropy, Op, Outcomes, Unit, Writers};
use fairlead_segment::Segments;
use fairlead_testkit::trace::{ENTITIES, Trace, digest};
use fairlead_testkit::{Subject, Time};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::call::Job;
use crate::checkpoint::{Checkpoint, Checkpointer, Desk};
use crate::condition::Told;
use crate::error::OpenError;
use crate::file_wal::{FileWal, Files};
use crate::inbox::Inbox;
use crate::lsn::{PAGE, at};
use crate::pool::{Filled, Pool};
use crate::recovery::{Recovered, recover};
use crate::seal::{Bench, Restless, Sealer};
use crate::sequencer::{Order, Press, Sequencer, Shared, Taken};
use crate::settings::{Settings, Spare, World};
use crate::sites::Directory;
use crate::state::Progress;
use crate::store::Native;
use crate::superblock::SuperblockFile;
use crate::tail::Tail;
use crate::vfs::Lock;
use crate::vfs::sim::SimFs;
use crate::{Inspection, Report};

/// Commits between two that put back what was known of writers.
const RESTORE_EVERY: usize = 25;

#[derive(Debug)]
struct Seeded(Mutex<StdRng>);

impl Entropy for Seeded {
    fn fill(&self, out: &mut [u8]) {
        self.0.lock().fill_bytes(out);
    }
}

fn world(fs: &SimFs, seed: u64) -> World {
    let entropy = Seeded(Mutex::new(StdRng::seed_from_u64(seed)));
    World {
        clock: Arc::new(Time::at(1)),
        entropy: Arc::new(entropy),
        vfs: Arc::new(fs.clone()),
    }
}

/// Files of the smallest size, so that a short script fills several.
fn settings() -> Settings {
    Settings {
        file_bytes: 64 * 1024,
        spare: Spare {
            bytes: 1,
            ..Spare::NOTHING
        },
        ..Settings::new("data")
    }
}

/// Class object has a directory of its own on the same disk.
fn objects(fs: &SimFs) -> Arc<dyn Segments> {
    Arc::new(Directory::new(Arc::new(fs.clone()), "objects".into()))
}

fn open(fs: &SimFs) -> Result<Subject, OpenError> {
    let settings = Settings {
        objects: Some(objects(fs)),
        ..settings()
    };
    let native = Native::open(&settings, &world(fs, fs.operations() + 1_000))?;
    Ok(Subject::new(Arc::new(native), ()))
}

fn check(fs: &SimFs) -> Result<Report, OpenError> {
    let inspection = Inspection::open(Path::new("data"), fs)?;
    inspection.reaching(objects(fs)).check(&mut |_| {})
}

/// A store without threads: each commit is written and synced before it returns, and every file
/// operation happens in the same order in every run.
struct Inline {
    shared: Arc<Shared>,
    sequencer: Sequencer,
    wal: FileWal,
    pool: Arc<Pool>,
    index: Checkpointer,
    files: Arc<Files>,
    sealer: Sealer,
    restless: Restless,
    superblock: SuperblockFile,
    _lock: Box<dyn Lock>,
}

impl Inline {
    fn open(fs: &SimFs) -> Result<Self, OpenError> {
        Self::open_with(fs, Some(objects(fs)))
    }

    fn open_with(fs: &SimFs, objects: Option<Arc<dyn Segments>>) -> Result<Self, OpenError> {
        // Each stay draws other names for its segments.
        let world = world(fs, fs.operations());
        let settings = Settings {
            objects,
            ..settings()
        };
        let Recovered {
            lock,
            state,
            wal,
            superblock,
            pool,
            files,
            sites,
            end,
        } = recover(&settings, &world)?;
        let (progress, _) = watch::channel(Progress::Durable(wal.synced()));
        let shared = Arc::new(Shared {
            state,
            tail: Tail::new(1 << 20),
            watcher: Default::default(),
            progress,
            inbox: Inbox::default(),
            meter: Arc::clone(wal.meter()),
            sync: SyncMode::Always,
            desk: Desk::new(at(end.0, end.1 - PAGE), true, Duration::from_millis(1)),
            bench: Bench::default(),
            told: Told::default(),
            holds: Arc::clone(pool.held_by()),
        });
        let index = Checkpointer::new(Arc::clone(&shared), Arc::clone(&files), Arc::clone(&pool));
        let sealer = Sealer {
            files: Arc::clone(&files),
            sites,
            clock: Arc::clone(&world.clock),
            entropy: Arc::clone(&world.entropy),
            // Every file that is full is one too many.
            log_bytes: settings.file_bytes,
            file_bytes: settings.file_bytes,
        };
        let (clock, shelf) = (world.clock, Arc::clone(&pool));
        let sequencer = Sequencer::new(Arc::clone(&shared), shelf, clock, end);
        Ok(Self {
            shared,
            sequencer,
            wal,
            pool,
            index,
            files,
            sealer,
            restless: Restless::default(),
            superblock,
            _lock: lock,
        })
    }

    fn commit(&mut self, unit: Unit) -> std::io::Result<Outcomes> {
        while self.pool.fill()? == Filled::More {}
        let (mut job, replied) = Job::new([unit].into());
        while self.sequencer.take(&mut job) == Taken::Part {
            self.work(Press::Frame)?;
        }
        self.sequencer.answer(job);
        // As the engine does at each of its turns.
        self.sequencer.reap();
        self.work(Press::All)?;
        Ok(replied
            .ended()
            .expect("an answer once the frame is durable"))
    }

    /// Writes and syncs what is in order.
    fn work(&mut self, press: Press) -> std::io::Result<()> {
        while let Some(order) = self.sequencer.order(press) {
            self.carry_out(&order)?;
            self.sequencer.landed(0);
            self.sequencer.settle();
        }
        Ok(())
    }

    fn carry_out(&mut self, order: &Order) -> std::io::Result<()> {
        match &order.frame {
            Some(frame) => self.wal.append(frame, order.flush),
            None => self.wal.sync(),
        }
    }

    /// Ends a generation with what was written last.
    fn begin_checkpoint(&self) -> Checkpoint {
        Checkpoint::begin(&self.shared.state, self.shared.desk.last())
    }

    fn write_checkpoint(&self, checkpoint: Checkpoint) -> std::io::Result<()> {
        let written = self.index.write(checkpoint);
        written.map_err(std::io::Error::other)
    }

    fn close(mut self) -> std::io::Result<()> {
        self.superblock.write(self.wal.epoch(), self.wal.synced())
    }
}

/// A script, and what can be seen after each commit of it: the first digest is that of nothing.
struct Script {
    units: Vec<Unit>,
    /// Commits between two checkpoints.
    checkpoint_every: usize,
    /// Checkpoints between two times that full files are sealed, and one entity changes its class.
    seal_every: usize,
    digests: Vec<Vec<String>>,
}

impl Script {
    async fn new(seed: u64, commits: usize) -> Self {
        let memory = Memory::new(1 << 30).timed_by(Arc::new(Time::at(1)));
        let reference = Subject::new(Arc::new(memory), ());
        let mut trace = Trace::new(seed);
        let (mut units, mut digests) = (Vec::new(), vec![digest(&reference).await]);
        let mut known = None;
        for at in 0..commits {
            let unit = match (at, at % RESTORE_EVERY) {
                (0, _) => Trace::creation(),
                (_, 0) => {
                    let entity = EntityId(at as u64 / RESTORE_EVERY as u64 % ENTITIES);
                    let writers = reference.log(entity).writers().await;
                    let before = known.replace((entity, writers.unwrap_or_default()));
                    before.map_or_else(|| trace.unit(), restoring)
                }
                _ => trace.unit(),
            };
            now(reference.store.commit([unit.clone()].into()));
            units.push(unit);
            digests.push(digest(&reference).await);
        }
        Self {
            units,
            checkpoint_every: 9,
            seal_every: usize::MAX,
            digests,
        }
    }

    fn sealing(self, seal_every: usize) -> Self {
        Self { seal_every, ..self }
    }

    /// Plays the script; returns how many commits were answered before the disk failed.
    fn play(&self, fs: &SimFs) -> usize {
        self.play_counting(fs, &AtomicUsize::new(0))
    }

    /// Plays the script and counts what is answered.
    fn play_counting(&self, fs: &SimFs, count: &AtomicUsize) -> usize {
        match Inline::open(fs) {
            Ok(store) => self.play_in(store, count),
            Err(_failed) => 0,
        }
    }

    /// The same in a store that is open.
    fn play_in(&self, mut store: Inline, count: &AtomicUsize) -> usize {
        let (mut answered, mut begun) = (0, None);
        for unit in &self.units {
            if store.commit(unit.clone()).is_err() {
                return answered;
            }
            answered += 1;
            count.store(answered, Ordering::Relaxed);
            // What is committed between begin and write is of the next generation.
            match answered % self.checkpoint_every {
                0 => begun = Some(store.begin_checkpoint()),
                3 => {
                    let Some(begun) = begun.take() else { continue };
                    let checkpoints = answered / self.checkpoint_every;
                    let mut written = store.write_checkpoint(begun);
                    if written.is_ok() && checkpoints.is_multiple_of(self.seal_every) {
                        let turn = (checkpoints / self.seal_every) as u64;
                        written = store.change_class(EntityId(turn % ENTITIES));
                        written = written.and_then(|()| store.seal());
                    }
                    if written.is_err() {
                        return answered;
                    }
                }
                _ => {}
            }
        }
        if answered == self.units.len() {
            // A close that fails proves less to the next start, and changes nothing else.
            drop(store.close());
        }
        answered
    }

    /// After how many commits a store looks like this; the latest of them.
    fn position(&self, digest: &[String]) -> Option<usize> {
        self.digests.iter().rposition(|known| known == digest)
    }

    /// Whether a store may look like this when so many commits were answered: all of those took
    /// effect, and at most one more, whole.
    fn may_look(&self, digest: &[String], answered: usize) -> bool {
        let possible = self.digests.iter().skip(answered).take(2);
        possible.into_iter().any(|known| known == digest)
    }
}

/// A unit that puts back what was known of those who wrote to an entity.
fn restoring((entity, writers): (EntityId, Writers)) -> Unit {
    let writers = Box::new(writers);
    Unit {
        ops: [Op::Restore { entity, writers }].into(),
        promise: Promise::Durable,
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

/// The result of a future that is never pending.
fn now(mut commit: Commit) -> Outcomes {
    match Pin::new(&mut commit).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("pending"),
    }
}
