//! Decides a unit: whether it is refused, and which records it becomes if not. Changes nothing;
//! what later operations of the unit must see of earlier ones is in a [`Draft`].

mod draft;
mod plain;

use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{
    Batch, Class, DeadReason, EntityId, EpochTag, Offset, Outcome, Overflow, Spec,
};
use fairlead_ports::terms::{few, keyed, sane, settles, transacted, within};
use fairlead_ports::{
    CursorId, Op, Ops, Place, Placed, Placement, Space, StoreError, Target, Unit, Version,
};
use smallvec::SmallVec;

use crate::entity::Entity;
use crate::limits::{DOCUMENT_BYTES_MAX, KEY_BYTES_MAX, Limits};
use crate::mutation::{Mutation, is_on};
use crate::producer::Judgement;
use crate::record::{Data, Record, writers};
use crate::state::{Known, State};

pub(crate) use draft::Draft;
pub(crate) use plain::takes;

/// The longest record without lists or values in it.
const FACT_BYTES_MAX: usize = 32;
/// A range in a record.
const RANGE_BYTES: usize = 16;
/// The longest record of a definition: 24 bytes, and ten for each of twelve settings.
const SPEC_BYTES_MAX: usize = 24 + 12 * 10;

/// Records of a unit whose room is kept for the next one.
const KEPT_CAPACITY: usize = 2_048;

/// What a unit becomes. Kept between units for its room, and emptied after each.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) records: Vec<(Record, Known)>,
    pub(crate) placed: SmallVec<[Placed; 2]>,
    /// Where messages die to make room.
    pub(crate) died: Vec<EntityId>,
}

/// Whether the log has room for more messages and entities. Without it, what frees space goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Room {
    #[default]
    Free,
    /// By this limit.
    Full(&'static str),
}

/// Judges the operations of one unit in turn.
pub(crate) struct Planner<'a> {
    state: &'a State,
    draft: &'a mut Draft,
    room: Room,
    plan: &'a mut Plan,
    /// Operations of the unit behind the one that is judged.
    behind: usize,
}

/// The most bytes that the records of a unit take, or why it can never be taken.
pub(crate) fn len_max(unit: &Unit, limits: &Limits) -> Result<usize, StoreError> {
    few(unit.ops.len(), Unit::OPS_MAX)?;
    let mut len = 0_usize;
    for op in &unit.ops {
        len = len.saturating_add(match op {
            Op::Append { to, batch } => {
                few(to.len(), Unit::TARGETS_MAX)?;
                within(batch.bytes.len(), limits.body_bytes_max)?;
                // Each target may displace what is oldest there.
                Data::len_max(batch, to.len()) + to.len() * (FACT_BYTES_MAX + RANGE_BYTES)
            }
            Op::Put { key, value, .. } => {
                FACT_BYTES_MAX + key.len() + value.as_ref().map_or(0, Bytes::len)
            }
            Op::Settle { ranges, .. } => FACT_BYTES_MAX + ranges.len() * RANGE_BYTES,
            Op::Create { .. } | Op::Alter { .. } => SPEC_BYTES_MAX,
            Op::Restore { writers, .. } => writers::len(writers),
            Op::Expect { .. } => 0,
            Op::Delete { .. } | Op::Trim { .. } | Op::Mark { .. } | Op::EndTxn { .. } => {
                FACT_BYTES_MAX
            }
        });
    }
    within(len, limits.unit_bytes_max)?;
    Ok(len)
}

impl Plan {
    pub(crate) fn clear(&mut self) {
        self.records.clear();
        self.records.shrink_to(KEPT_CAPACITY);
        self.placed = SmallVec::new();
        self.died.clear();
    }
}

impl<'a> Planner<'a> {
    pub(crate) fn new(
        state: &'a State,
        draft: &'a mut Draft,
        plan: &'a mut Plan,
        room: Room,
    ) -> Self {
        draft.clear();
        Self {
            state,
            draft,
            room,
            plan,
            behind: 0,
        }
    }

    /// Takes the operations: what becomes of them is in the plan, unless they are refused.
    pub(crate) fn plan(mut self, ops: &mut Ops) -> Result<(), StoreError> {
        self.behind = ops.len();
        ops.drain(..).try_for_each(|op| {
            self.behind -= 1;
            self.op(op)
        })
    }

    fn op(&mut self, op: Op) -> Result<(), StoreError> {
        let mut known = Known::new();
        let record = match op {
            Op::Expect {
                space,
                key,
                version,
            } => return self.expect(space, &key, version),
            Op::Append { to, batch } => return self.append(&to, batch),
            Op::Create { entity, spec } => self.create(entity, spec)?,
            Op::Alter { entity, spec } => self.alter(entity, spec)?,
            Op::Delete { entity } => {
                self.draft.live(self.state, entity)?.spec = None;
                Record::Delete { entity }
            }
            Op::Settle {
                entity,
                cursor,
                ranges,
                outcome,
            } => {
                let sketch = self.draft.live(self.state, entity)?;
                let kind = sketch.spec.as_ref().map(|spec| spec.kind);
                kind.map_or(Ok(()), |kind| settles(kind, cursor))?;
                known.push(sketch.known.take());
                self.has_room_for(entity, cursor)?;
                Record::Settle {
                    entity,
                    cursor,
                    ranges,
                    outcome,
                }
            }
            Op::Trim { entity, to } => self.trim(entity, to)?,
            Op::Mark { entity, upto } => {
                self.draft.live(self.state, entity)?;
                Record::Mark { entity, upto }
            }
            Op::Put {
                space,
                key,
                value,
                due,
            } => {
                within(key.len(), KEY_BYTES_MAX)?;
                within(value.as_ref().map_or(0, Bytes::len), DOCUMENT_BYTES_MAX)?;
                self.draft.put(space, key.clone(), value.is_some());
                Record::Put {
                    space,
                    key,
                    value,
                    due,
                }
            }
            Op::EndTxn {
                producer,
                epoch,
                decision,
                entity,
            } => {
                self.draft.end_txn(self.state, (producer, epoch), entity)?;
                Record::EndTxn {
                    producer,
                    epoch,
                    decision,
                    entity,
                }
            }
            Op::Restore { entity, writers } => {
                self.draft.restore(self.state, entity, &writers)?;
                Record::Restore { entity, writers }
            }
        };
        self.plan.records.push((record, known));
        Ok(())
    }

    fn expect(&self, space: Space, key: &Bytes, version: Version) -> Result<(), StoreError> {
        let is_met = match self.draft.written(space, key) {
            // Nobody can know the version that an earlier operation of the unit will give.
            Some(is_present) => !is_present && version == Version(0),
            None => self.state.documents.lock().version(space, key) == version,
        };
        if is_met {
            Ok(())
        } else {
            Err(StoreError::Conflict)
        }
    }

    fn create(&mut self, entity: EntityId, spec: Spec) -> Result<Record, StoreError> {
        self.has_room()?;
        self.may_be(spec.class)?;
        self.draft.create(self.state, entity, spec)?;
        Ok(Record::Create { entity, spec })
    }

    /// Whether an entity can be of this class here.
    fn may_be(&self, class: Class) -> Result<(), StoreError> {
        if class == Class::Object && !self.state.ground.has_objects() {
            return Err(StoreError::Unsupported {
                what: "class object without an object store",
            });
        }
        Ok(())
    }

    fn alter(&mut self, entity: EntityId, spec: Spec) -> Result<Record, StoreError> {
        self.may_be(spec.class)?;
        let sketch = self.draft.live(self.state, entity)?;
        match sketch.spec {
            Some(old) if old.kind != spec.kind => Err(StoreError::Unsupported {
                what: "a change of kind",
            }),
            Some(old) if spec.tag < old.tag => Err(StoreError::Fenced),
            _ => {
                sketch.spec = Some(spec);
                Ok(Record::Alter { entity, spec })
            }
        }
    }

    fn trim(&mut self, entity: EntityId, to: Offset) -> Result<Record, StoreError> {
        let sketch = self.draft.live(self.state, entity)?;
        let end = sketch.end;
        if to > end {
            return Err(self.out_of_range(entity, end));
        }
        Ok(Record::Trim { entity, to })
    }

    fn append(&mut self, to: &[Target], batch: Batch) -> Result<(), StoreError> {
        self.has_room()?;
        sane(&batch)?;
        self.plan.placed.reserve(to.len());
        let mut targets = SmallVec::with_capacity(to.len());
        let mut at_hand = Known::with_capacity(to.len());
        let mut is_placed = false;
        let mut plain = self.plain(to, &batch).into_iter();
        for target in to {
            let plain = plain.next().flatten();
            let (placed, known) = match plain.and_then(|it| self.place_plain(target, &batch, it)) {
                Some((placed, entity)) => (placed, Some(entity)),
                None => self.place(target, &batch)?,
            };
            if placed.how == Placement::New {
                at_hand.push(known);
                targets.push((placed.entity, placed.base));
                is_placed |= matches!(target.place, Place::At(_));
            }
            self.plan.placed.push(placed);
        }
        if !targets.is_empty() {
            let data = Data {
                targets,
                batch,
                is_placed,
            };
            self.plan.records.push((Record::Data(data), at_hand));
        }
        Ok(())
    }

    fn place(
        &mut self,
        target: &Target,
        batch: &Batch,
    ) -> Result<(Placed, Option<Arc<Entity>>), StoreError> {
        let entity = target.entity;
        let sketch = self.draft.live(self.state, entity)?;
        let spec = sketch.spec.as_ref().ok_or(StoreError::NoEntity(entity))?;
        fenced(spec.tag, target.tag)?;
        keyed(spec.kind, batch)?;
        transacted(spec.kind, batch)?;
        // The usual case, which a wide fan-out meets at each of its targets.
        let is_usual = matches!(target.place, Place::Next | Place::IfRoom);
        let is_plain = batch.stamp.is_none() && !sketch.is_worn;
        if is_usual && is_plain && sketch.fits(spec, batch) {
            let base = sketch.end;
            let known = sketch.known.take();
            sketch.append(base, batch);
            let how = Placement::New;
            return Ok((Placed { entity, base, how }, known));
        }
        let (known, end, spec) = (sketch.known.take(), sketch.end, *spec);
        let placed = self.place_with_care(target, batch, (end, spec))?;
        Ok((placed, known))
    }

    fn out_of_range(&self, entity: EntityId, end: Offset) -> StoreError {
        let kept = self.state.entity(entity);
        let start = kept.map_or(Offset(0), |kept| kept.content.lock().start());
        StoreError::OutOfRange { start, end }
    }

    /// A batch that is placed by its publisher, may have come before, or makes others go.
    fn place_with_care(
        &mut self,
        target: &Target,
        batch: &Batch,
        (end, spec): (Offset, Spec),
    ) -> Result<Placed, StoreError> {
        let entity = target.entity;
        let span = u64::from(batch.span);
        let base = match target.place {
            Place::At(at) if at < end || at.0.checked_add(span).is_none() => {
                return Err(self.out_of_range(entity, end));
            }
            Place::At(at) => at,
            Place::Expect(at) if at != end => {
                return Err(self.out_of_range(entity, end));
            }
            Place::Next | Place::IfRoom | Place::Expect(_) => {
                if let Judgement::Duplicate(base) =
                    self.draft.judge(self.state, entity, batch.stamp)?
                {
                    return Ok(Placed {
                        entity,
                        base,
                        how: Placement::Duplicate,
                    });
                }
                self.draft.admit(self.state, entity, batch.stamp)?;
                end
            }
        };
        let how = self.make_room(target, &spec, batch)?;
        if how != Placement::New {
            let base = end;
            return Ok(Placed { entity, base, how });
        }
        self.draft.open(self.state, entity, batch)?;
        self.draft.append(self.state, entity, base, batch);
        Ok(Placed { entity, base, how })
    }

    /// Makes the entity fit the batch as its limits say, and what becomes of the batch there.
    fn make_room(
        &mut self,
        target: &Target,
        spec: &Spec,
        batch: &Batch,
    ) -> Result<Placement, StoreError> {
        let entity = target.entity;
        // A marker must find its place, or its transaction would never end.
        if batch.flags.control {
            return Ok(Placement::New);
        }
        if self.draft.is_worn(entity) {
            let limit = "stretches of an entity";
            return match target.place {
                Place::IfRoom => Ok(Placement::Refused),
                Place::Next | Place::At(_) | Place::Expect(_) => Err(StoreError::Full { limit }),
            };
        }
        if self.draft.fits(entity, spec, batch) {
            return Ok(Placement::New);
        }
        match spec.limits.overflow {
            Overflow::Reject if target.place == Place::IfRoom => Ok(Placement::Refused),
            Overflow::Reject => Err(StoreError::Full { limit: "entity" }),
            Overflow::DropNew => Ok(Placement::Dropped),
            Overflow::DropHead => {
                let Some(to) = self.draft.drop_head(self.state, entity, spec, batch) else {
                    return Ok(Placement::Dropped);
                };
                let record = if spec.has_dead() {
                    self.plan.died.push(entity);
                    displaced(entity, to)
                } else {
                    Record::Trim { entity, to }
                };
                self.plan.records.push((record, Known::new()));
                Ok(Placement::New)
            }
        }
    }

    /// Whether a reader of a log may settle more.
    fn has_room_for(&self, entity: EntityId, reader: CursorId) -> Result<(), StoreError> {
        if [CursorId::default(), CursorId::DEAD, CursorId::CLEANER].contains(&reader) {
            return Ok(());
        }
        let entity = self.state.entity(entity);
        if entity.is_none_or(|entity| entity.content.lock().has_room_for(reader)) {
            return Ok(());
        }
        let limit = "cursors of a log";
        Err(StoreError::Full { limit })
    }

    fn has_room(&self) -> Result<(), StoreError> {
        match self.room {
            Room::Free => Ok(()),
            Room::Full(limit) => Err(StoreError::Full { limit }),
        }
    }
}

/// What was oldest dies to make room.
fn displaced(entity: EntityId, to: Offset) -> Record {
    Record::Settle {
        entity,
        cursor: CursorId::default(),
        ranges: std::iter::once(0..to.0).collect(),
        outcome: Outcome::Dead(DeadReason::MaxLen),
    }
}

fn fenced(has: EpochTag, said: EpochTag) -> Result<(), StoreError> {
    if has == said || is_on(Mutation::NoFence) {
        Ok(())
    } else {
        Err(StoreError::Fenced)
    }
}
