//! What readers ask of an entity.

use std::ops::Range;

use bytes::Bytes;
use fairlead_canon::{Kind, Offset, Timestamp};
use fairlead_ports::{
    Aborted, Chunk, CursorId, Entry, KeyPage, Marks, StoreError, Stored, View, Want,
};

use super::{Entity, Item};
use crate::cursor::Cursor;

impl Entity {
    pub(crate) fn marks(&self) -> Marks {
        let kept = self
            .batches
            .first()
            .map_or(self.end, |(base, _)| Offset(base));
        let start = match self.spec.kind {
            Kind::Queue => kept.max(self.floor),
            Kind::Log | Kind::Latest => self.floor,
        };
        let stable = self.transactions.first_open().unwrap_or(self.end);
        Marks {
            start,
            end: self.end,
            stable: stable.max(start),
            count: self.count,
            bytes: self.bytes,
            handed_out: Offset(0),
        }
    }

    pub(crate) fn read(&self, from: Offset, want: Want) -> Result<Chunk, StoreError> {
        let marks = self.marks();
        let Marks { start, end, .. } = marks;
        if from < start || from > end {
            return Err(StoreError::OutOfRange { start, end });
        }
        let to = match want.view {
            View::All => end,
            View::Committed => marks.stable,
        };
        let mut batches = Vec::new();
        let mut bytes = 0;
        for (base, item) in self.holding(from.0..to.0).filter(|(base, _)| *base < to.0) {
            bytes += item.batch.bytes.len() as u64;
            let full =
                bytes > u64::from(want.bytes_max) || batches.len() >= want.count_max as usize;
            if full && !batches.is_empty() {
                break;
            }
            batches.push(self.stored(base, item));
        }
        Ok(Chunk {
            aborted: self.aborted(want.view, &batches),
            batches,
            marks,
        })
    }

    fn aborted(&self, view: View, batches: &[Stored]) -> Vec<Aborted> {
        match (view, batches.first(), batches.last()) {
            (View::Committed, Some(first), Some(last)) => {
                let after = last.base.plus(u64::from(last.batch.span));
                self.transactions.aborted(first.base, after)
            }
            _ => Vec::new(),
        }
    }

    pub(crate) fn fetch(&self, at: &[Offset]) -> Vec<Stored> {
        let mut found: Vec<Stored> = Vec::with_capacity(at.len());
        for at in at {
            let Some((base, item)) = self.holding(at.0..at.0.saturating_add(1)).next() else {
                continue;
            };
            let again = found.last().is_some_and(|last| last.base.0 == base);
            if !again && !self.is_settled(*at) && *at >= self.floor {
                found.push(self.stored(base, item));
            }
        }
        found
    }

    fn is_settled(&self, at: Offset) -> bool {
        let own = self.cursors.get(&CursorId::default());
        let is_settled = |own: &Cursor| own.stretch(at.0..at.0.saturating_add(1)).is_none();
        self.spec.kind == Kind::Queue
            && own.is_some_and(is_settled)
            && !self.dead.contains_key(&at.0)
    }

    pub(crate) fn backlog(&self, cursor: CursorId, from: Offset, max: usize) -> Vec<Entry> {
        if cursor == CursorId::DEAD {
            return self.dead_entries(from, max);
        }
        let none = Cursor::default();
        let cursor = self.cursors.get(&cursor).unwrap_or(&none);
        let first = from.max(self.floor).0;
        let mut entries = Vec::new();
        for (base, item) in self.holding(first..self.end.0) {
            let mut rest = base.max(first)..base + u64::from(item.batch.span);
            while let Some(stretch) = cursor.stretch(rest.clone()) {
                if entries.len() >= max {
                    return entries;
                }
                rest.start = stretch.end;
                entries.push(Entry {
                    base: Offset(stretch.start),
                    span: u32::try_from(stretch.end - stretch.start).unwrap_or(u32::MAX),
                    bytes: item.bytes,
                    deadline: item.deadline,
                    requeued: cursor.times(stretch.start),
                    dead: None,
                });
            }
        }
        entries
    }

    /// Dead messages, those of one batch and one reason that follow each other as one entry.
    fn dead_entries(&self, from: Offset, max: usize) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        for (&at, &reason) in self.dead.range(from.0..) {
            let Some((base, item)) = self.holding(at..at.saturating_add(1)).next() else {
                continue;
            };
            if let Some(last) = entries.last_mut()
                && last.base.0 + u64::from(last.span) == at
                && last.base.0 >= base
                && last.dead == Some(reason)
            {
                last.span += 1;
                continue;
            }
            if entries.len() >= max {
                break;
            }
            entries.push(Entry {
                base: Offset(at),
                span: 1,
                bytes: item.bytes,
                deadline: item.deadline,
                requeued: 0,
                dead: Some(reason),
            });
        }
        entries
    }

    pub(crate) fn first_at(&self, time: Timestamp) -> Option<Offset> {
        let late = |(_, item): &(u64, &Item)| item.batch.time >= time;
        let found = self.batches.iter().find(late);
        found.map(|(base, _)| Offset(base).max(self.floor))
    }

    pub(crate) fn latest(&self, prefix: &Bytes, after: Option<&Bytes>, max: usize) -> KeyPage {
        let mut page = KeyPage::default();
        let from = after.map_or(prefix, |after| after.max(prefix)).clone();
        for (key, at) in self.keys.range(from..) {
            if !key.starts_with(prefix) {
                break;
            }
            if after == Some(key) {
                continue;
            }
            if page.entries.len() >= max {
                page.is_cut = true;
                break;
            }
            if let Some((base, item)) = self.holding(*at..at.saturating_add(1)).next() {
                page.entries.push((key.clone(), self.stored(base, item)));
            }
        }
        page
    }

    fn stored(&self, base: u64, item: &Item) -> Stored {
        let own = self.cursors.get(&CursorId::default());
        let span = base..base + u64::from(item.batch.span);
        let requeued = match self.spec.kind {
            Kind::Queue => own.map_or(0, |own| own.times_most(span)),
            Kind::Log | Kind::Latest => 0,
        };
        Stored {
            base: Offset(base),
            batch: item.batch.clone(),
            requeued,
        }
    }

    /// Batches that hold an offset of the range, in order.
    pub(super) fn holding(&self, range: Range<u64>) -> impl Iterator<Item = (u64, &Item)> {
        // Nothing that begins before this reaches into the range.
        let before = u64::from(self.span_max.saturating_sub(1));
        let first = range.start.saturating_sub(before);
        let reaches =
            move |(base, item): &(u64, &Item)| base + u64::from(item.batch.span) > range.start;
        self.batches.range(first..range.end).filter(reaches)
    }
}
