//! From what a stop left to a log that can be written again. Every step changes nothing but what
//! it would change again, so a crash in the middle is harmless.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fairlead_ports::Lsn;
use tokio::time::Instant;

use crate::buffer::Records;
use crate::error::OpenError;
use crate::file_wal::{Chain, FileWal, Files, Flush, Frame, place};
use crate::frame::{FIRST_AFTER_RECOVERY, HEADER_BYTES};
use crate::ground::Ground;
use crate::homes::{Home, Site};
use crate::index::{self, Index, refused};
use crate::log_file::LogFile;
use crate::lsn::{FileNo, PAGE, PAGE_BYTES, at, file_of, padded, position_of};
use crate::mould::{Mould, random};
use crate::pool::Pool;
use crate::scan::{self, Begin, Tail, open_files};
use crate::settings::{Settings, World};
use crate::sites::Sites;
use crate::space::Space;
use crate::state::{Hidden, State};
use crate::superblock::{Epoch, LogId, Superblock, SuperblockFile};
use crate::vfs::{Lock, Vfs};
use crate::window::Window;

/// How often a replay tells how far it is.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// A log that was read to its end and can be written again.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) lock: Box<dyn Lock>,
    pub(crate) state: State,
    pub(crate) wal: FileWal,
    pub(crate) superblock: SuperblockFile,
    pub(crate) pool: Arc<Pool>,
    pub(crate) files: Arc<Files>,
    pub(crate) sites: Arc<Sites>,
    /// Where the next frame goes.
    pub(crate) end: (FileNo, u64),
}

/// Reads a data directory, or makes it, and begins a new stay in it.
pub(crate) fn recover(settings: &Settings, world: &World) -> Result<Recovered, OpenError> {
    settings.check()?;
    let vfs = world.vfs.as_ref();
    let dir = settings.dir.join("wal");
    vfs.make_dir(&dir)
        .map_err(|error| OpenError::io(&dir, error))?;
    let lock = lock(vfs, &settings.dir)?;
    let (superblock, index) = about(settings, world, &dir)?;
    let log = superblock.content.log;
    let state = state(&settings.dir, index)?;
    let mut files = open_files(vfs, &dir, log)?;
    let begin = Begin::find(&dir, &files, &state, superblock.content.synced)?;
    let tail = replay(&dir, &files, begin, &state)?;
    let sites = sites(settings, world, &state, log)?;
    harden(&files, &tail).map_err(|error| OpenError::io(&dir, error))?;
    remove_after(vfs, &dir, &mut files, tail.file + 1)?;
    let epoch = superblock.content.epoch.max(tail.chain.epoch).next();
    state.begin_anew(epoch);
    let mould = mould(settings, world, log, epoch);
    let read = Read {
        lock,
        superblock,
        files,
        tail,
        state,
        sites,
    };
    resume(settings, world, mould, read)
}

/// What was read of a log.
struct Read {
    lock: Box<dyn Lock>,
    superblock: SuperblockFile,
    files: Vec<LogFile>,
    tail: Tail,
    state: State,
    sites: Sites,
}

pub(crate) fn lock(vfs: &dyn Vfs, dir: &Path) -> Result<Box<dyn Lock>, OpenError> {
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

/// What a directory says about itself. It is made only where there is no log either: first the index,
/// then the superblock, without which nothing was ever written.
fn about(
    settings: &Settings,
    world: &World,
    wal: &Path,
) -> Result<(SuperblockFile, Index), OpenError> {
    let (vfs, dir) = (world.vfs.as_ref(), &settings.dir);
    if let Some(superblock) = SuperblockFile::open(vfs, dir)? {
        let index = Index::open(vfs, dir, superblock.content.log)?;
        return Ok((superblock, index));
    }
    let names = vfs.list(wal).map_err(|error| OpenError::io(wal, error))?;
    if names.iter().any(|name| FileNo::of_name(name).is_some()) {
        return Err(OpenError::Missing {
            file: dir.join("superblock"),
        });
    }
    // The directory itself may be new.
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    vfs.sync_dir(parent)
        .map_err(|error| OpenError::io(parent, error))?;
    let log = LogId::random(world.entropy.as_ref());
    let index = Index::create(vfs, dir, log)?;
    let content = Superblock {
        log,
        node: random(world.entropy.as_ref()),
        counter: 1,
        epoch: Epoch(0),
        synced: Lsn(0),
        created: world.clock.wall(),
    };
    Ok((SuperblockFile::create(vfs, dir, content)?, index))
}

/// Where segments are. All that the index refers to must be within reach.
fn sites(
    settings: &Settings,
    world: &World,
    state: &State,
    log: LogId,
) -> Result<Sites, OpenError> {
    let sites = Sites::new(&world.vfs, &settings.dir, log, settings.objects.as_ref());
    if sites.has_objects() {
        state.ground.set_has_objects();
    }
    sites.adopt(&mut state.ground.homes.lock());
    let homes = state.ground.homes.lock().clone();
    match sites.missing(&homes.segments()) {
        Some(Home {
            site: Site::Objects,
            ..
        }) => Err(OpenError::Setting {
            what: "some of what is kept here is in an object store, and none is configured",
        }),
        Some(Home {
            site: Site::Directory,
            stamp,
        }) => Err(OpenError::Missing {
            file: settings.dir.join("sealed").join(stamp.id.to_string()),
        }),
        None => Ok(sites),
    }
}

/// The state as of the last checkpoint.
pub(crate) fn state(dir: &Path, index: Index) -> Result<State, OpenError> {
    let ground = Ground::new(index);
    let state = ground.and_then(|ground| State::new(Arc::new(ground)));
    state.map_err(|error| refused(dir.join(index::NAME), error))
}

/// Brings the state up to the end of the log.
pub(crate) fn replay(
    dir: &Path,
    files: &[LogFile],
    begin: Begin,
    state: &State,
) -> Result<Tail, OpenError> {
    let mut progress = Progress::new(files, &begin);
    let tail = scan::replay(dir, files, begin, &mut |wall, at, record| {
        state.ground.set_now(wall);
        progress.tell(at.lsn);
        state.apply(at, record, &mut |appended: Hidden| appended.show());
    })?;
    if state.ground.is_faulty() {
        return Err(OpenError::Index {
            file: dir.with_file_name(index::NAME),
            what: "a row that the log builds on".into(),
        });
    }
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

/// Tells once a second how far a long replay has come.
struct Progress {
    since: Instant,
    begin: Lsn,
    end: Lsn,
}

impl Progress {
    fn new(files: &[LogFile], begin: &Begin) -> Self {
        let first = files.get(begin.file);
        let last = files.last();
        Self {
            since: Instant::now(),
            begin: first.map_or(Lsn(0), |file| at(file.number, begin.position)),
            end: last.map_or(Lsn(0), |file| at(file.number, file.bytes)),
        }
    }

    fn tell(&mut self, here: Lsn) {
        if self.since.elapsed() < TELL_EVERY {
            return;
        }
        self.since = Instant::now();
        let mib = |from: Lsn, to: Lsn| to.0.saturating_sub(from.0) >> 20;
        let (read, most) = (mib(self.begin, here), mib(self.begin, self.end));
        tracing::info!(read, most, "reading the log behind the index, in MiB");
    }
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
        files,
        tail,
        state,
        sites,
    } = read;
    let failed = |error| OpenError::io(&settings.dir, error);
    let current = match files.last() {
        Some(last) => last.clone(),
        None => mould.cast(FileNo::FIRST).map_err(failed)?,
    };
    let epoch = mould.epoch;
    let shared = Arc::new(Files::default());
    files.into_iter().for_each(|file| shared.add(file));
    shared.add(current.clone());
    let count_max = settings.log_bytes_max / settings.file_bytes;
    let index = Arc::clone(&state.ground.index.shortage);
    let (vfs, dir) = (Arc::clone(&world.vfs), settings.dir.clone());
    let space = Space::new(vfs, dir, settings.spare, index);
    let pool = Pool::new(mould, Arc::clone(&shared), count_max, space);
    let pool = Arc::new(pool);
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
        units: 0,
        count: 0,
        records: Records::default(),
    };
    wal.append(&first, Flush::Now).map_err(failed)?;
    superblock.write(epoch, wal.synced()).map_err(failed)?;
    let end = (file_of(lsn), position_of(lsn) + padded(HEADER_BYTES as u64));
    Ok(Recovered {
        lock,
        state,
        wal,
        superblock,
        pool,
        files: shared,
        sites: Arc::new(sites),
        end,
    })
}

/// Makes durable what a scan has shown: after a failed sync, reads may show bytes that the disk
/// does not have, so everything above the last proof is written again as it is, and synced.
fn harden(files: &[LogFile], tail: &Tail) -> io::Result<()> {
    for (index, file) in files.iter().enumerate().take(tail.file + 1) {
        let end = if index == tail.file {
            tail.position
        } else {
            file.bytes
        };
        if at(file.number, end) <= tail.chain.synced {
            continue;
        }
        let mut window = Window::new(file);
        let proven = tail.chain.synced.0.saturating_sub(at(file.number, 0).0);
        let mut position = proven.clamp(PAGE, end);
        while position < end {
            let page = window.get(position, PAGE_BYTES)?;
            file.file.write_at(position, &[&page])?;
            position += PAGE;
        }
        file.file.sync()?;
    }
    Ok(())
}

/// Removes the files behind the end, the last first, so that no gap can be left.
fn remove_after(
    vfs: &dyn Vfs,
    dir: &Path,
    files: &mut Vec<LogFile>,
    keep: usize,
) -> Result<(), OpenError> {
    while files.len() > keep
        && let Some(file) = files.pop()
    {
        let path = dir.join(file.number.name());
        let gone = vfs.remove(&path).and_then(|()| vfs.sync_dir(dir));
        gone.map_err(|error| OpenError::io(&path, error))?;
    }
    Ok(())
}
