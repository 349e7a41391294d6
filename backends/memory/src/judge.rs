//! Decides a unit before any of it is applied: each operation is judged as if those before it in
//! the unit had taken effect, by way of a [`Draft`] of the few facts that later ones can see.

use std::collections::BTreeSet;

use bytes::Bytes;
use fairlead_canon::{Batch, EntityId, EpochTag, Offset, Overflow, ProducerId, Spec};
use fairlead_ports::terms::{few, keyed, remembers, sane, settles, transacted, within};
use fairlead_ports::{
    Op, Place, Placed, Placement, Space, StoreError, Target, Unit, Version, Writers,
};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::producer::{Judgement, Producer};
use crate::world::World;

/// Longest key of a document, in bytes.
const KEY_BYTES_MAX: usize = 4 * 1024;
/// Longest value of a document, in bytes.
const VALUE_BYTES_MAX: usize = 1024 * 1024;
/// Longest body of a batch, in bytes.
pub(crate) const BODY_BYTES_MAX: usize = fairlead_canon::limits::BODY_BYTES_MAX + 1024 * 1024;
/// Transactions that are open at once, each in one entity.
const OPEN_TRANSACTIONS_MAX: usize = 65_536;
/// What a message costs beside its body, so that tiny ones count as well.
const MESSAGE_WEIGHT: u64 = 128;

/// What becomes of one operation.
#[derive(Debug)]
pub(crate) enum Effect {
    /// It is applied as it stands, or only asked a question.
    Plain,
    /// A batch is appended where `placed` says so, after the heads that it displaces are trimmed.
    Append {
        placed: SmallVec<[Placed; 1]>,
        trims: Vec<(EntityId, Offset)>,
        weight: u64,
    },
    /// A document gets this version.
    Version(Version),
}

/// What becomes of the operations of a unit, in their order.
pub(crate) type Effects = SmallVec<[Effect; 1]>;

/// Facts about entities and documents as the operations judged so far leave them. Kept from unit to
/// unit for its memory.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    entities: HashMap<EntityId, Sketch, FixedState>,
    producers: HashMap<(EntityId, ProducerId), Producer, FixedState>,
    versions: HashMap<(Space, Bytes), Version, FixedState>,
    /// Transactions that appends of the unit open.
    opened: BTreeSet<(ProducerId, EntityId)>,
    weight: u64,
}

#[derive(Clone, Copy, Debug)]
struct Sketch {
    spec: Option<Spec>,
    end: Offset,
    count: u64,
    bytes: u64,
    /// Batches below were displaced by earlier appends of the unit.
    floor: Offset,
    /// Whether the entity is made in this unit, so that the world's has nothing to say.
    is_fresh: bool,
}

/// Judges a unit, with a draft whose content does not matter.
pub(crate) fn judge(world: &World, draft: &mut Draft, unit: &Unit) -> Result<Effects, StoreError> {
    few(unit.ops.len(), Unit::OPS_MAX)?;
    draft.clear();
    let mut judge = Judge {
        world,
        draft,
        writes: 0,
    };
    unit.ops.iter().map(|op| judge.op(op)).collect()
}

/// What a batch counts for in each of so many targets, which share its body.
pub(crate) fn weight_of(batch: &Batch, targets: usize) -> u64 {
    let share = (batch.bytes.len() as u64).div_ceil(targets.max(1) as u64);
    MESSAGE_WEIGHT * u64::from(batch.count) + share
}

struct Judge<'a> {
    world: &'a World,
    draft: &'a mut Draft,
    writes: u64,
}

impl Draft {
    /// One that grew beyond this is not kept.
    const KEPT_MAX: usize = 1_024;

    fn clear(&mut self) {
        let sizes = [
            self.entities.capacity(),
            self.producers.capacity(),
            self.versions.capacity(),
        ];
        if sizes.into_iter().any(|size| size > Self::KEPT_MAX) {
            *self = Self::default();
        }
        self.entities.clear();
        self.producers.clear();
        self.versions.clear();
        self.opened.clear();
        self.weight = 0;
    }
}

impl Judge<'_> {
    fn op(&mut self, op: &Op) -> Result<Effect, StoreError> {
        match op {
            Op::Expect {
                space,
                key,
                version,
            } => self.expect(*space, key, *version)?,
            Op::Create { entity, spec } => self.create(*entity, *spec)?,
            Op::Alter { entity, spec } => self.alter(*entity, *spec)?,
            Op::Delete { entity } => self.live(*entity)?.spec = None,
            Op::Append { to, batch } => return self.append(to, batch),
            Op::Settle { entity, cursor, .. } => {
                let kind = self.live(*entity)?.spec.map(|spec| spec.kind);
                kind.map_or(Ok(()), |kind| settles(kind, *cursor))?;
            }
            Op::Trim { entity, to } => self.trim(*entity, *to)?,
            Op::Mark { entity, .. } => {
                self.live(*entity)?;
            }
            Op::Put {
                space, key, value, ..
            } => return self.put(*space, key, value.as_ref()),
            Op::EndTxn {
                producer,
                epoch,
                entity,
                ..
            } => self.end_txn(*producer, *epoch, *entity)?,
            Op::Restore { entity, writers } => self.restore(*entity, writers)?,
        }
        Ok(Effect::Plain)
    }

    fn expect(&self, space: Space, key: &Bytes, version: Version) -> Result<(), StoreError> {
        let drafted = self.draft.versions.get(&(space, key.clone())).copied();
        let current = drafted.unwrap_or_else(|| self.world.documents.version(space, key));
        if current == version {
            Ok(())
        } else {
            Err(StoreError::Conflict)
        }
    }

    fn create(&mut self, entity: EntityId, spec: Spec) -> Result<(), StoreError> {
        if self.sketch(entity).spec.is_some() {
            return Err(StoreError::Exists(entity));
        }
        *self.sketch(entity) = Sketch {
            spec: Some(spec),
            end: Offset(0),
            count: 0,
            bytes: 0,
            floor: Offset(0),
            is_fresh: true,
        };
        Ok(())
    }

    fn alter(&mut self, entity: EntityId, spec: Spec) -> Result<(), StoreError> {
        let sketch = self.live(entity)?;
        match sketch.spec {
            Some(old) if old.kind != spec.kind => Err(StoreError::Unsupported {
                what: "a change of kind",
            }),
            Some(old) if spec.tag < old.tag => Err(StoreError::Fenced),
            _ => {
                sketch.spec = Some(spec);
                Ok(())
            }
        }
    }

    fn trim(&mut self, entity: EntityId, to: Offset) -> Result<(), StoreError> {
        let start = self
            .world
            .entities
            .get(entity)
            .map_or(Offset(0), |e| e.marks().start);
        let end = self.live(entity)?.end;
        if to > end {
            Err(StoreError::OutOfRange { start, end })
        } else {
            Ok(())
        }
    }

    /// Ends what the producer has open: refused to an older epoch, and shuts older ones out.
    fn end_txn(
        &mut self,
        producer: ProducerId,
        epoch: i16,
        only: Option<EntityId>,
    ) -> Result<(), StoreError> {
        let opened = self.draft.opened.iter();
        let opened = opened.filter(|(who, at)| *who == producer && only.is_none_or(|it| it == *at));
        let mut touched: BTreeSet<_> = opened.map(|(_, entity)| *entity).collect();
        touched.extend(self.world.touched(producer, only));
        for entity in touched {
            let is_fresh = self.sketch(entity).is_fresh;
            let Some(known) = self.known(entity, is_fresh, producer) else {
                continue;
            };
            if known.epoch() > epoch {
                return Err(StoreError::ProducerFenced);
            }
            let mut known = known.clone();
            known.raise(epoch);
            self.draft.producers.insert((entity, producer), known);
        }
        Ok(())
    }

    fn restore(&mut self, entity: EntityId, writers: &Writers) -> Result<(), StoreError> {
        let kind = self.live(entity)?.spec.map(|spec| spec.kind);
        kind.map_or(Ok(()), |kind| remembers(kind, writers))?;
        let mut open = writers.open.iter();
        open.try_for_each(|(producer, _)| self.begin(entity, *producer))
    }

    fn put(
        &mut self,
        space: Space,
        key: &Bytes,
        value: Option<&Bytes>,
    ) -> Result<Effect, StoreError> {
        within(key.len(), KEY_BYTES_MAX)?;
        within(value.map_or(0, Bytes::len), VALUE_BYTES_MAX)?;
        self.writes += 1;
        let version = match value {
            Some(_) => Version(self.world.writes + self.writes),
            None => Version(0),
        };
        self.draft.versions.insert((space, key.clone()), version);
        Ok(Effect::Version(version))
    }

    fn append(&mut self, to: &[Target], batch: &Batch) -> Result<Effect, StoreError> {
        few(to.len(), Unit::TARGETS_MAX)?;
        within(batch.bytes.len(), BODY_BYTES_MAX)?;
        sane(batch)?;
        let weight = weight_of(batch, to.len());
        let mut placed: SmallVec<[Placed; 1]> = SmallVec::with_capacity(to.len());
        let mut trims = Vec::new();
        for target in to {
            placed.push(self.place(target, batch, &mut trims)?);
        }
        let kept = placed
            .iter()
            .filter(|placed| placed.how == Placement::New)
            .count() as u64;
        self.draft.weight += weight * kept;
        if kept > 0 && self.world.weight + self.draft.weight > self.world.weight_max {
            return Err(StoreError::Full { limit: "memory" });
        }
        Ok(Effect::Append {
            placed,
            trims,
            weight,
        })
    }

    fn place(
        &mut self,
        target: &Target,
        batch: &Batch,
        trims: &mut Vec<(EntityId, Offset)>,
    ) -> Result<Placed, StoreError> {
        let entity = target.entity;
        let sketch = *self.live(entity)?;
        let spec = sketch.spec.ok_or(StoreError::NoEntity(entity))?;
        fenced(spec.tag, target.tag)?;
        keyed(spec.kind, batch)?;
        transacted(spec.kind, batch)?;
        let span = u64::from(batch.span);
        let base = match target.place {
            Place::At(at) if at < sketch.end || at.0.checked_add(span).is_none() => {
                let start = self
                    .world
                    .entities
                    .get(entity)
                    .map_or(Offset(0), |e| e.marks().start);
                return Err(StoreError::OutOfRange {
                    start,
                    end: sketch.end,
                });
            }
            Place::At(at) => at,
            Place::Expect(at) if at != sketch.end => {
                return Err(StoreError::OutOfRange {
                    start: sketch.end,
                    end: sketch.end,
                });
            }
            Place::Next | Place::IfRoom | Place::Expect(_) => sketch.end,
        };
        if !matches!(target.place, Place::At(_))
            && let Judgement::Duplicate(base) = self.stamped(entity, sketch.is_fresh, batch)?
        {
            return Ok(Placed {
                entity,
                base,
                how: Placement::Duplicate,
            });
        }
        let trim = match self.room(target, &spec, batch)? {
            Ok(trim) => trim,
            Err(how) => {
                let base = sketch.end;
                return Ok(Placed { entity, base, how });
            }
        };
        if trim > sketch.floor {
            trims.push((entity, trim));
        }
        self.open(entity, batch)?;
        self.record(entity, base, batch);
        Ok(Placed {
            entity,
            base,
            how: Placement::New,
        })
    }

    fn stamped(
        &self,
        entity: EntityId,
        is_fresh: bool,
        batch: &Batch,
    ) -> Result<Judgement, StoreError> {
        let Some(stamp) = batch.stamp else {
            return Ok(Judgement::New);
        };
        let known = self.known(entity, is_fresh, stamp.producer);
        known.map_or(Ok(Judgement::New), |known| known.judge(stamp))
    }

    fn known(&self, entity: EntityId, is_fresh: bool, producer: ProducerId) -> Option<&Producer> {
        let drafted = self.draft.producers.get(&(entity, producer));
        drafted.or_else(|| {
            let kept = self.world.entities.producer(entity, producer);
            kept.filter(|_| !is_fresh)
        })
    }

    /// A batch of a transaction opens it where it is not open.
    fn open(&mut self, entity: EntityId, batch: &Batch) -> Result<(), StoreError> {
        let stamp = batch.stamp.filter(|_| batch.flags.transactional);
        let Some(stamp) = stamp.filter(|_| !batch.flags.control) else {
            return Ok(());
        };
        self.begin(entity, stamp.producer)
    }

    fn begin(&mut self, entity: EntityId, producer: ProducerId) -> Result<(), StoreError> {
        if !self.world.open.contains(&(producer, entity)) {
            self.draft.opened.insert((producer, entity));
        }
        if self.world.open.len() + self.draft.opened.len() > OPEN_TRANSACTIONS_MAX {
            return Err(StoreError::Full {
                limit: "open transactions",
            });
        }
        Ok(())
    }

    /// Where the entity must be trimmed to so that the batch fits, or what becomes of the batch there
    /// otherwise.
    fn room(
        &mut self,
        target: &Target,
        spec: &Spec,
        batch: &Batch,
    ) -> Result<Result<Offset, Placement>, StoreError> {
        let entity = target.entity;
        let world = self.world;
        let sketch = self.sketch(entity);
        let count_max = spec.limits.count_max.unwrap_or(u64::MAX);
        let bytes_max = spec.limits.bytes_max.unwrap_or(u64::MAX);
        let (more, bytes) = (u64::from(batch.count), u64::from(batch.weight(spec.kind)));
        let fits = |sketch: &Sketch| {
            sketch.count.saturating_add(more) <= count_max
                && sketch.bytes.saturating_add(bytes) <= bytes_max
        };
        // A marker must find its place, or its transaction would never end.
        if fits(sketch) || batch.flags.control {
            return Ok(Ok(sketch.floor));
        }
        match spec.limits.overflow {
            Overflow::Reject if target.place == Place::IfRoom => {
                return Ok(Err(Placement::Refused));
            }
            Overflow::Reject => return Err(StoreError::Full { limit: "entity" }),
            Overflow::DropNew => return Ok(Err(Placement::Dropped)),
            Overflow::DropHead => {}
        }
        if let Some(kept) = world.entities.get(entity).filter(|_| !sketch.is_fresh) {
            for (after, live, bytes) in kept.sizes(sketch.floor) {
                if fits(sketch) {
                    break;
                }
                sketch.floor = after;
                sketch.count = sketch.count.saturating_sub(live);
                sketch.bytes = sketch.bytes.saturating_sub(bytes);
            }
        }
        Ok(fits(sketch)
            .then_some(sketch.floor)
            .ok_or(Placement::Dropped))
    }

    fn record(&mut self, entity: EntityId, base: Offset, batch: &Batch) {
        let sketch = self.sketch(entity);
        sketch.end = base.plus(u64::from(batch.span));
        sketch.count += u64::from(batch.count);
        let weight = sketch.spec.map_or(0, |spec| batch.weight(spec.kind));
        sketch.bytes += u64::from(weight);
        let is_fresh = sketch.is_fresh;
        let Some(stamp) = batch.stamp else { return };
        let known = self.world.entities.producer(entity, stamp.producer);
        let known = known.filter(|_| !is_fresh);
        self.draft
            .producers
            .entry((entity, stamp.producer))
            .and_modify(|drafted| drafted.record(stamp, base))
            .or_insert_with(|| match known {
                Some(known) => {
                    let mut known = known.clone();
                    known.record(stamp, base);
                    known
                }
                None => Producer::begin(stamp, base),
            });
    }

    /// The draft of an entity that exists at this point of the unit.
    fn live(&mut self, entity: EntityId) -> Result<&mut Sketch, StoreError> {
        let sketch = self.sketch(entity);
        if sketch.spec.is_some() {
            Ok(sketch)
        } else {
            Err(StoreError::NoEntity(entity))
        }
    }

    fn sketch(&mut self, entity: EntityId) -> &mut Sketch {
        let world = self.world;
        self.draft.entities.entry(entity).or_insert_with(|| {
            let kept = world.entities.get(entity);
            let kept = kept.as_deref();
            Sketch {
                spec: kept.map(|kept| kept.spec),
                end: kept.map_or(Offset(0), |kept| kept.end),
                count: kept.map_or(0, |kept| kept.count()),
                bytes: kept.map_or(0, |kept| kept.bytes()),
                floor: Offset(0),
                is_fresh: false,
            }
        })
    }
}

fn fenced(has: EpochTag, said: EpochTag) -> Result<(), StoreError> {
    if has == said {
        Ok(())
    } else {
        Err(StoreError::Fenced)
    }
}
