//! The file `superblock`: which log this is, its epoch, and how far it was proven durable.
//!
//! Two slots of 4 KiB, written in turn; the valid one with the higher counter holds.
//!
//! | at | size | field | at | size | field |
//! |---|---|---|---|---|---|
//! | 0 | 8 | magic `FLSUPER1` | 40 | 8 | node id |
//! | 8 | 4 | CRC of bytes 12..4096 | 48 | 8 | epoch |
//! | 12 | 4 | format version | 56 | 8 | `synced`: everything below was durable |
//! | 16 | 16 | log id | 64 | 8 | created, ms |
//! | 32 | 8 | counter | 72 | 2+2 | shard bits; mode; the rest is zero |

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fairlead_canon::Timestamp;
use fairlead_ports::{Entropy, Lsn};

use crate::crc;
use crate::error::OpenError;
use crate::field::{array, is_zero, u16_at, u32_at, u64_at};
use crate::vfs::{File, Vfs};

const MAGIC: [u8; 8] = *b"FLSUPER1";
const VERSION: u32 = 1;
const SLOT_BYTES: usize = 4096;
/// One process, one data directory.
const MODE_EMBEDDED: u16 = 1;
pub(crate) const NAME: &str = "superblock";
const NAME_NEW: &str = "superblock.new";

/// Random at creation; every log file repeats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogId(pub(crate) [u8; 16]);

/// Grows with each start of the log; the lower one is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Epoch(pub(crate) u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Superblock {
    pub(crate) log: LogId,
    pub(crate) node: u64,
    pub(crate) counter: u64,
    pub(crate) epoch: Epoch,
    pub(crate) synced: Lsn,
    pub(crate) created: Timestamp,
}

/// The open file and what it says.
#[derive(Debug)]
pub(crate) struct SuperblockFile {
    file: Arc<dyn File>,
    pub(crate) content: Superblock,
}

/// What one of the two slots holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Whole(Superblock),
    /// Zeros: a new directory has written one slot only.
    Unwritten,
    Unreadable,
}

impl Slot {
    pub(crate) fn content(self) -> Option<Superblock> {
        match self {
            Self::Whole(content) => Some(content),
            Self::Unwritten | Self::Unreadable => None,
        }
    }
}

impl LogId {
    pub(crate) fn random(entropy: &dyn Entropy) -> Self {
        let mut log = Self([0; 16]);
        entropy.fill(&mut log.0);
        log
    }
}

impl Epoch {
    pub(crate) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl Superblock {
    fn encode(&self) -> [u8; SLOT_BYTES] {
        let mut slot = [0; SLOT_BYTES];
        let mut put = |at: usize, bytes: &[u8]| {
            if let Some(place) = slot.get_mut(at..at + bytes.len()) {
                place.copy_from_slice(bytes);
            }
        };
        put(0, &MAGIC);
        put(12, &VERSION.to_le_bytes());
        put(16, &self.log.0);
        put(32, &self.counter.to_le_bytes());
        put(40, &self.node.to_le_bytes());
        put(48, &self.epoch.0.to_le_bytes());
        put(56, &self.synced.0.to_le_bytes());
        put(64, &self.created.0.to_le_bytes());
        put(74, &MODE_EMBEDDED.to_le_bytes());
        let (_, covered) = slot.split_at(12);
        let crc = crc::of(covered).to_le_bytes();
        slot.iter_mut()
            .skip(8)
            .zip(crc)
            .for_each(|(place, byte)| *place = byte);
        slot
    }

    pub(crate) fn decode(slot: &[u8]) -> Option<Self> {
        let is_known = array(slot, 0)? == MAGIC
            && u32_at(slot, 12)? == VERSION
            && u16_at(slot, 72)? == 0
            && u16_at(slot, 74)? == MODE_EMBEDDED
            && is_zero(slot, 76, SLOT_BYTES);
        let is_whole = slot.len() == SLOT_BYTES && u32_at(slot, 8)? == crc::of(slot.get(12..)?);
        (is_known && is_whole).then_some(Self {
            log: LogId(array(slot, 16)?),
            counter: u64_at(slot, 32)?,
            node: u64_at(slot, 40)?,
            epoch: Epoch(u64_at(slot, 48)?),
            synced: Lsn(u64_at(slot, 56)?),
            created: Timestamp(u64_at(slot, 64)?),
        })
    }
}

impl SuperblockFile {
    /// Opens the superblock of a data directory; `None` when it has none.
    pub(crate) fn open(vfs: &dyn Vfs, dir: &Path) -> Result<Option<Self>, OpenError> {
        let path = dir.join(NAME);
        let file = match vfs.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(OpenError::io(&path, error)),
        };
        let slots = read_slots(file.as_ref()).map_err(|error| OpenError::io(&path, error))?;
        match newest(&slots) {
            Some(content) => Ok(Some(Self { file, content })),
            None => Err(OpenError::damaged(&path, 0, "both slots of the superblock")),
        }
    }

    /// Makes the superblock of an empty data directory.
    pub(crate) fn create(
        vfs: &dyn Vfs,
        dir: &Path,
        content: Superblock,
    ) -> Result<Self, OpenError> {
        let path: PathBuf = dir.join(NAME_NEW);
        let make = || -> io::Result<Arc<dyn File>> {
            let file = vfs.create(&path)?;
            file.write_at(0, &[&[0; SLOT_BYTES], &[0; SLOT_BYTES]])?;
            file.write_at(place_of(&content), &[&content.encode()])?;
            file.sync()?;
            vfs.rename(&path, &dir.join(NAME))?;
            vfs.sync_dir(dir)?;
            Ok(file)
        };
        let file = make().map_err(|error| OpenError::io(&path, error))?;
        Ok(Self { file, content })
    }

    /// Writes a new state into the slot that does not hold, and syncs it.
    pub(crate) fn write(&mut self, epoch: Epoch, synced: Lsn) -> io::Result<()> {
        let counter = self.content.counter.saturating_add(1);
        let content = Superblock {
            counter,
            epoch,
            synced,
            ..self.content
        };
        self.file
            .write_at(place_of(&content), &[&content.encode()])?;
        self.file.sync()?;
        self.content = content;
        Ok(())
    }
}

fn place_of(content: &Superblock) -> u64 {
    (content.counter % 2) * SLOT_BYTES as u64
}

/// The slot that holds: the whole one with the higher counter.
pub(crate) fn newest(slots: &[Slot; 2]) -> Option<Superblock> {
    let contents = slots.iter().filter_map(|slot| slot.content());
    contents.max_by_key(|content| content.counter)
}

pub(crate) fn read_slots(file: &dyn File) -> io::Result<[Slot; 2]> {
    Ok([read_slot(file, 0)?, read_slot(file, SLOT_BYTES as u64)?])
}

fn read_slot(file: &dyn File, at: u64) -> io::Result<Slot> {
    let mut slot = vec![0; SLOT_BYTES];
    let len = file.read_at(at, &mut slot)?;
    slot.truncate(len);
    Ok(match Superblock::decode(&slot) {
        Some(content) => Slot::Whole(content),
        None if is_zero(&slot, 0, SLOT_BYTES) => Slot::Unwritten,
        None => Slot::Unreadable,
    })
}
