//! What is remembered of the writers of an entity, as bytes: how many there are of each of four kinds
//! of rows (u32 each), then the rows.
//!
//! | rows | fields |
//! |---|---|
//! | producers | producer i64 · epoch i16 · 0 u16 · 0 u32 |
//! | batches | base u64 · producer i64 · epoch i16 · 0 u16 · first i32 · last i32 · 0 u32 |
//! | open transactions | producer i64 · first u64 |
//! | aborted ones | producer i64 · first u64 · last u64 |

use bytes::BufMut;
use fairlead_canon::{Offset, ProducerId, Stamp};
use fairlead_ports::{Aborted, Writers};

use crate::field::{array, is_zero, u32_at, u64_at};

/// Before the counts, and the counts.
const HEAD_BYTES: usize = 24 + 16;
const PRODUCER_BYTES: usize = 16;
const BATCH_BYTES: usize = 32;
const OPEN_BYTES: usize = 16;
const ABORTED_BYTES: usize = 24;

/// Bytes of the record that holds them.
pub(crate) fn len(writers: &Writers) -> usize {
    HEAD_BYTES
        + writers.producers.len() * PRODUCER_BYTES
        + writers.batches.len() * BATCH_BYTES
        + writers.open.len() * OPEN_BYTES
        + writers.aborted.len() * ABORTED_BYTES
}

pub(super) fn encode(writers: &Writers, out: &mut Vec<u8>) {
    let Writers {
        producers,
        batches,
        open,
        aborted,
    } = writers;
    for count in [producers.len(), batches.len(), open.len(), aborted.len()] {
        out.put_u32_le(u32::try_from(count).unwrap_or(u32::MAX));
    }
    for (producer, epoch) in producers {
        out.put_i64_le(producer.0);
        out.put_i16_le(*epoch);
        out.put_bytes(0, 6);
    }
    for (base, stamp) in batches {
        out.put_u64_le(base.0);
        out.put_i64_le(stamp.producer.0);
        out.put_i16_le(stamp.epoch);
        out.put_u16_le(0);
        out.put_i32_le(stamp.first);
        out.put_i32_le(stamp.last);
        out.put_u32_le(0);
    }
    for (producer, first) in open {
        out.put_i64_le(producer.0);
        out.put_u64_le(first.0);
    }
    for aborted in aborted {
        out.put_i64_le(aborted.producer.0);
        out.put_u64_le(aborted.first.0);
        out.put_u64_le(aborted.last.0);
    }
}

/// What fills `bytes`.
pub(super) fn decode(bytes: &[u8]) -> Option<Writers> {
    let (counts, mut rest) = bytes.split_at_checked(16)?;
    let mut take = |at, row_bytes: usize| {
        let count = u32_at(counts, at)? as usize;
        let (rows, behind) = rest.split_at_checked(count.checked_mul(row_bytes)?)?;
        rest = behind;
        Some(rows.chunks_exact(row_bytes))
    };
    let producers = take(0, PRODUCER_BYTES)?
        .map(producer)
        .collect::<Option<_>>()?;
    let batches = take(4, BATCH_BYTES)?.map(batch).collect::<Option<_>>()?;
    let open = take(8, OPEN_BYTES)?.map(open).collect::<Option<_>>()?;
    let aborted = take(12, ABORTED_BYTES)?
        .map(aborted)
        .collect::<Option<_>>()?;
    rest.is_empty().then_some(Writers {
        producers,
        batches,
        open,
        aborted,
    })
}

fn producer(row: &[u8]) -> Option<(ProducerId, i16)> {
    let known = (id_at(row, 0)?, i16::from_le_bytes(array(row, 8)?));
    is_zero(row, 10, 16).then_some(known)
}

fn batch(row: &[u8]) -> Option<(Offset, Stamp)> {
    let stamp = Stamp {
        producer: id_at(row, 8)?,
        epoch: i16::from_le_bytes(array(row, 16)?),
        first: i32::from_le_bytes(array(row, 20)?),
        last: i32::from_le_bytes(array(row, 24)?),
    };
    let is_known = is_zero(row, 18, 20) && is_zero(row, 28, 32);
    is_known.then_some((offset_at(row, 0)?, stamp))
}

fn open(row: &[u8]) -> Option<(ProducerId, Offset)> {
    Some((id_at(row, 0)?, offset_at(row, 8)?))
}

fn aborted(row: &[u8]) -> Option<Aborted> {
    Some(Aborted {
        producer: id_at(row, 0)?,
        first: offset_at(row, 8)?,
        last: offset_at(row, 16)?,
    })
}

fn id_at(row: &[u8], at: usize) -> Option<ProducerId> {
    Some(ProducerId(i64::from_le_bytes(array(row, at)?)))
}

fn offset_at(row: &[u8], at: usize) -> Option<Offset> {
    u64_at(row, at).map(Offset)
}
