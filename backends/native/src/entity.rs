//! One entity: where its batches lie, and what its readers have settled.
//!
//! Changed by the engine alone, as records say; read by everyone, up to what is visible.

mod aborted;
mod batches;
mod chunk;
mod chunk_row;
mod dead;
mod keys;
mod read;
mod retain;
mod row;
mod settle;
mod upkeep;
mod writers;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use fairlead_canon::{Batch, Kind, Offset, Spec, Timestamp};
use fairlead_ports::{CursorId, Lsn, Marks};
use parking_lot::Mutex;

use crate::cursor::Cursor;
use crate::ground::Uses;
use crate::index::{KvError, rows};
use crate::limits::REAPED_CHUNKS;
use crate::mutation::{Mutation, is_on};
use crate::producer::Producers;

use aborted::AbortedTxns;
use batches::Batches;
use chunk::Kept;
use dead::Dead;
use keys::Keys;
use upkeep::Upkeep;

pub(crate) use batches::Source;
pub(crate) use read::{Found, FoundKeys};
pub(crate) use row::{Captured, each};

/// An entity as shared between the engine and readers.
#[derive(Debug)]
pub(crate) struct Entity {
    pub(crate) content: Mutex<Content>,
    /// It was deleted and stays only until the index knows.
    is_deleted: AtomicBool,
    /// Since it was last looked at for leaving memory.
    is_used: AtomicBool,
    /// It stands in the line of those that are looked at.
    is_warm: AtomicBool,
}

/// Where a record lies in the log, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) lsn: Lsn,
    pub(crate) len: u32,
}

#[derive(Debug)]
pub(crate) struct Content {
    source: Source,
    pub(crate) spec: Spec,
    /// Where the next batch goes.
    pub(crate) end: Offset,
    /// What readers may see ends here: at most `end`.
    pub(crate) visible: Offset,
    pub(crate) producers: Producers,
    /// Everything below was trimmed; a queue's start follows from what is left.
    floor: Offset,
    batches: Batches,
    /// Where the newest message of each key is, for `Kind::Latest`.
    keys: Keys,
    cursors: BTreeMap<CursorId, Cursor>,
    dead: Dead,
    aborted: AbortedTxns,
    upkeep: Option<Box<Upkeep>>,
    /// The record that ended a transaction last, in this process.
    txn_ended_at: Lsn,
    count: u64,
    bytes: u64,
    /// As far as messages were handed out: what was recorded, and what was when this began.
    mark: Offset,
    handed_out: Offset,
    /// The record that changed it last.
    changed_at: Lsn,
    is_deleted: bool,
    /// The kinds of rows that the index may have of it besides batches.
    kinds_written: u64,
    /// The generation in which it has changed and was not captured; 0: it was.
    changed_in: u64,
    /// The newest generation that it was captured in.
    captured_in: u64,
    /// Captured before it changed again, for the checkpoint that comes for it.
    captured: Option<Box<Captured>>,
}

impl Location {
    /// Address behind its last byte.
    pub(crate) fn end(self) -> u64 {
        self.lsn.0.saturating_add(u64::from(self.len))
    }
}

impl Entity {
    pub(crate) fn new(content: Content) -> Self {
        Self {
            content: Mutex::new(content),
            is_deleted: AtomicBool::new(false),
            is_used: AtomicBool::new(true),
            is_warm: AtomicBool::new(false),
        }
    }

    /// Whether it is not yet in the line of those that may leave memory; from now on it is.
    pub(crate) fn begin_warm(&self) -> bool {
        !self.is_warm.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.is_deleted.load(Ordering::Acquire)
    }

    /// Lets go of everything in it.
    pub(crate) fn delete(&self) {
        self.is_deleted.store(true, Ordering::Release);
        self.content.lock().delete();
    }

    pub(crate) fn set_used(&self) {
        // Mostly it is: a load leaves the line shared.
        if !self.is_used.load(Ordering::Relaxed) {
            self.is_used.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it was used since this was asked last.
    pub(crate) fn was_used(&self) -> bool {
        self.is_used.swap(false, Ordering::Relaxed)
    }
}

impl Content {
    pub(crate) fn new(source: Source, spec: Spec) -> Self {
        Self {
            keys: Keys::new(&source.ground.keys),
            source,
            spec,
            end: Offset(0),
            visible: Offset(0),
            producers: Producers::default(),
            floor: Offset(0),
            batches: Batches::default(),
            cursors: BTreeMap::new(),
            dead: Dead::default(),
            aborted: AbortedTxns::default(),
            upkeep: None,
            txn_ended_at: Lsn(0),
            count: 0,
            bytes: 0,
            mark: Offset(0),
            handed_out: Offset(0),
            changed_at: Lsn(0),
            is_deleted: false,
            kinds_written: 0,
            changed_in: 0,
            captured_in: 0,
            captured: None,
        }
    }

    /// Called before each change: whoever comes first, the checkpoint or the next change, captures
    /// what the generation before left. Whether the entity is to be listed as changed.
    pub(crate) fn touch(&mut self, generation: u64) -> bool {
        if self.changed_in == generation {
            return false;
        }
        if self.changed_in != 0 {
            self.captured_in = self.changed_in;
            self.captured = Some(Box::new(self.capture()));
        }
        self.changed_in = generation;
        true
    }

    /// What a generation that has ended changed.
    pub(crate) fn take(&mut self, generation: u64) -> Option<Captured> {
        if let Some(captured) = self.captured.take() {
            return Some(*captured);
        }
        (self.changed_in == generation).then(|| {
            self.changed_in = 0;
            self.captured_in = generation;
            self.capture()
        })
    }

    /// Whether the index has all of it, as far as generation `durable`.
    pub(crate) fn is_in_index(&self, durable: u64) -> bool {
        self.changed_in == 0 && self.captured.is_none() && self.captured_in <= durable
    }

    /// Sees what is in memory alone; `None` when that is not enough.
    pub(crate) fn glance<T>(&mut self, see: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.batches.keep_to_memory();
        let seen = see(self);
        (!self.batches.was_short()).then_some(seen)
    }

    /// Drops, of what there is too much in memory, chunks that nobody used lately and keys: those that
    /// the index has.
    pub(crate) fn unload(&mut self) {
        let ground = &self.source.ground;
        if self.captured.is_some() || self.captured_in > ground.durable() {
            return;
        }
        if ground.has_many_chunks() {
            self.batches.unload();
        }
        if ground.has_many_keys() && self.spec.kind == Kind::Latest {
            self.keys.unload();
        }
    }

    fn delete(&mut self) {
        self.is_deleted = true;
        self.cursors = BTreeMap::new();
        self.keys = Keys::new(&self.source.ground.keys);
        self.change_producers(|producers| *producers = Producers::default());
        self.dead = Dead::default();
        self.aborted = AbortedTxns::default();
        let Source { ground, entity } = &self.source;
        ground.open_txns.lock().forget(*entity);
        ground.chores.set(*entity, None);
        self.upkeep = None;
        self.reap(REAPED_CHUNKS);
    }

    /// Gives up so many chunks of what was deleted.
    pub(crate) fn reap(&mut self, chunks: usize) {
        for _ in 0..chunks {
            let Some(chunk) = self.batches.pop(&self.source) else {
                return;
            };
            let mut uses = self.source.ground.uses.lock();
            for kept in &chunk.batches {
                uses.remove(kept.at, kept.share);
                self.count = self.count.saturating_sub(u64::from(kept.live));
                let bytes = if kept.live > 0 { kept.bytes } else { 0 };
                self.bytes = self.bytes.saturating_sub(u64::from(bytes));
            }
        }
    }

    /// Whether no batch is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds a batch whose record lies at `at`. The share of it that is this entity's is counted as
    /// needed. Returns its deadline here, and what it counts for against a limit on bytes.
    pub(crate) fn append(
        &mut self,
        base: Offset,
        batch: &Batch,
        at: Location,
        share: u32,
    ) -> (Option<Timestamp>, u32) {
        if self.batches.is_empty() && self.floor == self.end {
            self.floor = base;
        }
        self.changed_at = at.lsn;
        self.end = base.plus(u64::from(batch.span));
        if let Some(stamp) = batch.stamp {
            let (now, is_first) = (self.source.ground.now(), self.producers.is_empty());
            self.change_producers(|producers| producers.record(stamp, base, now));
            if is_first {
                self.reschedule();
            }
            if batch.flags.transactional && !batch.flags.control {
                let Source { ground, entity } = &self.source;
                let mut open = ground.open_txns.lock();
                open.begin(*entity, stamp.producer, base);
            }
        }
        let (deadline, bytes) = (self.deadline(batch), batch.weight(self.spec.kind));
        let live = match self.spec.kind {
            Kind::Log => batch.count,
            Kind::Queue => batch.span,
            Kind::Latest => self.supersede(base, batch),
        };
        if live == 0 {
            self.source.ground.uses.lock().remove(at, share);
            return (deadline, bytes);
        }
        self.count += u64::from(live);
        self.bytes += u64::from(bytes);
        let kept = Kept {
            base: base.0,
            at,
            span: batch.span,
            live,
            bytes,
            share,
            time: batch.time,
            deadline,
        };
        self.batches.push(&self.source, kept);
        self.retain();
        self.grown(bytes);
        (deadline, bytes)
    }

    /// Makes the batch the newest of its keys; returns how many of its messages are.
    fn supersede(&mut self, base: Offset, batch: &Batch) -> u32 {
        let mut live = 0_u32;
        for (at, key) in (base.0..).zip(&batch.keys) {
            let Some(name) = &key.key else { continue };
            let older = if key.has_value {
                live += 1;
                self.keys.put(&self.source, name, at)
            } else {
                self.keys.remove(&self.source, name)
            };
            match older {
                Some(older) if older >= base.0 => live = live.saturating_sub(1),
                Some(older) => self.release(older, 1),
                None => {}
            }
        }
        live
    }

    fn change_producers(&mut self, change: impl FnOnce(&mut Producers)) {
        let before = self.producers.len();
        change(&mut self.producers);
        let ground = &self.source.ground;
        ground.count_producers(before, self.producers.len());
    }

    /// Forgets everything below an offset, and producers that were idle too long.
    pub(crate) fn trim(&mut self, to: Offset) {
        let now = self.source.ground.now();
        if self.producers.due().is_some_and(|due| due <= now) {
            self.change_producers(|producers| producers.expire(now));
        }
        if to <= self.floor {
            return;
        }
        match self.spec.kind {
            Kind::Queue => {
                self.consume(self.floor.0..to.0, None);
                self.bury(self.floor.0..to.0);
            }
            Kind::Log => self.remove_oldest(to.0),
            Kind::Latest => {
                for key in self.keys.below(&self.source, to.0) {
                    if let Some(at) = self.keys.remove(&self.source, &key) {
                        self.release(at, 1);
                    }
                }
            }
        }
        self.floor = to;
        self.aborted.forget(to);
        self.reschedule();
    }

    pub(crate) fn mark(&mut self, upto: Offset) {
        self.mark = self.mark.max(upto);
    }

    /// Everything read from the log belongs to a process that has ended.
    pub(crate) fn begin_anew(&mut self) {
        self.handed_out = self.mark.min(self.end);
    }

    /// Lets readers see what ends at `end`, and what lies before it.
    pub(crate) fn show(&mut self, end: Offset) {
        self.visible = self.visible.max(end);
    }

    /// The record whose durability makes everything in it durable.
    pub(crate) fn changed_at(&self) -> Lsn {
        self.changed_at
    }

    /// First offset kept, visible or not.
    pub(crate) fn start(&mut self) -> Offset {
        match self.spec.kind {
            Kind::Queue => {
                let first = self.batches.next(&self.source, 0);
                let first = first.map_or(self.end, |kept| Offset(kept.base));
                first.max(self.floor)
            }
            Kind::Log | Kind::Latest => self.floor,
        }
    }

    pub(crate) fn marks(&mut self) -> Marks {
        let start = self.start().min(self.visible);
        let open = self.source.first_open();
        let open = open.filter(|_| !is_on(Mutation::StableTooHigh));
        let stable = open.unwrap_or(self.visible);
        Marks {
            start,
            end: self.visible,
            stable: stable.clamp(start, self.visible),
            count: self.count,
            bytes: self.bytes,
            handed_out: self.handed_out,
        }
    }

    /// Messages and bytes of the batches from `from`, oldest first, with the offset behind each.
    pub(crate) fn sizes(&mut self, from: Offset) -> impl Iterator<Item = (Offset, u64, u64)> {
        let batches = self.holding(from.0..u64::MAX);
        batches.map(|kept| {
            let bytes = if kept.live > 0 { kept.bytes } else { 0 };
            let (live, bytes) = (u64::from(kept.live), u64::from(bytes));
            (Offset(kept.after()), live, bytes)
        })
    }

    /// Checks an entity that was just loaded: what its row says of its batches is what they add up
    /// to. Adds what log files it needs.
    pub(crate) fn verify(&self, uses: &mut Uses) -> Result<(), KvError> {
        let (mut count, mut bytes) = (0, 0);
        self.batches.verify(&self.source, &mut |kept| {
            count += u64::from(kept.live);
            bytes += u64::from(kept.bytes);
            uses.add(kept.at, kept.share);
        })?;
        if (count, bytes) == (self.count, self.bytes) {
            Ok(())
        } else {
            let key = rows::entity(self.source.entity);
            Err(KvError::damaged(&key, "sizes"))
        }
    }

    /// Counts what log files are needed for.
    #[cfg(test)]
    pub(crate) fn count_uses(&self, uses: &mut Uses) {
        for kept in self.batches.all(&self.source) {
            uses.add(kept.at, kept.share);
        }
    }

    /// Whether it keeps the batch at this offset, and its record is the one with this LSN.
    pub(crate) fn keeps(&mut self, base: Offset, lsn: Lsn) -> bool {
        let kept = self.batches.holding(&self.source, base.0);
        kept.is_some_and(|kept| kept.at.lsn == lsn)
    }

    /// Where the batches that are kept lie.
    pub(crate) fn places(&self) -> impl Iterator<Item = Location> {
        self.batches.all(&self.source).map(|kept| kept.at)
    }

    /// Batches that hold an offset of the range, in order.
    fn holding(&mut self, range: Range<u64>) -> impl Iterator<Item = Kept> {
        let mut at = range.start;
        std::iter::from_fn(move || {
            let kept = self.batches.next(&self.source, at)?;
            at = kept.after();
            (kept.base < range.end).then_some(kept)
        })
    }
}
