//! Everything that is kept of an entity, brought to its like elsewhere in rounds while it goes on to be
//! used: each brings what is new since the one before, and what has changed of the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{
    Batch, EntityId, Kind, Offset, Outcome, Promise, Retention, SizeLimits, Spec,
};
use fairlead_ports::{
    CursorId, Entry, Log, Marks, Op, Place, Store, StoreError, Stored, Target, Want,
};
use smallvec::smallvec;

use crate::keys::{NOBODY, clearing, newest, replace_old};
use crate::meter::Meter;
use crate::slice::{Slice, commit};
use crate::touched::{Notes, Touched};
use crate::views::{PAGE, View, end_of};

/// Bytes asked for at a time.
const READ_BYTES: u32 = 1 << 20;
/// How often a round looks once more for what others settled while it looked.
const TRIES_MAX: u32 = 1_024;

/// An entity on its way.
#[derive(Debug)]
pub(crate) struct Copier {
    from: Arc<dyn Log>,
    to: Arc<dyn Log>,
    entity: EntityId,
    spec: Spec,
    slice: Slice,
    meter: Arc<Meter>,
    /// The end of what was appended there so far.
    end: Offset,
    /// Where it begins there.
    start: Offset,
    /// Cursors whose views were compared as a whole.
    seen: BTreeSet<CursorId>,
    /// Keys that may still have a message there and have none here any more: all that were cleared before
    /// `noted`, unless that is done.
    cleared: BTreeSet<Bytes>,
    /// Where it ended before it was asked last what was touched.
    noted: Offset,
}

/// What may be done of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Round {
    /// All there is when it begins; meanwhile things change.
    Open,
    /// Nothing changes; at most about so many bytes are copied.
    Last { bytes_max: u64 },
}

impl Copier {
    /// Makes the entity in `store`.
    pub(crate) async fn begin(
        from: Arc<dyn Log>,
        store: &Arc<dyn Store>,
        (entity, spec): (EntityId, Spec),
        meter: &Arc<Meter>,
    ) -> Result<Self, StoreError> {
        // Limits would count what is on its way only to keep an offset, ages begin anew, what was
        // aborted replaces nothing, and what is dead stays so although no more is kept.
        let free = Spec {
            limits: SizeLimits::default(),
            retention: Retention::default(),
            compaction: None,
            keeps_dead: true,
            ..spec
        };
        let create = Op::Create { entity, spec: free };
        commit(store, [create].into(), Promise::Accepted).await?;
        let noted = from.marks().await?.end;
        Ok(Self {
            from,
            to: store.open(entity)?,
            entity,
            spec,
            slice: Slice::to(store, entity),
            meter: Arc::clone(meter),
            end: Offset(0),
            start: Offset(0),
            seen: BTreeSet::new(),
            cleared: BTreeSet::new(),
            noted,
        })
    }

    /// What was touched of it since it was asked last.
    pub(crate) fn touched(&self, notes: &Notes) -> Touched {
        notes.take(self.entity, self.spec.kind)
    }

    /// How many messages it holds, and their bytes.
    pub(crate) async fn held(&self) -> Result<(u64, u64), StoreError> {
        let marks = self.from.marks().await?;
        Ok((marks.count, marks.bytes))
    }

    /// Bytes of messages that were copied so far.
    fn copied(&self) -> u64 {
        self.slice.copied
    }

    /// Brings what is new, and then what has changed of the rest. Everything before `touched` was taken
    /// can be seen here. Whether it is complete; if not, there is more than may be copied.
    pub(crate) async fn round(
        &mut self,
        touched: Touched,
        round: Round,
    ) -> Result<bool, StoreError> {
        let marks = self.from.marks().await?;
        let known = self.end;
        let noted = std::mem::replace(&mut self.noted, marks.end);
        self.cleared.extend(touched.cleared);
        let most = match round {
            Round::Open => u64::MAX,
            Round::Last { bytes_max } => self.copied().saturating_add(bytes_max),
        };
        match self.spec.kind {
            Kind::Queue => self.entries(&marks, most).await?,
            Kind::Log => self.batches(&marks, marks.end, most).await?,
            Kind::Latest => {
                let end = if round == Round::Open {
                    noted
                } else {
                    marks.end
                };
                self.batches(&marks, end, most).await?;
            }
        }
        self.trim(marks.start).await?;
        self.slice.send(Promise::Durable).await?;
        let fresh = known.0..self.end.0;
        for (cursor, ranges) in self.views(touched.views, fresh, round).await? {
            self.alike(cursor, ranges).await?;
        }
        let is_last = round != Round::Open;
        if is_last && self.spec.kind == Kind::Latest && !self.is_as_many().await? {
            return Ok(false);
        }
        Ok(self.copied() < most)
    }

    /// Makes it complete after the last round, and what it is to be.
    pub(crate) async fn finish(&mut self) -> Result<(), StoreError> {
        let (entity, spec) = (self.entity, self.spec);
        let marks = self.from.marks().await?;
        if spec.kind != Kind::Queue {
            self.begin_at(&marks, marks.end).await?;
        }
        self.reach(marks.end).await?;
        if spec.kind == Kind::Queue {
            // Rather said of too many than of too few: whoever hands out what comes next has marked it.
            let upto = marks.end.plus(Marks::AHEAD_MAX);
            self.slice.push(Op::Mark { entity, upto }).await?;
        }
        self.trim(marks.start).await?;
        let writers = self.from.writers().await?;
        self.slice.end(writers, spec).await
    }

    async fn batches(&mut self, marks: &Marks, end: Offset, most: u64) -> Result<(), StoreError> {
        let mut at = self.end.max(marks.start);
        while at < end && self.copied() < most {
            let mut chunk = match self.from.read(at, Want::bytes(READ_BYTES)).await {
                // It was trimmed meanwhile.
                Err(StoreError::OutOfRange { start, .. }) if at < start => {
                    at = start;
                    continue;
                }
                read => read?,
            };
            chunk.batches.retain(|stored| stored.base < end);
            if chunk.batches.is_empty() {
                break;
            }
            let mut gone = self.gone().await?;
            for mut stored in chunk.batches {
                at = stored.base.plus(u64::from(stored.batch.span));
                if self.begin_at(marks, stored.base).await? {
                    // Nothing is there that they would be cleared of.
                    gone.clear();
                }
                self.clear(&mut gone, stored.base).await?;
                if self.spec.kind == Kind::Latest {
                    replace_old(&*self.from, &mut stored, &mut gone).await?;
                }
                self.copy(stored).await?;
            }
            self.cleared.extend(gone);
        }
        if self.copied() < most && !self.cleared.is_empty() {
            let mut gone = self.gone().await?;
            self.clear(&mut gone, end).await?;
            self.cleared.extend(gone);
        }
        Ok(())
    }

    /// Of the keys that were cleared, those that have no message now.
    async fn gone(&mut self) -> Result<Vec<Bytes>, StoreError> {
        let mut gone = Vec::new();
        for key in std::mem::take(&mut self.cleared) {
            if newest(&*self.from, &key).await?.is_none() {
                gone.push(key);
            }
        }
        Ok(gone)
    }

    /// Clears keys where nothing is kept, before an offset.
    async fn clear(&mut self, gone: &mut Vec<Bytes>, before: Offset) -> Result<(), StoreError> {
        let room = before.0.saturating_sub(self.end.0);
        let room = usize::try_from(room).unwrap_or(usize::MAX).min(gone.len());
        for key in gone.drain(..room).collect::<Vec<_>>() {
            self.append(self.end, clearing(key)).await?;
        }
        Ok(())
    }

    async fn entries(&mut self, marks: &Marks, most: u64) -> Result<(), StoreError> {
        let (mut at, mut tries) = (self.end, TRIES_MAX);
        while at < marks.end && self.copied() < most && tries > 0 {
            let entries = self.page(at).await?;
            let Some(last) = entries.last() else {
                break;
            };
            at = last.base.plus(u64::from(last.span));
            let offsets = entries.iter().map(|entry| entry.base).collect();
            let fetched = self.from.fetch(offsets).await?;
            let batches = fetched.into_iter().map(|stored| (stored.base, stored));
            let mut batches: BTreeMap<Offset, Stored> = batches.collect();
            // Something was settled meanwhile: the rest of its batch is looked for once more.
            let absent = entries.iter().find(|entry| !holds(&batches, entry.base));
            if let Some(absent) = absent {
                (at, tries) = (absent.base, tries - 1);
                batches.split_off(&at);
            }
            for mut stored in batches.into_values() {
                // The beginning of a page may be the end of a batch.
                if stored.base < self.end {
                    continue;
                }
                // What the age of its queue made of it goes with it.
                let of_batch = entries.partition_point(|entry| entry.base < stored.base);
                let deadline = entries.get(of_batch).and_then(|entry| entry.deadline);
                stored.batch.deadline = deadline.or(stored.batch.deadline);
                self.copy(stored).await?;
            }
            at = at.max(self.end);
        }
        Ok(())
    }

    /// Messages of a queue that are ready or dead, in order, about as many as are read at a time.
    async fn page(&self, from: Offset) -> Result<Vec<Entry>, StoreError> {
        let mut entries = self.from.backlog(CursorId::default(), from, PAGE).await?;
        let dead = self.from.backlog(CursorId::DEAD, from, PAGE).await?;
        let end = end_of(&entries).min(end_of(&dead));
        entries.extend(dead);
        entries.retain(|entry| entry.base.0 < end);
        entries.sort_unstable_by_key(|entry| entry.base);
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            let fits = bytes < READ_BYTES;
            bytes = bytes.saturating_add(entry.bytes);
            fits
        };
        let few = entries.iter().take_while(fits).count();
        entries.truncate(few);
        Ok(entries)
    }

    /// What of each cursor's view may differ: all of it the first time; then what is new, and what was
    /// touched. The cleaner's is last, since what it removes is in the others.
    async fn views(
        &mut self,
        touched: BTreeMap<CursorId, Range<u64>>,
        fresh: Range<u64>,
        round: Round,
    ) -> Result<BTreeMap<CursorId, Vec<Range<u64>>>, StoreError> {
        let all = 0..self.end.0;
        let mut views: BTreeMap<CursorId, Vec<Range<u64>>> = BTreeMap::new();
        let is_queue = self.spec.kind == Kind::Queue;
        let used = match is_queue {
            true => vec![CursorId::default()],
            false => self.from.cursors().await?,
        };
        for (cursor, touched) in &touched {
            views.entry(*cursor).or_default().push(touched.clone());
        }
        for cursor in used {
            let ranges = views.entry(cursor).or_default();
            match self.seen.insert(cursor) {
                true => ranges.push(all.clone()),
                false => ranges.push(fresh.clone()),
            }
        }
        if is_queue {
            let head = self.head().await?;
            views.entry(CursorId::default()).or_default().push(head);
        }
        // The store itself removes what was replaced, and nobody says so.
        if self.spec.kind == Kind::Log && round != Round::Open && !self.is_as_many().await? {
            views
                .entry(CursorId::CLEANER)
                .or_default()
                .push(all.clone());
        }
        views.values_mut().for_each(|ranges| merge(ranges, &all));
        Ok(views)
    }

    /// What is ready there before the first message that is ready here: a queue at its limit drops
    /// its oldest ones by itself.
    async fn head(&self) -> Result<Range<u64>, StoreError> {
        let (own, begin) = (CursorId::default(), Offset(0));
        let here = self.from.backlog(own, begin, 1).await?;
        let there = self.to.backlog(own, begin, 1).await?;
        let start = there.first().map_or(self.end, |first| first.base);
        let end = here.first().map_or(self.end, |first| first.base);
        Ok(start.0..end.0)
    }

    /// Whether as many messages are kept there as here.
    async fn is_as_many(&self) -> Result<bool, StoreError> {
        let (here, there) = (self.from.marks().await?, self.to.marks().await?);
        Ok(here.count == there.count)
    }

    /// Makes a cursor's view of these ranges there what it is here.
    async fn alike(&mut self, cursor: CursorId, ranges: Vec<Range<u64>>) -> Result<(), StoreError> {
        let view = View {
            entity: self.entity,
            kind: self.spec.kind,
            cursor,
        };
        for range in ranges {
            let places = (&*self.from, &*self.to);
            for op in view.differences(places, range).await? {
                self.slice.push(op).await?;
            }
        }
        Ok(())
    }

    async fn copy(&mut self, stored: Stored) -> Result<(), StoreError> {
        self.meter.copied(&stored.batch, self.spec.kind);
        self.append(stored.base, stored.batch).await
    }

    async fn append(&mut self, base: Offset, batch: Batch) -> Result<(), StoreError> {
        self.end = base.plus(u64::from(batch.span));
        let target = Target {
            entity: self.entity,
            place: Place::At(base),
            tag: self.spec.tag,
        };
        let to = [target].into();
        self.slice.push(Op::Append { to, batch }).await
    }

    /// Sees to it that it begins where it did, although what lay there may be gone. Whether it was.
    async fn begin_at(&mut self, marks: &Marks, first: Offset) -> Result<bool, StoreError> {
        let is_gone = first > marks.start && self.end <= marks.start;
        if is_gone {
            self.fill(marks.start).await?;
        }
        Ok(is_gone)
    }

    /// Brings the end to an offset.
    async fn reach(&mut self, end: Offset) -> Result<(), StoreError> {
        match end.0.checked_sub(1) {
            Some(last) if last >= self.end.0 => self.fill(Offset(last)).await,
            Some(_) | None => Ok(()),
        }
    }

    /// Takes an offset with a message that nobody gets to see.
    async fn fill(&mut self, base: Offset) -> Result<(), StoreError> {
        self.append(base, clearing(NOBODY)).await?;
        let cursor = match self.spec.kind {
            Kind::Log => CursorId::CLEANER,
            Kind::Queue => CursorId::default(),
            // It clears what is not there, so nothing of it is kept.
            Kind::Latest => return Ok(()),
        };
        let ranges = smallvec![base.0..self.end.0];
        let settle = Op::Settle {
            entity: self.entity,
            cursor,
            ranges,
            outcome: Outcome::Done,
        };
        self.slice.push(settle).await
    }

    /// Forgets there what is forgotten here.
    async fn trim(&mut self, to: Offset) -> Result<(), StoreError> {
        let to = to.min(self.end);
        if to <= self.start {
            return Ok(());
        }
        self.start = to;
        let entity = self.entity;
        self.slice.push(Op::Trim { entity, to }).await
    }
}

/// Whether one of these batches holds an offset.
fn holds(batches: &BTreeMap<Offset, Stored>, at: Offset) -> bool {
    let before = batches.range(..=at).next_back();
    before.is_some_and(|(base, stored)| at < base.plus(u64::from(stored.batch.span)))
}

/// In order, each offset once, and none outside `all`.
fn merge(ranges: &mut Vec<Range<u64>>, all: &Range<u64>) {
    let mut merged: Vec<Range<u64>> = Vec::new();
    ranges.sort_unstable_by_key(|range| range.start);
    for range in ranges.drain(..) {
        let range = range.start.max(all.start)..range.end.min(all.end);
        match merged.last_mut() {
            _ if range.is_empty() => {}
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            Some(_) | None => merged.push(range),
        }
    }
    *ranges = merged;
}
