//! A block: records one behind the other, kept as they are or compressed.
//!
//! | at | size | field |
//! |---|---|---|
//! | 0 | 4 | CRC of everything behind it |
//! | 4 | 4 | bytes of the records |
//! | 8 | 1 | compression: 0 none, 1 zstd |
//! | 9 | 7 | zero |
//! | 16 | … | the records, maybe compressed |

use bytes::{BufMut, Bytes, BytesMut};

use crate::field::{checked, seal, u32_at};

/// Bytes of records at which a block is closed: one read for neighbours, little waste for one.
pub(crate) const TARGET_BYTES: usize = 128 * 1024;
/// Most bytes of records in a block: one record more than the target, and no record is larger than
/// a file of the log.
pub(crate) const BYTES_MAX: usize = 96 * 1024 * 1024;
const HEADER_BYTES: usize = 16;
const NONE: u8 = 0;
const ZSTD: u8 = 1;
/// Of zstd: records are small or came compressed, and the sealer shares its core.
const LEVEL: i32 = 1;

/// Whether records are worth compressing where they are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Reading is cheap and space is too.
    None,
    /// Each block on its own, where it saves an eighth or more.
    Zstd,
}

/// The block of these records.
pub(crate) fn encode(records: &[u8], compression: Compression) -> Bytes {
    let packed = match compression {
        Compression::None => None,
        Compression::Zstd => zstd::bulk::compress(records, LEVEL).ok(),
    };
    let packed = packed.filter(|packed| packed.len() <= records.len() / 8 * 7);
    let (kind, body) = match &packed {
        Some(packed) => (ZSTD, packed.as_slice()),
        None => (NONE, records),
    };
    let mut block = BytesMut::with_capacity(HEADER_BYTES + body.len());
    block.put_u32_le(0);
    block.put_u32_le(u32::try_from(records.len()).unwrap_or(u32::MAX));
    block.put_u8(kind);
    block.put_bytes(0, 7);
    block.put_slice(body);
    seal(&mut block);
    block.freeze()
}

/// The records of a block; `None` when it is damaged.
pub(crate) fn decode(block: &Bytes) -> Option<Bytes> {
    let covered = checked(block)?;
    let raw = usize::try_from(u32_at(covered, 0)?).ok()?;
    let body = block.len().min(HEADER_BYTES)..;
    let (kind, zeros) = covered.get(4..12)?.split_first()?;
    let is_known = zeros.iter().all(|byte| *byte == 0) && raw <= BYTES_MAX;
    let records = match *kind {
        NONE => block.slice(body),
        ZSTD if is_known => zstd::bulk::decompress(block.get(body)?, raw).ok()?.into(),
        _ => return None,
    };
    (is_known && records.len() == raw).then_some(records)
}
