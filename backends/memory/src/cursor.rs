//! A reader's own view of an entity: what it has settled, and what came back.

use std::collections::BTreeMap;
use std::ops::Range;

/// Settled offsets as ranges that neither touch nor overlap, and how often offsets were returned.
#[derive(Debug, Default)]
pub(crate) struct Cursor {
    settled: BTreeMap<u64, u64>,
    requeued: BTreeMap<u64, u16>,
}

impl Cursor {
    /// Whether it says nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.settled.is_empty() && self.requeued.is_empty()
    }

    /// Marks a range as settled.
    pub(crate) fn settle(&mut self, range: Range<u64>) {
        let Range { mut start, mut end } = range.clone();
        if let Some((&from, &to)) = self.settled.range(..=start).next_back()
            && to >= start
        {
            start = from;
        }
        while let Some((&from, &to)) = self.settled.range(start..=end).next_back() {
            end = end.max(to);
            self.settled.remove(&from);
        }
        self.settled.insert(start, end);
        self.forget_requeues(range);
    }

    /// Counts one more return of an offset.
    pub(crate) fn requeue(&mut self, at: u64) {
        let times = self.requeued.entry(at).or_default();
        *times = times.saturating_add(1);
    }

    /// Drops what is known of a range that can no longer be read.
    pub(crate) fn forget(&mut self, range: Range<u64>) {
        while let Some((&from, &to)) = self.settled.range(..range.end).next_back()
            && to > range.start
        {
            self.settled.remove(&from);
            if to > range.end {
                self.settled.insert(range.end, to);
            }
            if from < range.start {
                self.settled.insert(from, range.start);
            }
        }
        self.forget_requeues(range);
    }

    /// The first stretch of unsettled offsets in a range that came back equally often.
    pub(crate) fn stretch(&self, range: Range<u64>) -> Option<Range<u64>> {
        let mut start = range.start;
        if let Some((_, &to)) = self.settled.range(..=start).next_back() {
            start = start.max(to);
        }
        if start >= range.end {
            return None;
        }
        let mut end = range.end;
        if let Some((&from, _)) = self.settled.range(start..end).next() {
            end = from;
        }
        let times = self.times(start);
        let same = (start.saturating_add(1)..end).find(|&at| self.times(at) != times);
        Some(start..same.unwrap_or(end))
    }

    /// How often an offset was returned.
    pub(crate) fn times(&self, at: u64) -> u16 {
        self.requeued.get(&at).copied().unwrap_or(0)
    }

    /// How often the most returned offset of a range was returned.
    pub(crate) fn times_most(&self, range: Range<u64>) -> u16 {
        self.requeued
            .range(range)
            .map(|(_, times)| *times)
            .max()
            .unwrap_or(0)
    }

    fn forget_requeues(&mut self, range: Range<u64>) {
        while let Some((&at, _)) = self.requeued.range(range.clone()).next() {
            self.requeued.remove(&at);
        }
    }
}
