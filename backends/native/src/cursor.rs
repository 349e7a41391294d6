//! A reader's own view of an entity: what it has settled, and what came back to it.
//!
//! In the index it lies in blocks of [`BLOCK`] offsets, one row each. The value, in packed numbers:
//! settled ranges that begin in the block, each as the way from the one before and its length, then
//! offsets that came back, each as the way from the one before and how often.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::index::pack::{Pack, Unpack};
use crate::ranges::{RangeMap, RangeSet};

/// Offsets whose part of a cursor lies in one row.
pub(crate) const BLOCK: u64 = 4_096;

#[derive(Debug, Default)]
pub(crate) struct Cursor {
    settled: RangeSet,
    /// Only offsets that were returned at least once.
    returned: RangeMap<u16>,
    /// Blocks that changed since the last capture.
    changed: BTreeSet<u64>,
}

impl Cursor {
    pub(crate) fn settle(&mut self, range: Range<u64>) {
        self.forget_returns(range.clone());
        let changed = &mut self.changed;
        self.settled.insert(range, &mut |at| {
            changed.insert(at / BLOCK);
        });
    }

    /// Counts one more return of each offset.
    pub(crate) fn give_back(&mut self, range: Range<u64>) {
        self.changed.extend(blocks(&range));
        let known: Vec<_> = self.returned.within(range.clone()).collect();
        let mut fresh = range.start;
        for (stretch, times) in known {
            self.returned.set(fresh..stretch.start, 1);
            fresh = stretch.end;
            self.returned.set(stretch, times.saturating_add(1));
        }
        self.returned.set(fresh..range.end, 1);
    }

    /// Drops what is known of a range that nobody can read any more.
    pub(crate) fn forget(&mut self, range: Range<u64>) {
        self.forget_returns(range.clone());
        let changed = &mut self.changed;
        self.settled.remove(range, &mut |at| {
            changed.insert(at / BLOCK);
        });
    }

    pub(crate) fn is_settled(&self, at: u64) -> bool {
        self.settled.contains(at)
    }

    /// The first stretch of unsettled offsets in a range that came back equally often, and how often.
    pub(crate) fn stretch(&self, range: Range<u64>) -> Option<(Range<u64>, u16)> {
        let gap = self.settled.gap(range)?;
        let known = self.returned.within(gap.clone()).next();
        Some(match known {
            Some((stretch, times)) if stretch.start == gap.start => (stretch, times),
            Some((stretch, _)) => (gap.start..stretch.start, 0),
            None => (gap, 0),
        })
    }

    /// How often the most returned offset of a range came back.
    pub(crate) fn times_most(&self, range: Range<u64>) -> u16 {
        let returned = self.returned.within(range);
        returned.map(|(_, times)| times).max().unwrap_or(0)
    }

    fn forget_returns(&mut self, range: Range<u64>) {
        for (stretch, _) in self.returned.within(range.clone()) {
            self.changed.extend(blocks(&stretch));
        }
        self.returned.remove(range);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.stretches() == 0
    }

    /// Stretches that are settled, or came back equally often.
    pub(crate) fn stretches(&self) -> usize {
        self.settled.len() + self.returned.len()
    }

    /// Blocks that changed since the last capture, with what is to be written; `None` where nothing
    /// is left.
    pub(crate) fn capture(&mut self) -> Vec<(u64, Option<Vec<u8>>)> {
        let changed = std::mem::take(&mut self.changed);
        let row = |block| (block, self.encode(block));
        changed.into_iter().map(row).collect()
    }

    fn encode(&self, block: u64) -> Option<Vec<u8>> {
        let first = block.saturating_mul(BLOCK);
        let place = first..first.saturating_add(BLOCK);
        let settled: Vec<_> = self.settled.beginning_in(place.clone()).collect();
        let returned = self.returned.within(place);
        let returned = returned.flat_map(|(at, times)| at.map(move |at| (at, times)));
        let returned: Vec<_> = returned.collect();
        if settled.is_empty() && returned.is_empty() {
            return None;
        }
        let mut pack = Pack::default();
        pack.uint(settled.len() as u64);
        let mut at = first;
        for range in settled {
            pack.uint(range.start.saturating_sub(at));
            pack.uint(range.end.saturating_sub(range.start));
            at = range.end;
        }
        pack.uint(returned.len() as u64);
        at = first;
        for (offset, times) in returned {
            pack.uint(offset.saturating_sub(at));
            pack.uint(times);
            at = offset;
        }
        Some(pack.done())
    }

    /// Adds what the row of a block says.
    pub(crate) fn decode(&mut self, block: u64, value: &[u8]) -> Option<()> {
        let mut unpack = Unpack::new(value);
        let first = block.checked_mul(BLOCK)?;
        let mut at = first;
        for _ in 0..unpack.uint()? {
            let start = at.checked_add(unpack.uint()?)?;
            at = start.checked_add(unpack.uint()?)?;
            self.settled.insert(start..at, &mut |_| {});
        }
        at = first;
        for _ in 0..unpack.uint()? {
            at = at.checked_add(unpack.uint()?)?;
            let behind = at.checked_add(1)?;
            self.returned
                .set(at..behind, unpack.uint()?.try_into().ok()?);
        }
        unpack.done(())
    }
}

/// The blocks that a range lies in.
pub(crate) fn blocks(range: &Range<u64>) -> Range<u64> {
    range.start / BLOCK..range.end.div_ceil(BLOCK)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn what_is_captured_in_pieces_makes_the_same_cursor() {
        let mut random = StdRng::seed_from_u64(4);
        let mut cursor = Cursor::default();
        let mut rows = BTreeMap::new();
        for _ in 0..2_000 {
            let start = random.random_range(0..30_000_u64);
            let range = start..start + random.random_range(1..6_000);
            match random.random_range(0..3) {
                0 => cursor.settle(range),
                1 => cursor.give_back(start..start + 3),
                _ => cursor.forget(range),
            }
            if random.random_bool(0.2) {
                for (block, row) in cursor.capture() {
                    match row {
                        Some(row) => drop(rows.insert(block, row)),
                        None => drop(rows.remove(&block)),
                    }
                }
                let mut loaded = Cursor::default();
                for (block, row) in &rows {
                    loaded.decode(*block, row).expect("a row");
                }
                let all = 0..u64::from(u16::MAX);
                let ranges = |cursor: &Cursor| -> Vec<_> {
                    cursor.settled.beginning_in(all.clone()).collect()
                };
                assert_eq!(ranges(&loaded), ranges(&cursor));
                let returned =
                    |cursor: &Cursor| -> Vec<_> { cursor.returned.within(all.clone()).collect() };
                assert_eq!(returned(&loaded), returned(&cursor));
            }
        }
    }
}
