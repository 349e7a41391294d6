//! When an entity has to be looked at although nobody asks: as the oldest batch of a log becomes too
//! old, some time after it began to hold what compaction removes, and when a producer was idle for
//! too long.

use fairlead_canon::{Kind, Spec, Timestamp};

use super::{Entity, Item};
use crate::producer::Producer;

/// Between two looks at an entity, in milliseconds: what cannot go yet, such as what follows an open
/// transaction, is not asked for more often.
const PAUSE_MS: u64 = 15_000;
/// Batches for which the pause is a millisecond longer: a look at all of them takes about a
/// microsecond for each, and everybody waits.
const BATCHES_PER_MS: u64 = 10;

impl Entity {
    /// When it is to be looked at next.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        let age = self.spec.retention.age_ms;
        let age = age.filter(|_| self.spec.kind == Kind::Log);
        let aged = age.and_then(|age| {
            let oldest = self.batches.first()?.1.batch.time;
            // What is exactly as old as it may be stays.
            Some(Timestamp(oldest.0.saturating_add(age + 1)))
        });
        let clean = self.clean_at.filter(|_| self.spec.compaction.is_some());
        let idle = self.idle_since.map(Producer::expiry);
        let due = [aged, clean, idle].into_iter().flatten().min();
        due.map(|due| due.max(self.pause_until))
    }

    /// Forgets what is too old and who was idle for too long, and compacts.
    pub(crate) fn tend(&mut self, now: Timestamp) {
        self.pause_until = self.after_pause(now);
        self.retain(now);
        self.producers
            .retain(|_, known| Producer::expiry(known.used) > now);
        self.idle_since = self.producers.values().map(|known| known.used).min();
        if self.clean_at.is_some_and(|at| at <= now) {
            self.compact(now);
        }
    }

    /// Becomes something else. What it holds was not compacted by rules that it did not have.
    pub(crate) fn alter(&mut self, spec: Spec, now: Timestamp) {
        let was_compacted = self.spec.compaction.is_some();
        self.spec = spec;
        if !was_compacted && spec.compaction.is_some() {
            self.dirty = self.bytes;
            self.clean_at = Some(self.after_pause(now));
        }
    }

    /// Half of it is new: it is compacted even if no more follows.
    pub(super) fn clean_later(&mut self, lag_ms: u64, now: Timestamp) {
        let lag = Timestamp(now.0.saturating_add(lag_ms));
        let due = self.after_pause(now).max(lag);
        self.clean_at.get_or_insert(due);
    }

    fn after_pause(&self, now: Timestamp) -> Timestamp {
        let pause = PAUSE_MS.max(self.batches.len() as u64 / BATCHES_PER_MS);
        Timestamp(now.0.saturating_add(pause))
    }

    /// When what compaction cannot remove yet is old enough for it.
    pub(super) fn clean_next(&self, now: Timestamp) -> Option<Timestamp> {
        let rules = self.spec.compaction?;
        let due = self.batches.iter().flat_map(|(_, Item { batch, .. })| {
            let deletes = batch.keys.iter().any(|key| !key.has_value);
            let kept = deletes.then_some(rules.deletes_kept_ms);
            let ages = [Some(rules.lag_min_ms), kept].into_iter().flatten();
            ages.map(|age| batch.time.0.saturating_add(age))
        });
        due.filter(|due| *due > now.0).min().map(Timestamp)
    }
}
