//! What readers ask of an entity. Bodies are not here: the answers say where they lie.

use bytes::Bytes;
use fairlead_canon::{Kind, Offset, Timestamp};
use fairlead_ports::{CursorId, Entry, StoreError, Want};

use super::{Content, Kept, Location};
use crate::cursor::Cursor;

/// A batch that is to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) base: Offset,
    pub(crate) at: Location,
    pub(crate) requeued: u16,
}

/// Keys, where their newest messages lie, and whether more keys follow.
#[derive(Debug, Default)]
pub(crate) struct FoundKeys {
    pub(crate) entries: Vec<(Bytes, Found)>,
    pub(crate) is_cut: bool,
}

impl Content {
    pub(crate) fn read(&self, from: Offset, want: Want) -> Result<Vec<Found>, StoreError> {
        let marks = self.marks();
        if from < marks.start || from > marks.end {
            return Err(StoreError::OutOfRange {
                start: marks.start,
                end: marks.end,
            });
        }
        let mut found = Vec::new();
        let mut bytes = 0_u64;
        for (base, kept) in self.holding(from.0..marks.end.0) {
            bytes += u64::from(kept.bytes);
            let is_full =
                bytes > u64::from(want.bytes_max) || found.len() >= want.count_max as usize;
            if is_full && !found.is_empty() {
                break;
            }
            found.push(self.found(base, kept));
        }
        Ok(found)
    }

    pub(crate) fn fetch(&self, at: &[Offset]) -> Vec<Found> {
        let mut all: Vec<Found> = Vec::with_capacity(at.len());
        for at in at
            .iter()
            .filter(|at| self.floor <= **at && **at < self.visible)
        {
            let Some((base, kept)) = self.holding(at.0..at.0.saturating_add(1)).next() else {
                continue;
            };
            let is_again = all.last().is_some_and(|last| last.base.0 == base);
            if !is_again && !self.is_settled(*at) {
                all.push(self.found(base, kept));
            }
        }
        all
    }

    fn is_settled(&self, at: Offset) -> bool {
        let own = self.cursors.get(&CursorId::default());
        self.spec.kind == Kind::Queue && own.is_some_and(|own| own.is_settled(at.0))
    }

    pub(crate) fn backlog(&self, cursor: CursorId, from: Offset, max: usize) -> Vec<Entry> {
        let none = Cursor::default();
        let cursor = self.cursors.get(&cursor).unwrap_or(&none);
        let first = from.max(self.floor).0;
        let mut entries = Vec::new();
        for (base, kept) in self.holding(first..self.visible.0) {
            let mut rest = base.max(first)..kept.after(base);
            while let Some((stretch, requeued)) = cursor.stretch(rest.clone()) {
                if entries.len() >= max {
                    return entries;
                }
                rest.start = stretch.end;
                entries.push(Entry {
                    base: Offset(stretch.start),
                    span: u32::try_from(stretch.end - stretch.start).unwrap_or(u32::MAX),
                    bytes: kept.bytes,
                    deadline: kept.deadline,
                    requeued,
                    dead: None,
                });
            }
        }
        entries
    }

    /// Where the first batch with a time at or after this one begins.
    pub(crate) fn first_at(&self, time: Timestamp) -> Option<Offset> {
        // Times need not grow with offsets, but the latest time so far does: a bisection by it ends
        // at the batch, or before it where a later time was trimmed away.
        let (mut low, mut high) = (0, self.visible.0);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.batches.range(middle..high).next() {
                Some((base, kept)) if kept.time_so_far < time => low = *base + 1,
                _ => high = middle,
            }
        }
        let mut rest = self.batches.range(low..self.visible.0.max(low));
        let found = rest.find(|(_, kept)| kept.time >= time);
        found.map(|(base, _)| Offset(*base).max(self.floor))
    }

    pub(crate) fn latest(&self, prefix: &Bytes, after: Option<&Bytes>, max: usize) -> FoundKeys {
        let mut page = FoundKeys::default();
        let from = after.map_or(prefix, |after| after.max(prefix)).clone();
        for (key, at) in self
            .keys
            .range(from..)
            .filter(|(key, _)| after != Some(key))
        {
            if !key.starts_with(prefix) {
                break;
            }
            if page.entries.len() >= max {
                page.is_cut = true;
                break;
            }
            if let Some((base, kept)) = self.holding(*at..at.saturating_add(1)).next() {
                page.entries.push((key.clone(), self.found(base, kept)));
            }
        }
        page
    }

    fn found(&self, base: u64, kept: &Kept) -> Found {
        let own = self.cursors.get(&CursorId::default());
        let requeued = match self.spec.kind {
            Kind::Queue => own.map_or(0, |own| own.times_most(base..kept.after(base))),
            Kind::Log | Kind::Latest => 0,
        };
        Found {
            base: Offset(base),
            at: kept.at,
            requeued,
        }
    }
}
