//! Opening a data directory: what was there before, and what runs on it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread;

use bytes::Bytes;
use fairlead_ports::{Clock, Entropy, Lsn};
use tokio::sync::watch;

use crate::engine::{Engine, Writer};
use crate::error::OpenError;
use crate::file_wal::{Chain, FileWal, Files, Frame, place};
use crate::frame::{FIRST_AFTER_RECOVERY, HEADER_BYTES};
use crate::inbox::Inbox;
use crate::log_file::LogFile;
use crate::lsn::{FILE_BYTES_MAX, FileNo, PAGE, at, file_of, padded, position_of};
use crate::pool::{Mould, Pool, random};
use crate::reader::Reads;
use crate::recovery::{self, Tail as LogTail};
use crate::sequencer::{Sequencer, Shared};
use crate::state::{Hidden, Progress, State};
use crate::store::{Native, Threads};
use crate::superblock::{Epoch, LogId, Superblock, SuperblockFile};
use crate::tail::Tail;
use crate::vfs::{Lock, Vfs};

/// Smallest log file: room for its header and a few frames.
const FILE_BYTES_MIN: u64 = 64 * 1024;

/// Where a store lives and how much it may take.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data directory; made if it is not there.
    pub dir: PathBuf,
    /// Bytes of a log file: whole pages, at most 64 MiB. Half of it bounds a unit. It only
    /// concerns files that are made from now on.
    pub file_bytes: u64,
    /// Bytes of log at which appends are refused.
    pub log_bytes_max: u64,
    /// Bytes of recent log kept in memory for readers.
    pub tail_bytes_max: usize,
}

/// Time and randomness of a store.
#[derive(Clone, Debug)]
pub struct World {
    /// Stamps frames.
    pub clock: Arc<dyn Clock>,
    /// Identifies logs and files.
    pub entropy: Arc<dyn Entropy>,
    /// Holds the files.
    pub vfs: Arc<dyn Vfs>,
}

/// A log that was read to its end and can be written again.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) lock: Box<dyn Lock>,
    pub(crate) state: State,
    pub(crate) wal: FileWal,
    pub(crate) superblock: SuperblockFile,
    pub(crate) pool: Arc<Pool>,
    pub(crate) files: Arc<Files>,
    /// Where the next frame goes.
    pub(crate) end: (FileNo, u64),
}

impl Settings {
    /// A store in a directory, with the usual sizes.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            file_bytes: FILE_BYTES_MAX,
            log_bytes_max: 8 << 30,
            tail_bytes_max: 64 << 20,
        }
    }

    fn check(&self) -> Result<(), OpenError> {
        let is_size = (FILE_BYTES_MIN..=FILE_BYTES_MAX).contains(&self.file_bytes);
        if !is_size || !self.file_bytes.is_multiple_of(PAGE) {
            return Err(OpenError::Setting {
                what: "a log file has 64 KiB to 64 MiB, in pages of 4 KiB",
            });
        }
        Ok(())
    }
}

impl Native {
    /// Opens a data directory: reads its log, makes sure that what it read is durable, and starts
    /// the threads. Refuses, changing nothing, when anything that had been durable is damaged.
    pub fn open(settings: &Settings, world: &World) -> Result<Self, OpenError> {
        let recovered = recover(settings, world)?;
        start(settings, world, recovered).map_err(|error| OpenError::io(&settings.dir, error))
    }
}

pub(crate) fn recover(settings: &Settings, world: &World) -> Result<Recovered, OpenError> {
    settings.check()?;
    let vfs = world.vfs.as_ref();
    let dir = settings.dir.join("wal");
    vfs.make_dir(&dir)
        .map_err(|error| OpenError::io(&dir, error))?;
    let lock = lock(vfs, &settings.dir)?;
    let superblock = superblock(settings, world, &dir)?;
    let log = superblock.content.log;
    let mut files = recovery::open_files(vfs, &dir, log)?;
    if files.is_empty() && superblock.content.synced > Lsn(0) {
        return Err(OpenError::Missing {
            file: dir.join(FileNo::FIRST.name()),
        });
    }
    let state = State::default();
    let tail = replay(&dir, &files, superblock.content.synced, &state)?;
    recovery::harden(&files, &tail).map_err(|error| OpenError::io(&dir, error))?;
    recovery::remove_after(vfs, &dir, &mut files, tail.file + 1)?;
    let epoch = Epoch(
        superblock
            .content
            .epoch
            .max(tail.chain.epoch)
            .0
            .saturating_add(1),
    );
    let mould = mould(settings, world, log, epoch);
    resume(
        settings,
        world,
        mould,
        Read {
            lock,
            superblock,
            files,
            tail,
            state,
        },
    )
}

/// What was read of a log.
struct Read {
    lock: Box<dyn Lock>,
    superblock: SuperblockFile,
    files: Vec<LogFile>,
    tail: LogTail,
    state: State,
}

fn lock(vfs: &dyn Vfs, dir: &Path) -> Result<Box<dyn Lock>, OpenError> {
    let path = dir.join("LOCK");
    vfs.lock(&path).map_err(|error| {
        if error.kind() == io::ErrorKind::WouldBlock {
            OpenError::Locked {
                dir: dir.to_path_buf(),
            }
        } else {
            OpenError::io(&path, error)
        }
    })
}

/// The superblock of the directory. One is made only where there is no log either.
fn superblock(settings: &Settings, world: &World, wal: &Path) -> Result<SuperblockFile, OpenError> {
    let vfs = world.vfs.as_ref();
    if let Some(superblock) = SuperblockFile::open(vfs, &settings.dir)? {
        return Ok(superblock);
    }
    let names = vfs.list(wal).map_err(|error| OpenError::io(wal, error))?;
    if names.iter().any(|name| FileNo::of_name(name).is_some()) {
        return Err(OpenError::Missing {
            file: settings.dir.join("superblock"),
        });
    }
    // The directory itself may be new.
    let parent = settings
        .dir
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    vfs.sync_dir(parent)
        .map_err(|error| OpenError::io(parent, error))?;
    let mut log = LogId([0; 16]);
    world.entropy.fill(&mut log.0);
    let content = Superblock {
        log,
        node: random(world.entropy.as_ref()),
        counter: 1,
        epoch: Epoch(0),
        synced: Lsn(0),
        created: world.clock.wall(),
    };
    SuperblockFile::create(vfs, &settings.dir, content)
}

fn replay(dir: &Path, files: &[LogFile], proven: Lsn, state: &State) -> Result<LogTail, OpenError> {
    let mut hidden = Vec::new();
    let tail = recovery::replay(dir, files, proven, &mut |at, record| {
        state.apply(at, record, &mut hidden);
        hidden
            .drain(..)
            .for_each(|appended: Hidden| appended.show());
    })?;
    state.begin_anew();
    let file = files
        .get(tail.file)
        .map_or_else(String::new, |file| file.number.name());
    let (frames, position, is_torn) = (tail.frames, tail.position, tail.is_torn);
    tracing::info!(
        frames,
        file,
        position,
        is_torn,
        "the log was read to its end"
    );
    Ok(tail)
}

fn mould(settings: &Settings, world: &World, log: LogId, epoch: Epoch) -> Mould {
    Mould {
        vfs: Arc::clone(&world.vfs),
        clock: Arc::clone(&world.clock),
        entropy: Arc::clone(&world.entropy),
        dir: settings.dir.join("wal"),
        file_bytes: settings.file_bytes,
        log,
        epoch,
    }
}

/// Begins a new stay: a frame of a higher epoch behind what was read.
fn resume(
    settings: &Settings,
    world: &World,
    mould: Mould,
    read: Read,
) -> Result<Recovered, OpenError> {
    let Read {
        lock,
        mut superblock,
        mut files,
        tail,
        state,
    } = read;
    let failed = |error| OpenError::io(&settings.dir, error);
    let current = match files.last() {
        Some(file) => file.clone(),
        None => {
            files.push(mould.cast(FileNo::FIRST).map_err(failed)?);
            files.last().cloned().ok_or(OpenError::Setting {
                what: "a log has a file",
            })?
        }
    };
    let epoch = mould.epoch;
    let last = FileNo((settings.log_bytes_max / settings.file_bytes).max(1));
    let pool = Arc::new(Pool::new(mould, current.number, last));
    let shared = Arc::new(Files::default());
    files.into_iter().for_each(|file| shared.add(file));
    let proven = at(current.number, tail.position);
    let lsn = place(
        current.number,
        tail.position,
        HEADER_BYTES as u64,
        current.bytes,
    );
    if file_of(lsn) != current.number {
        pool.fill().map_err(failed)?;
    }
    let chain = Chain {
        epoch,
        synced: proven,
        ..tail.chain
    };
    let mut wal = FileWal::new(Arc::clone(&pool), Arc::clone(&shared), current, chain);
    let first = Frame {
        lsn,
        wall: world.clock.wall(),
        flags: FIRST_AFTER_RECOVERY,
        count: 0,
        records: Bytes::new(),
    };
    wal.append(&first).map_err(failed)?;
    superblock.write(epoch, wal.synced()).map_err(failed)?;
    let end = (file_of(lsn), position_of(lsn) + padded(HEADER_BYTES as u64));
    Ok(Recovered {
        lock,
        state,
        wal,
        superblock,
        pool,
        files: shared,
        end,
    })
}

fn start(settings: &Settings, world: &World, recovered: Recovered) -> io::Result<Native> {
    let Recovered {
        lock,
        state,
        wal,
        superblock,
        pool,
        files,
        end,
    } = recovered;
    let (progress, _) = watch::channel(Progress::Durable(wal.synced()));
    let shared = Arc::new(Shared {
        state,
        tail: Tail::new(settings.tail_bytes_max),
        watcher: OnceLock::new(),
        progress: progress.clone(),
    });
    let inbox = Arc::new(Inbox::default());
    let (frames, to_write) = std::sync::mpsc::sync_channel(1);
    let sequencer = Sequencer::new(
        Arc::clone(&shared),
        Arc::clone(&pool),
        Arc::clone(&world.clock),
        end,
    );
    let engine = Engine {
        inbox: Arc::clone(&inbox),
        sequencer,
        frames,
        progress,
    };
    let writer = Writer {
        inbox: Arc::clone(&inbox),
        wal,
        superblock,
        frames: to_write,
    };
    let reads = Reads::start(&settings.dir.join("wal"), &files)?;
    let filling = (Arc::clone(&pool), Arc::clone(&inbox));
    let threads = vec![
        spawn("log-engine", move || engine.run())?,
        spawn("log-writer", move || writer.run())?,
        spawn("log-files", move || filling.0.run(&|| filling.1.nudge()))?,
    ];
    Ok(Native::new(
        shared,
        Arc::clone(&inbox),
        reads,
        Threads::new(pool, inbox, threads, lock),
    ))
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name(name.into()).spawn(run)
}
