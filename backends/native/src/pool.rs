//! Log files that are prepared ahead, so that no publisher waits for one and a full disk shows
//! before the log reaches it. Files that the log needs no more come back and are used again.
//!
//! ```text
//!   made ──┐                 take               release
//!          ├──▶ ready (two) ──────▶ in the log ──────────▶ spare ──┐ once no reader has it:
//!          └◀──────────────────────────────────────────────────────┘ new number, new salt
//! ```

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::backup::Holds;
use crate::file_wal::Files;
use crate::log_file::LogFile;
use crate::lsn::FileNo;
use crate::mould::Mould;
use crate::plan::Room;
use crate::space::Space;
use crate::superblock::LogId;
use crate::vfs::Vfs;

/// Files kept ready: one to move into, and one so that a burst does not wait for the next.
const AHEAD: usize = 2;
/// Ready files that only what frees space may use, so that a full log can be drained.
const RESERVED: usize = 1;
/// Files kept to be used again; a log that has shrunk gives back the others.
const SPARE_MAX: usize = 4;
/// The limits that a store is full by.
const DISK: &str = "disk";
const LOG: &str = "log";
/// How long the pool waits before it tries again what did not work.
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Pool {
    mould: Mould,
    files: Arc<Files>,
    pub(crate) space: Space,
    holds: Arc<Holds>,
    /// No more than so many files exist at once: the most that the log may take.
    count_max: u64,
    shelf: Mutex<Shelf>,
    changed: Condvar,
}

#[derive(Debug)]
struct Shelf {
    ready: VecDeque<LogFile>,
    /// Needed no more, under the names they had.
    spare: Vec<LogFile>,
    next: FileNo,
    /// Files that exist, in the log or here.
    count: u64,
    /// One is being prepared, which counts, and is not ready.
    is_at_work: bool,
    /// The last try to prepare a file.
    has_failed: bool,
    /// Something was taken or came back since the last look.
    has_changed: bool,
    is_closed: bool,
}

/// What the pool does next.
enum Task {
    Make(FileNo),
    Reuse(LogFile, FileNo),
    Remove(LogFile),
    Nothing(Filled),
}

/// How filling the pool ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    /// Something was done; there may be more to do.
    More,
    Enough,
    /// What is wanted must wait for a reader to finish, or for the log to be freed.
    Waiting,
}

impl Pool {
    /// A pool for a log of `files`; the log and the pool have at most `count_max` files together.
    pub(crate) fn new(mould: Mould, files: Arc<Files>, count_max: u64, space: Space) -> Self {
        let shelf = Shelf {
            ready: VecDeque::new(),
            spare: Vec::new(),
            next: files.last().next(),
            count: files.count(),
            is_at_work: false,
            has_failed: false,
            has_changed: false,
            is_closed: false,
        };
        Self {
            mould,
            files,
            space,
            holds: Arc::default(),
            count_max,
            shelf: Mutex::new(shelf),
            changed: Condvar::new(),
        }
    }

    /// Who holds files back from being used again.
    pub(crate) fn held_by(&self) -> &Arc<Holds> {
        &self.holds
    }

    /// The identity of a log that there is nowhere yet.
    pub(crate) fn other_log(&self) -> LogId {
        LogId::random(self.mould.entropy.as_ref())
    }

    /// The data directory.
    pub(crate) fn place(&self) -> (&Arc<dyn Vfs>, &Path) {
        let dir = self.mould.dir.parent().unwrap_or(&self.mould.dir);
        (&self.mould.vfs, dir)
    }

    pub(crate) fn file_bytes(&self) -> u64 {
        self.mould.file_bytes
    }

    /// Whether this file is ready.
    pub(crate) fn holds(&self, number: FileNo) -> bool {
        let shelf = self.shelf.lock();
        shelf.ready.iter().any(|file| file.number == number)
    }

    /// Full when the disk is, or when no more files can be had than what is left for freeing space.
    pub(crate) fn room(&self) -> Room {
        if self.space.is_short() {
            return Room::Full(DISK);
        }
        self.files_beyond(RESERVED)
    }

    /// Full when there is no file to go on with, and none can be had.
    pub(crate) fn files(&self) -> Room {
        self.files_beyond(0)
    }

    fn files_beyond(&self, reserved: usize) -> Room {
        let shelf = self.shelf.lock();
        let limit = if shelf.has_failed || self.space.is_short() || self.is_tight() {
            Some(DISK)
        } else {
            shelf.has_no_more(self.count_max).then_some(LOG)
        };
        match limit.filter(|_| shelf.ready.len() <= reserved) {
            Some(limit) => Room::Full(limit),
            None => Room::Free,
        }
    }

    /// Whether one more file would leave too little of the disk: it is for segments, by which a full
    /// log gets smaller, and for the index.
    fn is_tight(&self) -> bool {
        !self.space.has_room_for(self.mould.file_bytes)
    }

    /// Files in the log, and files that are ready for it or can be used again.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let shelf = self.shelf.lock();
        let free = (shelf.ready.len() + shelf.spare.len()) as u64;
        (shelf.count.saturating_sub(free), free)
    }

    /// Lets the thread of [`Pool::run`] look at the disk: something else may have filled it.
    pub(crate) fn look(&self) {
        self.change(|_| {});
    }

    /// Takes the file that follows; `None` when none is ready.
    pub(crate) fn take(&self) -> Option<LogFile> {
        self.change(|shelf| shelf.ready.pop_front())
    }

    /// Takes back a file of the log. Nothing in a durable checkpoint may refer to it, and it must
    /// lie wholly below that checkpoint. It is used again when those who read it now have finished.
    pub(crate) fn release(&self, number: FileNo) {
        if let Some(file) = self.files.remove(number) {
            self.change(|shelf| shelf.spare.push(file));
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Shelf) -> T) -> T {
        let mut shelf = self.shelf.lock();
        shelf.has_changed = true;
        let changed = change(&mut shelf);
        drop(shelf);
        self.changed.notify_all();
        changed
    }

    /// Prepares one file if one is wanted, or removes one that is not. On an error nothing changed,
    /// but a file that was to be used again may be gone.
    pub(crate) fn fill(&self) -> io::Result<Filled> {
        // A short disk needs the room of spare files more than the log needs them.
        let (count_max, spare_max) = if self.space.is_short() {
            (0, 0)
        } else {
            (self.count_max, SPARE_MAX)
        };
        let is_held = self.holds.any();
        let mut shelf = self.shelf.lock();
        // What frees space may have its file all the same.
        let count_max = match self.is_tight() && shelf.ready.len() >= RESERVED {
            true => count_max.min(shelf.count),
            false => count_max,
        };
        let task = if is_held {
            shelf.task_while_held(count_max)
        } else {
            shelf.task(count_max, spare_max, self.mould.file_bytes)
        };
        drop(shelf);
        let made = match task {
            Task::Nothing(filled) => return Ok(filled),
            Task::Make(number) => self.mould.cast(number),
            Task::Reuse(file, number) => self.mould.recast(file, number),
            Task::Remove(file) => {
                self.mould.remove(file.number)?;
                return Ok(Filled::More);
            }
        };
        let mut shelf = self.shelf.lock();
        shelf.is_at_work = false;
        shelf.has_failed = made.is_err();
        match made {
            Ok(file) => {
                shelf.next = file.number.next();
                shelf.ready.push_back(file);
                Ok(Filled::More)
            }
            Err(error) => {
                shelf.count = shelf.count.saturating_sub(1);
                Err(error)
            }
        }
    }

    /// Keeps files ready until the pool is closed. `tell` is called after each look at what it has.
    pub(crate) fn run(&self, tell: &mut dyn FnMut()) {
        self.space.look(false);
        loop {
            let filled = self.fill();
            self.space.look(filled.is_err());
            tell();
            if matches!(filled, Ok(Filled::More)) {
                continue;
            }
            if let Err(error) = &filled {
                tracing::warn!(%error, "no log file could be prepared");
            }
            let mut shelf = self.shelf.lock();
            if shelf.is_closed {
                return;
            }
            if shelf.has_changed {
                continue;
            }
            let is_watched = self.space.is_short() || self.is_tight();
            if matches!(filled, Ok(Filled::Enough)) && !is_watched {
                self.changed.wait(&mut shelf);
            } else {
                self.changed.wait_for(&mut shelf, RETRY_AFTER);
            }
        }
    }

    /// Ends [`Pool::run`].
    pub(crate) fn close(&self) {
        self.change(|shelf| shelf.is_closed = true);
    }
}

impl Shelf {
    /// Whether none can be had beyond those that are ready.
    fn has_no_more(&self, count_max: u64) -> bool {
        self.count >= count_max && self.spare.is_empty() && !self.is_at_work
    }

    fn task(&mut self, count_max: u64, spare_max: usize, file_bytes: u64) -> Task {
        self.has_changed = false;
        if self.is_closed {
            return Task::Nothing(Filled::Enough);
        }
        let is_foreign = |file: &LogFile| file.bytes != file_bytes;
        let wanted = AHEAD.saturating_sub(self.ready.len());
        let has_too_many = self.spare.len() > spare_max.max(wanted);
        if let Some(file) = self.unused(|file| has_too_many || is_foreign(file)) {
            self.count = self.count.saturating_sub(1);
            return Task::Remove(file);
        }
        if self.ready.len() >= AHEAD {
            return Task::Nothing(Filled::Enough);
        }
        if let Some(file) = self.unused(|_| true) {
            self.is_at_work = true;
            return Task::Reuse(file, self.next);
        }
        self.make(count_max)
    }

    /// While files are held back, what is spare is neither used nor removed.
    fn task_while_held(&mut self, count_max: u64) -> Task {
        self.has_changed = false;
        if self.is_closed || self.ready.len() >= AHEAD {
            return Task::Nothing(Filled::Enough);
        }
        self.make(count_max)
    }

    fn make(&mut self, count_max: u64) -> Task {
        if self.count < count_max {
            self.count += 1;
            self.is_at_work = true;
            return Task::Make(self.next);
        }
        Task::Nothing(if self.spare.is_empty() {
            Filled::Enough
        } else {
            Filled::Waiting
        })
    }

    /// Takes a spare file that nobody reads any more.
    fn unused(&mut self, suits: impl Fn(&LogFile) -> bool) -> Option<LogFile> {
        let is_free = |file: &LogFile| !file.is_shared() && suits(file);
        let at = self.spare.iter().position(is_free)?;
        Some(self.spare.swap_remove(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_being_prepared_can_still_be_had() {
        let mut shelf = Shelf {
            ready: VecDeque::new(),
            spare: Vec::new(),
            next: FileNo(3),
            count: 2,
            is_at_work: false,
            has_failed: false,
            has_changed: false,
            is_closed: false,
        };
        assert!(!shelf.has_no_more(3));
        let task = shelf.task(3, SPARE_MAX, 1);
        assert!(matches!(task, Task::Make(FileNo(3))));
        assert!(!shelf.has_no_more(3), "the last one is on its way");
        shelf.is_at_work = false;
        assert!(shelf.has_no_more(3));
    }
}
