//! The one checksum of everything stored or sent.

use crc_fast::{CrcAlgorithm, checksum};

/// CRC-32C (Castagnoli) of `bytes`.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a 32-bit sum, carried in 64 bits by the crate"
)]
pub fn crc32c(bytes: &[u8]) -> u32 {
    checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_the_published_check_value() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(crc32c(b""), 0);
    }
}
