//! All batches of an entity: a directory of chunks, each in memory or on disk.
//!
//! Chunks that changed stay in memory until a checkpoint has written them; the others can be dropped
//! at any time and are loaded when they are asked for. A chunk is shared with the checkpoint that
//! writes it, and copied if it changes meanwhile.

use std::collections::VecDeque;
use std::sync::Arc;

use fairlead_canon::{EntityId, Timestamp};

use super::chunk::{CHUNK_LEN, Chunk, Kept};
use super::chunk_row::Summary;
use crate::ground::Ground;
use crate::index::{KvError, rows};

#[derive(Debug, Default)]
pub(crate) struct Batches {
    /// In the order of their offsets. Only the last one may be empty.
    slots: VecDeque<Slot>,
    /// Chunks that changed since the last capture, by their first offset.
    changed: Vec<u64>,
    /// Rows that are to go at the next one.
    gone: Vec<u64>,
    reach: Reach,
}

/// Where batches may be looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Reach {
    #[default]
    Index,
    Memory,
    /// In memory, and that was not enough.
    Short,
}

#[derive(Debug)]
struct Slot {
    /// Its key, at or before the first batch in it.
    first: u64,
    /// At or behind the end of the last one.
    end: u64,
    latest: Timestamp,
    len: usize,
    /// `None`: on disk only.
    chunk: Option<Arc<Chunk>>,
    has_row: bool,
    is_changed: bool,
    /// Since it was last looked at for dropping.
    is_used: bool,
}

/// Where batches that are not in memory come from.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) ground: Arc<Ground>,
    pub(crate) entity: EntityId,
}

/// What has changed in the chunks of an entity.
#[derive(Debug, Default)]
pub(crate) struct Captured {
    gone: Vec<u64>,
    chunks: Vec<CapturedChunk>,
}

#[derive(Debug)]
struct CapturedChunk {
    first: u64,
    end: u64,
    latest: Timestamp,
    chunk: Arc<Chunk>,
}

impl Source {
    fn chunk(&self, first: u64) -> Arc<Chunk> {
        let chunk = self.ground.trust(self.read(first).map(Some));
        Arc::new(chunk.unwrap_or_else(|| Chunk::new(&self.ground, 0)))
    }

    fn read(&self, first: u64) -> Result<Chunk, KvError> {
        let key = rows::chunk(self.entity, first);
        let missing = || KvError::damaged(&key, "no batches");
        let value = self.ground.index.get(&key)?.ok_or_else(missing)?;
        Chunk::decode(&self.ground, first, &value).ok_or_else(missing)
    }
}

impl Slot {
    /// `None` when it is out of reach.
    fn load(&mut self, source: &Source, reach: &mut Reach) -> Option<&Chunk> {
        if self.chunk.is_none() && *reach != Reach::Index {
            *reach = Reach::Short;
            return None;
        }
        self.is_used = true;
        let chunk = self.chunk.get_or_insert_with(|| source.chunk(self.first));
        Some(chunk)
    }

    /// The chunk, to be changed: a checkpoint that holds it keeps the old one.
    fn change(&mut self, source: &Source, changed: &mut Vec<u64>) -> &mut Chunk {
        if !self.is_changed {
            self.is_changed = true;
            changed.push(self.first);
        }
        self.is_used = true;
        let chunk = self.chunk.get_or_insert_with(|| source.chunk(self.first));
        Arc::make_mut(chunk)
    }
}

impl Batches {
    /// The directory as the index has it: the keys of the chunks and what their rows say.
    pub(crate) fn of_rows(rows: impl Iterator<Item = (u64, Summary)>) -> Self {
        let slot = |(first, summary): (u64, Summary)| Slot {
            first,
            end: summary.end,
            latest: summary.latest,
            len: summary.len,
            chunk: None,
            has_row: true,
            is_changed: false,
            is_used: false,
        };
        Self {
            slots: rows.map(slot).collect(),
            ..Self::default()
        }
    }

    /// Chunks with a batch in them.
    pub(crate) fn rows(&self) -> usize {
        let is_last_empty = self.slots.back().is_some_and(|slot| slot.len == 0);
        self.slots.len() - usize::from(is_last_empty)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows() == 0
    }

    /// The first batch that ends behind an offset.
    pub(crate) fn next(&mut self, source: &Source, offset: u64) -> Option<Kept> {
        let from = self.slot_of(offset);
        for slot in self.slots.range_mut(from..) {
            let chunk = slot.load(source, &mut self.reach)?;
            if let Some(kept) = chunk.batches.get(chunk.place(offset)) {
                return Some(*kept);
            }
        }
        None
    }

    /// From the oldest one on, as far as they are within reach.
    pub(crate) fn oldest(&mut self, source: &Source) -> impl Iterator<Item = Kept> {
        let Self { slots, reach, .. } = self;
        let chunks = slots
            .iter_mut()
            .map_while(move |slot| slot.load(source, reach));
        chunks.flat_map(|chunk| chunk.batches.iter().copied())
    }

    /// Where the first batch lies that ends behind an offset.
    fn slot_of(&self, offset: u64) -> usize {
        // Mostly it is the oldest: that is where a log forgets and a queue is settled.
        match self.slots.front() {
            Some(oldest) if oldest.end > offset => 0,
            _ => self.slots.partition_point(|slot| slot.end <= offset),
        }
    }

    /// From now on nothing is loaded: what would be found in the index is not found.
    pub(crate) fn keep_to_memory(&mut self) {
        self.reach = Reach::Memory;
    }

    /// Whether something that is only in the index is out of reach, which it then is known to be.
    pub(crate) fn falls_short(&mut self) -> bool {
        let is_short = self.reach != Reach::Index;
        if is_short {
            self.reach = Reach::Short;
        }
        is_short
    }

    /// Ends that; returns whether something would have been loaded.
    pub(crate) fn was_short(&mut self) -> bool {
        std::mem::take(&mut self.reach) == Reach::Short
    }

    /// Every batch, in order. What is not in memory is read and does not stay.
    pub(crate) fn all(&self, source: &Source) -> impl Iterator<Item = Kept> {
        self.slots.iter().flat_map(move |slot| {
            let chunk = slot.chunk.as_ref().map(Arc::clone);
            let chunk = chunk.unwrap_or_else(|| source.chunk(slot.first));
            (0..slot.len).filter_map(move |at| chunk.batches.get(at).copied())
        })
    }

    /// The batch that holds an offset.
    pub(crate) fn holding(&mut self, source: &Source, offset: u64) -> Option<Kept> {
        self.next(source, offset).filter(|kept| kept.base <= offset)
    }

    /// The first batch whose time is at or after this one.
    pub(crate) fn first_at(&mut self, source: &Source, time: Timestamp) -> Option<Kept> {
        for slot in self.slots.iter_mut().filter(|slot| slot.latest >= time) {
            let mut batches = slot.load(source, &mut self.reach)?.batches.iter();
            if let Some(kept) = batches.find(|kept| kept.time >= time) {
                return Some(*kept);
            }
        }
        None
    }

    /// Adds a batch behind all others.
    pub(crate) fn push(&mut self, source: &Source, kept: Kept) {
        match self.slots.back_mut() {
            Some(last) if last.len == 0 => {
                // Begins anew in its room, under the key of what it will hold.
                if last.has_row {
                    self.gone.push(last.first);
                }
                last.first = kept.base;
                last.latest = kept.time;
                last.has_row = false;
                last.is_changed = false;
            }
            Some(last) if last.len < CHUNK_LEN => {}
            before => {
                // Behind a full one there will be many.
                let room = if before.is_some() { CHUNK_LEN } else { 0 };
                let slot = Slot::beginning(Chunk::new(&source.ground, room), &kept);
                self.slots.push_back(slot);
            }
        }
        if let Some(last) = self.slots.back_mut() {
            last.end = kept.after();
            last.latest = last.latest.max(kept.time);
            last.len += 1;
            let chunk = last.change(source, &mut self.changed);
            chunk.batches.push_back(kept);
        }
    }

    /// Changes the batch that begins at `base`.
    pub(crate) fn change(&mut self, source: &Source, base: u64, change: impl FnOnce(&mut Kept)) {
        let at = self.slot_of(base);
        let Some(slot) = self.slots.get_mut(at) else {
            return;
        };
        let chunk = slot.change(source, &mut self.changed);
        let place = chunk.place(base);
        if let Some(kept) = chunk.batches.get_mut(place) {
            change(kept);
        }
    }

    /// Removes the batch that begins at `base`.
    pub(crate) fn remove(&mut self, source: &Source, base: u64) -> Option<Kept> {
        let at = self.slot_of(base);
        let slot = self.slots.get_mut(at)?;
        let chunk = slot.load(source, &mut self.reach)?;
        let place = chunk.place(base);
        chunk.batches.get(place).filter(|kept| kept.base == base)?;
        let removed = slot
            .change(source, &mut self.changed)
            .batches
            .remove(place)?;
        self.shortened(at);
        Some(removed)
    }

    /// Removes the oldest batch if it ends at or before `to`.
    pub(crate) fn remove_oldest(&mut self, source: &Source, to: u64) -> Option<Kept> {
        let slot = self.slots.front_mut()?;
        let chunk = slot.load(source, &mut self.reach)?;
        chunk.batches.front().filter(|kept| kept.after() <= to)?;
        let chunk = slot.change(source, &mut self.changed);
        let removed = chunk.batches.pop_front()?;
        self.shortened(0);
        Some(removed)
    }

    /// A batch of this chunk was removed: without any, it goes, if it is not the last one.
    fn shortened(&mut self, at: usize) {
        let is_last = at + 1 == self.slots.len();
        let Some(slot) = self.slots.get_mut(at) else {
            return;
        };
        slot.len -= 1;
        if slot.len == 0 && !is_last {
            let slot = self.slots.remove(at);
            let row = slot.filter(|slot| slot.has_row);
            self.gone.extend(row.map(|slot| slot.first));
        }
    }

    /// Takes the first chunk away; what was in it.
    pub(crate) fn pop(&mut self, source: &Source) -> Option<Arc<Chunk>> {
        let slot = self.slots.pop_front()?;
        self.gone.extend(slot.has_row.then_some(slot.first));
        Some(slot.chunk.unwrap_or_else(|| source.chunk(slot.first)))
    }

    /// Visits every batch as the index has it, and keeps none in memory.
    pub(crate) fn verify(
        &self,
        source: &Source,
        visit: &mut dyn FnMut(&Kept),
    ) -> Result<(), KvError> {
        for slot in &self.slots {
            let chunk = source.read(slot.first)?;
            let ends = chunk.batches.iter().map(Kept::after).max();
            if chunk.batches.len() != slot.len || ends > Some(slot.end) {
                let key = rows::chunk(source.entity, slot.first);
                return Err(KvError::damaged(&key, "batches"));
            }
            chunk.batches.iter().for_each(&mut *visit);
        }
        Ok(())
    }

    /// Drops what is in memory, on disk and not used lately; the rest is dropped the next time.
    pub(crate) fn unload(&mut self) {
        for slot in &mut self.slots {
            let may_go = slot.has_row && !slot.is_changed && slot.chunk.is_some();
            if may_go && !std::mem::take(&mut slot.is_used) {
                slot.chunk = None;
            }
        }
    }

    /// What has changed since the last capture, which is for a checkpoint to write.
    pub(crate) fn capture(&mut self) -> Captured {
        let mut captured = Captured {
            gone: std::mem::take(&mut self.gone),
            chunks: Vec::new(),
        };
        for first in std::mem::take(&mut self.changed) {
            let at = self.slots.partition_point(|slot| slot.first < first);
            let slot = self.slots.get_mut(at).filter(|slot| slot.first == first);
            let Some(slot) = slot.filter(|slot| slot.is_changed) else {
                continue;
            };
            slot.is_changed = false;
            if slot.len == 0 {
                captured.gone.extend(slot.has_row.then_some(first));
                slot.has_row = false;
                continue;
            }
            slot.has_row = true;
            captured
                .chunks
                .extend(slot.chunk.as_ref().map(|chunk| CapturedChunk {
                    first,
                    end: slot.end,
                    latest: slot.latest,
                    chunk: Arc::clone(chunk),
                }));
        }
        captured
    }
}

impl Slot {
    fn beginning(chunk: Chunk, with: &Kept) -> Self {
        Self {
            first: with.base,
            end: with.base,
            latest: with.time,
            len: 0,
            chunk: Some(Arc::new(chunk)),
            has_row: false,
            is_changed: false,
            is_used: true,
        }
    }
}

impl Captured {
    pub(crate) fn write(&self, entity: EntityId, batch: &mut crate::index::Batch) {
        for first in &self.gone {
            batch.delete(rows::chunk(entity, *first));
        }
        for at in &self.chunks {
            let value = at.chunk.encode(at.first, at.end, at.latest);
            batch.put(rows::chunk(entity, at.first), value);
        }
    }
}
