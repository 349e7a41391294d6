//! Transactions in a log: aborted ones, for readers of committed messages to pass over. Open ones are
//! known to the whole store ([`crate::txn`]).

use std::collections::{BTreeMap, BTreeSet};

use fairlead_canon::{Offset, ProducerId};
use fairlead_ports::{Aborted, Decision, Lsn};

use super::{Content, Source};
use crate::index::pack::{Pack, Unpack};

/// By the offset at which each began. At most one for each batch that is kept, or was compacted away.
#[derive(Debug, Default)]
pub(crate) struct AbortedTxns {
    lasts: BTreeMap<Place, Offset>,
    /// No known one has its last message further behind its first: what begins before that does not
    /// touch what a reader is at.
    longest: u64,
    /// Those that changed since the last capture.
    changed: BTreeSet<Place>,
}

/// First offset and producer of a transaction.
pub(crate) type Place = (Offset, ProducerId);

impl AbortedTxns {
    pub(crate) fn add(&mut self, aborted: Aborted) {
        let place = (aborted.first, aborted.producer);
        self.insert(place, aborted.last);
        self.changed.insert(place);
    }

    fn insert(&mut self, place: Place, last: Offset) {
        self.longest = self.longest.max(last.0.saturating_sub(place.0.0));
        self.lasts.insert(place, last);
    }

    /// These, and no others.
    pub(crate) fn restore(&mut self, all: &[Aborted]) {
        self.changed.extend(self.lasts.keys());
        self.lasts.clear();
        self.longest = 0;
        all.iter().for_each(|aborted| self.add(*aborted));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lasts.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.lasts.len()
    }

    /// Those that touch the offsets from `from` to before `to`, by first offset.
    pub(crate) fn touching(&self, from: Offset, to: Offset) -> Vec<Aborted> {
        let first = Offset(from.0.saturating_sub(self.longest));
        let least = ProducerId(i64::MIN);
        let near = self.lasts.range((first, least)..(to.max(first), least));
        let touching = near.filter(|(_, last)| **last >= from);
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
        self.insert(place, Offset(unpack.uint()?));
        unpack.done(())
    }
}

impl Content {
    /// Ends a producer's open transaction here, by the record at `lsn`. A higher epoch shuts the old
    /// one out.
    pub(crate) fn end_txn(&mut self, lsn: Lsn, who: (ProducerId, i16), decision: Decision) {
        let (producer, epoch) = who;
        let Source { ground, entity } = &self.source;
        let first = ground.open_txns.lock().end(*entity, producer);
        if let Some(first) = first.filter(|_| decision == Decision::Abort) {
            // Its marker is what was appended last.
            let last = Offset(self.end.0.saturating_sub(1));
            self.aborted.add(Aborted {
                producer,
                first,
                last,
            });
        }
        self.producers.raise(producer, epoch);
        self.txn_ended_at = lsn;
        self.retain();
        self.reschedule();
    }

    /// The record whose durability makes the end of every transaction durable that has ended.
    pub(crate) fn txn_ended_at(&self) -> Lsn {
        self.txn_ended_at
    }
}

impl Source {
    /// Where the oldest open transaction of the entity began.
    pub(super) fn first_open(&self) -> Option<Offset> {
        let open = self.ground.open_txns.lock();
        open.first_in(self.entity)
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn the_aborted_transactions_around_a_reader_are_those_that_a_look_at_all_of_them_finds() {
        let mut random = StdRng::seed_from_u64(5);
        let mut known = AbortedTxns::default();
        let mut plain = Vec::new();
        for last in 1..2_000_u64 {
            let first = last - random.random_range(0..last.min(40));
            let aborted = Aborted {
                producer: ProducerId(random.random_range(-3..3)),
                first: Offset(first),
                last: Offset(last),
            };
            let is_new = |other: &Aborted| {
                (other.first, other.producer) != (aborted.first, aborted.producer)
            };
            plain.retain(is_new);
            plain.push(aborted);
            known.add(aborted);
            let from = Offset(random.random_range(0..last + 10));
            let to = Offset(random.random_range(0..last + 10));
            let touches = |it: &&Aborted| it.first < to && it.last >= from;
            let mut wanted: Vec<_> = plain.iter().filter(touches).copied().collect();
            wanted.sort_by_key(|it| (it.first, it.producer));
            assert_eq!(known.touching(from, to), wanted);
        }
    }
}
