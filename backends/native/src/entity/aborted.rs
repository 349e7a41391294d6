//! Aborted transactions of a log, for readers of committed messages to pass over.

use std::collections::{BTreeMap, BTreeSet};

use fairlead_canon::{Offset, ProducerId};
use fairlead_ports::Aborted;

use crate::index::pack::{Pack, Unpack};

/// By the offset at which each began. At most one for each batch that is kept, or was compacted away.
#[derive(Debug, Default)]
pub(crate) struct AbortedTxns {
    lasts: BTreeMap<Place, Offset>,
    /// Those that changed since the last capture.
    changed: BTreeSet<Place>,
}

/// First offset and producer of a transaction.
pub(crate) type Place = (Offset, ProducerId);

impl AbortedTxns {
    pub(crate) fn add(&mut self, aborted: Aborted) {
        let place = (aborted.first, aborted.producer);
        self.lasts.insert(place, aborted.last);
        self.changed.insert(place);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lasts.is_empty()
    }

    /// Those that touch the offsets from `from` to before `to`, by first offset.
    pub(crate) fn touching(&self, from: Offset, to: Offset) -> Vec<Aborted> {
        let begun = self.lasts.range(..(to, ProducerId(i64::MIN)));
        let touching = begun.filter(|(_, last)| **last >= from);
        let aborted = |((first, producer), last): (&Place, &Offset)| Aborted {
            producer: *producer,
            first: *first,
            last: *last,
        };
        touching.map(aborted).collect()
    }

    /// Forgets those that lie wholly below an offset.
    pub(crate) fn forget(&mut self, below: Offset) {
        let begun = self.lasts.range(..(below, ProducerId(i64::MIN)));
        let gone: Vec<_> = begun
            .filter(|(_, last)| **last < below)
            .map(|(place, _)| *place)
            .collect();
        for place in gone {
            self.lasts.remove(&place);
            self.changed.insert(place);
        }
    }

    /// Those that changed since the last capture, with their rows; `None` for a forgotten one.
    pub(crate) fn capture(&mut self) -> Vec<(Place, Option<Vec<u8>>)> {
        let row = |place: Place| {
            let last = self.lasts.get(&place)?;
            let mut pack = Pack::default();
            pack.uint(last.0);
            Some(pack.done())
        };
        let changed = std::mem::take(&mut self.changed);
        changed
            .into_iter()
            .map(|place| (place, row(place)))
            .collect()
    }

    /// Adds what a row says.
    pub(crate) fn decode(&mut self, place: Place, row: &[u8]) -> Option<()> {
        let mut unpack = Unpack::new(row);
        self.lasts.insert(place, Offset(unpack.uint()?));
        unpack.done(())
    }
}
