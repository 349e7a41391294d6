//! Records as they are shown: where each is kept, and the operation that it carries out.

use fairlead_canon::{EntityId, EpochTag, Offset, Timestamp};
use fairlead_ports::{Lsn, Op, Place, Target};

use super::walk::Seen;
use crate::entity::Location;
use crate::homes::{Home, Site};
use crate::lsn::{FileNo, file_of, position_of};
use crate::record::Record;

/// One record that is kept.
#[derive(Debug)]
pub struct Entry {
    /// Its address, which it keeps wherever it is moved.
    pub lsn: Lsn,
    /// Where it was read.
    pub kept: Kept,
    /// Its length, head included.
    pub len: u32,
    /// What it says.
    pub said: Said,
}

/// Where a record was read.
#[derive(Debug)]
pub enum Kept {
    /// In the log.
    Log {
        /// Name of the log file.
        file: String,
        /// Byte in that file.
        byte: u64,
        /// When its frame was made, by the node's clock.
        wall: Timestamp,
    },
    /// In a segment.
    Segment(Segment),
}

/// What a record says.
#[derive(Debug)]
pub enum Said {
    /// What somebody asked for. The places of an append are those that were given; its fences were
    /// judged and are not kept.
    Op(Op),
    /// The records of these log files that somebody still needed are in segments from here on.
    Sealed(Vec<SealedFile>),
}

/// A log file that was emptied.
#[derive(Debug)]
pub struct SealedFile {
    /// Name of the log file.
    pub file: String,
    /// Where its records are; none when nobody needs any.
    pub segments: Vec<Segment>,
}

/// A segment.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Where it is kept.
    pub site: Site,
    /// Its name there.
    pub name: String,
}

impl Entry {
    pub(super) fn of(Seen { wall, at, .. }: Seen, record: &Record) -> Self {
        let kept = Kept::Log {
            file: file_of(at.lsn).name(),
            byte: position_of(at.lsn),
            wall,
        };
        Self::at(at, kept, record)
    }

    pub(super) fn at(at: Location, kept: Kept, record: &Record) -> Self {
        Self {
            lsn: at.lsn,
            kept,
            len: at.len,
            said: said(record),
        }
    }
}

impl SealedFile {
    fn of((file, homes): (FileNo, Vec<Home>)) -> Self {
        Self {
            file: file.name(),
            segments: homes.iter().map(Segment::of).collect(),
        }
    }
}

impl Segment {
    pub(super) fn of(home: &Home) -> Self {
        Self {
            site: home.site,
            name: home.stamp.id.to_string(),
        }
    }
}

fn said(record: &Record) -> Said {
    let op = match record.clone() {
        Record::Sealed(sealed) => {
            let files = sealed.0.into_iter();
            return Said::Sealed(files.map(SealedFile::of).collect());
        }
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
        Record::Restore { entity, writers } => Op::Restore { entity, writers },
        Record::EndTxn {
            producer,
            epoch,
            decision,
            entity,
        } => Op::EndTxn {
            producer,
            epoch,
            decision,
            entity,
        },
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
    };
    Said::Op(op)
}

fn target((entity, base): (EntityId, Offset)) -> Target {
    Target {
        entity,
        place: Place::At(base),
        tag: EpochTag::default(),
    }
}
