//! A reader's own view of an entity: what it has settled, and what came back to it.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::ranges::RangeSet;

#[derive(Debug, Default)]
pub(crate) struct Cursor {
    settled: RangeSet,
    /// Only offsets that were returned at least once.
    returned: BTreeMap<u64, u16>,
}

impl Cursor {
    pub(crate) fn settle(&mut self, range: Range<u64>) {
        self.forget_returns(range.clone());
        self.settled.insert(range);
    }

    /// Counts one more return of each offset.
    pub(crate) fn give_back(&mut self, range: Range<u64>) {
        for at in range {
            let times = self.returned.entry(at).or_default();
            *times = times.saturating_add(1);
        }
    }

    /// Drops what is known of a range that nobody can read any more.
    pub(crate) fn forget(&mut self, range: Range<u64>) {
        self.forget_returns(range.clone());
        self.settled.remove(range);
    }

    pub(crate) fn is_settled(&self, at: u64) -> bool {
        self.settled.contains(at)
    }

    /// The first stretch of unsettled offsets in a range that came back equally often, and how often.
    pub(crate) fn stretch(&self, range: Range<u64>) -> Option<(Range<u64>, u16)> {
        let gap = self.settled.gap(range)?;
        let times = self.times(gap.start);
        let mut end = gap.start + 1;
        if times == 0 {
            let returned = self.returned.range(end..gap.end.max(end)).next();
            end = returned.map_or(gap.end, |(&at, _)| at);
        } else {
            while end < gap.end && self.times(end) == times {
                end += 1;
            }
        }
        Some((gap.start..end, times))
    }

    /// How often the most returned offset of a range came back.
    pub(crate) fn times_most(&self, range: Range<u64>) -> u16 {
        self.returned
            .range(range)
            .map(|(_, times)| *times)
            .max()
            .unwrap_or(0)
    }

    fn times(&self, at: u64) -> u16 {
        self.returned.get(&at).copied().unwrap_or(0)
    }

    fn forget_returns(&mut self, range: Range<u64>) {
        while let Some((&at, _)) = self.returned.range(range.clone()).next() {
            self.returned.remove(&at);
        }
    }
}
