//! Both ends of a segment. The header only says what kind of file this is; the footer, written
//! last, says which segment it is and where to find its directory.
//!
//! | at | size | footer | at | size | footer |
//! |---|---|---|---|---|---|
//! | 0 | 4 | CRC of everything behind it | 32 | 8 | made |
//! | 4 | 4 | format version | 40 | 8 | random |
//! | 8 | 8 | magic `FLSEGEND` | 48 | 8 | position of the directory |
//! | 16 | 16 | log | 56 | 4 + 4 | length of the directory; zero |

use bytes::Bytes;

use crate::field::{array, checked, seal, u32_at, u64_at};
use crate::id::{LogId, SegmentId};

/// The header: magic, version, zero.
pub(crate) const HEADER: [u8; 16] = *b"FLSEG001\x01\0\0\0\0\0\0\0";
pub(crate) const BYTES: usize = 64;
const MAGIC: [u8; 8] = *b"FLSEGEND";
const VERSION: u32 = 1;

/// The parts of a whole segment, made to be one of another log. `None` when its footer is damaged.
pub fn of_other_log(segment: &Bytes, log: LogId) -> Option<[Bytes; 2]> {
    let at = segment.len().checked_sub(BYTES)?;
    let footer = Footer::decode(&segment.slice(at..))?;
    let footer = Footer { log, ..footer }.encode();
    Some([segment.slice(..at), footer.into()])
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) log: LogId,
    pub(crate) id: SegmentId,
    pub(crate) directory: u64,
    pub(crate) directory_bytes: u32,
}

impl Footer {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut footer = vec![0; 4];
        footer.extend_from_slice(&VERSION.to_le_bytes());
        footer.extend_from_slice(&MAGIC);
        footer.extend_from_slice(&self.log.0);
        for number in [self.id.made, self.id.random, self.directory] {
            footer.extend_from_slice(&number.to_le_bytes());
        }
        footer.extend_from_slice(&self.directory_bytes.to_le_bytes());
        footer.resize(BYTES, 0);
        seal(&mut footer);
        footer
    }

    /// `None` when it is damaged or of another version.
    pub(crate) fn decode(footer: &[u8]) -> Option<Self> {
        let covered = checked(footer)?;
        let is_known = footer.len() == BYTES
            && u32_at(covered, 0)? == VERSION
            && array(covered, 4)? == MAGIC
            && u32_at(covered, 56)? == 0;
        is_known.then_some(Self {
            log: LogId(array(covered, 12)?),
            id: SegmentId {
                made: u64_at(covered, 28)?,
                random: u64_at(covered, 36)?,
            },
            directory: u64_at(covered, 44)?,
            directory_bytes: u32_at(covered, 52)?,
        })
    }
}
