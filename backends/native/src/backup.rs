//! A copy of a store that goes on working. Nothing is given back meanwhile: what the index refers to
//! when the copy begins is there until it ends.
//!
//! First the index, as of its last checkpoint; then the log, up to what is durable by now; then every
//! segment that the two together need, those of the object store as well; and the superblock, without
//! which the copy is refused, at the end.
//!
//! The copy needs nothing but itself, and is a log of its own, with an identity that there was not
//! before: it may be opened beside the original, even with the same object store, and neither takes
//! segments of the other for something that it forgot.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use fairlead_ports::Lsn;
use tokio::sync::oneshot;

use crate::error::OpenError;
use crate::homes::Homes;
use crate::index::{self, Batch, Index, rows};
use crate::log_file::{FileHeader, HEADER_BYTES};
use crate::lsn::{FileNo, file_of, position_of};
use crate::pool::Pool;
use crate::record::Record;
use crate::recovery;
use crate::scan::{self, Begin};
use crate::sequencer::Shared;
use crate::sites::Sites;
use crate::state::Progress;
use crate::superblock::{self, LogId, Superblock, SuperblockFile};
use crate::vfs::{File, Vfs};

/// Rows of the index that are written at once.
const ROWS: usize = 16 * 1024;
/// What is read at once.
const PIECE_BYTES: u64 = 1024 * 1024;

/// What a backup holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Backup {
    /// Files of the log and segments.
    files: u64,
    /// Bytes of them.
    pub(crate) bytes: u64,
}

/// Counts those for whom files must stay that the store needs no more.
#[derive(Debug, Default)]
pub(crate) struct Holds(AtomicU32);

/// Files stay for as long as this lives.
struct Held(Arc<Holds>);

/// Where a copy goes.
struct Copy<'a> {
    vfs: &'a Arc<dyn Vfs>,
    from: &'a Path,
    to: &'a Path,
    /// What the copy is.
    log: LogId,
    done: Backup,
}

impl Holds {
    pub(crate) fn any(&self) -> bool {
        self.0.load(Ordering::Acquire) > 0
    }

    fn begin(self: &Arc<Self>) -> Held {
        self.0.fetch_add(1, Ordering::AcqRel);
        Held(Arc::clone(self))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What a copy is made of.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) shared: Arc<Shared>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) sites: Arc<Sites>,
}

impl Origin {
    /// Copies the data directory into `to`, which must be empty or not there; a store can be opened on
    /// the copy. It holds everything that was durable when this was called, and nothing half. Blocks
    /// for as long as it takes.
    pub(crate) fn copy(&self, to: &Path) -> Result<Backup, OpenError> {
        let _held = self.pool.held_by().begin();
        let (vfs, from) = self.pool.place();
        let mut copy = Copy {
            vfs,
            from,
            to,
            log: self.pool.other_log(),
            done: Backup::default(),
        };
        let content = copy.begin()?;
        copy.index(&self.shared.state.ground.index)?;
        let Progress::Durable(end) = *self.shared.progress.borrow() else {
            return Err(OpenError::io(from, io::ErrorKind::BrokenPipe.into()));
        };
        copy.log(end)?;
        let homes = copy.homes(end)?;
        copy.segments(&self.sites, &homes)?;
        let content = Superblock {
            log: copy.log,
            synced: end,
            ..content
        };
        SuperblockFile::create(vfs.as_ref(), to, content)?;
        let Backup { files, bytes } = copy.done;
        tracing::info!(files, bytes, to = %to.display(), "the store was copied");
        Ok(copy.done)
    }

    /// The same, on a thread of its own. One at a time.
    pub(crate) async fn copy_aside(self, to: PathBuf) -> io::Result<Backup> {
        if self.pool.held_by().any() {
            let why = "a backup is being made already";
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, why));
        }
        let (done, copied) = oneshot::channel();
        let copy = move || {
            // Whoever asked may have gone; the copy is there.
            drop(done.send(self.copy(&to)));
        };
        thread::Builder::new()
            .name("log-backup".into())
            .spawn(copy)?;
        let copied = copied.await;
        let copied = copied.map_err(|_gone| io::Error::other("the copy was not finished"))?;
        copied.map_err(|error| {
            // Who asked sees one line of it.
            if let OpenError::Io { file, source } = &error {
                io::Error::new(source.kind(), format!("{}: {source}", file.display()))
            } else {
                io::Error::other(error)
            }
        })
    }
}

impl Copy<'_> {
    fn begin(&self) -> Result<Superblock, OpenError> {
        let failed = |error| OpenError::io(self.to, error);
        self.vfs.make_dir(&self.to.join("wal")).map_err(failed)?;
        let names = self.vfs.list(self.to).map_err(failed)?;
        let logs = self.vfs.list(&self.to.join("wal")).map_err(failed)?;
        if names.iter().any(|name| name != "wal") || !logs.is_empty() {
            let what = "a copy goes into a directory that is empty, or not there yet";
            return Err(failed(io::Error::new(io::ErrorKind::AlreadyExists, what)));
        }
        let superblock = SuperblockFile::open(self.vfs.as_ref(), self.from)?;
        let missing = || OpenError::Missing {
            file: self.from.join(superblock::NAME),
        };
        superblock.map(|file| file.content).ok_or_else(missing)
    }

    /// One reading transaction, so one state.
    fn index(&self, index: &Index) -> Result<(), OpenError> {
        let refused = |error| index::refused(self.to.join(index::NAME), error);
        let copy = Index::create(self.vfs.as_ref(), self.to, self.log)?;
        let (mut batch, mut rows, mut written) = (Batch::default(), 0, Ok(()));
        let read = index.scan(&[], &[], &mut |key, value| {
            if key != rows::LOG {
                batch.put(key.to_vec(), value.to_vec());
            }
            rows += 1;
            if rows % ROWS == 0 {
                written = copy.checkpoint(std::mem::take(&mut batch));
            }
            if written.is_ok() {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        read.and(written)
            .and_then(|()| copy.checkpoint(batch))
            .map_err(refused)?;
        copy.close();
        Ok(())
    }

    /// Files of the log up to `end`. What lies behind it in the last one may be half of a frame.
    fn log(&mut self, end: Lsn) -> Result<(), OpenError> {
        let dir = self.from.join("wal");
        let names = self.vfs.list(&dir);
        let names = names.map_err(|error| OpenError::io(&dir, error))?;
        let last = file_of(Lsn(end.0.saturating_sub(1)));
        for name in names {
            match FileNo::of_name(&name) {
                Some(number) if number < last => self.file(&name, u64::MAX)?,
                Some(number) if number == last => {
                    let is_full = file_of(end) > last;
                    let most = if is_full { u64::MAX } else { position_of(end) };
                    self.file(&name, most)?;
                }
                // Prepared for later, or not a file of the log.
                Some(_) | None => {}
            }
        }
        self.synced()
    }

    /// Where a start of the copy looks for segments.
    fn homes(&self, end: Lsn) -> Result<Homes, OpenError> {
        let (vfs, dir) = (self.vfs.as_ref(), self.to.join("wal"));
        let index = Index::open(vfs, self.to, self.log)?;
        let state = recovery::state(self.to, index)?;
        let files = scan::open_files(vfs, &dir, self.log)?;
        let begin = Begin::find(&dir, &files, &state, end)?;
        let homes = &state.ground.homes;
        scan::replay(&dir, &files, begin, &mut |_, _, record| {
            if let Record::Sealed(sealed) = record {
                homes.lock().apply(sealed);
            }
        })?;
        state.ground.index.close();
        Ok(homes.lock().clone())
    }

    /// All of them go into the directory of the copy.
    fn segments(&mut self, sites: &Sites, homes: &Homes) -> Result<(), OpenError> {
        let dir = self.to.join("sealed");
        let to = Sites::new(self.vfs, self.to, self.log, None);
        for home in homes.segments() {
            let copied = sites.give(&home, &to);
            let path = dir.join(home.stamp.id.to_string());
            copied.map_err(|error| OpenError::io(&path, io::Error::other(error)))?;
            self.done.files += 1;
            self.done.bytes += home.stamp.bytes;
        }
        Ok(())
    }

    /// Copies the first `most` bytes of a file of the log; the copy is as long, with zeros behind them.
    fn file(&mut self, name: &str, most: u64) -> Result<(), OpenError> {
        let path = self.from.join("wal").join(name);
        let copied = self.copied(name, most);
        let bytes = match copied {
            // It was on its way to another name, so nothing refers to it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            copied => copied.map_err(|error| OpenError::io(&path, error))?,
        };
        self.done.files += 1;
        self.done.bytes += bytes;
        Ok(())
    }

    fn copied(&self, name: &str, most: u64) -> io::Result<u64> {
        let from = self.vfs.open(&self.from.join("wal").join(name))?;
        let to = self.vfs.create(&self.to.join("wal").join(name))?;
        let length = from.length()?;
        let end = length.min(most);
        let mut at = 0;
        while at < end {
            let piece = usize::try_from(PIECE_BYTES.min(end - at)).unwrap_or(usize::MAX);
            let mut bytes = vec![0; piece];
            let read = from.read_at(at, &mut bytes)?;
            bytes.truncate(read);
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            to.write_at(at, &[&bytes])?;
            at += read as u64;
        }
        to.resize(length)?;
        self.rename(from.as_ref(), to.as_ref())?;
        to.sync()?;
        Ok(end)
    }

    /// Writes the identity of the copy into the header of a log file.
    fn rename(&self, from: &dyn File, to: &dyn File) -> io::Result<()> {
        let mut header = [0; HEADER_BYTES];
        from.read_at(0, &mut header)?;
        let log = self.log;
        // A damaged one stays as it is, and is refused.
        match FileHeader::decode(&header) {
            Some(header) => to.write_at(0, &[&FileHeader { log, ..header }.encode()]),
            None => Ok(()),
        }
    }

    fn synced(&self) -> Result<(), OpenError> {
        let dir = self.to.join("wal");
        let synced = self.vfs.sync_dir(&dir);
        synced.map_err(|error| OpenError::io(&dir, error))
    }
}
