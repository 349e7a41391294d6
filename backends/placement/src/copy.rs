//! Everything that is kept of an entity, as operations on an empty one elsewhere.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{
    Batch, BatchFlags, Codec, EntityId, EpochTag, Key, Kind, Offset, Outcome, Retention,
    SizeLimits, Spec, Timestamp,
};
use fairlead_ports::{
    CursorId, Entry, Log, Marks, Op, Ops, Place, StoreError, Stored, Target, Want,
};
use smallvec::smallvec;

/// Entries and keys asked for at a time.
const PAGE: usize = 4_096;
/// Bytes asked for at a time.
const READ_BYTES: u32 = 4 << 20;

/// An entity on its way.
#[derive(Debug)]
pub(crate) struct Copier {
    log: Arc<dyn Log>,
    entity: EntityId,
    kind: Kind,
    tag: EpochTag,
    /// In the order in which they are to be done.
    ops: Ops,
    /// The end of what was appended so far.
    end: Offset,
}

impl Copier {
    /// Reads all of it. Nothing may be appended meanwhile.
    pub(crate) async fn of(
        log: Arc<dyn Log>,
        entity: EntityId,
        spec: Spec,
    ) -> Result<Ops, StoreError> {
        let marks = log.marks().await?;
        // Limits would count what is on its way only to keep an offset, ages begin anew, what was
        // aborted replaces nothing, and what is dead stays so although no more is kept.
        let free = Spec {
            limits: SizeLimits::default(),
            retention: Retention::default(),
            compaction: None,
            keeps_dead: true,
            ..spec
        };
        let writers = Box::new(log.writers().await?);
        let mut copy = Self {
            log,
            entity,
            kind: spec.kind,
            tag: spec.tag,
            ops: [Op::Create { entity, spec: free }].into(),
            end: Offset(0),
        };
        match spec.kind {
            Kind::Log => copy.log(&marks).await?,
            Kind::Queue => copy.queue(&marks).await?,
            Kind::Latest => copy.latest(&marks).await?,
        }
        copy.reach(marks.end);
        copy.views(&marks).await?;
        let to = marks.start;
        copy.ops.push(Op::Trim { entity, to });
        // Its batches have said too much of their writers, or too little.
        copy.ops.push(Op::Restore { entity, writers });
        copy.ops.push(Op::Alter { entity, spec });
        Ok(copy.ops)
    }

    async fn log(&mut self, marks: &Marks) -> Result<(), StoreError> {
        let mut at = marks.start;
        while at < marks.end {
            let chunk = self.log.read(at, Want::bytes(READ_BYTES)).await?;
            if at == marks.start {
                self.begin(marks, chunk.batches.first().map(|first| first.base));
            }
            let Some(last) = chunk.batches.last() else {
                break;
            };
            at = last.base.plus(u64::from(last.batch.span));
            for stored in chunk.batches {
                self.append(stored.base, stored.batch);
            }
        }
        Ok(())
    }

    async fn queue(&mut self, marks: &Marks) -> Result<(), StoreError> {
        let mut entries = self.backlog(CursorId::default()).await?;
        entries.extend(self.backlog(CursorId::DEAD).await?);
        entries.sort_unstable_by_key(|entry| entry.base);
        let offsets: Vec<_> = entries.iter().map(|entry| entry.base).collect();
        let mut batches: BTreeMap<Offset, Stored> = BTreeMap::new();
        for offsets in offsets.chunks(PAGE) {
            let fetched = self.log.fetch(offsets.to_vec()).await?;
            batches.extend(fetched.into_iter().map(|stored| (stored.base, stored)));
        }
        let mut rest = entries.as_slice();
        for mut stored in batches.into_values() {
            let after = stored.base.plus(u64::from(stored.batch.span));
            let (of_batch, later) = rest.split_at(rest.partition_point(|entry| entry.base < after));
            rest = later;
            let base = stored.base;
            // What the age of its queue made of it goes with it.
            let deadline = of_batch.iter().filter_map(|entry| entry.deadline).min();
            stored.batch.deadline = deadline.or(stored.batch.deadline);
            self.append(base, stored.batch);
            let own = CursorId::default();
            self.settle_between(own, base.0..after.0, of_batch);
        }
        // Rather said of too many than of too few: whoever hands out what comes next has marked it.
        let (entity, upto) = (self.entity, marks.end.plus(Marks::AHEAD_MAX));
        self.ops.push(Op::Mark { entity, upto });
        Ok(())
    }

    async fn latest(&mut self, marks: &Marks) -> Result<(), StoreError> {
        let mut batches: BTreeMap<Offset, Stored> = BTreeMap::new();
        let mut after = None;
        loop {
            let page = self.log.latest(Bytes::new(), after.take(), PAGE).await?;
            if let Some((_, error)) = page.damaged {
                return Err(error);
            }
            after = page.entries.last().map(|(key, _)| key.clone());
            for (_, stored) in page.entries {
                if stored.batch.keys.len() != 1 {
                    return Err(unsupported(
                        "a change of class with several keys in a batch",
                    ));
                }
                batches.insert(stored.base, stored);
            }
            if !page.is_cut {
                break;
            }
        }
        self.begin(marks, batches.keys().next().copied());
        for stored in batches.into_values() {
            self.append(stored.base, stored.batch);
        }
        Ok(())
    }

    async fn backlog(&self, cursor: CursorId) -> Result<Vec<Entry>, StoreError> {
        let mut all: Vec<Entry> = Vec::new();
        loop {
            let from = all
                .last()
                .map_or(Offset(0), |last| last.base.plus(u64::from(last.span)));
            let page = self.log.backlog(cursor, from, PAGE).await?;
            let is_last = page.len() < PAGE;
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    }

    /// Sees to it that it begins where it did, although what lay there may be gone.
    fn begin(&mut self, marks: &Marks, first: Option<Offset>) {
        let first = first.unwrap_or(marks.end);
        if first > marks.start && self.end <= marks.start {
            self.fill(marks.start);
        }
    }

    /// What readers have settled, besides a queue's own view.
    async fn views(&mut self, marks: &Marks) -> Result<(), StoreError> {
        for cursor in self.log.cursors().await? {
            let entries = self.backlog(cursor).await?;
            self.settle_between(cursor, marks.start.0..marks.end.0, &entries);
        }
        Ok(())
    }

    fn append(&mut self, base: Offset, batch: Batch) {
        self.end = base.plus(u64::from(batch.span));
        let target = Target {
            entity: self.entity,
            place: Place::At(base),
            tag: self.tag,
        };
        let to = [target].into();
        self.ops.push(Op::Append { to, batch });
    }

    /// What lies between the entries of a cursor is settled, and of entries is known what they say.
    fn settle_between(&mut self, cursor: CursorId, within: Range<u64>, entries: &[Entry]) {
        let mut at = within.start;
        for entry in entries {
            self.settle(cursor, at..entry.base.0, Outcome::Done);
            at = entry.base.plus(u64::from(entry.span)).0;
        }
        self.settle(cursor, at..within.end, Outcome::Done);
        for entry in entries {
            let range = entry.base.0..entry.base.plus(u64::from(entry.span)).0;
            for _ in 0..entry.requeued {
                self.settle(cursor, range.clone(), Outcome::Returned);
            }
            if let Some(reason) = entry.dead {
                self.settle(cursor, range, Outcome::Dead(reason));
            }
        }
    }

    fn settle(&mut self, cursor: CursorId, range: Range<u64>, outcome: Outcome) {
        if range.is_empty() {
            return;
        }
        self.ops.push(Op::Settle {
            entity: self.entity,
            cursor,
            ranges: smallvec![range],
            outcome,
        });
    }

    /// Brings the end to an offset.
    fn reach(&mut self, end: Offset) {
        if let Some(last) = end.0.checked_sub(1).filter(|last| *last >= self.end.0) {
            self.fill(Offset(last));
        }
    }

    /// Takes an offset with a message that nobody gets to see.
    fn fill(&mut self, base: Offset) {
        self.append(base, filler());
        let range = base.0..self.end.0;
        match self.kind {
            Kind::Log => self.settle(CursorId::CLEANER, range, Outcome::Done),
            Kind::Queue => self.settle(CursorId::default(), range, Outcome::Done),
            // It clears what is not there, so nothing of it is kept.
            Kind::Latest => {}
        }
    }
}

/// Clears a key that no name can have, since it is no text.
fn filler() -> Batch {
    Batch {
        codec: Codec::Envelope,
        bytes: Bytes::new(),
        count: 1,
        span: 1,
        time: Timestamp(0),
        deadline: None,
        stamp: None,
        flags: BatchFlags::default(),
        keys: vec![Key {
            key: Some(Bytes::from_static(&[0xff])),
            has_value: false,
        }],
    }
}

fn unsupported(what: &'static str) -> StoreError {
    StoreError::Unsupported { what }
}
