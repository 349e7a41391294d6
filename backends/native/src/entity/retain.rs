//! What time and size do to an entity, by the time of the frame that is applied: a replay does the
//! same again.

use fairlead_canon::{Batch, Kind, Offset, Spec, Timestamp};

use super::Content;

impl Content {
    /// The deadline of a batch here: the age of a queue bounds what the batch brought along.
    pub(super) fn deadline(&self, batch: &Batch) -> Option<Timestamp> {
        let age = self.spec.retention.age_ms;
        let age = age.filter(|_| self.spec.kind == Kind::Queue);
        let now = self.source.ground.now();
        let aged = age.map(|age| Timestamp(now.0.saturating_add(age)));
        batch.deadline.into_iter().chain(aged).min()
    }

    /// Changes what the entity is; what it outlives by that goes at once.
    pub(crate) fn alter(&mut self, spec: Spec) {
        self.spec = spec;
        self.retain();
        self.reschedule();
    }

    /// Forgets the oldest batches of a log that are too old or too much.
    pub(super) fn retain(&mut self) {
        if let Some(to) = self.outlived(self.source.ground.now()) {
            self.trim(to);
        }
    }

    /// Up to where the batches of a log are too old, or too much, at a time. The newest one is never
    /// too much, and nothing from the first open transaction on is either.
    pub(crate) fn outlived(&mut self, now: Timestamp) -> Option<Offset> {
        let retention = self.spec.retention;
        if self.spec.kind != Kind::Log || (retention.age_ms, retention.bytes) == (None, None) {
            return None;
        }
        let is_old = |time: Timestamp| {
            let age = retention.age_ms;
            age.is_some_and(|age| time.0.saturating_add(age) < now.0)
        };
        let mut bytes = self.bytes;
        let (mut end, mut to) = (self.end.0, None);
        for kept in self.batches.oldest(&self.source) {
            let is_newest = kept.after() >= self.end.0;
            let is_too_much = retention.bytes.is_some_and(|most| bytes > most) && !is_newest;
            if !is_old(kept.time) && !is_too_much {
                break;
            }
            if to.is_none() {
                end = self.source.first_open().map_or(end, |open| open.0);
            }
            if kept.base >= end {
                break;
            }
            bytes = bytes.saturating_sub(u64::from(kept.bytes));
            to = Some(Offset(kept.after()));
        }
        to
    }
}
