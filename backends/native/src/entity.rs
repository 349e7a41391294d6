//! One entity: where its batches lie, and what its readers have settled.
//!
//! Changed by the engine alone, as records say; read by everyone, up to what is visible.

mod read;

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use fairlead_canon::{Batch, Kind, Offset, Outcome, Spec, Timestamp};
use fairlead_ports::{CursorId, Lsn, Marks};
use parking_lot::Mutex;

use crate::cursor::Cursor;
use crate::producer::Producers;

pub(crate) use read::{Found, FoundKeys};

/// An entity as shared between the engine and readers.
#[derive(Debug)]
pub(crate) struct Entity {
    pub(crate) content: Mutex<Content>,
}

/// Where a record lies in the log, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) lsn: Lsn,
    pub(crate) len: u32,
}

#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) spec: Spec,
    /// Where the next batch goes.
    pub(crate) end: Offset,
    /// What readers may see ends here: at most `end`.
    pub(crate) visible: Offset,
    pub(crate) producers: Producers,
    /// Everything below was trimmed; a queue's start follows from what is left.
    floor: Offset,
    batches: BTreeMap<u64, Kept>,
    /// Where the newest message of each key is, for `Kind::Latest`.
    keys: BTreeMap<Bytes, u64>,
    cursors: BTreeMap<CursorId, Cursor>,
    count: u64,
    bytes: u64,
    /// As far as messages were handed out: what was recorded, and what was when this began.
    mark: Offset,
    handed_out: Offset,
    /// The record that changed it last.
    changed_at: Lsn,
}

/// A batch that is kept.
#[derive(Clone, Copy, Debug)]
struct Kept {
    at: Location,
    span: u32,
    /// Messages that keep it: unsettled ones, all of them, or keys whose newest it is.
    live: u32,
    bytes: u32,
    time: Timestamp,
    /// The latest time of it and of what was before it.
    time_so_far: Timestamp,
    deadline: Option<Timestamp>,
}

impl Kept {
    /// The offset behind it, if it begins at `base`.
    fn after(&self, base: u64) -> u64 {
        base.saturating_add(u64::from(self.span))
    }
}

impl Entity {
    pub(crate) fn new(spec: Spec) -> Self {
        Self {
            content: Mutex::new(Content::new(spec)),
        }
    }
}

impl Content {
    fn new(spec: Spec) -> Self {
        Self {
            spec,
            end: Offset(0),
            visible: Offset(0),
            producers: Producers::default(),
            floor: Offset(0),
            batches: BTreeMap::new(),
            keys: BTreeMap::new(),
            cursors: BTreeMap::new(),
            count: 0,
            bytes: 0,
            mark: Offset(0),
            handed_out: Offset(0),
            changed_at: Lsn(0),
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn append(&mut self, base: Offset, batch: &Batch, at: Location) {
        if self.batches.is_empty() && self.floor == self.end {
            self.floor = base;
        }
        self.changed_at = at.lsn;
        self.end = base.plus(u64::from(batch.span));
        if let Some(stamp) = batch.stamp {
            self.producers.record(stamp, base);
        }
        let live = match self.spec.kind {
            Kind::Log => batch.count,
            Kind::Queue => batch.span,
            Kind::Latest => self.supersede(base, batch),
        };
        if live == 0 {
            return;
        }
        let bytes = u32::try_from(batch.bytes.len()).unwrap_or(u32::MAX);
        self.count += u64::from(live);
        self.bytes += u64::from(bytes);
        let before = self.batches.values().next_back();
        let kept = Kept {
            at,
            span: batch.span,
            live,
            bytes,
            time: batch.time,
            time_so_far: before.map_or(batch.time, |kept| kept.time_so_far.max(batch.time)),
            deadline: batch.deadline,
        };
        self.batches.insert(base.0, kept);
    }

    /// Makes the batch the newest of its keys; returns how many of its messages are.
    fn supersede(&mut self, base: Offset, batch: &Batch) -> u32 {
        let mut live = 0_u32;
        for (at, key) in (base.0..).zip(&batch.keys) {
            let Some(name) = &key.key else { continue };
            let older = if key.has_value {
                live += 1;
                // A copy: a slice would keep the whole frame or packet in memory.
                self.keys.insert(Bytes::copy_from_slice(name), at)
            } else {
                self.keys.remove(name)
            };
            match older {
                Some(older) if older >= base.0 => live = live.saturating_sub(1),
                Some(older) => self.release(older, 1),
                None => {}
            }
        }
        live
    }

    /// Ends the deliveries of a range, as seen by one cursor.
    pub(crate) fn settle(&mut self, cursor: CursorId, range: Range<u64>, outcome: Outcome) {
        let range = range.start.max(self.floor.0)..range.end.min(self.end.0);
        if range.is_empty() {
            return;
        }
        match outcome {
            Outcome::Returned => {
                let stretches = self.unsettled(cursor, range);
                let cursor = self.cursors.entry(cursor).or_default();
                stretches
                    .into_iter()
                    .for_each(|stretch| cursor.give_back(stretch));
            }
            Outcome::Done | Outcome::Dead(_) if self.spec.kind == Kind::Queue => {
                self.consume(range)
            }
            Outcome::Done | Outcome::Dead(_) => {
                self.cursors.entry(cursor).or_default().settle(range);
            }
        }
    }

    /// Unsettled offsets of the batches in a range.
    fn unsettled(&self, cursor: CursorId, range: Range<u64>) -> Vec<Range<u64>> {
        let none = Cursor::default();
        let cursor = self.cursors.get(&cursor).unwrap_or(&none);
        let mut stretches = Vec::new();
        for (base, kept) in self.holding(range.clone()) {
            let mut rest = base.max(range.start)..kept.after(base).min(range.end);
            while let Some((stretch, _)) = cursor.stretch(rest.clone()) {
                rest.start = stretch.end;
                stretches.push(stretch);
            }
        }
        stretches
    }

    /// Settles offsets of a queue; a batch without unsettled ones goes.
    fn consume(&mut self, range: Range<u64>) {
        if range.end - range.start == 1 && self.consume_single(range.start) {
            return;
        }
        for stretch in self.unsettled(CursorId::default(), range) {
            let lost = u32::try_from(stretch.end - stretch.start).unwrap_or(u32::MAX);
            self.cursors
                .entry(CursorId::default())
                .or_default()
                .settle(stretch.clone());
            self.release(stretch.start, lost);
        }
    }

    /// The usual case, a batch of one message: it goes without a trace in the cursor.
    fn consume_single(&mut self, at: u64) -> bool {
        let is_single = self.batches.get(&at).is_some_and(|kept| kept.span == 1);
        if is_single {
            self.remove(at);
        }
        is_single
    }

    /// `lost` messages no longer keep the batch that holds `at`.
    fn release(&mut self, at: u64, lost: u32) {
        let Some((&base, kept)) = self.batches.range_mut(..=at).next_back() else {
            return;
        };
        kept.live = kept.live.saturating_sub(lost);
        let is_gone = kept.live == 0;
        self.count = self.count.saturating_sub(u64::from(lost));
        if is_gone {
            self.remove(base);
        }
    }

    fn remove(&mut self, base: u64) {
        let Some(kept) = self.batches.remove(&base) else {
            return;
        };
        self.count = self.count.saturating_sub(u64::from(kept.live));
        self.bytes = self.bytes.saturating_sub(u64::from(kept.bytes));
        for cursor in self.cursors.values_mut() {
            cursor.forget(base..kept.after(base));
        }
    }

    /// Forgets everything below an offset.
    pub(crate) fn trim(&mut self, to: Offset) {
        if to <= self.floor {
            return;
        }
        match self.spec.kind {
            Kind::Queue => self.consume(self.floor.0..to.0),
            Kind::Log => {
                while let Some((&base, kept)) = self.batches.first_key_value()
                    && kept.after(base) <= to.0
                {
                    self.remove(base);
                }
            }
            Kind::Latest => {
                let below = |(key, at): (&Bytes, &u64)| (*at < to.0).then(|| (key.clone(), *at));
                let gone: Vec<_> = self.keys.iter().filter_map(below).collect();
                for (key, at) in gone {
                    self.keys.remove(&key);
                    self.release(at, 1);
                }
            }
        }
        self.floor = to;
    }

    pub(crate) fn mark(&mut self, upto: Offset) {
        self.mark = self.mark.max(upto);
    }

    /// Everything read from the log belongs to a process that has ended.
    pub(crate) fn begin_anew(&mut self) {
        self.handed_out = self.mark;
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
    pub(crate) fn start(&self) -> Offset {
        let first = self.batches.keys().next().map(|base| Offset(*base));
        match self.spec.kind {
            Kind::Queue => first.unwrap_or(self.end).max(self.floor),
            Kind::Log | Kind::Latest => self.floor,
        }
    }

    pub(crate) fn marks(&self) -> Marks {
        Marks {
            start: self.start().min(self.visible),
            end: self.visible,
            stable: self.visible,
            count: self.count,
            bytes: self.bytes,
            handed_out: self.handed_out,
        }
    }

    /// Messages and bytes of the batches from `from`, oldest first, with the offset behind each.
    pub(crate) fn sizes(&self, from: Offset) -> impl Iterator<Item = (Offset, u64, u64)> {
        self.batches.range(from.0..).map(|(base, kept)| {
            (
                Offset(kept.after(*base)),
                u64::from(kept.live),
                u64::from(kept.bytes),
            )
        })
    }

    /// Where the batches that are kept lie.
    pub(crate) fn places(&self) -> impl Iterator<Item = Location> {
        self.batches.values().map(|kept| kept.at)
    }

    /// Batches that hold an offset of the range, in order.
    fn holding(&self, range: Range<u64>) -> impl Iterator<Item = (u64, &Kept)> {
        let before = self.batches.range(..range.start).next_back();
        let reaches = |(base, kept): &(&u64, &Kept)| kept.after(**base) > range.start;
        before
            .filter(reaches)
            .into_iter()
            .chain(self.batches.range(range.start..range.end.max(range.start)))
            .map(|(base, kept)| (*base, kept))
    }
}
