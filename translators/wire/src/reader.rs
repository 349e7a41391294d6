//! Reading fields in order from a frame that has arrived whole.

use bytes::Bytes;

use crate::WireError;

/// A cursor over the bytes of one frame.
///
/// Each method takes the name of the field for its error, and moves only when it succeeds.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a Bytes,
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a Bytes) -> Self {
        Self { bytes, at: 0 }
    }

    /// Offset of the next byte.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Bytes not yet read.
    pub fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    /// Whether everything has been read.
    pub fn is_empty(&self) -> bool {
        self.left() == 0
    }

    /// The next byte, not taken.
    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// One byte.
    pub fn u8(&mut self, field: &'static str) -> Result<u8, WireError> {
        self.array(field).map(u8::from_be_bytes)
    }

    /// Two bytes, big-endian.
    pub fn u16(&mut self, field: &'static str) -> Result<u16, WireError> {
        self.array(field).map(u16::from_be_bytes)
    }

    /// Four bytes, big-endian.
    pub fn u32(&mut self, field: &'static str) -> Result<u32, WireError> {
        self.array(field).map(u32::from_be_bytes)
    }

    /// Eight bytes, big-endian.
    pub fn u64(&mut self, field: &'static str) -> Result<u64, WireError> {
        self.array(field).map(u64::from_be_bytes)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], WireError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let array = *rest
            .first_chunk::<N>()
            .ok_or_else(|| self.short(field, N))?;
        self.at += N;
        Ok(array)
    }

    /// The next `len` bytes as a slice of the frame, which is not copied.
    pub fn bytes(&mut self, field: &'static str, len: usize) -> Result<Bytes, WireError> {
        if len > self.left() {
            return Err(self.short(field, len));
        }
        let slice = self.bytes.slice(self.at..self.at + len);
        self.at += len;
        Ok(slice)
    }

    /// All that is left.
    pub fn rest(&mut self) -> Bytes {
        let slice = self.bytes.slice(self.bytes.len().min(self.at)..);
        self.at = self.bytes.len();
        slice
    }

    /// Bytes after a length of one byte.
    pub fn bytes8(&mut self, field: &'static str) -> Result<Bytes, WireError> {
        self.prefixed(field, |r| r.u8(field).map(usize::from))
    }

    /// Bytes after a length of two bytes.
    pub fn bytes16(&mut self, field: &'static str) -> Result<Bytes, WireError> {
        self.prefixed(field, |r| r.u16(field).map(usize::from))
    }

    /// Bytes after a length of four bytes.
    pub fn bytes32(&mut self, field: &'static str) -> Result<Bytes, WireError> {
        self.prefixed(field, |r| {
            r.u32(field)
                .map(|len| usize::try_from(len).unwrap_or(usize::MAX))
        })
    }

    /// Refuses bytes after the last field.
    pub fn finish(self) -> Result<(), WireError> {
        match self.left() {
            0 => Ok(()),
            left => Err(WireError::Trailing { at: self.at, left }),
        }
    }

    fn prefixed(
        &mut self,
        field: &'static str,
        length: impl FnOnce(&mut Self) -> Result<usize, WireError>,
    ) -> Result<Bytes, WireError> {
        let start = self.at;
        let read = length(self).and_then(|len| self.bytes(field, len));
        if read.is_err() {
            self.at = start;
        }
        read
    }

    fn short(&self, field: &'static str, needs: usize) -> WireError {
        WireError::Short {
            field,
            at: self.at,
            needs,
            left: self.left(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_in_order_and_slices_share_the_frame() {
        let frame = Bytes::from_static(&[1, 0, 2, 2, b'h', b'i', 0, 1, b'!', 0, 0, 0, 1, b'?', 9]);
        let mut reader = Reader::new(&frame);
        assert_eq!(reader.u8("a"), Ok(1));
        assert_eq!(reader.u16("b"), Ok(2));
        let hi = reader.bytes8("c").unwrap();
        assert_eq!(&hi[..], b"hi");
        assert_eq!(hi.as_ptr(), frame[4..].as_ptr());
        assert_eq!(&reader.bytes16("d").unwrap()[..], b"!");
        assert_eq!(&reader.bytes32("e").unwrap()[..], b"?");
        assert_eq!(reader.peek(), Some(9));
        assert_eq!(
            reader.clone().finish(),
            Err(WireError::Trailing { at: 14, left: 1 })
        );
        assert_eq!(&reader.rest()[..], [9]);
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn a_length_beyond_the_frame_is_refused_and_nothing_is_taken() {
        let frame = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 1]);
        let mut reader = Reader::new(&frame);
        let refused = reader.bytes32("body");
        assert_eq!(
            refused,
            Err(WireError::Short {
                field: "body",
                at: 4,
                needs: 0xffff_ffff,
                left: 1
            })
        );
        assert_eq!(reader.at(), 0);
        assert_eq!(reader.u32("number"), Ok(u32::MAX));
    }
}
