//! The few number forms that our codecs write, the counterpart of `reader`.

use bytes::{BufMut, BytesMut};

/// Writes an unsigned base-128 number, the lowest 7 bits first.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the lowest 7 bits are what is meant"
)]
pub(crate) fn base128(mut value: u64, out: &mut BytesMut) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Writes a zigzag base-128 number.
pub(crate) fn zigzag(value: i64, out: &mut BytesMut) {
    base128(((value << 1) ^ (value >> 63)).cast_unsigned(), out);
}

/// Writes a base-128 length and the bytes.
pub(crate) fn sized(bytes: &[u8], out: &mut BytesMut) {
    base128(bytes.len() as u64, out);
    out.put_slice(bytes);
}

/// A length as the 32-bit number that the written forms give it.
#[expect(
    clippy::expect_used,
    reason = "frames and bodies are limited where they arrive, far below 4 GiB"
)]
pub(crate) fn length32(len: usize) -> u32 {
    u32::try_from(len).expect("a part of a message is below 4 GiB")
}
