//! Looking at a data directory that no node has open: is it whole, what is in it, how much is it.
//! Reads with the parsers of recovery and changes nothing.
//!
//! What a start would refuse is damage; what a start would cut off, because nothing proves that it
//! was durable, is a torn tail. Unlike a start, an inspection goes on behind damage at the next
//! frame that is whole. Begin with [`Inspection`].

mod concern;
mod measure;
mod report;
mod walk;

use std::io;
use std::path::{Path, PathBuf};

use fairlead_canon::{EntityId, EpochTag, Offset, Timestamp};
use fairlead_ports::{Lsn, Op, Place, Target};

use crate::error::OpenError;
use crate::log_file::LogFile;
use crate::lsn::{FileNo, file_of, position_of};
use crate::record::Record;
use crate::recovery::lock;
use crate::superblock::{self, LogId, Slot, Superblock};
use crate::vfs::{Lock, Vfs};

pub use measure::{Measures, Sum};
pub use report::{Damage, Report};
use walk::Walk;

/// A data directory, locked against a node for as long as this lives.
#[derive(Debug)]
pub struct Inspection {
    dir: PathBuf,
    files: Vec<LogFile>,
    proven: Lsn,
    /// What was wrong before any frame was read.
    found: Report,
    _lock: Box<dyn Lock>,
}

/// One record of the log, as the operation that it carries out.
#[derive(Debug)]
pub struct Entry {
    /// Its address.
    pub lsn: Lsn,
    /// Name of the log file.
    pub file: String,
    /// Byte in that file.
    pub byte: u64,
    /// Its length in the log.
    pub len: u32,
    /// When its frame was made, by the node's clock.
    pub wall: Timestamp,
    /// What it says. The places of an append are those that were given; its fences were judged and
    /// are not kept.
    pub op: Op,
}

impl Inspection {
    /// Takes the lock and opens the files. An error when the directory is not there, cannot be
    /// read, or is open in a node; damage is no error, but part of each [`Report`].
    pub fn open(dir: &Path, vfs: &dyn Vfs) -> Result<Self, OpenError> {
        let lock = lock(vfs, dir)?;
        let mut inspection = Self {
            dir: dir.join("wal"),
            files: Vec::new(),
            proven: Lsn(0),
            found: Report::default(),
            _lock: lock,
        };
        if let Some(superblock) = inspection.superblock(dir, vfs)? {
            inspection.proven = superblock.synced;
            inspection.open_files(vfs, superblock.log)?;
        }
        Ok(inspection)
    }

    /// Reads the whole log once, oldest record first.
    pub fn read(&self, visit: &mut dyn FnMut(Entry)) -> Result<Report, OpenError> {
        self.walk(&mut |wall, at, record| {
            visit(Entry {
                lsn: at.lsn,
                file: file_of(at.lsn).name(),
                byte: position_of(at.lsn),
                len: at.len,
                wall,
                op: operation(record),
            });
        })
    }

    /// Reads the whole log and adds it up.
    pub fn measure(&self) -> Result<(Report, Measures), OpenError> {
        measure::measure(self)
    }

    fn walk(&self, visit: walk::Visit<'_>) -> Result<Report, OpenError> {
        Walk::new(&self.dir, &self.files, self.proven, self.found.clone()).run(visit)
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
        let mut expected = FileNo::FIRST;
        for number in numbers {
            if number != expected {
                self.damaged(
                    expected,
                    "this log file, and those up to the next, are missing",
                );
            }
            let file = LogFile::open(vfs, &self.dir, number, log)
                .map_err(|error| OpenError::io(&self.dir.join(number.name()), error))?;
            match file {
                Some(file) => self.files.push(file),
                None => self.damaged(number, "the header of this log file"),
            }
            expected = number.next();
        }
        // An end may lie right behind the last byte of a file.
        let last = file_of(Lsn(self.proven.0.saturating_sub(1)));
        if self.proven > Lsn(0) && last >= expected {
            self.damaged(expected, "this log file is missing");
        }
        self.found.files = self.files.len() as u64;
        Ok(())
    }

    fn damaged(&mut self, number: FileNo, what: &'static str) {
        let path = self.dir.join(number.name());
        self.found.damages.push(Damage::new(path, 0, what));
    }
}

fn operation(record: &Record) -> Op {
    match record.clone() {
        Record::Data(data) => Op::Append {
            to: data.targets.into_iter().map(target).collect(),
            batch: data.batch,
        },
        Record::Create { entity, spec } => Op::Create { entity, spec },
        Record::Alter { entity, spec } => Op::Alter { entity, spec },
        Record::Delete { entity } => Op::Delete { entity },
        Record::Settle {
            entity,
            cursor,
            ranges,
            outcome,
        } => Op::Settle {
            entity,
            cursor,
            ranges,
            outcome,
        },
        Record::Trim { entity, to } => Op::Trim { entity, to },
        Record::Mark { entity, upto } => Op::Mark { entity, upto },
        Record::Put {
            space,
            key,
            value,
            due,
        } => Op::Put {
            space,
            key,
            value,
            due,
        },
    }
}

fn target((entity, base): (EntityId, Offset)) -> Target {
    Target {
        entity,
        place: Place::At(base),
        tag: EpochTag::default(),
    }
}
