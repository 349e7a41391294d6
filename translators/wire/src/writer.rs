//! Writing fields in order.

use bytes::{BufMut, BytesMut};

use crate::WireError;

/// Appends fields to a buffer that its owner keeps and reuses.
#[derive(Debug)]
pub struct Writer<'a>(&'a mut BytesMut);

/// The place of a four-byte length that is filled in when what it counts has been written.
#[derive(Debug)]
#[must_use = "a length that is never filled in stays zero"]
pub struct LengthMark(usize);

impl<'a> Writer<'a> {
    /// Appends to `out`.
    pub fn new(out: &'a mut BytesMut) -> Self {
        Self(out)
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) {
        self.0.put_u8(value);
    }

    /// Two bytes, big-endian.
    pub fn u16(&mut self, value: u16) {
        self.0.put_u16(value);
    }

    /// Four bytes, big-endian.
    pub fn u32(&mut self, value: u32) {
        self.0.put_u32(value);
    }

    /// Eight bytes, big-endian.
    pub fn u64(&mut self, value: u64) {
        self.0.put_u64(value);
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.0.put_slice(bytes);
    }

    /// Bytes after a length of one byte; at most 255.
    pub fn bytes8(&mut self, field: &'static str, bytes: &[u8]) -> Result<(), WireError> {
        let len: u8 = length(field, bytes, u8::MAX.into())?;
        self.u8(len);
        self.raw(bytes);
        Ok(())
    }

    /// Bytes after a length of two bytes; at most 65,535.
    pub fn bytes16(&mut self, field: &'static str, bytes: &[u8]) -> Result<(), WireError> {
        let len: u16 = length(field, bytes, u16::MAX.into())?;
        self.u16(len);
        self.raw(bytes);
        Ok(())
    }

    /// Bytes after a length of four bytes.
    pub fn bytes32(&mut self, field: &'static str, bytes: &[u8]) -> Result<(), WireError> {
        let len: u32 = length(field, bytes, u32::MAX)?;
        self.u32(len);
        self.raw(bytes);
        Ok(())
    }

    /// Leaves room for a four-byte length of what follows.
    pub fn length32(&mut self) -> LengthMark {
        let mark = LengthMark(self.0.len());
        self.u32(0);
        mark
    }

    /// Fills in a length: the bytes written since its mark.
    pub fn fill32(&mut self, field: &'static str, mark: LengthMark) -> Result<(), WireError> {
        let from = mark.0.saturating_add(4);
        let written = self.0.get(from..).unwrap_or_default();
        let len: u32 = length(field, written, u32::MAX)?;
        if let Some(place) = self.0.get_mut(mark.0..from) {
            place.copy_from_slice(&len.to_be_bytes());
        }
        Ok(())
    }
}

/// The length of `bytes` in the width of its prefix, or a refusal that names `max`.
fn length<N: TryFrom<usize>>(field: &'static str, bytes: &[u8], max: u32) -> Result<N, WireError> {
    N::try_from(bytes.len()).ok().ok_or(WireError::TooLong {
        field,
        len: bytes.len(),
        max,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_reads_back() {
        let mut out = BytesMut::from(&b"before"[..]);
        let mut writer = Writer::new(&mut out);
        let mark = writer.length32();
        writer.u8(1);
        writer.bytes8("name", b"ab").unwrap();
        writer.fill32("table", mark).unwrap();
        writer.u64(7);
        assert_eq!(&out[..], b"before\0\0\0\x04\x01\x02ab\0\0\0\0\0\0\0\x07");
    }

    #[test]
    fn a_string_of_255_bytes_fits_a_short_length_and_256_do_not() {
        let mut out = BytesMut::new();
        let mut writer = Writer::new(&mut out);
        assert_eq!(writer.bytes8("name", &[b'a'; 255]), Ok(()));
        let refused = writer.bytes8("name", &[b'a'; 256]);
        assert_eq!(
            refused,
            Err(WireError::TooLong {
                field: "name",
                len: 256,
                max: 255
            })
        );
        assert_eq!(out.len(), 256);
    }
}
