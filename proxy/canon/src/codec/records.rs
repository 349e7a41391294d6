//! Codec 2: record batch v2, kept and read as its producer wrote it.
//!
//! [`accept`] checks a batch that arrives, [`open`] reads its messages. [`record`] and [`build`] make a
//! batch for readers of messages that were stored in another form.

mod head;
mod inflate;
mod list;
mod marker;
pub mod name;
mod record;

use bytes::{BufMut, Bytes, BytesMut};

use self::head::{Compression, HEAD, Head, Written};
use self::list::RecordList;
pub use self::marker::{Ending, marker};
pub use self::record::Record;
use super::reader::Reader;
use super::{Damage, Opened};
use crate::carry::{self, Carried};
use crate::{
    Address, Batch, BatchFlags, Codec, EventTime, Headers, Loss, LossCode, Message, Origin,
    ProducerId, Promise, Stamp, Terms, Timestamp,
};

/// Checks one whole batch as it arrived: length, magic, checksum, attributes, counts. Its records
/// are not opened.
///
/// `time` is the latest timestamp that its producer gave, 0 when it gave none.
pub fn accept(bytes: Bytes) -> Result<Batch, Damage> {
    let mut reader = Reader::new(bytes.clone(), 0);
    let head = Head::read(&mut reader)?;
    if !head::is_checksum_right(&bytes) {
        return Err(reader.damage("checksum"));
    }
    Ok(Batch {
        codec: Codec::RecordsV2,
        bytes,
        count: head.count,
        span: head.span,
        time: timestamp(head.max_time),
        deadline: None,
        stamp: stamp(&head),
        flags: BatchFlags {
            transactional: head.is_transactional,
            control: head.is_control,
        },
        keys: Vec::new(),
    })
}

/// Reads the messages of a record batch; `place` becomes their address.
///
/// The checksum is not computed again. Positions in errors count from the first byte of the batch,
/// or, within compressed records, from the first inflated byte.
pub fn open(batch: &Batch, place: &Address) -> Result<Vec<Opened>, Damage> {
    if batch.flags.control {
        return Ok(Vec::new());
    }
    let mut messages = Vec::new();
    walk(&batch.bytes, |head, record| {
        messages.push(opened(batch.time, head, record, place));
    })?;
    Ok(messages)
}

/// Reads the records of a batch as its producer wrote them, in order.
pub fn read(batch: &Bytes) -> Result<Vec<Record>, Damage> {
    let mut records = Vec::new();
    walk(batch, |_, record| records.push(record))?;
    Ok(records)
}

/// The same batch, whose records show that they arrived at this time instead of the times that
/// their producer gave them.
pub fn arrived(batch: Batch, at: Timestamp) -> Batch {
    let mut bytes = BytesMut::from(&*batch.bytes);
    Head::set_arrival(&mut bytes, at);
    Batch {
        bytes: bytes.freeze(),
        time: at,
        ..batch
    }
}

/// A message as the record that a reader of `place` sees, and what it does not show.
///
/// Its time is the publisher's, or when we accepted it.
pub fn record(message: &Message, place: &Address, delta: u32) -> (Record, Loss) {
    let Carried { entries, mut loss } = carry::write(&RecordList { place }, message);
    let properties = message.properties.as_deref();
    if properties.is_some_and(|said| said.reply_to.is_some() && list::reply_name(said).is_none()) {
        loss.add(LossCode::ReplyTo);
    }
    let event_at = message.terms.event_at.map(EventTime::as_millis);
    let accepted_at = i64::try_from(message.terms.accepted_at.0).unwrap_or(i64::MAX);
    let record = Record {
        delta,
        time: event_at.filter(|ms| *ms >= 0).unwrap_or(accepted_at),
        key: message.key.clone(),
        value: message.body.clone(),
        headers: entries,
    };
    (record, loss)
}

/// Writes an uncompressed batch. `records` have growing deltas; the first record's may be above 0.
/// Returns no bytes when there are no records.
pub fn build(base: i64, records: &[Record]) -> Bytes {
    let Some(first_time) = records.first().map(|record| record.time) else {
        return Bytes::new();
    };
    let size: usize = records.iter().map(size_estimate).sum();
    let mut out = BytesMut::with_capacity(HEAD + size);
    out.put_bytes(0, HEAD);
    let mut scratch = BytesMut::new();
    let mut written = Written {
        first_time,
        max_time: first_time,
        ..Written::default()
    };
    for record in records {
        record::write(record, first_time, &mut scratch, &mut out);
        written.last_delta = record.delta;
        written.max_time = written.max_time.max(record.time);
        written.count += 1;
    }
    Head::write(&mut out, base, &written);
    out.freeze()
}

/// Visits the records of a batch in order.
fn walk(bytes: &Bytes, mut visit: impl FnMut(&Head, Record)) -> Result<(), Damage> {
    let mut reader = Reader::new(bytes.clone(), 0);
    let head = Head::read(&mut reader)?;
    let base = if head.compression == Compression::None {
        HEAD
    } else {
        0
    };
    let mut records = Reader::new(inflate::inflate(head.compression, reader)?, base);
    let mut next = 0;
    for _ in 0..head.count {
        let record = record::read(&mut records, head.first_time)?;
        if record.delta < next || record.delta >= head.span {
            return Err(records.damage("offset delta"));
        }
        next = record.delta + 1;
        visit(&head, record);
    }
    if records.is_empty() {
        Ok(())
    } else {
        Err(records.damage("bytes after the last record"))
    }
}

fn opened(accepted_at: Timestamp, head: &Head, record: Record, place: &Address) -> Opened {
    // What the producer was promised is not in the bytes; whoever reads them reads kept ones.
    let mut terms = Terms::accepted(accepted_at, Promise::Durable);
    let is_publishers = record.time >= 0 && !head.is_append_time;
    terms.event_at = is_publishers.then_some(EventTime::Millis(record.time));
    let base = Message {
        address: place.clone(),
        key: record.key,
        body: record.value,
        terms,
        properties: None,
        headers: Headers::default(),
        origin: Origin::NOBODY,
        home: None,
    };
    let restored = carry::read(&RecordList { place }, base, &record.headers);
    Opened {
        delta: record.delta,
        message: restored.message,
        loss: restored.loss,
    }
}

fn stamp(head: &Head) -> Option<Stamp> {
    (head.producer >= 0).then(|| Stamp {
        producer: ProducerId(head.producer),
        epoch: head.epoch,
        first: head.sequence,
        last: last_sequence(head),
    })
}

/// Sequences wrap to 0 after `i32::MAX`.
fn last_sequence(head: &Head) -> i32 {
    let last = i64::from(head.sequence) + i64::from(head.span) - 1;
    i32::try_from(last & i64::from(i32::MAX)).unwrap_or(i32::MAX)
}

fn timestamp(ms: i64) -> Timestamp {
    Timestamp(u64::try_from(ms).unwrap_or(0))
}

/// At least what a record takes beside its variable parts: nine numbers of up to five bytes, and two
/// per header.
fn size_estimate(record: &Record) -> usize {
    let len = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
    let headers = record.headers.iter();
    let headers: usize = headers.map(|(name, v)| 10 + name.len() + len(v)).sum();
    45 + len(&record.key) + len(&record.value) + headers
}

#[cfg(test)]
mod tests;
