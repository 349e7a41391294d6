//! Everything the store holds, and how a judged unit changes it.

use std::collections::BTreeSet;
use std::iter::repeat_n;
use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{Batch, Codec, DeadReason, EntityId, Offset, Outcome, ProducerId, Timestamp};
use fairlead_ports::{
    Appended, Clock, Committed, CursorId, Decision, Document, Lsn, Op, Placed, Placement,
    StoreError, Timetable, Unit, Version, Watcher, Writers,
};
use smallvec::SmallVec;

use crate::documents::Documents;
use crate::entities::Entities;
use crate::entity::Entity;
use crate::judge::{Draft, Effect, judge};
use crate::lone::{Lone, judge_lone};

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) entities: Entities,
    pub(crate) documents: Documents,
    /// Documents written so far: where their versions come from.
    pub(crate) writes: u64,
    /// What the messages count for, and the most they may.
    pub(crate) weight: u64,
    pub(crate) weight_max: u64,
    /// Open transactions.
    pub(crate) open: BTreeSet<(ProducerId, EntityId)>,
    pub(crate) clock: Option<Arc<dyn Clock>>,
    chores: Timetable,
    /// The moment of the call that is under way, once somebody has asked for it.
    now: Option<Timestamp>,
    draft: Draft,
}

/// What there is to tell a watcher.
#[derive(Debug, Default)]
pub(crate) struct Told {
    appended: Vec<Appended>,
    /// What was appended, if it is a single envelope.
    bodies: Vec<Option<Bytes>>,
    died: Vec<EntityId>,
}

impl Told {
    /// Room beyond this is given back.
    const KEPT_MAX: usize = 1_024;

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        if self.appended.capacity() > Self::KEPT_MAX {
            *self = Self::default();
        }
        self.appended.clear();
        self.bodies.clear();
        self.died.clear();
    }

    pub(crate) fn tell(&self, watcher: &dyn Watcher) {
        if !self.appended.is_empty() {
            watcher.appended_here(&self.appended, &self.bodies);
        }
        if !self.died.is_empty() {
            watcher.died(&self.died);
        }
    }
}

impl World {
    pub(crate) fn new(weight_max: u64) -> Self {
        Self {
            entities: Entities::default(),
            documents: Documents::default(),
            writes: 0,
            weight: 0,
            weight_max,
            open: BTreeSet::new(),
            clock: None,
            chores: Timetable::default(),
            now: None,
            draft: Draft::default(),
        }
    }

    /// Takes the operations of a unit, or leaves everything as it was. What is to be told is added to `told`.
    pub(crate) fn take(
        &mut self,
        unit: &mut Unit,
        told: &mut Told,
    ) -> Result<Committed, StoreError> {
        let Some(lone) = judge_lone(self, unit) else {
            return self.take_judged(unit, told);
        };
        let mut placed = SmallVec::new();
        match (lone, unit.ops.pop()) {
            (Lone::Append(at, weight), Some(Op::Append { batch, .. })) => {
                self.append_at(&at, batch, weight, told);
                placed.push(at);
            }
            (Lone::Append(..) | Lone::Plain, op) => op.into_iter().for_each(|op| self.apply(op)),
        }
        let lsn = Lsn(0);
        Ok(Committed { lsn, placed })
    }

    fn take_judged(&mut self, unit: &mut Unit, told: &mut Told) -> Result<Committed, StoreError> {
        let mut draft = mem::take(&mut self.draft);
        let effects = judge(self, &mut draft, unit);
        self.draft = draft;
        let effects = effects?;
        let mut committed = Committed {
            lsn: Lsn(0),
            placed: SmallVec::new(),
        };
        for (op, effect) in unit.ops.drain(..).zip(effects) {
            match effect {
                Effect::Plain => self.apply(op),
                Effect::Version(version) => self.write(op, version),
                Effect::Append {
                    placed,
                    trims,
                    weight,
                } => {
                    for (entity, to) in trims {
                        self.drop_head(entity, to, told);
                    }
                    if let Op::Append { batch, .. } = op {
                        self.append(&placed, batch, weight, told);
                    }
                    committed.placed.extend(placed);
                }
            }
        }
        Ok(committed)
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Create { entity, spec } => self.entities.insert(entity, spec),
            Op::Alter { entity, spec } => {
                // When it is due depends on what it is.
                self.chores.set(entity, None);
                let now = self.now().unwrap_or(Timestamp(0));
                self.change(entity, |entity| entity.alter(spec, now));
                self.retain(entity);
            }
            Op::Delete { entity } => {
                self.chores.set(entity, None);
                let Some(gone) = self.entities.remove(entity) else {
                    return;
                };
                for producer in gone.transactions.open() {
                    self.open.remove(&(producer, entity));
                }
                self.weight -= gone.weight();
            }
            Op::EndTxn {
                producer,
                epoch,
                decision,
                entity,
            } => self.end_txn((producer, epoch), decision, entity),
            Op::Restore { entity, writers } => self.restore(entity, &writers),
            Op::Settle {
                entity,
                cursor,
                ranges,
                outcome,
            } => {
                self.change(entity, |entity| {
                    for range in ranges {
                        entity.settle(cursor, range, outcome);
                    }
                });
            }
            Op::Trim { entity, to } => {
                self.change(entity, |entity| entity.trim(to));
            }
            // A mark is for the next process, and this store has none.
            Op::Mark { .. } | Op::Expect { .. } | Op::Append { .. } | Op::Put { .. } => {}
        }
    }

    fn write(&mut self, op: Op, version: Version) {
        let Op::Put {
            space,
            key,
            value,
            due,
        } = op
        else {
            return;
        };
        self.writes += 1;
        match value {
            Some(value) => self.documents.put(
                space,
                Document {
                    key,
                    value,
                    version,
                    due,
                },
            ),
            None => self.documents.delete(space, &key),
        }
    }

    /// Makes room at the head of an entity that is full.
    fn drop_head(&mut self, id: EntityId, to: Offset, told: &mut Told) {
        self.change(id, |entity| {
            if !entity.spec.has_dead() {
                return entity.trim(to);
            }
            let before = entity.dead_count();
            let outcome = Outcome::Dead(DeadReason::MaxLen);
            entity.settle(CursorId::default(), 0..to.0, outcome);
            if entity.dead_count() > before && !told.died.contains(&id) {
                told.died.push(id);
            }
        });
    }

    fn append(&mut self, placed: &[Placed], batch: Batch, weight: u64, told: &mut Told) {
        let new = || placed.iter().filter(|placed| placed.how == Placement::New);
        for (placed, batch) in new().zip(repeat_n(batch, new().count())) {
            self.append_at(placed, batch, weight, told);
        }
    }

    fn append_at(&mut self, placed: &Placed, batch: Batch, weight: u64, told: &mut Told) {
        let now = self.now().unwrap_or(batch.time);
        let (entity, base, span) = (placed.entity, placed.base, batch.span);
        let opens = batch.flags.transactional && !batch.flags.control;
        if let Some(stamp) = batch.stamp.filter(|_| opens) {
            self.open.insert((stamp.producer, entity));
        }
        let is_single = batch.codec == Codec::Envelope && span == 1;
        let body = is_single.then(|| batch.bytes.clone());
        let append = |kept: &mut Entity| kept.append(base, batch, weight, now);
        if let Some((bytes, deadline)) = self.change(entity, append) {
            told.appended.push(Appended {
                entity,
                base,
                span,
                bytes,
                deadline,
            });
            told.bodies.push(body);
        }
    }

    /// A call begins, for all of which it is one moment.
    pub(crate) fn begin(&mut self) {
        self.now = None;
    }

    /// The moment of this call, if there is a clock.
    fn now(&mut self) -> Option<Timestamp> {
        if self.now.is_none() {
            self.now = self.clock.as_ref().map(|clock| clock.wall());
        }
        self.now
    }

    /// Lets an entity forget what is too old by now.
    pub(crate) fn retain(&mut self, entity: EntityId) {
        let now = self.now().unwrap_or(Timestamp(0));
        self.change(entity, |entity| entity.retain(now));
    }

    /// Does what is due.
    pub(crate) fn tend(&mut self) {
        self.begin();
        let Some(now) = self.now() else { return };
        while let Some(entity) = self.chores.take(now) {
            self.change(entity, |entity| entity.tend(now));
        }
    }

    /// Entities in which a producer has an open transaction, or the one that was asked for.
    pub(crate) fn touched(
        &self,
        producer: ProducerId,
        only: Option<EntityId>,
    ) -> impl Iterator<Item = EntityId> {
        let all = (producer, EntityId(0))..=(producer, EntityId(u64::MAX));
        let touched = self.open.range(all).map(|(_, entity)| *entity);
        touched.filter(move |entity| only.is_none_or(|only| only == *entity))
    }

    fn end_txn(&mut self, who: (ProducerId, i16), decision: Decision, only: Option<EntityId>) {
        let (producer, epoch) = who;
        let touched: Vec<_> = self.touched(producer, only).collect();
        for id in touched {
            self.open.remove(&(producer, id));
            self.change(id, |entity| entity.end_txn(producer, epoch, decision));
            self.retain(id);
        }
    }

    fn restore(&mut self, id: EntityId, writers: &Writers) {
        self.open.retain(|(_, entity)| *entity != id);
        let open = writers.open.iter();
        self.open.extend(open.map(|(producer, _)| (*producer, id)));
        let now = self.now().unwrap_or(Timestamp(0));
        self.change(id, |entity| entity.restore(writers, now));
        self.retain(id);
    }

    /// Changes one entity, if it is there, and keeps the sum of weights right.
    fn change<R>(&mut self, entity: EntityId, change: impl FnOnce(&mut Entity) -> R) -> Option<R> {
        let (weight, chores) = (&mut self.weight, &mut self.chores);
        self.entities.change(entity, |kept| {
            *weight -= kept.weight();
            let result = change(kept);
            *weight += kept.weight();
            if let Some(due) = kept.due() {
                chores.bring_forward(entity, due);
            }
            result
        })
    }
}
