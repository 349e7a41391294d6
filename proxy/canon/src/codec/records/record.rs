//! One record: base-128 lengths, offsets and times relative to the batch.

use bytes::{BufMut, Bytes, BytesMut};

use crate::carry::Entry;
use crate::codec::Damage;
use crate::codec::reader::Reader;
use crate::codec::writer::zigzag;
use crate::limits::RECORD_HEADERS_MAX;

/// One record of a batch, as its producer wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Its offset minus the batch's first.
    pub delta: u32,
    /// Milliseconds since the Unix epoch; negative when it has none.
    pub time: i64,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Its headers in order, duplicates kept; a value may be null.
    pub headers: Vec<Entry>,
}

/// The size of a header of two empty strings: a count that would take more than the bytes left is a
/// lie.
const HEADER_BYTES_MIN: usize = 2;

pub(super) fn read(from: &mut Reader, first_time: i64) -> Result<Record, Damage> {
    let len = length(from, "record length")?.ok_or_else(|| from.damage("record length"))?;
    let mut part = from.part(len, "record length")?;
    part.byte("record attributes")?;
    let time = first_time.wrapping_add(part.zigzag64("timestamp delta")?);
    let delta = part.zigzag32("offset delta")?;
    let delta = u32::try_from(delta).map_err(|_negative| part.damage("offset delta"))?;
    let key = sized(&mut part, "key")?;
    let value = sized(&mut part, "value")?;
    let headers = read_headers(&mut part)?;
    if !part.is_empty() {
        return Err(part.damage("bytes after the record"));
    }
    Ok(Record {
        delta,
        time,
        key,
        value,
        headers,
    })
}

fn read_headers(from: &mut Reader) -> Result<Vec<Entry>, Damage> {
    let count = length(from, "header count")?.ok_or_else(|| from.damage("header count"))?;
    if count > RECORD_HEADERS_MAX || count > from.left() / HEADER_BYTES_MIN {
        return Err(from.damage("header count"));
    }
    let mut headers = Vec::with_capacity(count);
    for _ in 0..count {
        let name = sized(from, "header name")?.ok_or_else(|| from.damage("header name"))?;
        headers.push((name, sized(from, "header value")?));
    }
    Ok(headers)
}

fn sized(from: &mut Reader, what: &'static str) -> Result<Option<Bytes>, Damage> {
    length(from, what)?
        .map(|len| from.take(len, what))
        .transpose()
}

/// A length; −1 is null.
fn length(from: &mut Reader, what: &'static str) -> Result<Option<usize>, Damage> {
    match from.zigzag32(what)? {
        -1 => Ok(None),
        len => usize::try_from(len)
            .map(Some)
            .map_err(|_negative| from.damage(what)),
    }
}

/// Appends a record; `scratch` is for its body and keeps its allocation between calls.
pub(super) fn write(record: &Record, first_time: i64, scratch: &mut BytesMut, out: &mut BytesMut) {
    scratch.clear();
    scratch.put_u8(0);
    zigzag(record.time.wrapping_sub(first_time), scratch);
    zigzag(i64::from(record.delta), scratch);
    write_sized(record.key.as_deref(), scratch);
    write_sized(record.value.as_deref(), scratch);
    write_length(record.headers.len(), scratch);
    for (name, value) in &record.headers {
        write_sized(Some(name), scratch);
        write_sized(value.as_deref(), scratch);
    }
    write_length(scratch.len(), out);
    out.put_slice(scratch);
}

fn write_sized(bytes: Option<&[u8]>, out: &mut BytesMut) {
    match bytes {
        None => zigzag(-1, out),
        Some(bytes) => {
            write_length(bytes.len(), out);
            out.put_slice(bytes);
        }
    }
}

fn write_length(len: usize, out: &mut BytesMut) {
    zigzag(len as i64, out);
}
