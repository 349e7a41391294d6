//! The kinds of method fields, each with its written form.

use std::fmt;

use bytes::Bytes;
use fairlead_wire::{Reader, WireError, Writer};

use super::{DecodeError, Table};

/// A kind of field that a method or a property can have.
pub(super) trait Field: Sized {
    fn read(reader: &mut Reader<'_>, name: &'static str) -> Result<Self, DecodeError>;
    fn write(&self, writer: &mut Writer<'_>, name: &'static str) -> Result<(), WireError>;
}

/// Up to 255 bytes; most fields hold text, none promises it. Cloning copies a reference count.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortStr(Bytes);

/// Up to 4 GiB of bytes.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct LongStr(pub Bytes);

impl ShortStr {
    /// The most bytes that fit.
    pub const BYTES_MAX: usize = 255;

    /// The bytes, unless there are too many.
    pub fn new(bytes: impl Into<Bytes>) -> Option<Self> {
        let bytes = bytes.into();
        (bytes.len() <= Self::BYTES_MAX).then_some(Self(bytes))
    }

    /// A text of ours.
    ///
    /// # Panics
    /// When it has more than 255 bytes.
    pub const fn from_static(text: &'static str) -> Self {
        assert!(text.len() <= Self::BYTES_MAX, "too long for a short string");
        Self(Bytes::from_static(text.as_bytes()))
    }

    /// As much of `text` as fits, cut between two characters.
    pub fn cut(text: &str) -> Self {
        let end = text.floor_char_boundary(Self::BYTES_MAX);
        Self(Bytes::copy_from_slice(
            text.as_bytes().get(..end).unwrap_or_default(),
        ))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// The bytes, given away.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// The text, if it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for ShortStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl fmt::Debug for LongStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Holds credentials in one method, so its content is never printed.
        write!(f, "<{} bytes>", self.0.len())
    }
}

impl Field for u8 {
    fn read(reader: &mut Reader<'_>, name: &'static str) -> Result<Self, DecodeError> {
        Ok(reader.u8(name)?)
    }

    fn write(&self, writer: &mut Writer<'_>, _name: &'static str) -> Result<(), WireError> {
        writer.u8(*self);
        Ok(())
    }
}

impl Field for u16 {
    fn read(reader: &mut Reader<'_>, name: &'static str) -> Result<Self, DecodeError> {
        Ok(reader.u16(name)?)
    }

    fn write(&self, writer: &mut Writer<'_>, _name: &'static str) -> Result<(), WireError> {
        writer.u16(*self);
        Ok(())
    }
}

impl Field for u32 {
    fn read(reader: &mut Reader<'_>, name: &'static str) -> Result<Self, DecodeError> {
        Ok(reader.u32(name)?)
    }

    fn write(&self, writer: &mut Writer<'_>, _name: &'static str) -> Result<(), WireError> {
        writer.u32(*self);
        Ok(())
    }
}

impl Field for u64 {
    fn read(reader: &mut Reader<'_>, name: &'static str) -> Result<Self, DecodeError> {
        Ok(reader.u64(name)?)
    }

    fn write(&self, writer: &mut Writer<'_>, _name: &'static str) -> Result<(), WireError> {
        writer.u64(*self);
        Ok(())
    }
}

impl Field for ShortStr {
    fn read(reader: &mut Reader<'_>, name: &'static str) -> Result<Self, DecodeError> {
        Ok(Self(reader.bytes8(name)?))
    }

    fn write(&self, writer: &mut Writer<'_>, name: &'static str) -> Result<(), WireError> {
        writer.bytes8(name, &self.0)
    }
}

impl Field for LongStr {
    fn read(reader: &mut Reader<'_>, name: &'static str) -> Result<Self, DecodeError> {
        Ok(Self(reader.bytes32(name)?))
    }

    fn write(&self, writer: &mut Writer<'_>, name: &'static str) -> Result<(), WireError> {
        writer.bytes32(name, &self.0)
    }
}

impl Field for Table {
    fn read(reader: &mut Reader<'_>, name: &'static str) -> Result<Self, DecodeError> {
        Self::decode(reader, name)
    }

    fn write(&self, writer: &mut Writer<'_>, name: &'static str) -> Result<(), WireError> {
        self.encode(writer, name)
    }
}
