//! What an inspection found.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use fairlead_canon::EntityId;
use fairlead_ports::Lsn;

use super::measure::Sum;
use crate::lsn::FileNo;

/// What was read of a data directory, and what is wrong with it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Log files that could be read.
    pub files: u64,
    /// Frames that are whole.
    pub frames: u64,
    /// Records in them.
    pub records: u64,
    /// Segments that were read and are whole, with the bytes they take.
    pub segments: Sum,
    /// What is in an object store and was not read: segments, or records of one entity, with the
    /// bytes of their segments.
    pub unread: Sum,
    /// Why not.
    pub unread_why: Option<String>,
    /// Slots of the superblock that do not validate. One such is what a write that was cut off
    /// leaves, and the other one holds.
    pub unreadable_slots: usize,
    /// Where the next start begins to read the log, behind the last checkpoint: a file and the byte
    /// of a frame. What lies before is read only when somebody asks for it.
    pub begin: Option<(PathBuf, u64)>,
    /// Where the log ends: a file and the byte where the next frame goes.
    pub end: Option<(PathBuf, u64)>,
    /// How far the log is known to have been durable, by the superblock or by a frame that follows: a
    /// file and a byte. Rot from there on looks like a write that was cut off.
    pub proven: Option<(PathBuf, u64)>,
    /// Whether a write was cut off at the end. The next start drops what is left of it; it was never
    /// acknowledged, unless the disk rotted in exactly the last frame.
    pub is_torn: bool,
    /// What a start refuses, or whoever asks for it later, in the order of the log.
    pub damages: Vec<Damage>,
    /// What it would take to start all the same, if cutting off the end of the log is enough.
    pub cut: Option<Cut>,
}

/// The end of a log that follows its first damaged place.
#[derive(Clone, Debug)]
pub struct Cut {
    /// Where the damaged place is.
    pub lsn: Lsn,
    /// How many records from there on are legible, whole or not.
    pub records: u64,
    /// Who loses what with them.
    pub lost: Damage,
}

/// A place whose content is not what was durable there.
#[derive(Clone, Debug)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// The byte in it: where the frame begins, or the file.
    pub at: u64,
    /// The byte of the first record whose checksum is wrong, where that much can be told.
    pub record: Option<u64>,
    /// What should be there.
    pub what: &'static str,
    /// The entities that lost something here and, where it can be told, the stretch of offsets
    /// that holds it: from what is still legible, and from what is missing further on.
    pub entities: BTreeMap<EntityId, Option<Range<u64>>>,
    /// Records that are still legible there, whole or not.
    pub records: u64,
    /// Writes of documents among them.
    pub documents: u64,
}

impl Damage {
    pub(super) fn new(file: PathBuf, at: u64, what: &'static str) -> Self {
        Self {
            file,
            at,
            record: None,
            what,
            entities: BTreeMap::new(),
            records: 0,
            documents: 0,
        }
    }

    pub(super) fn file_number(&self) -> Option<FileNo> {
        FileNo::of_name(self.file.file_name()?.to_str()?)
    }
}
