//! CRC-32C, the one checksum of every file.

use crc_fast::{CrcAlgorithm, Digest};

/// The checksum of one piece.
pub(crate) fn of(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// The checksum of pieces that do not lie side by side.
#[derive(Debug)]
pub(crate) struct Running(Digest);

impl Running {
    pub(crate) fn new() -> Self {
        Self(Digest::new(CrcAlgorithm::Crc32Iscsi))
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(&self) -> u32 {
        // A 32-bit algorithm leaves the upper half empty.
        u32::try_from(self.0.finalize()).unwrap_or(0)
    }
}
