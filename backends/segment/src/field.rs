//! Little-endian numbers at fixed places, read without trust, and the checksum of everything.

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(array(bytes, at)?))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(array(bytes, at)?))
}

pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// CRC-32C.
pub(crate) fn crc(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// The bytes behind a leading checksum, if it is theirs.
pub(crate) fn checked(bytes: &[u8]) -> Option<&[u8]> {
    let (said, rest) = bytes.split_first_chunk()?;
    (u32::from_le_bytes(*said) == crc(rest)).then_some(rest)
}

/// Puts the checksum of what follows into the first four bytes.
pub(crate) fn seal(bytes: &mut [u8]) {
    if let Some((place, rest)) = bytes.split_first_chunk_mut() {
        *place = crc(rest).to_le_bytes();
    }
}
