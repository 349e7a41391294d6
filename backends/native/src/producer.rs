//! Idempotent producers: which batches of theirs an entity holds. One that has written nothing there
//! for [`PRODUCER_KEPT_MS`] is forgotten: what it sends then is taken as from a new one.

use std::collections::BTreeSet;

use fairlead_canon::{Offset, ProducerId, Stamp, Timestamp};
use fairlead_ports::{StoreError, Writers};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::index::pack::{Pack, Unpack};
use crate::limits::PRODUCER_KEPT_MS;

/// Batches of a producer that are recognised when they come again: as many as a client has in
/// flight at most.
const REMEMBERED_MAX: usize = 5;
/// Producers remembered per entity; the one that was idle longest makes room. Clients take a new
/// identity at each start, so most of these never come again.
const PRODUCERS_MAX: usize = 4_096;

/// The producers of one entity.
#[derive(Debug, Default)]
pub(crate) struct Producers {
    known: HashMap<ProducerId, Producer, FixedState>,
    /// Nobody was used before; `None`: there is nobody.
    oldest: Option<Timestamp>,
    /// Those that changed since the last capture.
    changed: BTreeSet<ProducerId>,
}

/// Epoch and latest batches of one producer.
#[derive(Clone, Debug)]
pub(crate) struct Producer {
    epoch: i16,
    /// When it wrote last.
    used: Timestamp,
    /// Oldest first.
    batches: SmallVec<[Seen; REMEMBERED_MAX]>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    first: i32,
    last: i32,
    base: Offset,
}

/// What a stamp says about the batch that carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    New,
    /// It is there already, at this offset.
    Duplicate(Offset),
}

impl Producers {
    pub(crate) fn get(&self, producer: ProducerId) -> Option<&Producer> {
        self.known.get(&producer)
    }

    /// Whether one more would make another one go.
    pub(crate) fn is_full(&self) -> bool {
        self.known.len() >= PRODUCERS_MAX
    }

    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    pub(crate) fn record(&mut self, stamp: Stamp, base: Offset, now: Timestamp) {
        self.changed.insert(stamp.producer);
        if let Some(known) = self.known.get_mut(&stamp.producer) {
            known.record(stamp, base, now);
            return;
        }
        if self.is_full() {
            let by_use = |(id, known): (&ProducerId, &Producer)| (known.last_base(), *id);
            if let Some((_, idle)) = self.known.iter().map(by_use).min() {
                self.known.remove(&idle);
                self.changed.insert(idle);
            }
        }
        self.oldest.get_or_insert(now);
        self.known
            .insert(stamp.producer, Producer::begin(stamp, base, now));
    }

    /// When somebody is to be forgotten next, or later.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        self.oldest.map(expiry)
    }

    /// Forgets those that were not used for too long.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        let changed = &mut self.changed;
        self.known.retain(|id, known| {
            let stays = expiry(known.used) > now;
            if !stays {
                changed.insert(*id);
            }
            stays
        });
        self.oldest = self.known.values().map(|known| known.used).min();
    }

    /// A higher epoch of a producer begins.
    pub(crate) fn raise(&mut self, producer: ProducerId, epoch: i16) {
        if let Some(known) = self.known.get_mut(&producer) {
            known.raise(epoch);
            self.changed.insert(producer);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The batches by which they are recognised, by offset.
    pub(crate) fn remembered(&self) -> Vec<(Offset, Stamp)> {
        let of_each = self.known.iter();
        let mut all: Vec<_> = of_each.flat_map(|(id, known)| known.stamps(*id)).collect();
        all.sort_unstable_by_key(|(base, _)| *base);
        all
    }

    /// Everybody's epoch, by producer.
    pub(crate) fn epochs(&self) -> Vec<(ProducerId, i16)> {
        let known = self.known.iter();
        let mut all: Vec<_> = known.map(|(id, known)| (*id, known.epoch)).collect();
        all.sort_unstable();
        all
    }

    /// Knows these and nobody else.
    pub(crate) fn restore(&mut self, writers: &Writers, now: Timestamp) {
        self.changed.extend(self.known.drain().map(|(id, _)| id));
        self.oldest = (!writers.producers.is_empty()).then_some(now);
        for (id, epoch) in &writers.producers {
            self.changed.insert(*id);
            self.known.insert(*id, Producer::of(*epoch, now));
        }
        for (base, stamp) in &writers.batches {
            self.record(*stamp, *base, now);
        }
    }

    /// Producers that changed since the last capture, with their rows; `None` for a forgotten one.
    pub(crate) fn capture(&mut self) -> Vec<(ProducerId, Option<Vec<u8>>)> {
        let changed = std::mem::take(&mut self.changed);
        let row = |id| (id, self.known.get(&id).map(Producer::encode));
        changed.into_iter().map(row).collect()
    }

    /// Adds what a row says.
    pub(crate) fn decode(&mut self, id: ProducerId, row: &[u8]) -> Option<()> {
        let known = Producer::decode(row)?;
        self.oldest = self.oldest.into_iter().chain([known.used]).min();
        self.known.insert(id, known);
        Some(())
    }
}

impl Producer {
    pub(crate) fn begin(stamp: Stamp, base: Offset, now: Timestamp) -> Self {
        let mut begun = Self::of(stamp.epoch, now);
        begun.record(stamp, base, now);
        begun
    }

    /// One that has this epoch, and no batches.
    fn of(epoch: i16, used: Timestamp) -> Self {
        Self {
            epoch,
            used,
            batches: SmallVec::new(),
        }
    }

    pub(crate) fn epoch(&self) -> i16 {
        self.epoch
    }

    /// A higher epoch begins, and its first sequence is 0.
    pub(crate) fn raise(&mut self, epoch: i16) {
        if epoch > self.epoch {
            self.epoch = epoch;
            self.batches.clear();
        }
    }

    pub(crate) fn record(&mut self, stamp: Stamp, base: Offset, now: Timestamp) {
        self.used = now;
        if stamp.epoch != self.epoch {
            self.epoch = stamp.epoch;
            self.batches.clear();
        }
        if self.batches.len() == REMEMBERED_MAX {
            self.batches.remove(0);
        }
        self.batches.push(Seen {
            first: stamp.first,
            last: stamp.last,
            base,
        });
    }

    /// Its latest batches and where they began, oldest first.
    fn stamps(&self, producer: ProducerId) -> impl Iterator<Item = (Offset, Stamp)> {
        self.batches.iter().map(move |seen| {
            let stamp = Stamp {
                producer,
                epoch: self.epoch,
                first: seen.first,
                last: seen.last,
            };
            (seen.base, stamp)
        })
    }

    /// Whether a batch is the next one, an old one, or neither.
    pub(crate) fn judge(&self, stamp: Stamp) -> Result<Judgement, StoreError> {
        if stamp.epoch < self.epoch {
            return Err(StoreError::ProducerFenced);
        }
        let newest = self.batches.last().filter(|_| stamp.epoch == self.epoch);
        let last = newest.map_or(-1, |seen| seen.last);
        let is_same = |seen: &&Seen| (seen.first, seen.last) == (stamp.first, stamp.last);
        match self
            .batches
            .iter()
            .find(is_same)
            .filter(|_| newest.is_some())
        {
            Some(seen) => Ok(Judgement::Duplicate(seen.base)),
            // Sequences wrap to 0.
            None if stamp.first == last.checked_add(1).unwrap_or(0) => Ok(Judgement::New),
            None => Err(StoreError::OutOfSequence {
                last,
                got: stamp.first,
            }),
        }
    }

    /// Epoch, how many batches, for each its first and last sequence and the step of its offset, and
    /// when it wrote last.
    fn encode(&self) -> Vec<u8> {
        let mut pack = Pack::default();
        pack.uint(self.epoch.cast_unsigned());
        pack.uint(self.batches.len() as u64);
        let mut base = 0;
        for seen in &self.batches {
            pack.uint(seen.first.cast_unsigned());
            pack.uint(seen.last.cast_unsigned());
            pack.step(base, seen.base.0);
            base = seen.base.0;
        }
        pack.uint(self.used.0);
        pack.done()
    }

    fn decode(row: &[u8]) -> Option<Self> {
        let mut unpack = Unpack::new(row);
        let epoch = u16::try_from(unpack.uint()?).ok()?.cast_signed();
        let mut batches = SmallVec::new();
        let mut base = 0;
        for _ in 0..unpack.uint()? {
            let (first, last) = (
                unpack.uint32()?.cast_signed(),
                unpack.uint32()?.cast_signed(),
            );
            base = unpack.step(base)?;
            let base = Offset(base);
            batches.push(Seen { first, last, base });
        }
        // Rows of earlier versions do not say: it stays until it is used again.
        let used = Timestamp(unpack.uint().unwrap_or(u64::MAX));
        let is_possible = batches.len() <= REMEMBERED_MAX;
        let known = Self {
            epoch,
            used,
            batches,
        };
        unpack.done(known).filter(|_| is_possible)
    }

    fn last_base(&self) -> Offset {
        self.batches.last().map_or(Offset(0), |seen| seen.base)
    }
}

/// When one that was used at this time is forgotten.
fn expiry(used: Timestamp) -> Timestamp {
    Timestamp(used.0.saturating_add(PRODUCER_KEPT_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_producer_that_was_idle_longest_makes_room_for_one_more() {
        let mut producers = Producers::default();
        let most = PRODUCERS_MAX as u64;
        for number in 0..=most {
            let stamp = Stamp {
                producer: ProducerId(number.cast_signed()),
                epoch: 0,
                first: 0,
                last: 0,
            };
            producers.record(stamp, Offset(number), Timestamp(1));
        }
        assert_eq!(producers.len(), PRODUCERS_MAX);
        let knows = |number: u64| producers.get(ProducerId(number.cast_signed())).is_some();
        assert_eq!([knows(0), knows(1), knows(most)], [false, true, true]);
    }
}
