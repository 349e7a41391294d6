//! Transactions in one entity: which are open, and which readers of committed messages pass over.

use std::collections::BTreeMap;
use std::ops::Range;

use fairlead_canon::{Offset, ProducerId};
use fairlead_ports::{Aborted, Decision, Writers};

/// Open transactions by producer, and aborted ones by where they began.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    open: BTreeMap<ProducerId, Offset>,
    /// The last offset of each.
    aborted: BTreeMap<(Offset, ProducerId), Offset>,
    /// None has its last message further behind its first: what begins before that does not touch what
    /// a reader is at.
    longest: u64,
}

impl Transactions {
    /// The first batch of a producer's transaction opens it.
    pub(crate) fn begin(&mut self, producer: ProducerId, base: Offset) {
        self.open.entry(producer).or_insert(base);
    }

    /// Whether none is open and none was aborted.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.aborted.is_empty()
    }

    /// These, and no others.
    pub(crate) fn of(writers: &Writers) -> Self {
        let mut these = Self {
            open: writers.open.iter().copied().collect(),
            ..Self::default()
        };
        writers.aborted.iter().for_each(|it| these.abort(*it));
        these
    }

    fn abort(&mut self, aborted: Aborted) {
        let Aborted {
            producer,
            first,
            last,
        } = aborted;
        self.longest = self.longest.max(last.0.saturating_sub(first.0));
        self.aborted.insert((first, producer), last);
    }

    /// Where each open one began, by producer.
    pub(crate) fn begun(&self) -> Vec<(ProducerId, Offset)> {
        let open = self.open.iter();
        open.map(|(producer, first)| (*producer, *first)).collect()
    }

    /// Whose are open.
    pub(crate) fn open(&self) -> impl Iterator<Item = ProducerId> {
        self.open.keys().copied()
    }

    /// First offset of the oldest open one.
    pub(crate) fn first_open(&self) -> Option<Offset> {
        self.open.values().min().copied()
    }

    /// Ends a producer's, if it is open; `last` is the offset of its marker.
    pub(crate) fn end(&mut self, producer: ProducerId, decision: Decision, last: Offset) {
        if let Some(first) = self.open.remove(&producer)
            && decision == Decision::Abort
        {
            self.abort(Aborted {
                producer,
                first,
                last,
            });
        }
    }

    /// What was aborted and touches offsets from `from` up to but not including `to`, by first offset.
    pub(crate) fn aborted(&self, from: Offset, to: Offset) -> Vec<Aborted> {
        let earliest = Offset(from.0.saturating_sub(self.longest));
        let near = begun(earliest..to.max(earliest));
        let near = self.aborted.range(near).filter(|(_, last)| **last >= from);
        let aborted = |(&(first, producer), &last): (&(Offset, ProducerId), &Offset)| Aborted {
            producer,
            first,
            last,
        };
        near.map(aborted).collect()
    }

    /// Drops what concerns only offsets below `floor`.
    pub(crate) fn forget(&mut self, floor: Offset) {
        let below = self.aborted.range(begun(Offset(0)..floor));
        let gone = below.filter(|(_, last)| **last < floor);
        let gone: Vec<_> = gone.map(|(place, _)| *place).collect();
        for place in gone {
            self.aborted.remove(&place);
        }
    }
}

/// Whatever began at these offsets.
fn begun(at: Range<Offset>) -> Range<(Offset, ProducerId)> {
    let least = ProducerId(i64::MIN);
    (at.start, least)..(at.end, least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aborted_ones_are_found_by_what_they_touch_however_long_they_are() {
        let mut these = Transactions::default();
        for (producer, first, last) in [(1, 0, 90), (2, 10, 12), (3, 40, 41), (4, 60, 70)] {
            these.begin(ProducerId(producer), Offset(first));
            these.end(ProducerId(producer), Decision::Abort, Offset(last));
        }
        let found = |these: &Transactions, from, to| -> Vec<_> {
            let found = these.aborted(Offset(from), Offset(to));
            found.iter().map(|aborted| aborted.producer.0).collect()
        };
        assert_eq!(found(&these, 12, 13), [1, 2]);
        assert_eq!(found(&these, 13, 40), [1]);
        assert_eq!(found(&these, 41, 61), [1, 3, 4]);
        assert_eq!(found(&these, 91, 99), [] as [i64; 0]);
        these.forget(Offset(42));
        assert_eq!(found(&these, 0, 99), [1, 4]);
    }
}
