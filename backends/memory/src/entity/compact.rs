//! Compaction of a log: batches go of which every message was replaced by a later one of its key. It
//! happens as half of the log is new, so that an append pays for no more than two others, and later
//! again when what was too young for it has become old enough.

use bytes::Bytes;
use fairlead_canon::{Batch, Compaction, Kind, Timestamp};
use fairlead_ports::Aborted;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::Entity;

/// Bytes appended before it is worth a look.
const DIRTY_BYTES_MIN: u64 = 64 * 1024;

/// One compaction.
struct Cleaner<'a> {
    rules: Compaction,
    now: Timestamp,
    aborted: Vec<Aborted>,
    newest: HashMap<&'a Bytes, Newest, FixedState>,
}

/// The newest message of a key.
struct Newest {
    at: u64,
    /// An older one of the key stays.
    is_ghosted: bool,
}

impl Entity {
    /// So many bytes were appended: compacts if that makes the log dirty enough.
    pub(super) fn grown(&mut self, bytes: u64, now: Timestamp) {
        let Some(rules) = self.spec.compaction.filter(|_| self.spec.kind == Kind::Log) else {
            return;
        };
        self.dirty += bytes;
        if self.dirty < self.bytes / 2 {
            return;
        }
        if self.dirty >= DIRTY_BYTES_MIN {
            self.compact(now);
        } else {
            self.clean_later(rules.lag_min_ms, now);
        }
    }

    pub(super) fn compact(&mut self, now: Timestamp) {
        self.dirty = 0;
        let Some(rules) = self.spec.compaction else {
            self.clean_at = None;
            return;
        };
        for base in self.replaced(rules, now) {
            self.remove(base);
        }
        self.clean_at = self.clean_next(now);
    }

    /// Batches that can go, up to the first open transaction.
    fn replaced(&self, rules: Compaction, now: Timestamp) -> Vec<u64> {
        let limit = self.transactions.first_open().unwrap_or(self.end);
        let mut cleaner = Cleaner {
            rules,
            now,
            aborted: self.transactions.aborted(self.floor, limit),
            newest: HashMap::default(),
        };
        let batches = || {
            let all = self.batches.range(..limit.0);
            all.map(|(base, item)| (base, &item.batch))
        };
        batches().for_each(|(base, batch)| cleaner.note(base, batch));
        let goes = |(base, batch)| cleaner.goes(base, batch).then_some(base);
        batches().filter_map(goes).collect()
    }
}

impl<'a> Cleaner<'a> {
    fn note(&mut self, base: u64, batch: &'a Batch) {
        if self.is_aborted(base, batch) {
            return;
        }
        for (at, key) in (base..).zip(&batch.keys) {
            if let Some(name) = &key.key {
                let is_ghosted = false;
                self.newest.insert(name, Newest { at, is_ghosted });
            }
        }
    }

    /// Whether a batch goes; asked of all, oldest first.
    fn goes(&mut self, base: u64, batch: &Batch) -> bool {
        let goes = self.is_aborted(base, batch) || self.is_replaced(base, batch);
        if !goes {
            for (at, key) in (base..).zip(&batch.keys) {
                let newest = key.key.as_ref().and_then(|name| self.newest.get_mut(name));
                if let Some(newest) = newest {
                    newest.is_ghosted |= newest.at > at;
                }
            }
        }
        goes
    }

    fn is_replaced(&self, base: u64, batch: &Batch) -> bool {
        let is_older = |age: u64| batch.time.0.saturating_add(age) <= self.now.0;
        let mut keys = (base..).zip(&batch.keys);
        let is_old = !batch.keys.is_empty() && is_older(self.rules.lag_min_ms);
        is_old
            && keys.all(|(at, key)| {
                let newest = key.key.as_ref().and_then(|name| self.newest.get(name));
                newest.is_some_and(|newest| {
                    let is_deletion = !key.has_value && !newest.is_ghosted;
                    newest.at > at || (is_deletion && is_older(self.rules.deletes_kept_ms))
                })
            })
    }

    fn is_aborted(&self, base: u64, batch: &Batch) -> bool {
        let stamp = batch.stamp.filter(|_| batch.flags.transactional);
        stamp.is_some_and(|stamp| {
            let mut own = self
                .aborted
                .iter()
                .filter(|it| it.producer == stamp.producer);
            own.any(|it| (it.first.0..=it.last.0).contains(&base))
        })
    }
}
