//! What readers ask of an entity. Bodies are not here: the answers say where they lie.

use bytes::Bytes;
use fairlead_canon::{Batch, Kind, Offset, Timestamp};
use fairlead_ports::{Aborted, CursorId, Entry, StoreError, Stored, View, Want};

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
    pub(crate) fn read(&mut self, from: Offset, want: Want) -> Result<Vec<Found>, StoreError> {
        let marks = self.marks();
        if from < marks.start || from > marks.end {
            return Err(StoreError::OutOfRange {
                start: marks.start,
                end: marks.end,
            });
        }
        let to = match want.view {
            View::All => marks.end,
            View::Committed => marks.stable,
        };
        let mut found = Vec::new();
        let (mut bytes, mut at) = (0_u64, from.0);
        while let Some(kept) = self.batches.next(&self.source, at)
            && kept.base < to.0
        {
            bytes += u64::from(kept.bytes);
            let is_full =
                bytes > u64::from(want.bytes_max) || found.len() >= want.count_max as usize;
            if is_full && !found.is_empty() {
                break;
            }
            found.push(self.found(&kept));
            at = kept.after();
        }
        Ok(found)
    }

    /// Aborted transactions that touch the batches that hold these.
    pub(crate) fn aborted(&mut self, found: &[Found]) -> Vec<Aborted> {
        let (Some(first), Some(last)) = (found.first(), found.last()) else {
            return Vec::new();
        };
        if self.aborted.is_empty() {
            return Vec::new();
        }
        let last = self.batches.holding(&self.source, last.base.0);
        let to = last.map_or(first.base, |kept| Offset(kept.after()));
        self.aborted.touching(first.base, to)
    }

    pub(crate) fn fetch(&mut self, at: &[Offset]) -> Vec<Found> {
        let mut all: Vec<Found> = Vec::with_capacity(at.len());
        for at in at
            .iter()
            .filter(|at| self.floor <= **at && **at < self.visible)
        {
            let Some(kept) = self.batches.holding(&self.source, at.0) else {
                continue;
            };
            let is_again = all.last().is_some_and(|last| last.base.0 == kept.base);
            if !is_again && !self.is_settled(*at) {
                all.push(self.found(&kept));
            }
        }
        all
    }

    fn is_settled(&self, at: Offset) -> bool {
        let own = self.cursors.get(&CursorId::default());
        self.spec.kind == Kind::Queue
            && own.is_some_and(|own| own.is_settled(at.0))
            && !self.dead.contains(at.0)
    }

    pub(crate) fn backlog(&mut self, cursor: CursorId, from: Offset, max: usize) -> Vec<Entry> {
        if cursor == CursorId::DEAD {
            return self.dead_entries(from, max);
        }
        let none = Cursor::default();
        let cursor = self.cursors.get(&cursor).unwrap_or(&none);
        let first = from.max(self.floor).0;
        let (mut entries, mut at) = (Vec::new(), first);
        while let Some(kept) = self.batches.next(&self.source, at)
            && kept.base < self.visible.0
        {
            at = kept.after();
            let mut rest = kept.base.max(first)..kept.after();
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
    pub(crate) fn first_at(&mut self, time: Timestamp) -> Option<Offset> {
        let found = self.batches.first_at(&self.source, time)?;
        (found.base < self.visible.0).then_some(Offset(found.base).max(self.floor))
    }

    pub(crate) fn latest(
        &mut self,
        prefix: &Bytes,
        after: Option<&Bytes>,
        max: usize,
    ) -> FoundKeys {
        if !self.keys.is_whole() && self.batches.falls_short() {
            return FoundKeys::default();
        }
        let most = max.saturating_add(1);
        let mut keys = self.keys.range(&self.source, prefix, after, most);
        let is_cut = keys.len() > max;
        keys.truncate(max);
        let mut entries = Vec::new();
        for (key, at) in keys {
            if let Some(kept) = self.batches.holding(&self.source, at) {
                entries.push((key, Found::of(&kept, 0)));
            }
        }
        FoundKeys { entries, is_cut }
    }

    fn found(&self, kept: &Kept) -> Found {
        let own = self.cursors.get(&CursorId::default());
        let requeued = match self.spec.kind {
            Kind::Queue => own.map_or(0, |own| own.times_most(kept.base..kept.after())),
            Kind::Log | Kind::Latest => 0,
        };
        Found::of(kept, requeued)
    }
}

impl Found {
    /// With what lies there.
    pub(crate) fn stored(&self, batch: Batch) -> Stored {
        Stored {
            base: self.base,
            batch,
            requeued: self.requeued,
        }
    }

    fn of(kept: &Kept, requeued: u16) -> Self {
        Self {
            base: Offset(kept.base),
            at: kept.at,
            requeued,
        }
    }
}
