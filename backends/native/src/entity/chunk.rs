//! A stretch of an entity's batches, which is loaded and written as one row of the index.
//!
//! The value, in packed numbers: batches, the way from the key's offset to the end, the latest time;
//! then for each batch the way from the end of the one before, its span, the step of its LSN, its
//! length, bytes, messages that keep it, share, the step of its time, and 0 or 1 and the way from
//! its time to its deadline.

use std::collections::VecDeque;

use fairlead_canon::Timestamp;
use fairlead_ports::Lsn;

use super::Location;
use crate::ground::{Ground, Tally};
use crate::index::pack::{Pack, Unpack};

/// Batches in a chunk at most: a row of a few pages, and 8 KiB in memory.
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

/// What a chunk's row says before its batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) len: usize,
    /// The offset behind its last batch, or further.
    pub(crate) end: u64,
    /// No batch in it is later.
    pub(crate) latest: Timestamp,
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

    pub(crate) fn encode(&self, first: u64, end: u64, latest: Timestamp) -> Vec<u8> {
        let mut pack = Pack::default();
        pack.uint(self.batches.len() as u64);
        pack.uint(end.saturating_sub(first));
        pack.uint(latest.0);
        let (mut offset, mut lsn, mut time) = (first, 0, latest.0);
        for kept in &self.batches {
            pack.uint(kept.base.saturating_sub(offset));
            pack.uint(kept.span);
            pack.step(lsn, kept.at.lsn.0);
            for number in [kept.at.len, kept.bytes, kept.live, kept.share] {
                pack.uint(number);
            }
            pack.step(time, kept.time.0);
            pack.uint(u64::from(kept.deadline.is_some()));
            if let Some(deadline) = kept.deadline {
                pack.step(kept.time.0, deadline.0);
            }
            (offset, lsn, time) = (kept.after(), kept.at.lsn.0, kept.time.0);
        }
        pack.done()
    }

    pub(crate) fn decode(ground: &Ground, first: u64, value: &[u8]) -> Option<Self> {
        let mut unpack = Unpack::new(value);
        let summary = Summary::take(first, &mut unpack)?;
        let mut chunk = Self::new(ground, summary.len);
        let (mut offset, mut lsn, mut time) = (first, 0, summary.latest.0);
        for _ in 0..summary.len {
            let kept = take(&mut unpack, offset, lsn, time)?;
            (offset, lsn, time) = (kept.after(), kept.at.lsn.0, kept.time.0);
            chunk.batches.push_back(kept);
        }
        unpack.done(chunk)
    }
}

fn take(unpack: &mut Unpack<'_>, offset: u64, lsn: u64, time: u64) -> Option<Kept> {
    let base = offset.checked_add(unpack.uint()?)?;
    let span = unpack.uint32()?;
    let lsn = Lsn(unpack.step(lsn)?);
    let len = unpack.uint32()?;
    let (bytes, live, share) = (unpack.uint32()?, unpack.uint32()?, unpack.uint32()?);
    let time = unpack.step(time)?;
    let deadline = match unpack.uint()? {
        0 => None,
        1 => Some(Timestamp(unpack.step(time)?)),
        _ => return None,
    };
    Some(Kept {
        base,
        at: Location { lsn, len },
        span,
        live,
        bytes,
        share,
        time: Timestamp(time),
        deadline,
    })
}

impl Summary {
    pub(crate) fn decode(first: u64, value: &[u8]) -> Option<Self> {
        Self::take(first, &mut Unpack::new(value))
    }

    fn take(first: u64, unpack: &mut Unpack<'_>) -> Option<Self> {
        let len = usize::try_from(unpack.uint()?).ok()?;
        let end = first.checked_add(unpack.uint()?)?;
        let latest = Timestamp(unpack.uint()?);
        (len <= CHUNK_LEN).then_some(Self { len, end, latest })
    }
}
