//! A stretch of an entity's batches, which is loaded and written as one row of the index.

use std::collections::VecDeque;

use fairlead_canon::Timestamp;

use super::{Location, chunk_row};
use crate::ground::{Ground, Tally};

/// Batches in a chunk at most: a row of 50 bytes to a page, as they are alike or not, and 8 KiB in memory.
pub(crate) const CHUNK_LEN: usize = if cfg!(test) { 3 } else { 128 };

/// A batch that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) base: u64,
    pub(crate) at: Location,
    pub(crate) span: u32,
    /// Messages that keep it: unsettled ones, all of them, or keys whose newest it is.
    pub(crate) live: u32,
    pub(crate) bytes: u32,
    /// Bytes of its record, divided among the entities that it went to.
    pub(crate) share: u32,
    pub(crate) time: Timestamp,
    pub(crate) deadline: Option<Timestamp>,
}

/// Batches in the order of their offsets.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    pub(crate) batches: VecDeque<Kept>,
    _tally: Tally,
}

impl Kept {
    /// The offset behind it.
    pub(crate) fn after(&self) -> u64 {
        self.base.saturating_add(u64::from(self.span))
    }
}

impl Chunk {
    /// An empty one, with room for so many batches at first.
    pub(crate) fn new(ground: &Ground, room: usize) -> Self {
        Self {
            batches: VecDeque::with_capacity(room),
            _tally: ground.tally(),
        }
    }

    /// The place of the first batch that ends behind an offset.
    pub(crate) fn place(&self, offset: u64) -> usize {
        // Mostly it is the oldest, or the next once that has gone: a log that is full forgets one by one.
        let mut oldest = self.batches.iter().take(2);
        oldest
            .position(|kept| kept.after() > offset)
            .unwrap_or_else(|| self.batches.partition_point(|kept| kept.after() <= offset))
    }

    /// As the row under offset `first`.
    pub(crate) fn encode(&self, first: u64, end: u64, latest: Timestamp) -> Vec<u8> {
        chunk_row::encode(&self.batches, first, end, latest)
    }

    pub(crate) fn decode(ground: &Ground, first: u64, value: &[u8]) -> Option<Self> {
        Some(Self {
            batches: chunk_row::decode(first, value)?,
            _tally: ground.tally(),
        })
    }
}
