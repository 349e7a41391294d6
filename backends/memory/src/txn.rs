//! Transactions in one entity: which are open, and which readers of committed messages pass over.

use std::collections::BTreeMap;

use fairlead_canon::{Offset, ProducerId};
use fairlead_ports::{Aborted, Decision, Writers};

/// Open transactions by producer, and aborted ones in the order in which they ended.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    open: BTreeMap<ProducerId, Offset>,
    aborted: Vec<Aborted>,
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
        Self {
            open: writers.open.iter().copied().collect(),
            aborted: writers.aborted.clone(),
        }
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
            self.aborted.push(Aborted {
                producer,
                first,
                last,
            });
        }
    }

    /// What was aborted and touches offsets from `from` up to but not including `to`, by first offset.
    pub(crate) fn aborted(&self, from: Offset, to: Offset) -> Vec<Aborted> {
        let touches = |aborted: &&Aborted| aborted.first < to && aborted.last >= from;
        let mut found: Vec<_> = self.aborted.iter().filter(touches).copied().collect();
        found.sort_unstable_by_key(|aborted| (aborted.first, aborted.producer));
        found
    }

    /// Drops what concerns only offsets below `floor`.
    pub(crate) fn forget(&mut self, floor: Offset) {
        self.aborted.retain(|aborted| aborted.last >= floor);
    }
}
