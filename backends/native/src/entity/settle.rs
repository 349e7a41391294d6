//! Messages end: one by one in a queue, for one reader of a log, or whole batches by the cleaner.

use std::ops::Range;

use fairlead_canon::{DeadReason, Kind, Outcome};
use fairlead_ports::CursorId;

use super::{Content, Kept};
use crate::cursor::Cursor;
use crate::limits::{CURSORS_MAX, STRETCHES_MAX};

impl Content {
    /// Whether it takes nothing new, for what is in memory of it.
    pub(crate) fn is_worn(&self) -> bool {
        let own = self.cursors.get(&CursorId::default());
        let own = own.map_or(0, Cursor::stretches);
        own + self.dead.stretches() + self.aborted.len() >= STRETCHES_MAX
    }

    /// Whether a reader may settle more.
    pub(crate) fn has_room_for(&self, reader: CursorId) -> bool {
        let is_known = self.cursors.contains_key(&reader);
        let stretches = self.cursors.values().map(Cursor::stretches);
        (is_known || self.cursors.len() < CURSORS_MAX) && stretches.sum::<usize>() < STRETCHES_MAX
    }

    /// Ends the deliveries of a range, as seen by one cursor.
    pub(crate) fn settle(&mut self, cursor: CursorId, range: Range<u64>, outcome: Outcome) {
        let range = range.start.max(self.floor.0)..range.end.min(self.end.0);
        if range.is_empty() {
            return;
        }
        let is_queue = self.spec.kind == Kind::Queue;
        match outcome {
            Outcome::Returned if cursor == CursorId::DEAD => {}
            Outcome::Returned => self.give_back(cursor, range),
            Outcome::Done | Outcome::Dead(_) if cursor == CursorId::DEAD => self.bury(range),
            Outcome::Done | Outcome::Dead(_) if cursor == CursorId::CLEANER => self.clean(range),
            Outcome::Dead(reason) if self.spec.has_dead() => {
                self.consume(range, Some(reason));
            }
            Outcome::Done | Outcome::Dead(_) if is_queue => self.consume(range, None),
            Outcome::Done | Outcome::Dead(_) => {
                self.cursors.entry(cursor).or_default().settle(range);
            }
        }
    }

    /// Removes batches that lie wholly in a range.
    fn clean(&mut self, range: Range<u64>) {
        let mut at = range.start;
        while let Some(kept) = self.batches.next(&self.source, at)
            && kept.after() <= range.end
        {
            at = kept.after();
            if kept.base >= range.start {
                self.remove(kept.base);
            }
        }
    }

    fn give_back(&mut self, cursor: CursorId, range: Range<u64>) {
        let cursor = self.cursors.entry(cursor).or_default();
        let mut at = range.start;
        while let Some(kept) = self.batches.next(&self.source, at) {
            let mut rest = kept.base.max(range.start)..kept.after().min(range.end);
            if rest.is_empty() {
                break;
            }
            while let Some((stretch, _)) = cursor.stretch(rest.clone()) {
                rest.start = stretch.end;
                cursor.give_back(stretch);
            }
            at = kept.after();
        }
    }

    /// Settles offsets of a queue, which keeps them as dead if there is a reason. A batch without
    /// messages goes.
    pub(super) fn consume(&mut self, range: Range<u64>, dead: Option<DeadReason>) {
        let mut at = range.start;
        while let Some(kept) = self.batches.next(&self.source, at) {
            if kept.base >= range.end {
                break;
            }
            let part = kept.base.max(range.start)..kept.after().min(range.end);
            let is_whole = part == (kept.base..kept.after());
            if is_whole && dead.is_none() && !self.has_dead(&kept) {
                self.remove(kept.base);
            } else {
                self.consume_part(part, dead);
            }
            at = kept.after();
        }
    }

    /// Settles some of the offsets of one batch of a queue.
    fn consume_part(&mut self, mut rest: Range<u64>, dead: Option<DeadReason>) {
        while let Some((stretch, _)) = {
            let own = self.cursors.entry(CursorId::default()).or_default();
            own.stretch(rest.clone())
        } {
            rest.start = stretch.end;
            let lost = u32::try_from(stretch.end - stretch.start).unwrap_or(u32::MAX);
            let own = self.cursors.entry(CursorId::default()).or_default();
            own.settle(stretch.clone());
            let at = stretch.start;
            if let Some(reason) = dead {
                self.dead.add(stretch, reason);
            }
            self.release(at, lost);
        }
    }

    /// `lost` messages no longer keep the batch that holds `at`.
    pub(super) fn release(&mut self, at: u64, lost: u32) {
        let Some(kept) = self.batches.holding(&self.source, at) else {
            return;
        };
        self.count = self.count.saturating_sub(u64::from(lost));
        let live = kept.live.saturating_sub(lost);
        let batches = &mut self.batches;
        batches.change(&self.source, kept.base, |kept| kept.live = live);
        if live == 0 {
            self.bytes = self.bytes.saturating_sub(u64::from(kept.bytes));
            if !self.has_dead(&kept) {
                self.remove(kept.base);
            }
        }
    }

    pub(super) fn remove(&mut self, base: u64) {
        if let Some(kept) = self.batches.remove(&self.source, base) {
            self.removed(&kept);
        }
    }

    /// Removes batches from the oldest on, as far as they end at or before `to`.
    pub(super) fn remove_oldest(&mut self, to: u64) {
        while let Some(kept) = self.batches.remove_oldest(&self.source, to) {
            self.removed(&kept);
        }
    }

    fn removed(&mut self, kept: &Kept) {
        // Without living messages, it does not count any more.
        if kept.live > 0 {
            self.count = self.count.saturating_sub(u64::from(kept.live));
            self.bytes = self.bytes.saturating_sub(u64::from(kept.bytes));
        }
        self.let_go(kept);
        for cursor in self.cursors.values_mut() {
            cursor.forget(kept.base..kept.after());
        }
    }

    /// Its record is not needed for this entity any more.
    pub(super) fn let_go(&self, kept: &Kept) {
        let mut uses = self.source.ground.uses.lock();
        uses.remove(kept.at, kept.share);
    }
}
