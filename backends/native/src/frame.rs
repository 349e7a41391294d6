//! Frames: what one write makes durable, chained by the checksum of the frame before.
//!
//! | at | size | header (64 bytes) | at | size | |
//! |---|---|---|---|---|---|
//! | 0 | 4 | magic `FLFR` | 24 | 8 | LSN of the previous frame |
//! | 4 | 4 | length, header included, padding excluded | 32 | 8 | epoch |
//! | 8 | 4 | CRC over: salt, bytes 12..64, the CRC field of each record | 40 | 8 | wall clock, ms |
//! | 12 | 4 | CRC of the previous frame | 48 | 4 | number of records |
//! | 16 | 8 | own LSN | 52 | 4 | flags: 2 first after recovery |
//! | | | | 56 | 8 | `synced`: end of what completed syncs covered |

use fairlead_canon::Timestamp;
use fairlead_ports::Lsn;

use crate::crc::Running;
use crate::field::{array, u32_at, u64_at};
use crate::mutation::{Mutation, is_on};
use crate::record;
use crate::superblock::Epoch;

const MAGIC: [u8; 4] = *b"FLFR";
pub(crate) const HEADER_BYTES: usize = 64;
/// A frame with everything in it; a file that is smaller allows half of itself.
pub(crate) const FRAME_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Begins a stay of a process: nothing before it will be written again.
pub(crate) const FIRST_AFTER_RECOVERY: u32 = 2;

/// Random for each log file, so that bytes from elsewhere never look like a frame of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Salt(pub(crate) u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) len: u32,
    pub(crate) crc: u32,
    pub(crate) previous_crc: u32,
    pub(crate) lsn: Lsn,
    pub(crate) previous: Lsn,
    pub(crate) epoch: Epoch,
    pub(crate) wall: Timestamp,
    pub(crate) records: u32,
    pub(crate) flags: u32,
    pub(crate) synced: Lsn,
}

impl Header {
    /// The bytes of the header, with the checksum over it and its records filled in.
    pub(crate) fn seal(&mut self, salt: Salt, records: &[u8]) -> [u8; HEADER_BYTES] {
        self.crc = 0;
        self.crc = checksum(salt, &self.encode(), records).unwrap_or(0);
        self.encode()
    }

    fn encode(&self) -> [u8; HEADER_BYTES] {
        let fields: [&[u8]; 11] = [
            &MAGIC,
            &self.len.to_le_bytes(),
            &self.crc.to_le_bytes(),
            &self.previous_crc.to_le_bytes(),
            &self.lsn.0.to_le_bytes(),
            &self.previous.0.to_le_bytes(),
            &self.epoch.0.to_le_bytes(),
            &self.wall.0.to_le_bytes(),
            &self.records.to_le_bytes(),
            &self.flags.to_le_bytes(),
            &self.synced.0.to_le_bytes(),
        ];
        let mut header = [0; HEADER_BYTES];
        let bytes = fields.into_iter().flatten();
        header
            .iter_mut()
            .zip(bytes)
            .for_each(|(place, byte)| *place = *byte);
        header
    }

    /// What a header says, before anything about it is known to be true.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let header = Self {
            len: u32_at(bytes, 4)?,
            crc: u32_at(bytes, 8)?,
            previous_crc: u32_at(bytes, 12)?,
            lsn: Lsn(u64_at(bytes, 16)?),
            previous: Lsn(u64_at(bytes, 24)?),
            epoch: Epoch(u64_at(bytes, 32)?),
            wall: Timestamp(u64_at(bytes, 40)?),
            records: u32_at(bytes, 48)?,
            flags: u32_at(bytes, 52)?,
            synced: Lsn(u64_at(bytes, 56)?),
        };
        let len = header.len as usize;
        let is_possible = (HEADER_BYTES..=FRAME_BYTES_MAX).contains(&len)
            && header.flags & !FIRST_AFTER_RECOVERY == 0;
        (array(bytes, 0)? == MAGIC && is_possible).then_some(header)
    }

    /// Whether a frame (header and records, without padding) is what was written, as far as it can
    /// tell by itself: its own checksum, and that of each record.
    pub(crate) fn is_intact(&self, salt: Salt, frame: &[u8]) -> bool {
        let Some((header, records)) = frame.split_at_checked(HEADER_BYTES) else {
            return false;
        };
        if frame.len() != self.len as usize {
            return false;
        }
        let mut count = 0_u32;
        let are_intact = record::places(records).all(|place| {
            count = count.saturating_add(1);
            place
                .and_then(|place| records.get(place))
                .is_some_and(record::is_intact)
        });
        are_intact && count == self.records && checksum(salt, header, records) == Some(self.crc)
    }
}

/// `None` when the records do not fill their place.
fn checksum(salt: Salt, header: &[u8], records: &[u8]) -> Option<u32> {
    let mut crc = Running::new();
    if !is_on(Mutation::NoSalt) {
        crc.add(&salt.0.to_le_bytes());
    }
    crc.add(header.get(12..)?);
    for place in record::places(records) {
        let crc_at = place?.start + 4;
        crc.add(records.get(crc_at..crc_at + 4)?);
    }
    Some(crc.finish())
}
