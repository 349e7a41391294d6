//! The publisher's own headers: ordered, duplicates kept, decoded on demand.
//!
//! Stored form, per entry: tag u8, name with a base-128 length, payload of the value as
//! `value/stored.rs` writes it.

use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;

use crate::Value;
use crate::codec::Damage;
use crate::codec::reader::Reader;
use crate::codec::writer::sized;
use crate::limits::VALUE_DEPTH_MAX;
use crate::value::stored;

/// A header list in its stored form. Cloning copies a reference count.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Headers(Bytes);

/// One decoded header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its name; text in most protocols.
    pub name: Bytes,
    /// Its value.
    pub value: Value,
}

/// Writes a header list.
#[derive(Debug, Default)]
pub struct HeadersBuilder {
    bytes: BytesMut,
    too_deep: bool,
}

/// A value nests deeper than [`VALUE_DEPTH_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a header's lists and maps nest deeper than {VALUE_DEPTH_MAX}")]
pub struct TooDeep;

/// The headers of a list, in order.
#[derive(Debug)]
pub struct HeaderIter(Reader);

impl Headers {
    /// Reads a stored form without copying it. Every entry is checked here, so that reading the
    /// list later cannot fail.
    pub fn from_stored(stored: Bytes) -> Result<Self, Damage> {
        let mut reader = Reader::new(stored.clone(), 0);
        while !reader.is_empty() {
            read_entry(&mut reader)?;
        }
        Ok(Self(stored))
    }

    /// The stored form.
    pub fn as_stored(&self) -> &Bytes {
        &self.0
    }

    /// Whether there is no header at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The headers in order; names, text and bytes are slices of the list.
    pub fn iter(&self) -> HeaderIter {
        HeaderIter(Reader::new(self.0.clone(), 0))
    }

    /// The value of the last header of this name.
    pub fn get(&self, name: &[u8]) -> Option<Value> {
        let named = self.iter().filter(|header| header.name == name);
        named.last().map(|header| header.value)
    }
}

impl HeadersBuilder {
    /// Adds a header.
    pub fn push(&mut self, name: &[u8], value: &Value) {
        if !stored::is_shallow(value) {
            self.too_deep = true;
            return;
        }
        self.bytes.put_u8(value.tag());
        sized(name, &mut self.bytes);
        stored::write_payload(value, &mut self.bytes);
    }

    /// The list, or an error if a value was nested too deep.
    pub fn build(self) -> Result<Headers, TooDeep> {
        if self.too_deep {
            return Err(TooDeep);
        }
        Ok(Headers(self.bytes.freeze()))
    }
}

impl IntoIterator for &Headers {
    type Item = Header;
    type IntoIter = HeaderIter;

    fn into_iter(self) -> HeaderIter {
        self.iter()
    }
}

impl Iterator for HeaderIter {
    type Item = Header;

    fn next(&mut self) -> Option<Header> {
        // `from_stored` and the builder let only whole entries in, so an error cannot hide one.
        read_entry(&mut self.0).ok()
    }
}

fn read_entry(from: &mut Reader) -> Result<Header, Damage> {
    let tag = from.byte("header tag")?;
    let name_len = from.length("header name length")?;
    let name = from.take(name_len, "header name")?;
    let value = stored::read_payload(tag, from, 0)?;
    Ok(Header { name, value })
}
