//! The fixed head of a record batch v2. Integers are big-endian.
//!
//! | at | size | field | at | size | field |
//! |---|---|---|---|---|---|
//! | 0 | 8 | base offset | 27 | 8 | first timestamp |
//! | 8 | 4 | length after this field | 35 | 8 | latest timestamp |
//! | 12 | 4 | leader epoch | 43 | 8 | producer id |
//! | 16 | 1 | magic, 2 | 51 | 2 | producer epoch |
//! | 17 | 4 | CRC-32C from byte 21 on | 53 | 4 | sequence of the first record |
//! | 21 | 2 | attributes | 57 | 4 | number of records |
//! | 23 | 4 | offset of the last record − base | 61 | … | records, compressed or not |

use bytes::{BufMut, Bytes, BytesMut};

use crate::codec::Damage;
use crate::codec::reader::Reader;
use crate::codec::writer::length32;
use crate::crc32c;
use crate::limits::BATCH_MESSAGES_MAX;
use crate::{ProducerId, Timestamp};

/// Bytes before the first record.
pub(super) const HEAD: usize = 61;
const LENGTH_END: usize = 12;
const CRC_AT: usize = 17;
const CHECKED_FROM: usize = 21;
const ATTRIBUTES_AT: usize = 21;
const MAX_TIME_AT: usize = 35;
const PRODUCER_AT: usize = 43;
const MAGIC: u8 = 2;
const NONE: i64 = -1;

const COMPRESSION: i16 = 0b111;
const APPEND_TIME: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;

/// How the records after the head are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// What the head says, but for offset and leader epoch, which the reader's side rewrites.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) compression: Compression,
    /// The timestamps are the log's, not the publisher's.
    pub(super) is_append_time: bool,
    pub(super) is_transactional: bool,
    pub(super) is_control: bool,
    /// Offsets that the batch takes.
    pub(super) span: u32,
    pub(super) first_time: i64,
    pub(super) max_time: i64,
    pub(super) producer: i64,
    pub(super) epoch: i16,
    pub(super) sequence: i32,
    pub(super) count: u32,
}

impl Head {
    /// Reads the head and leaves the reader at the first record. Does not look at the checksum.
    pub(super) fn read(from: &mut Reader) -> Result<Self, Damage> {
        from.array::<8>("base offset")?;
        let length = i32::from_be_bytes(from.array("batch length")?);
        if usize::try_from(length).ok() != Some(from.left()) {
            return Err(from.damage("batch length"));
        }
        from.array::<4>("leader epoch")?;
        if from.byte("magic")? != MAGIC {
            return Err(from.damage("magic"));
        }
        from.array::<4>("checksum")?;
        let attributes = i16::from_be_bytes(from.array("attributes")?);
        let last_delta = i32::from_be_bytes(from.array("last offset delta")?);
        let first_time = i64::from_be_bytes(from.array("first timestamp")?);
        let max_time = i64::from_be_bytes(from.array("latest timestamp")?);
        let producer = i64::from_be_bytes(from.array("producer id")?);
        let epoch = i16::from_be_bytes(from.array("producer epoch")?);
        let sequence = i32::from_be_bytes(from.array("base sequence")?);
        let count = i32::from_be_bytes(from.array("record count")?);
        let count = u32::try_from(count).map_err(|_negative| from.damage("record count"))?;
        let last_delta =
            u32::try_from(last_delta).map_err(|_negative| from.damage("last offset delta"))?;
        if count == 0 || count > BATCH_MESSAGES_MAX || last_delta < count - 1 {
            return Err(from.damage("record count"));
        }
        Ok(Self {
            compression: Compression::read(attributes).ok_or_else(|| from.damage("compression"))?,
            is_append_time: attributes & APPEND_TIME != 0,
            is_transactional: attributes & TRANSACTIONAL != 0,
            is_control: attributes & CONTROL != 0,
            span: last_delta + 1,
            first_time,
            max_time,
            producer,
            epoch,
            sequence,
            count,
        })
    }

    /// Fills in the head before records that begin at [`HEAD`]: uncompressed, of no producer.
    pub(super) fn write(batch: &mut BytesMut, base: i64, written: &Written) {
        let length = length32(batch.len() - LENGTH_END);
        let mut head: &mut [u8] = batch.as_mut();
        head.put_i64(base);
        head.put_u32(length);
        head.put_i32(0); // Leader epoch: written again by whoever sends the batch.
        head.put_u8(MAGIC);
        head.put_u32(0);
        head.put_i16(0);
        head.put_u32(written.last_delta);
        head.put_i64(written.first_time);
        head.put_i64(written.max_time);
        head.put_i64(NONE);
        head.put_i16(-1);
        head.put_i32(-1);
        head.put_u32(written.count);
        seal(batch);
    }

    /// Makes a written batch the marker of a producer's transaction.
    pub(super) fn mark(batch: &mut BytesMut, producer: ProducerId, epoch: i16) {
        put(
            batch,
            ATTRIBUTES_AT,
            &(TRANSACTIONAL | CONTROL).to_be_bytes(),
        );
        put(batch, PRODUCER_AT, &producer.0.to_be_bytes());
        put(batch, PRODUCER_AT + 8, &epoch.to_be_bytes());
        seal(batch);
    }

    /// Replaces the publisher's times by that of arrival.
    pub(super) fn set_arrival(batch: &mut BytesMut, at: Timestamp) {
        let said = batch
            .get(ATTRIBUTES_AT..)
            .and_then(|rest| rest.first_chunk());
        let attributes = said.map_or(0, |said| i16::from_be_bytes(*said)) | APPEND_TIME;
        let at = i64::try_from(at.0).unwrap_or(i64::MAX);
        put(batch, ATTRIBUTES_AT, &attributes.to_be_bytes());
        put(batch, MAX_TIME_AT, &at.to_be_bytes());
        seal(batch);
    }
}

/// What the builder of a batch knows when the last record is written.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) last_delta: u32,
    pub(super) first_time: i64,
    pub(super) max_time: i64,
    pub(super) count: u32,
}

impl Compression {
    fn read(attributes: i16) -> Option<Self> {
        match attributes & COMPRESSION {
            0 => Some(Self::None),
            1 => Some(Self::Gzip),
            2 => Some(Self::Snappy),
            3 => Some(Self::Lz4),
            4 => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// Whether the checksum in the head is that of the bytes it covers.
pub(super) fn is_checksum_right(batch: &Bytes) -> bool {
    let said = batch.get(CRC_AT..CHECKED_FROM);
    said == Some(checksum(batch).to_be_bytes().as_slice())
}

/// Overwrites a field; a batch that is too short has none.
fn put(batch: &mut BytesMut, at: usize, field: &[u8]) {
    if let Some(place) = batch.get_mut(at..at + field.len()) {
        place.copy_from_slice(field);
    }
}

/// Writes the checksum that the bytes have.
fn seal(batch: &mut BytesMut) {
    let crc = checksum(batch);
    put(batch, CRC_AT, &crc.to_be_bytes());
}

fn checksum(batch: &[u8]) -> u32 {
    crc32c(batch.get(CHECKED_FROM..).unwrap_or_default())
}
