//! Looking at a data directory that no node has open: is it whole, what is in it, how much is it.
//! Reads with the parsers of recovery and changes nothing.
//!
//! What a start would refuse is damage; what a start would cut off, because nothing proves that it
//! was durable, is a torn tail. Unlike a start, an inspection goes on behind damage at the next
//! frame that is whole. Begin with [`Inspection`].

mod concern;
mod entry;
mod measure;
mod rebuild;
mod report;
mod rows;
mod sealed;
mod segments;
mod start;
mod truncate;
mod walk;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fairlead_canon::EntityId;
use fairlead_ports::Lsn;
use fairlead_segment::Segments;

use crate::error::OpenError;
use crate::ground::Ground;
use crate::index::{self, Backend, Index, KvError, RedbKv, refused};
use crate::log_file::LogFile;
use crate::lsn::{FileNo, file_of};
use crate::recovery::lock;
use crate::scan::Begin;
use crate::sites::Sites;
use crate::state::{Hidden, State};
use crate::superblock::{self, LogId, Slot, Superblock};
use crate::vfs::{File, Lock, Vfs};

pub use entry::{Entry, Kept, Said, SealedFile, Segment};
pub use measure::{Measures, SegmentSum, Sum};
pub use report::{Cut, Damage, Report};
use walk::Walk;

/// A data directory, locked against a node for as long as this lives.
#[derive(Debug)]
pub struct Inspection {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    files: Vec<LogFile>,
    /// The file of the index, and of which log it must be.
    index: Option<(Arc<dyn File>, LogId)>,
    /// The object store that segments are in, if it is to be asked.
    objects: Option<Arc<dyn Segments>>,
    proven: Lsn,
    /// What was wrong before any frame was read.
    found: Report,
    _lock: Box<dyn Lock>,
}

impl Inspection {
    /// Takes the lock and opens the files. An error when the directory is not there, cannot be
    /// read, or is open in a node; damage is no error, but part of each [`Report`].
    pub fn open(dir: &Path, vfs: &(impl Vfs + Clone + 'static)) -> Result<Self, OpenError> {
        let lock = lock(vfs, dir)?;
        let mut inspection = Self {
            vfs: Arc::new(vfs.clone()),
            dir: dir.join("wal"),
            files: Vec::new(),
            index: None,
            objects: None,
            proven: Lsn(0),
            found: Report::default(),
            _lock: lock,
        };
        if let Some(superblock) = inspection.superblock(dir, vfs)? {
            inspection.proven = superblock.synced;
            inspection.open_files(vfs, superblock.log)?;
            inspection.open_index(dir, vfs, superblock.log)?;
        }
        Ok(inspection)
    }

    fn open_index(&mut self, dir: &Path, vfs: &dyn Vfs, log: LogId) -> Result<(), OpenError> {
        let path = dir.join(index::NAME);
        match vfs.open(&path) {
            Ok(file) => self.index = Some((file, log)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let damage = Damage::new(path, 0, "the index is missing");
                self.found.damages.push(damage);
            }
            Err(error) => return Err(OpenError::io(&path, error)),
        }
        Ok(())
    }

    /// What the index says; `None` when that is damaged or missing.
    fn state(&self) -> Result<Option<State>, OpenError> {
        let Some((file, log)) = &self.index else {
            return Ok(None);
        };
        let path = self.index_path();
        let looked =
            Backend::look(Arc::clone(file)).map_err(|error| OpenError::io(&path, error))?;
        let open = || -> Result<Ground, KvError> { Ground::new(Index::new(RedbKv::open(looked)?)) };
        let opened = open().map_err(|error| refused(path.clone(), error));
        let checked = opened.and_then(|ground| {
            ground.index.check_log(&path, *log)?;
            State::new(Arc::new(ground)).map_err(|error| refused(path.clone(), error))
        });
        match checked {
            Ok(state) => Ok(Some(state)),
            Err(OpenError::Io { file, source }) => Err(OpenError::Io { file, source }),
            Err(_damaged) => Ok(None),
        }
    }

    /// Lets it read segments of the object store that the node keeps them in.
    pub fn reaching(self, objects: Arc<dyn Segments>) -> Self {
        Self {
            objects: Some(objects),
            ..self
        }
    }

    /// Verifies everything that is kept, and visits the records of the log, oldest first.
    pub fn check(&self, visit: &mut dyn FnMut(Entry)) -> Result<Report, OpenError> {
        let state = self.state()?;
        let mut report = self.found.clone();
        if let Some(state) = &state {
            rows::check(&self.index_path(), state, &mut report);
        }
        let mut report = self.replay(state.as_ref(), report, &mut |seen, record| {
            visit(Entry::of(seen, record));
        })?;
        if let Some((state, sites)) = state.zip(self.sites()) {
            let homes = state.ground.homes.lock().clone();
            segments::check(self.home(), &sites, &homes, &mut report);
        }
        Ok(report)
    }

    /// Whether a node refuses to start here. Damage below the last checkpoint is refused to whoever asks
    /// for what was there, and not before.
    pub fn is_refused(&self) -> Result<bool, OpenError> {
        start::is_refused(self)
    }

    /// Reads the whole log once, oldest record first.
    pub fn read(&self, visit: &mut dyn FnMut(Entry)) -> Result<Report, OpenError> {
        let state = self.state()?;
        self.walk(state.as_ref(), self.found.clone(), &mut |seen, record| {
            visit(Entry::of(seen, record));
        })
    }

    /// The same, with the records among them that an entity keeps in segments.
    pub fn read_with(
        &self,
        entity: EntityId,
        visit: &mut dyn FnMut(Entry),
    ) -> Result<Report, OpenError> {
        sealed::read_with(self, entity, visit)
    }

    /// Cuts off the end of a damaged log, durably, so that a start finds the rest whole. `lsn` and
    /// `records` must be what [`Report::cut`] says: whoever asks has read what is lost. The directory
    /// must have been opened for writing.
    pub fn truncate(&self, lsn: Lsn, records: u64) -> Result<Cut, OpenError> {
        truncate::truncate(self, lsn, records)
    }

    /// Puts an empty index in place of one that is damaged or missing, which is kept beside it: the
    /// next start makes it anew from the whole log. Refuses when that does not go back to its
    /// beginning any more. The directory must have been opened for writing.
    pub fn rebuild_index(&self) -> Result<(), OpenError> {
        rebuild::rebuild(self)
    }

    /// Reads the whole log and adds it up.
    pub fn measure(&self) -> Result<(Report, Measures), OpenError> {
        measure::measure(self)
    }

    fn walk(
        &self,
        state: Option<&State>,
        mut report: Report,
        visit: walk::Visit<'_>,
    ) -> Result<Report, OpenError> {
        let begin = self.begin(state, &mut report)?;
        let walk = Walk::new(&self.dir, &self.files, self.proven, report);
        walk.starting_at(begin.as_ref()).run(visit)
    }

    /// Walks along the log, and brings the state up to its end.
    fn replay(
        &self,
        state: Option<&State>,
        report: Report,
        visit: walk::Visit<'_>,
    ) -> Result<Report, OpenError> {
        let applied = state.map(|state| state.ground.index.applied());
        // Without it the report says so, and nothing can be added.
        let applied = applied.and_then(Result::ok).map(|applied| applied.frame);
        let report = self.walk(state, report, &mut |seen, record| {
            visit(seen, record);
            // A frame is applied whole or not at all.
            if let Some((state, applied)) = state.zip(applied)
                && seen.frame > applied
            {
                state.apply(seen.at, record, &mut |appended: Hidden| appended.show());
            }
        })?;
        if let Some((state, sites)) = state.zip(self.sites()) {
            sites.adopt(&mut state.ground.homes.lock());
        }
        Ok(report)
    }

    /// Where segments are; `None` when it is not known whose.
    fn sites(&self) -> Option<Sites> {
        let (_, log) = self.index.as_ref()?;
        let objects = self.objects.as_ref();
        Some(Sites::new(&self.vfs, self.home(), *log, objects))
    }

    /// The data directory.
    fn home(&self) -> &Path {
        self.dir.parent().unwrap_or(&self.dir)
    }

    fn index_path(&self) -> PathBuf {
        self.dir.with_file_name(index::NAME)
    }

    /// Where a start begins to read, if it gets so far; files before may be missing, where nothing
    /// refers to one any more. Adds what a start would say of the index to the report.
    fn begin(
        &self,
        state: Option<&State>,
        report: &mut Report,
    ) -> Result<Option<Begin>, OpenError> {
        let index = self.index_path();
        let (file, at, what) = match state {
            None if self.index.is_none() => return Ok(None),
            None => (index, 0, "the index"),
            Some(state) => match Begin::find(&self.dir, &self.files, state, self.proven) {
                Ok(begin) => {
                    let file = self.files.get(begin.file);
                    report.begin =
                        file.map(|file| (self.dir.join(file.number.name()), begin.position));
                    return Ok(Some(begin));
                }
                Err(OpenError::Damaged { file, at, what }) => (file, at, what),
                Err(OpenError::Missing { file }) => (file, 0, "this log file is missing"),
                Err(OpenError::Index { file, .. }) => (file, 0, "the index"),
                Err(error) => return Err(error),
            },
        };
        let is_known = |known: &Damage| known.file == file && known.at == at;
        if !report.damages.iter().any(is_known) {
            report.damages.push(Damage::new(file, at, what));
        }
        Ok(None)
    }

    /// The superblock; without one the log cannot be read, because its identity is not known.
    fn superblock(&mut self, dir: &Path, vfs: &dyn Vfs) -> Result<Option<Superblock>, OpenError> {
        let path = dir.join(superblock::NAME);
        let slots = match vfs.open(&path) {
            Ok(file) => superblock::read_slots(file.as_ref()),
            Err(error) => Err(error),
        };
        let slots = match slots {
            Ok(slots) => slots,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(OpenError::Missing { file: path });
            }
            Err(error) => return Err(OpenError::io(&path, error)),
        };
        let content = superblock::newest(&slots);
        if content.is_none() {
            let what = "both slots of the superblock; without it the log cannot be read";
            self.found.damages.push(Damage::new(path, 0, what));
        }
        self.found.unreadable_slots = slots
            .iter()
            .filter(|slot| **slot == Slot::Unreadable)
            .count();
        Ok(content)
    }

    fn open_files(&mut self, vfs: &dyn Vfs, log: LogId) -> Result<(), OpenError> {
        let names = vfs.list(&self.dir);
        let names = names.map_err(|error| OpenError::io(&self.dir, error))?;
        let mut numbers: Vec<_> = names
            .iter()
            .filter_map(|name| FileNo::of_name(name))
            .collect();
        numbers.sort_unstable();
        for number in &numbers {
            let file = LogFile::open(vfs, &self.dir, *number, log)
                .map_err(|error| OpenError::io(&self.dir.join(number.name()), error))?;
            match file {
                Some(file) => self.files.push(file),
                None => self.damaged(*number, "the header of this log file"),
            }
        }
        // An end may lie right behind the last byte of a file.
        let last = file_of(Lsn(self.proven.0.saturating_sub(1)));
        if self.proven > Lsn(0) && numbers.last().is_none_or(|known| *known < last) {
            self.damaged(last, "this log file is missing");
        }
        self.found.files = self.files.len() as u64;
        Ok(())
    }

    fn damaged(&mut self, number: FileNo, what: &'static str) {
        let path = self.dir.join(number.name());
        self.found.damages.push(Damage::new(path, 0, what));
    }
}
