//! Log files that are prepared ahead, so that no publisher waits for one and a full disk shows
//! before the log reaches it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fairlead_ports::{Clock, Entropy};
use parking_lot::{Condvar, Mutex};

use crate::frame::Salt;
use crate::log_file::{FileHeader, LogFile};
use crate::lsn::FileNo;
use crate::plan::Room;
use crate::superblock::{Epoch, LogId};
use crate::vfs::Vfs;

/// Files kept ready: one to move into, and one so that a burst does not wait for the next.
const AHEAD: usize = 2;
/// How long the pool waits before it tries again to prepare a file.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What every new file is made with.
#[derive(Debug)]
pub(crate) struct Mould {
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) dir: PathBuf,
    pub(crate) file_bytes: u64,
    pub(crate) log: LogId,
    pub(crate) epoch: Epoch,
}

#[derive(Debug)]
pub(crate) struct Pool {
    mould: Mould,
    shelf: Mutex<Shelf>,
    changed: Condvar,
}

#[derive(Debug)]
struct Shelf {
    ready: VecDeque<LogFile>,
    next: FileNo,
    /// No file above this one is made: the budget of the log.
    last: FileNo,
    /// The last try to prepare a file.
    has_failed: bool,
    is_closed: bool,
}

impl Mould {
    /// Makes one file, durable on return.
    pub(crate) fn cast(&self, number: FileNo) -> std::io::Result<LogFile> {
        let header = FileHeader {
            log: self.log,
            number,
            salt: Salt(random(self.entropy.as_ref())),
            epoch: self.epoch,
            prepared: self.clock.wall(),
        };
        LogFile::prepare(self.vfs.as_ref(), &self.dir, &header, self.file_bytes)
    }
}

pub(crate) fn random(entropy: &dyn Entropy) -> u64 {
    let mut bytes = [0; 8];
    entropy.fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

impl Pool {
    /// A pool that makes files after `current`, up to `last`.
    pub(crate) fn new(mould: Mould, current: FileNo, last: FileNo) -> Self {
        let shelf = Shelf {
            ready: VecDeque::new(),
            next: current.next(),
            last,
            has_failed: false,
            is_closed: false,
        };
        Self {
            mould,
            shelf: Mutex::new(shelf),
            changed: Condvar::new(),
        }
    }

    pub(crate) fn file_bytes(&self) -> u64 {
        self.mould.file_bytes
    }

    /// Whether this file is ready.
    pub(crate) fn holds(&self, number: FileNo) -> bool {
        self.shelf
            .lock()
            .ready
            .iter()
            .any(|file| file.number == number)
    }

    /// Full when no file is ready and none can be made: the budget is used up, or the disk is.
    pub(crate) fn room(&self) -> Room {
        let shelf = self.shelf.lock();
        let is_stuck = shelf.next > shelf.last || shelf.has_failed;
        if is_stuck && shelf.ready.is_empty() {
            Room::Full
        } else {
            Room::Free
        }
    }

    /// Takes the file that follows; `None` when none is ready.
    pub(crate) fn take(&self) -> Option<LogFile> {
        let file = self.shelf.lock().ready.pop_front();
        self.changed.notify_all();
        file
    }

    /// Prepares one file if one is wanted. On an error nothing changed.
    pub(crate) fn fill(&self) -> std::io::Result<Filled> {
        let shelf = self.shelf.lock();
        let number = shelf.next;
        if shelf.is_closed || shelf.ready.len() >= AHEAD || number > shelf.last {
            return Ok(Filled::Enough);
        }
        drop(shelf);
        let file = self.mould.cast(number);
        let mut shelf = self.shelf.lock();
        shelf.has_failed = file.is_err();
        let file = file?;
        shelf.ready.push_back(file);
        shelf.next = number.next();
        Ok(Filled::More)
    }

    /// Keeps files ready until the pool is closed. `changed` is called when what it has changes.
    pub(crate) fn run(&self, changed: &dyn Fn()) {
        loop {
            let wait = match self.fill() {
                Ok(Filled::More) => {
                    changed();
                    continue;
                }
                Ok(Filled::Enough) => None,
                Err(error) => {
                    tracing::warn!(%error, "no log file could be prepared");
                    changed();
                    Some(RETRY_AFTER)
                }
            };
            let mut shelf = self.shelf.lock();
            if shelf.is_closed {
                return;
            }
            let has_enough = shelf.ready.len() >= AHEAD || shelf.next > shelf.last;
            match wait {
                Some(wait) => {
                    self.changed.wait_for(&mut shelf, wait);
                }
                None if has_enough => self.changed.wait(&mut shelf),
                None => {}
            }
        }
    }

    /// Takes back a file that nothing refers to: there is room for one more.
    pub(crate) fn release(&self, file: &LogFile) {
        let path = self.mould.dir.join(file.number.name());
        if let Err(error) = self.mould.vfs.remove(&path) {
            tracing::warn!(%error, file = %path.display(), "a free log file could not be removed");
            return;
        }
        let mut shelf = self.shelf.lock();
        shelf.last = shelf.last.next();
        drop(shelf);
        self.changed.notify_all();
    }

    /// Ends [`Pool::run`].
    pub(crate) fn close(&self) {
        self.shelf.lock().is_closed = true;
        self.changed.notify_all();
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    More,
    Enough,
}
