//! What is known of one idempotent producer in one entity.

use std::collections::VecDeque;

use fairlead_canon::{Offset, Stamp, Timestamp};
use fairlead_ports::StoreError;

/// Batches of a producer that are recognised when they come again.
const REMEMBERED_MAX: usize = 5;
/// How long one that writes nothing to an entity is known there, in milliseconds: seven days.
const KEPT_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// Epoch and latest batches of a producer.
#[derive(Clone, Debug)]
pub(crate) struct Producer {
    epoch: i16,
    /// When it wrote last.
    pub(crate) used: Timestamp,
    /// Oldest first.
    batches: VecDeque<(Stamp, Offset)>,
}

/// What a stamp says about the batch that carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    New,
    Duplicate(Offset),
}

impl Producer {
    pub(crate) fn begin(stamp: Stamp, base: Offset) -> Self {
        Self {
            batches: VecDeque::from([(stamp, base)]),
            ..Self::of(stamp.epoch)
        }
    }

    /// One that has this epoch, and no batches.
    pub(crate) fn of(epoch: i16) -> Self {
        Self {
            epoch,
            used: Timestamp(0),
            batches: VecDeque::new(),
        }
    }

    /// The same, who wrote last at this time.
    pub(crate) fn used_at(self, used: Timestamp) -> Self {
        Self { used, ..self }
    }

    /// When one that wrote last at this time is forgotten.
    pub(crate) fn expiry(used: Timestamp) -> Timestamp {
        Timestamp(used.0.saturating_add(KEPT_MS))
    }

    /// Offset of its latest batch: how recently it was used.
    pub(crate) fn last_base(&self) -> Offset {
        self.batches.back().map_or(Offset(0), |(_, base)| *base)
    }

    /// Its latest batches and where they began, oldest first.
    pub(crate) fn batches(&self) -> impl Iterator<Item = (Offset, Stamp)> {
        self.batches.iter().map(|(stamp, base)| (*base, *stamp))
    }

    pub(crate) fn judge(&self, stamp: Stamp) -> Result<Judgement, StoreError> {
        if stamp.epoch < self.epoch {
            return Err(StoreError::ProducerFenced);
        }
        if stamp.epoch > self.epoch {
            return follows(-1, 0, stamp.first);
        }
        let known =
            |(seen, _): &&(Stamp, Offset)| (seen.first, seen.last) == (stamp.first, stamp.last);
        if let Some((_, base)) = self.batches.iter().find(known) {
            return Ok(Judgement::Duplicate(*base));
        }
        let last = self.batches.back().map_or(-1, |(seen, _)| seen.last);
        follows(last, last.checked_add(1).unwrap_or(0), stamp.first)
    }

    /// A higher epoch begins, and its first sequence is 0.
    pub(crate) fn raise(&mut self, epoch: i16) {
        if epoch > self.epoch {
            self.epoch = epoch;
            self.batches.clear();
        }
    }

    pub(crate) fn epoch(&self) -> i16 {
        self.epoch
    }

    pub(crate) fn record(&mut self, stamp: Stamp, base: Offset) {
        if stamp.epoch != self.epoch {
            self.epoch = stamp.epoch;
            self.batches.clear();
        }
        if self.batches.len() == REMEMBERED_MAX {
            self.batches.pop_front();
        }
        self.batches.push_back((stamp, base));
    }
}

fn follows(last: i32, next: i32, got: i32) -> Result<Judgement, StoreError> {
    if got == next {
        Ok(Judgement::New)
    } else {
        Err(StoreError::OutOfSequence { last, got })
    }
}
