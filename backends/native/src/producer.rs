//! Idempotent producers: which batches of theirs an entity holds.

use fairlead_canon::{Offset, ProducerId, Stamp};
use fairlead_ports::StoreError;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use smallvec::SmallVec;

/// Batches of a producer that are recognised when they come again: as many as a client has in
/// flight at most.
const REMEMBERED_MAX: usize = 5;
/// Producers remembered per entity; the one that was idle longest makes room. Clients take a new
/// identity at each start, so most of these never come again.
const PRODUCERS_MAX: usize = 4_096;

/// The producers of one entity.
#[derive(Debug, Default)]
pub(crate) struct Producers(HashMap<ProducerId, Producer, FixedState>);

/// Epoch and latest batches of one producer.
#[derive(Clone, Debug)]
pub(crate) struct Producer {
    epoch: i16,
    /// Oldest first, never empty.
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
        self.0.get(&producer)
    }

    pub(crate) fn record(&mut self, stamp: Stamp, base: Offset) {
        if let Some(known) = self.0.get_mut(&stamp.producer) {
            known.record(stamp, base);
            return;
        }
        if self.0.len() >= PRODUCERS_MAX {
            let by_use = |(id, known): (&ProducerId, &Producer)| (known.last_base(), *id);
            if let Some((_, idle)) = self.0.iter().map(by_use).min() {
                self.0.remove(&idle);
            }
        }
        self.0.insert(stamp.producer, Producer::begin(stamp, base));
    }
}

impl Producer {
    pub(crate) fn begin(stamp: Stamp, base: Offset) -> Self {
        let mut begun = Self {
            epoch: stamp.epoch,
            batches: SmallVec::new(),
        };
        begun.record(stamp, base);
        begun
    }

    pub(crate) fn record(&mut self, stamp: Stamp, base: Offset) {
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

    fn last_base(&self) -> Offset {
        self.batches.last().map_or(Offset(0), |seen| seen.base)
    }
}
