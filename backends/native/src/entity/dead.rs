//! Messages of a queue that died and are kept until whoever moves them on settles them as dead. To
//! the queue itself they are settled.
//!
//! In the index they lie with the cursors, under [`fairlead_ports::CursorId::DEAD`], in blocks of [`BLOCK`] offsets.
//! The value, in packed numbers: how many stretches of one reason, then each as the way from the one
//! before, its length and the reason.

use std::collections::BTreeSet;
use std::ops::Range;

use fairlead_canon::{DeadReason, Offset};
use fairlead_ports::Entry;

use super::{Content, Kept};
use crate::cursor::{BLOCK, blocks};
use crate::index::pack::{Pack, Unpack};
use crate::ranges::RangeMap;
use crate::record::reason_of;

#[derive(Debug, Default)]
pub(crate) struct Dead {
    reasons: RangeMap<DeadReason>,
    /// Blocks that changed since the last capture.
    changed: BTreeSet<u64>,
}

impl Dead {
    pub(crate) fn add(&mut self, range: Range<u64>, reason: DeadReason) {
        self.changed.extend(blocks(&range));
        self.reasons.set(range, reason);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.reasons.is_empty()
    }

    /// Stretches of one reason.
    pub(crate) fn stretches(&self) -> usize {
        self.reasons.len()
    }

    pub(crate) fn contains(&self, at: u64) -> bool {
        self.reasons.get(at).is_some()
    }

    /// The first one in a range.
    pub(crate) fn first_in(&self, range: Range<u64>) -> Option<u64> {
        self.stretch(range).map(|(stretch, _)| stretch.start)
    }

    pub(crate) fn forget(&mut self, range: Range<u64>) {
        while let Some((stretch, _)) = self.stretch(range.clone()) {
            self.changed.extend(blocks(&stretch));
            self.reasons.remove(stretch);
        }
    }

    /// The stretch of one reason that begins with the first in a range.
    fn stretch(&self, range: Range<u64>) -> Option<(Range<u64>, DeadReason)> {
        self.reasons.within(range).next()
    }

    /// Blocks that changed since the last capture, with what is to be written; `None` where nothing
    /// is left.
    pub(crate) fn capture(&mut self) -> Vec<(u64, Option<Vec<u8>>)> {
        let changed = std::mem::take(&mut self.changed);
        let row = |block| (block, self.encode(block));
        changed.into_iter().map(row).collect()
    }

    fn encode(&self, block: u64) -> Option<Vec<u8>> {
        let first = block.saturating_mul(BLOCK);
        let stretches = self.reasons.within(first..first.saturating_add(BLOCK));
        let stretches: Vec<_> = stretches.collect();
        if stretches.is_empty() {
            return None;
        }
        let mut pack = Pack::default();
        pack.uint(stretches.len() as u64);
        let mut at = first;
        for (stretch, reason) in stretches {
            pack.uint(stretch.start - at);
            pack.uint(stretch.end - stretch.start);
            pack.uint(reason as u8);
            at = stretch.end;
        }
        Some(pack.done())
    }

    /// Adds what the row of a block says.
    pub(crate) fn decode(&mut self, block: u64, row: &[u8]) -> Option<()> {
        let mut unpack = Unpack::new(row);
        let first = block.checked_mul(BLOCK)?;
        let end = first.checked_add(BLOCK)?;
        let mut at = first;
        for _ in 0..unpack.uint()? {
            let start = at.checked_add(unpack.uint()?)?;
            at = start.checked_add(unpack.uint()?)?;
            let reason = u8::try_from(unpack.uint()?).ok().and_then(reason_of)?;
            if at > end {
                return None;
            }
            self.reasons.set(start..at, reason);
        }
        unpack.done(())
    }
}

impl Content {
    /// Removes dead messages; a batch without any message goes.
    pub(super) fn bury(&mut self, range: Range<u64>) {
        let mut from = range.start;
        while let Some(at) = self.dead.first_in(from..range.end) {
            let Some(kept) = self.batches.holding(&self.source, at) else {
                self.dead.forget(at..at + 1);
                continue;
            };
            from = kept.after();
            self.dead.forget(at..kept.after().min(range.end));
            if kept.live == 0 && !self.has_dead(&kept) {
                self.remove(kept.base);
            }
        }
    }

    /// Whether a batch holds a dead message.
    pub(super) fn has_dead(&self, kept: &Kept) -> bool {
        self.dead.first_in(kept.base..kept.after()).is_some()
    }

    /// Dead messages: those of one batch and one reason that follow each other as one entry.
    pub(super) fn dead_entries(&mut self, from: Offset, max: usize) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut rest = from.0..self.visible.0.max(from.0);
        while entries.len() < max
            && let Some((stretch, reason)) = self.dead.stretch(rest.clone())
        {
            let Some(kept) = self.batches.holding(&self.source, stretch.start) else {
                rest.start = stretch.start + 1;
                continue;
            };
            let end = stretch.end.min(kept.after());
            rest.start = end;
            entries.push(Entry {
                base: Offset(stretch.start),
                span: u32::try_from(end - stretch.start).unwrap_or(u32::MAX),
                bytes: kept.bytes,
                deadline: kept.deadline,
                requeued: 0,
                dead: Some(reason),
            });
        }
        entries
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_is_captured_in_pieces_makes_the_same_dead() {
        let mut dead = Dead::default();
        dead.add(4_000..5_000, DeadReason::Rejected);
        dead.add(4_095..4_097, DeadReason::Expired);
        dead.add(9_000..9_001, DeadReason::MaxLen);
        dead.forget(4_500..4_600);
        let mut rows: BTreeMap<_, _> = dead.capture().into_iter().collect();
        dead.forget(9_000..9_001);
        dead.add(0..1, DeadReason::DeliveryLimit);
        rows.extend(dead.capture());
        let mut loaded = Dead::default();
        for (block, row) in &rows {
            if let Some(row) = row {
                loaded.decode(*block, row).expect("a row");
            }
        }
        let all = |dead: &Dead| dead.reasons.within(0..u64::MAX).collect::<Vec<_>>();
        assert_eq!(all(&loaded), all(&dead));
        assert_eq!(rows.get(&2), Some(&None));
        assert_eq!(loaded.decode(0, &[1, 0, 1, 9]), None, "no such reason");
    }
}
