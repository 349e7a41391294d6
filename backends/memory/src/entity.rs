//! One entity: its batches, cursors and producers. Whoever calls has judged before.

mod compact;
mod read;
mod upkeep;
mod writers;

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use fairlead_canon::{
    Batch, DeadReason, Kind, Offset, Outcome, ProducerId, Series, Spec, Stamp, Timestamp,
};
use fairlead_ports::{CursorId, Decision};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::cursor::Cursor;
use crate::producer::Producer;
use crate::txn::Transactions;

/// Producers remembered per entity: above it the one that was idle longest is forgotten, so that
/// clients which take a new identity at each start do not grow the map for ever.
pub(crate) const PRODUCERS_MAX: usize = 4_096;

/// Stretches for which room is made at once.
const STRETCHES_AT_ONCE: usize = 64;

#[derive(Debug)]
pub(crate) struct Entity {
    pub(crate) spec: Spec,
    pub(crate) end: Offset,
    /// Everything below was trimmed; a queue's start follows from what is left.
    floor: Offset,
    batches: Series<u64, Item>,
    /// The most offsets that one of them took.
    span_max: u32,
    /// The newest message of each key, for `Kind::Latest`.
    keys: BTreeMap<Bytes, u64>,
    cursors: BTreeMap<CursorId, Cursor>,
    producers: HashMap<ProducerId, Producer, FixedState>,
    /// None of them wrote last before; `None`: there is none.
    idle_since: Option<Timestamp>,
    pub(crate) transactions: Transactions,
    /// Messages of a queue that died and are kept. To cursor 0 they are settled.
    dead: BTreeMap<u64, DeadReason>,
    count: u64,
    bytes: u64,
    weight: u64,
    /// Bytes appended since a log was compacted.
    dirty: u64,
    /// When it is compacted although nobody appends.
    clean_at: Option<Timestamp>,
    /// Nobody looks at it before.
    pause_until: Timestamp,
    /// It is among those that became empty lately.
    pub(crate) is_warm: bool,
}

#[derive(Debug)]
struct Item {
    batch: Batch,
    /// What it counts for against the limits of its entity.
    bytes: u32,
    /// Messages that keep it here: unsettled ones, those kept, or keys whose newest it is.
    live: u32,
    /// Messages that died and are kept.
    dead: u32,
    deadline: Option<Timestamp>,
    /// What it counts for against the cap of the store.
    weight: u64,
}

/// What became of a batch that lost messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Gone,
    Stays,
}

impl Entity {
    /// One that holds nothing and ends here.
    pub(crate) fn empty(spec: Spec, end: Offset) -> Self {
        Self {
            spec,
            end,
            floor: end,
            batches: Series::default(),
            span_max: 0,
            keys: BTreeMap::new(),
            cursors: BTreeMap::new(),
            producers: HashMap::default(),
            idle_since: None,
            transactions: Transactions::default(),
            dead: BTreeMap::new(),
            count: 0,
            bytes: 0,
            weight: 0,
            dirty: 0,
            clean_at: None,
            pause_until: Timestamp(0),
            is_warm: false,
        }
    }

    /// Whether there is nothing to know of it but what it is and where it ends.
    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty()
            && (self.spec.kind == Kind::Queue || self.floor == self.end)
            && self.producers.is_empty()
            && self.transactions.is_empty()
            && self.cursors.values().all(Cursor::is_empty)
    }

    pub(crate) fn weight(&self) -> u64 {
        self.weight
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn producer(&self, producer: ProducerId) -> Option<&Producer> {
        self.producers.get(&producer)
    }

    /// Messages and bytes of its batches from `from`, oldest first, with the offset after each.
    pub(crate) fn sizes(&self, from: Offset) -> impl Iterator<Item = (Offset, u64, u64)> {
        self.batches.range(from.0..).map(|(base, item)| {
            let after = Offset(base + u64::from(item.batch.span));
            let bytes = if item.live > 0 {
                u64::from(item.bytes)
            } else {
                0
            };
            (after, u64::from(item.live), bytes)
        })
    }

    /// Adds a batch; returns the bytes that it counts for and its deadline here.
    pub(crate) fn append(
        &mut self,
        base: Offset,
        batch: Batch,
        weight: u64,
        now: Timestamp,
    ) -> (u32, Option<Timestamp>) {
        if self.batches.is_empty() && self.floor == self.end {
            self.floor = base;
        }
        self.end = base.plus(u64::from(batch.span));
        self.span_max = self.span_max.max(batch.span);
        if let Some(stamp) = batch.stamp {
            self.record(stamp, base, now);
            if batch.flags.transactional && !batch.flags.control {
                self.transactions.begin(stamp.producer, base);
            }
        }
        let bytes = batch.weight(self.spec.kind);
        let deadline = self.deadline(&batch, now);
        let live = match self.spec.kind {
            Kind::Log => batch.count,
            Kind::Queue => batch.span,
            Kind::Latest => self.supersede(base, &batch),
        };
        if live == 0 {
            return (bytes, deadline);
        }
        self.count += u64::from(live);
        self.bytes += u64::from(bytes);
        self.weight += weight;
        let item = Item {
            batch,
            bytes,
            live,
            dead: 0,
            deadline,
            weight,
        };
        self.batches.insert(base.0, item);
        self.retain(now);
        self.grown(u64::from(bytes), now);
        (bytes, deadline)
    }

    /// The age of a queue bounds the deadline that a batch brought along.
    fn deadline(&self, batch: &Batch, now: Timestamp) -> Option<Timestamp> {
        let age = self.spec.retention.age_ms;
        let age = age.filter(|_| self.spec.kind == Kind::Queue);
        let aged = age.map(|age| Timestamp(now.0.saturating_add(age)));
        batch.deadline.into_iter().chain(aged).min()
    }

    /// Forgets the oldest batches of a log that are too old or too much. The newest one stays
    /// whatever its size, and so does everything from the first open transaction on.
    pub(crate) fn retain(&mut self, now: Timestamp) {
        if self.spec.kind != Kind::Log {
            return;
        }
        let retention = self.spec.retention;
        let open = self.transactions.first_open().unwrap_or(self.end);
        let mut to = None;
        while let Some((base, item)) = self.batches.first()
            && base < open.0
        {
            let age = retention.age_ms;
            let is_old = age.is_some_and(|age| item.batch.time.0.saturating_add(age) < now.0);
            let is_newest = base + u64::from(item.batch.span) >= self.end.0;
            let is_too_much = retention.bytes.is_some_and(|bytes| self.bytes > bytes);
            if !is_old && (is_newest || !is_too_much) {
                break;
            }
            to = Some(Offset(base + u64::from(item.batch.span)));
            self.remove(base);
        }
        if let Some(to) = to {
            self.trim(to);
        }
    }

    /// Ends the open transaction of a producer here. A higher epoch shuts the old one out.
    pub(crate) fn end_txn(&mut self, producer: ProducerId, epoch: i16, decision: Decision) {
        let last = Offset(self.end.0.saturating_sub(1));
        self.transactions.end(producer, decision, last);
        if let Some(known) = self.producers.get_mut(&producer) {
            known.raise(epoch);
        }
    }

    fn record(&mut self, stamp: Stamp, base: Offset, now: Timestamp) {
        if let Some(known) = self.producers.get_mut(&stamp.producer) {
            known.record(stamp, base);
            known.used = now;
            return;
        }
        if self.producers.len() >= PRODUCERS_MAX {
            let idle = |(id, known): (&ProducerId, &Producer)| (known.last_base(), *id);
            if let Some((_, oldest)) = self.producers.iter().map(idle).min() {
                self.producers.remove(&oldest);
            }
        }
        self.idle_since.get_or_insert(now);
        let known = Producer::begin(stamp, base).used_at(now);
        self.producers.insert(stamp.producer, known);
    }

    /// Makes the batch the newest of its keys; returns how many messages of it are.
    fn supersede(&mut self, base: Offset, batch: &Batch) -> u32 {
        let mut live = 0_u32;
        for (at, key) in (base.0..).zip(&batch.keys) {
            let Some(name) = &key.key else { continue };
            let older = if key.has_value {
                live += 1;
                self.keys.insert(name.clone(), at)
            } else {
                self.keys.remove(name)
            };
            match older {
                Some(older) if older >= base.0 => live = live.saturating_sub(1),
                Some(older) => {
                    self.release(older, 1);
                }
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
        let is_queue = self.spec.kind == Kind::Queue;
        match outcome {
            Outcome::Returned if cursor == CursorId::DEAD => {}
            Outcome::Returned => self.requeue(cursor, range),
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
        let whole = |(base, item): (u64, &Item)| {
            let is_whole = base >= range.start && base + u64::from(item.batch.span) <= range.end;
            is_whole.then_some(base)
        };
        let gone: Vec<_> = self.holding(range.clone()).filter_map(whole).collect();
        gone.into_iter().for_each(|base| self.remove(base));
    }

    /// Removes messages that died and were kept.
    fn bury(&mut self, range: Range<u64>) {
        let buried: Vec<_> = self.dead.range(range).map(|(at, _)| *at).collect();
        for at in buried {
            self.dead.remove(&at);
            if let Some((base, item)) = self.batches.at_most_mut(&at) {
                item.dead = item.dead.saturating_sub(1);
                if item.live + item.dead == 0 {
                    self.remove(base);
                }
            }
        }
    }

    pub(crate) fn dead_count(&self) -> usize {
        self.dead.len()
    }

    fn requeue(&mut self, cursor: CursorId, range: Range<u64>) {
        let stretches = self.unsettled(cursor, range);
        let cursor = self.cursors.entry(cursor).or_default();
        for at in stretches.into_iter().flatten() {
            cursor.requeue(at);
        }
    }

    /// Unsettled offsets in a range of whole batches.
    fn unsettled(&self, cursor: CursorId, range: Range<u64>) -> Vec<Range<u64>> {
        let none = Cursor::default();
        let cursor = self.cursors.get(&cursor).unwrap_or(&none);
        // Of single messages settled in order, each is a stretch.
        let many = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let mut stretches = Vec::with_capacity(many.min(STRETCHES_AT_ONCE));
        for (base, item) in self.holding(range.clone()) {
            let mut rest =
                base.max(range.start)..(base + u64::from(item.batch.span)).min(range.end);
            while let Some(stretch) = cursor.stretch(rest.clone()) {
                rest.start = stretch.end;
                stretches.push(stretch);
            }
        }
        stretches
    }

    /// Settles offsets of a queue, which keeps them as dead if there is a reason. Batches without
    /// messages go.
    fn consume(&mut self, mut range: Range<u64>, dead: Option<DeadReason>) {
        if dead.is_none() {
            range.start = self.drop_head(&range);
        }
        if range.is_empty() {
            return;
        }
        let own = CursorId::default();
        for stretch in self.unsettled(own, range) {
            let lost = u32::try_from(stretch.end - stretch.start).unwrap_or(u32::MAX);
            let at = stretch.start;
            if let Some(reason) = dead {
                self.dead.extend(stretch.clone().map(|at| (at, reason)));
                if let Some((_, item)) = self.batches.at_most_mut(&at) {
                    item.dead += lost;
                }
            }
            // Of a batch that is gone, which is most, nothing has to be known.
            if self.release(at, lost) == Fate::Stays {
                self.cursors.entry(own).or_default().settle(stretch);
            }
        }
    }

    /// Removes the oldest batches as long as they lie wholly in a range: most messages are settled in
    /// their order. Where it ends.
    fn drop_head(&mut self, range: &Range<u64>) -> u64 {
        let mut start = range.start;
        while let Some((base, item)) = self.batches.first()
            && base >= start
            && base + u64::from(item.batch.span) <= range.end
            && item.dead == 0
        {
            start = base + u64::from(item.batch.span);
            self.remove(base);
        }
        start
    }

    /// `lost` messages no longer keep the batch that holds `at`.
    fn release(&mut self, at: u64, lost: u32) -> Fate {
        let Some((base, item)) = self.batches.at_most_mut(&at) else {
            return Fate::Gone;
        };
        self.count = self.count.saturating_sub(u64::from(lost));
        item.live = item.live.saturating_sub(lost);
        if item.live > 0 {
            return Fate::Stays;
        }
        self.bytes = self.bytes.saturating_sub(u64::from(item.bytes));
        if item.dead > 0 {
            return Fate::Stays;
        }
        self.remove(base);
        Fate::Gone
    }

    fn remove(&mut self, base: u64) {
        let Some(item) = self.batches.remove(&base) else {
            return;
        };
        if item.live > 0 {
            self.count = self.count.saturating_sub(u64::from(item.live));
            self.bytes = self.bytes.saturating_sub(u64::from(item.bytes));
        }
        self.weight = self.weight.saturating_sub(item.weight);
        for cursor in self.cursors.values_mut() {
            cursor.forget(base..base + u64::from(item.batch.span));
        }
    }

    /// Forgets everything below an offset.
    pub(crate) fn trim(&mut self, to: Offset) {
        if to <= self.floor {
            return;
        }
        match self.spec.kind {
            Kind::Queue => {
                self.consume(self.floor.0..to.0, None);
                self.bury(self.floor.0..to.0);
            }
            Kind::Log => {
                while let Some((base, item)) = self.batches.first()
                    && base + u64::from(item.batch.span) <= to.0
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
        self.transactions.forget(to);
    }
}
