//! A page of the table: where records lie, sorted by LSN.
//!
//! | at | size | field |
//! |---|---|---|
//! | 0 | 4 | CRC of everything behind it |
//! | 4 | 4 | entries n |
//! | 8 | 16·n | lsn u64 · block u32 · place in the block u32 |
//! | … | … | zero up to 4,096 |

use fairlead_ports::Lsn;

use crate::field::{checked, seal, u32_at, u64_at};

pub(crate) const BYTES: usize = 4096;
pub(crate) const ENTRIES_MAX: usize = (BYTES - HEADER_BYTES) / ENTRY_BYTES;
const HEADER_BYTES: usize = 8;
const ENTRY_BYTES: usize = 16;

/// Where one record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) lsn: Lsn,
    /// Number of its block, from 0.
    pub(crate) block: u32,
    /// Its first byte, among the records of the block.
    pub(crate) place: u32,
}

/// The page of at most [`ENTRIES_MAX`] entries.
pub(crate) fn encode(entries: &[Entry]) -> Vec<u8> {
    let mut page = Vec::with_capacity(BYTES);
    page.extend_from_slice(&[0; 4]);
    let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    page.extend_from_slice(&count.to_le_bytes());
    for entry in entries {
        page.extend_from_slice(&entry.lsn.0.to_le_bytes());
        page.extend_from_slice(&entry.block.to_le_bytes());
        page.extend_from_slice(&entry.place.to_le_bytes());
    }
    page.resize(BYTES, 0);
    seal(&mut page);
    page
}

/// The entries of a page; `None` when it is damaged.
pub(crate) fn decode(page: &[u8]) -> Option<impl Iterator<Item = Entry>> {
    let covered = checked(page)?;
    let count = usize::try_from(u32_at(covered, 0)?).ok()?;
    let (entries, _) = covered.get(4..)?.as_chunks::<ENTRY_BYTES>();
    let entries = entries.get(..count)?;
    (page.len() == BYTES).then(|| entries.iter().map(entry_of))
}

/// The entry of an LSN in a page that was verified when it was read.
pub(crate) fn find(page: &[u8], lsn: Lsn) -> Option<Entry> {
    let count = usize::try_from(u32_at(page, 4)?).ok()?;
    let (entries, _) = page.get(HEADER_BYTES..)?.as_chunks::<ENTRY_BYTES>();
    let entries = entries.get(..count)?;
    let at = entries.binary_search_by_key(&Some(lsn.0), |entry| u64_at(entry, 0));
    entries.get(at.ok()?).map(entry_of)
}

fn entry_of(bytes: &[u8; ENTRY_BYTES]) -> Entry {
    Entry {
        lsn: Lsn(u64_at(bytes, 0).unwrap_or_default()),
        block: u32_at(bytes, 8).unwrap_or_default(),
        place: u32_at(bytes, 12).unwrap_or_default(),
    }
}
