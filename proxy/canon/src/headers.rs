//! The publisher's own headers: ordered, duplicates kept, decoded on demand.

use bytes::{Bytes, BytesMut};

use crate::Value;

/// A header list in its stored form. Cloning copies a reference count.
///
/// Entries whose tag has bit `0x80` set are *notes*: what a broker added, never the publisher's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(pub(crate) Bytes);

/// One decoded header.
#[derive(Clone, Debug)]
pub struct Header {
    /// Its name; text in most protocols.
    pub name: Bytes,
    /// Its value.
    pub value: Value,
    /// Added by a broker, not by the publisher.
    pub is_note: bool,
}

/// Writes a header list.
#[derive(Debug, Default)]
pub struct HeadersBuilder {
    pub(crate) bytes: BytesMut,
}
