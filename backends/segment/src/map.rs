//! What of a segment is held in memory while it is read: about 20 bytes for each 128 KiB of records,
//! and 8 for each page of the table.
//!
//! | at | size | directory |
//! |---|---|---|
//! | 0 | 4 | CRC of everything behind it |
//! | 4 | 4 + 4 | pages n; blocks m |
//! | 12 | 4 | zero |
//! | 16 | 8·n | first LSN of each page |
//! | … | 8·m | where each block ends |

use std::ops::Range;

use fairlead_ports::Lsn;

use crate::field::{checked, seal, u32_at};
use crate::footer::HEADER;
use crate::page;

const FIXED_BYTES: usize = 16;

/// Where the pages and blocks of a segment lie.
#[derive(Debug)]
pub(crate) struct Map {
    first: Vec<u64>,
    ends: Vec<u64>,
}

impl Map {
    pub(crate) fn encode(first: &[u64], ends: &[u64]) -> Vec<u8> {
        let mut out = vec![0; 4];
        for count in [first.len(), ends.len()] {
            out.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
        }
        out.extend_from_slice(&[0; 4]);
        for number in first.iter().chain(ends) {
            out.extend_from_slice(&number.to_le_bytes());
        }
        seal(&mut out);
        out
    }

    /// The map in a directory that lies at `position`; `None` when it is damaged.
    pub(crate) fn decode(directory: &[u8], position: u64) -> Option<Self> {
        checked(directory)?;
        let count = |at| usize::try_from(u32_at(directory, at)?).ok();
        let (pages, blocks) = (count(4)?, count(8)?);
        let (numbers, rest) = directory.get(FIXED_BYTES..)?.as_chunks::<8>();
        let is_whole = rest.is_empty() && pages.checked_add(blocks)? == numbers.len();
        let (first, ends) = numbers.split_at_checked(pages)?;
        let number = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
        let map = Self {
            first: first.iter().map(number).collect(),
            ends: ends.iter().map(number).collect(),
        };
        let table_bytes = (pages as u64).checked_mul(page::BYTES as u64)?;
        let is_placed = map.table().checked_add(table_bytes)? == position;
        (is_whole && is_placed && map.ends.is_sorted()).then_some(map)
    }

    /// How much memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        (self.first.len() + self.ends.len()) * 8
    }

    pub(crate) fn pages(&self) -> usize {
        self.first.len()
    }

    pub(crate) fn blocks(&self) -> usize {
        self.ends.len()
    }

    /// The page that has an LSN if any has.
    pub(crate) fn page_with(&self, lsn: Lsn) -> Option<usize> {
        let after = self.first.partition_point(|first| *first <= lsn.0);
        after.checked_sub(1)
    }

    pub(crate) fn page(&self, number: usize) -> Option<Range<u64>> {
        let bytes = page::BYTES as u64;
        let from = (number as u64)
            .checked_mul(bytes)?
            .checked_add(self.table())?;
        (number < self.first.len()).then(|| from..from.saturating_add(bytes))
    }

    pub(crate) fn block(&self, number: usize) -> Option<Range<u64>> {
        let end = *self.ends.get(number)?;
        let before = number.checked_sub(1).and_then(|at| self.ends.get(at));
        Some(before.copied().unwrap_or(HEADER.len() as u64)..end)
    }

    fn table(&self) -> u64 {
        self.ends.last().copied().unwrap_or(HEADER.len() as u64)
    }
}
