//! The record of a batch: its body once, and 16 bytes for each entity that it goes to.
//!
//! | at | size | field | at | size | field |
//! |---|---|---|---|---|---|
//! | 0 | 10 | len, crc, kind = 1, flags | 24 | 8 | deadline, ms (0: never) |
//! | 10 | 1 | codec | 32 | 8 | time, ms |
//! | 11 | 1 | zero | 40 | 4 | lineage (0xFFFFFFFF: none) |
//! | 12 | 2 | targets | 44 | 4 | body length |
//! | 14 | 2 | zero | 48 | 16·n | targets: entity u64, base offset u64 |
//! | 16 | 4 | messages | … | 24 | producer, flag 1: id i64, epoch i16, zero u16, first i32, last i32, zero u32 |
//! | 20 | 4 | offsets taken | … | … | keys, flag 2: per message flags u8 (1 no key, 2 no value), len u16, bytes; then the body |

use bytes::{BufMut, Bytes};
use fairlead_canon::{
    Batch, BatchFlags, Codec, EntityId, Key, Offset, ProducerId, Stamp, Timestamp,
};
use smallvec::SmallVec;

use crate::field::{array, is_zero, u8_at, u16_at, u32_at, u64_at};

pub(super) const KIND: u8 = 1;

const PRODUCER: u8 = 1;
const KEYS: u8 = 2;
const TRANSACTIONAL: u8 = 4;
const CONTROL: u8 = 8;
const PLACED: u8 = 16;

const NO_KEY: u8 = 1;
const NO_VALUE: u8 = 2;

/// Leader epochs of copied data are kept by a later version; this one has none.
const NO_LINEAGE: u32 = u32::MAX;
const FIXED_BYTES: usize = 48;
const TARGET_BYTES: usize = 16;
const PRODUCER_BYTES: usize = 24;

/// A batch and where it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Data {
    pub(crate) targets: SmallVec<[(EntityId, Offset); 2]>,
    pub(crate) batch: Batch,
    /// Whether the caller chose the offsets.
    pub(crate) is_placed: bool,
}

/// What the record of a batch says, wherever that lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DataRef<'a> {
    pub(crate) targets: &'a [(EntityId, Offset)],
    pub(crate) batch: &'a Batch,
    pub(crate) is_placed: bool,
}

impl Data {
    /// The most bytes that a record of this batch takes.
    pub(crate) fn len_max(batch: &Batch, targets: usize) -> usize {
        let keys = |key: &Key| 3 + key.key.as_ref().map_or(0, Bytes::len);
        let keys: usize = batch.keys.iter().map(keys).sum();
        FIXED_BYTES + targets * TARGET_BYTES + PRODUCER_BYTES + keys + batch.bytes.len()
    }

    pub(super) fn as_ref(&self) -> DataRef<'_> {
        DataRef {
            targets: &self.targets,
            batch: &self.batch,
            is_placed: self.is_placed,
        }
    }

    pub(super) fn decode(bytes: &Bytes) -> Option<Self> {
        let targets_end = targets_end(bytes)?;
        let target = |pair: &[u8]| Some((EntityId(u64_at(pair, 0)?), Offset(u64_at(pair, 8)?)));
        let targets = bytes.get(FIXED_BYTES..targets_end)?;
        Some(Self {
            targets: targets
                .chunks_exact(TARGET_BYTES)
                .map(target)
                .collect::<Option<_>>()?,
            batch: batch_of(bytes)?,
            is_placed: u8_at(bytes, 9)? & PLACED != 0,
        })
    }
}

impl DataRef<'_> {
    pub(super) fn encode(self, out: &mut Vec<u8>) {
        let batch = self.batch;
        out.put_slice(self.fixed().as_flattened());
        let targets_at = out.len();
        out.put_bytes(0, self.targets.len() * TARGET_BYTES);
        let (places, _) = out
            .get_mut(targets_at..)
            .unwrap_or_default()
            .as_chunks_mut();
        for (place, (entity, base)) in places.iter_mut().zip(self.targets) {
            *place = (u128::from(entity.0) | u128::from(base.0) << 64).to_le_bytes();
        }
        if let Some(stamp) = batch.stamp {
            out.put_i64_le(stamp.producer.0);
            out.put_i16_le(stamp.epoch);
            out.put_u16_le(0);
            out.put_i32_le(stamp.first);
            out.put_i32_le(stamp.last);
            out.put_u32_le(0);
        }
        for key in &batch.keys {
            let name = key.key.as_deref();
            let no_key = if name.is_none() { NO_KEY } else { 0 };
            out.put_u8(no_key | if key.has_value { 0 } else { NO_VALUE });
            out.put_u16_le(u16::try_from(name.map_or(0, <[u8]>::len)).unwrap_or(u16::MAX));
            out.put_slice(name.unwrap_or_default());
        }
        out.put_slice(&batch.bytes);
    }

    /// What precedes the targets, as words: length and checksum are filled in when all is there.
    fn fixed(self) -> [[u8; 8]; FIXED_BYTES / 8] {
        let batch = self.batch;
        let targets = u16::try_from(self.targets.len()).unwrap_or(u16::MAX);
        let kinds = u32::from_le_bytes([KIND, self.flags(), batch.codec as u8, 0]);
        let body = u32::try_from(batch.bytes.len()).unwrap_or(u32::MAX);
        let words = [
            0,
            pair(kinds, targets.into()),
            pair(batch.count, batch.span),
            batch.deadline.map_or(0, |deadline| deadline.0.max(1)),
            batch.time.0,
            pair(NO_LINEAGE, body),
        ];
        words.map(u64::to_le_bytes)
    }

    fn flags(self) -> u8 {
        let batch = self.batch;
        let flag = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        flag(batch.stamp.is_some(), PRODUCER)
            | flag(!batch.keys.is_empty(), KEYS)
            | flag(batch.flags.transactional, TRANSACTIONAL)
            | flag(batch.flags.control, CONTROL)
            | flag(self.is_placed, PLACED)
    }
}

/// Two fields side by side, as they are in a word.
fn pair(first: u32, second: u32) -> u64 {
    u64::from(first) | u64::from(second) << 32
}

/// The batch in a data record, its body a slice of the record.
pub(crate) fn batch_of(bytes: &Bytes) -> Option<Batch> {
    let flags = u8_at(bytes, 9)?;
    let is_known = u8_at(bytes, 8)? == KIND
        && flags & !(PRODUCER | KEYS | TRANSACTIONAL | CONTROL | PLACED) == 0
        && u8_at(bytes, 11)? == 0
        && is_zero(bytes, 14, 16)
        && u32_at(bytes, 40)? == NO_LINEAGE;
    let codec = [Codec::Envelope, Codec::RecordsV2];
    let codec = codec
        .into_iter()
        .find(|codec| Some(*codec as u8) == u8_at(bytes, 10))?;
    let mut at = targets_end(bytes)?;
    let count = u32_at(bytes, 16)?;
    let stamp = match flags & PRODUCER {
        0 => None,
        _ => Some(stamp_at(bytes, &mut at)?),
    };
    let keys = match flags & KEYS {
        0 => Vec::new(),
        _ => (0..count)
            .map(|_| key_at(bytes, &mut at))
            .collect::<Option<_>>()?,
    };
    let end = at.checked_add(u32_at(bytes, 44)? as usize)?;
    (is_known && end == bytes.len()).then(|| Batch {
        codec,
        bytes: bytes.slice(at..end),
        count,
        span: u32_at(bytes, 20).unwrap_or(count),
        time: Timestamp(u64_at(bytes, 32).unwrap_or(0)),
        deadline: u64_at(bytes, 24)
            .filter(|deadline| *deadline != 0)
            .map(Timestamp),
        stamp,
        flags: BatchFlags {
            transactional: flags & TRANSACTIONAL != 0,
            control: flags & CONTROL != 0,
        },
        keys,
    })
}

fn targets_end(bytes: &[u8]) -> Option<usize> {
    Some(FIXED_BYTES + usize::from(u16_at(bytes, 12)?) * TARGET_BYTES)
}

fn stamp_at(bytes: &[u8], at: &mut usize) -> Option<Stamp> {
    let block = bytes.get(*at..at.checked_add(PRODUCER_BYTES)?)?;
    *at += PRODUCER_BYTES;
    (is_zero(block, 10, 12) && is_zero(block, 20, 24)).then_some(Stamp {
        producer: ProducerId(i64::from_le_bytes(array(block, 0)?)),
        epoch: i16::from_le_bytes(array(block, 8)?),
        first: i32::from_le_bytes(array(block, 12)?),
        last: i32::from_le_bytes(array(block, 16)?),
    })
}

fn key_at(bytes: &Bytes, at: &mut usize) -> Option<Key> {
    let flags = u8_at(bytes, *at)?;
    let start = at.checked_add(3)?;
    let end = start.checked_add(usize::from(u16_at(bytes, at.checked_add(1)?)?))?;
    if end > bytes.len() || flags & !(NO_KEY | NO_VALUE) != 0 {
        return None;
    }
    *at = end;
    Some(Key {
        key: (flags & NO_KEY == 0).then(|| bytes.slice(start..end)),
        has_value: flags & NO_VALUE == 0,
    })
}
