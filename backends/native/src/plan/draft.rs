//! What a unit has changed so far, for the operations that follow in it.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{Batch, EntityId, Offset, ProducerId, Spec, Stamp, SyncMode};
use fairlead_ports::terms::remembers;
use fairlead_ports::{Space, StoreError, Target, Writers};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use indexmap::IndexMap;

use crate::entity::Entity;
use crate::limits::{OPEN_TXNS_MAX, PRODUCERS_MAX};
use crate::producer::{Judgement, Producer};
use crate::state::State;

/// Entities whose room is kept for the next unit.
const KEPT_CAPACITY: usize = 2_048;

/// Facts that differ from the state. Kept between units for its room, and emptied before each.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    entities: Sketches,
    producers: HashMap<(EntityId, ProducerId), Producer, FixedState>,
    /// Whether a document that was written is there or was deleted.
    documents: HashMap<(Space, Bytes), bool, FixedState>,
    /// Transactions that appends of the unit open.
    opened: BTreeSet<(ProducerId, EntityId)>,
    /// Entities that were judged without a sketch: the strongest mode of theirs.
    plain: Option<SyncMode>,
    /// Room to put the targets of an append in order.
    sorted: Vec<EntityId>,
}

/// The entities of a unit. Mostly there is one, which needs no map.
#[derive(Debug, Default)]
struct Sketches {
    first: Option<(EntityId, Sketch)>,
    /// In a row beside their map: a sketch is large, and is written once where it stays.
    others: IndexMap<EntityId, Sketch, FixedState>,
}

/// What matters of an entity while a unit is judged.
#[derive(Debug)]
pub(crate) struct Sketch {
    /// The entity, for whoever applies what was judged: so it is looked up once.
    pub(crate) known: Option<Arc<Entity>>,
    /// `None`: there is no such entity.
    pub(crate) spec: Option<Spec>,
    pub(crate) end: Offset,
    count: u64,
    bytes: u64,
    /// Batches below were displaced by earlier appends of the unit.
    displaced: Offset,
    /// Made in this unit: the state has nothing to say about it.
    is_fresh: bool,
    /// It takes nothing new, for what is in memory of it.
    pub(crate) is_worn: bool,
}

impl Sketches {
    fn of(&mut self, entity: EntityId, make: impl FnOnce() -> Sketch) -> &mut Sketch {
        if self.first.as_ref().is_none_or(|(id, _)| *id == entity) {
            let (_, first) = self.first.get_or_insert_with(|| (entity, make()));
            return first;
        }
        self.others.entry(entity).or_insert_with(make)
    }

    fn get_mut(&mut self, entity: EntityId) -> Option<&mut Sketch> {
        match &mut self.first {
            Some((id, first)) if *id == entity => Some(first),
            _ => self.others.get_mut(&entity),
        }
    }

    fn get(&self, entity: EntityId) -> Option<&Sketch> {
        match &self.first {
            Some((id, first)) if *id == entity => Some(first),
            _ => self.others.get(&entity),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Sketch> {
        let first = self.first.iter().map(|(_, first)| first);
        first.chain(self.others.values())
    }

    fn clear(&mut self) {
        self.first = None;
        // Emptying a map costs its capacity, which a wide fan-out would leave behind for good.
        if self.others.capacity() > KEPT_CAPACITY {
            self.others = IndexMap::default();
        }
        self.others.clear();
    }
}

impl Sketch {
    fn of(state: &State, entity: EntityId) -> Self {
        let Some(entity) = state.entity(entity) else {
            return Self::absent();
        };
        let content = entity.content.lock();
        let (spec, end) = (Some(content.spec), content.end);
        let (count, bytes) = (content.count(), content.bytes());
        let is_worn = content.is_worn();
        drop(content);
        Self {
            known: Some(entity),
            spec,
            end,
            count,
            bytes,
            displaced: Offset(0),
            is_fresh: false,
            is_worn,
        }
    }

    fn absent() -> Self {
        let (end, displaced) = (Offset(0), Offset(0));
        Self {
            known: None,
            spec: None,
            end,
            count: 0,
            bytes: 0,
            displaced,
            is_fresh: true,
            is_worn: false,
        }
    }

    pub(crate) fn append(&mut self, base: Offset, batch: &Batch) {
        self.end = base.plus(u64::from(batch.span));
        self.count = self.count.saturating_add(u64::from(batch.count));
        let weight = self.spec.map_or(0, |spec| batch.weight(spec.kind));
        self.bytes = self.bytes.saturating_add(u64::from(weight));
    }

    pub(crate) fn fits(&self, spec: &Spec, batch: &Batch) -> bool {
        fits((self.count, self.bytes), spec, batch)
    }
}

/// Whether an entity that keeps so many messages and bytes has room for a batch.
pub(super) fn fits((count, bytes): (u64, u64), spec: &Spec, batch: &Batch) -> bool {
    let count = count.saturating_add(u64::from(batch.count));
    // To weigh a batch takes longer than to see that nobody asks.
    let weight = || u64::from(batch.weight(spec.kind));
    let has_room = |max| bytes.saturating_add(weight()) <= max;
    count <= spec.limits.count_max.unwrap_or(u64::MAX) && spec.limits.bytes_max.is_none_or(has_room)
}

impl Draft {
    /// When a receipt for all this may be given: weaker than [`SyncMode::Always`] only if it
    /// concerns entities alone that say so.
    pub(crate) fn sync(&self) -> SyncMode {
        let weakest = |sketch: &Sketch| {
            sketch
                .spec
                .is_some_and(|spec| spec.sync == SyncMode::Interval)
        };
        let has_entities = self.plain.is_some() || self.entities.first.is_some();
        let is_weak = has_entities && self.documents.is_empty();
        let is_weak = is_weak && self.plain != Some(SyncMode::Always);
        if is_weak && self.entities.all().all(weakest) {
            SyncMode::Interval
        } else {
            SyncMode::Always
        }
    }

    pub(crate) fn clear(&mut self) {
        self.entities.clear();
        self.producers.clear();
        self.documents.clear();
        self.opened.clear();
        self.plain = None;
    }

    /// Whether nothing was said of entities so far.
    pub(super) fn is_blank(&self) -> bool {
        self.plain.is_none() && self.entities.first.is_none()
    }

    /// Whether no entity is among these twice.
    pub(super) fn are_distinct(&mut self, to: &[Target]) -> bool {
        let sorted = &mut self.sorted;
        sorted.clear();
        sorted.extend(to.iter().map(|target| target.entity));
        sorted.sort_unstable();
        let are_distinct = !sorted.array_windows().any(|[one, next]| one == next);
        sorted.shrink_to(KEPT_CAPACITY);
        are_distinct
    }

    /// Something is appended to an entity of which there is no sketch.
    pub(super) fn append_plain(&mut self, sync: SyncMode) {
        self.plain = Some(self.plain.map_or(sync, |before| before.min(sync)));
    }

    /// Makes room for so many entities at once.
    pub(crate) fn expect(&mut self, entities: usize) {
        if entities > 1 {
            self.entities.others.reserve(entities);
        }
    }

    fn sketch(&mut self, state: &State, entity: EntityId) -> &mut Sketch {
        self.entities.of(entity, || Sketch::of(state, entity))
    }

    /// An entity that exists at this point of the unit.
    pub(crate) fn live(
        &mut self,
        state: &State,
        entity: EntityId,
    ) -> Result<&mut Sketch, StoreError> {
        let sketch = self.sketch(state, entity);
        if sketch.spec.is_some() {
            Ok(sketch)
        } else {
            Err(StoreError::NoEntity(entity))
        }
    }

    pub(crate) fn create(
        &mut self,
        state: &State,
        entity: EntityId,
        spec: Spec,
    ) -> Result<(), StoreError> {
        let sketch = self.sketch(state, entity);
        if sketch.spec.is_some() {
            return Err(StoreError::Exists(entity));
        }
        *sketch = Sketch {
            spec: Some(spec),
            ..Sketch::absent()
        };
        Ok(())
    }

    pub(crate) fn put(&mut self, space: Space, key: Bytes, is_present: bool) {
        self.documents.insert((space, key), is_present);
    }

    pub(crate) fn written(&self, space: Space, key: &Bytes) -> Option<bool> {
        if self.documents.is_empty() {
            return None;
        }
        self.documents.get(&(space, key.clone())).copied()
    }

    pub(crate) fn judge(
        &mut self,
        state: &State,
        entity: EntityId,
        stamp: Option<Stamp>,
    ) -> Result<Judgement, StoreError> {
        let Some(stamp) = stamp else {
            return Ok(Judgement::New);
        };
        if let Some(drafted) = self.producers.get(&(entity, stamp.producer)) {
            return drafted.judge(stamp);
        }
        self.look(state, (entity, stamp.producer), |known| {
            known.map_or(Ok(Judgement::New), |known| known.judge(stamp))
        })
    }

    /// Whether there is room for one more producer of an entity, if this is one more.
    pub(crate) fn admit(
        &mut self,
        state: &State,
        entity: EntityId,
        stamp: Option<Stamp>,
    ) -> Result<(), StoreError> {
        let Some(stamp) = stamp else { return Ok(()) };
        let place = (entity, stamp.producer);
        if state.ground.producers() + self.producers.len() < PRODUCERS_MAX
            || self.producers.contains_key(&place)
        {
            return Ok(());
        }
        let kept = state.entity(entity);
        let has_place = kept.is_some_and(|kept| {
            let producers = &kept.content.lock().producers;
            producers.get(stamp.producer).is_some() || producers.is_full()
        });
        if has_place {
            return Ok(());
        }
        let limit = "producers";
        Err(StoreError::Full { limit })
    }

    /// Looks at what the state knows of a producer, if the entity was not made in this unit.
    fn look<T>(
        &mut self,
        state: &State,
        (entity, producer): (EntityId, ProducerId),
        see: impl FnOnce(Option<&Producer>) -> T,
    ) -> T {
        let is_fresh = self.sketch(state, entity).is_fresh;
        match state.entity(entity).filter(|_| !is_fresh) {
            Some(kept) => see(kept.content.lock().producers.get(producer)),
            None => see(None),
        }
    }

    /// A batch of a transaction opens it where it is not open.
    pub(crate) fn open(
        &mut self,
        state: &State,
        entity: EntityId,
        batch: &Batch,
    ) -> Result<(), StoreError> {
        let stamp = batch.stamp.filter(|_| batch.flags.transactional);
        let Some(stamp) = stamp.filter(|_| !batch.flags.control) else {
            return Ok(());
        };
        self.begin(state, entity, stamp.producer)
    }

    fn begin(
        &mut self,
        state: &State,
        entity: EntityId,
        producer: ProducerId,
    ) -> Result<(), StoreError> {
        let open = state.ground.open_txns.lock();
        if !open.contains(entity, producer) {
            self.opened.insert((producer, entity));
        }
        if open.len() + self.opened.len() > OPEN_TXNS_MAX {
            let limit = "open transactions";
            return Err(StoreError::Full { limit });
        }
        Ok(())
    }

    pub(crate) fn restore(
        &mut self,
        state: &State,
        entity: EntityId,
        writers: &Writers,
    ) -> Result<(), StoreError> {
        let kind = self.live(state, entity)?.spec.map(|spec| spec.kind);
        kind.map_or(Ok(()), |kind| remembers(kind, writers))?;
        let mut open = writers.open.iter();
        open.try_for_each(|(producer, _)| self.begin(state, entity, *producer))
    }

    /// Ends what a producer has open: refused to an older epoch, and shuts older ones out.
    pub(crate) fn end_txn(
        &mut self,
        state: &State,
        (producer, epoch): (ProducerId, i16),
        only: Option<EntityId>,
    ) -> Result<(), StoreError> {
        let opened = self.opened.iter();
        let opened = opened.filter(|(who, at)| *who == producer && only.is_none_or(|it| it == *at));
        let mut touched: BTreeSet<_> = opened.map(|(_, entity)| *entity).collect();
        touched.extend(state.ground.open_txns.lock().touched(producer, only));
        for entity in touched {
            let drafted = self.producers.get(&(entity, producer)).cloned();
            let place = (entity, producer);
            let known = drafted.or_else(|| self.look(state, place, |known| known.cloned()));
            let Some(mut known) = known else { continue };
            if known.epoch() > epoch {
                return Err(StoreError::ProducerFenced);
            }
            known.raise(epoch);
            self.producers.insert(place, known);
        }
        Ok(())
    }

    pub(crate) fn append(&mut self, state: &State, entity: EntityId, base: Offset, batch: &Batch) {
        let sketch = self.sketch(state, entity);
        sketch.append(base, batch);
        let is_fresh = sketch.is_fresh;
        let Some(stamp) = batch.stamp else { return };
        let now = state.ground.now();
        let drafted = self.producers.entry((entity, stamp.producer));
        drafted
            .and_modify(|drafted| drafted.record(stamp, base, now))
            .or_insert_with(|| {
                let kept = state.entity(entity).filter(|_| !is_fresh);
                let known = kept
                    .and_then(|kept| kept.content.lock().producers.get(stamp.producer).cloned());
                match known {
                    Some(mut known) => {
                        known.record(stamp, base, now);
                        known
                    }
                    None => Producer::begin(stamp, base, now),
                }
            });
    }

    pub(crate) fn is_worn(&self, entity: EntityId) -> bool {
        let sketch = self.entities.get(entity);
        sketch.is_some_and(|sketch| sketch.is_worn)
    }

    pub(crate) fn fits(&self, entity: EntityId, spec: &Spec, batch: &Batch) -> bool {
        self.entities
            .get(entity)
            .is_none_or(|sketch| sketch.fits(spec, batch))
    }

    /// Where the entity must be trimmed to so that the batch fits; `None` when it never will.
    pub(crate) fn drop_head(
        &mut self,
        state: &State,
        entity: EntityId,
        spec: &Spec,
        batch: &Batch,
    ) -> Option<Offset> {
        let kept = state.entity(entity)?;
        let sketch = self
            .entities
            .get_mut(entity)
            .filter(|sketch| !sketch.is_fresh)?;
        for (after, live, bytes) in kept.content.lock().sizes(sketch.displaced) {
            if sketch.fits(spec, batch) {
                break;
            }
            sketch.displaced = after;
            sketch.count = sketch.count.saturating_sub(live);
            sketch.bytes = sketch.bytes.saturating_sub(bytes);
        }
        sketch.fits(spec, batch).then_some(sketch.displaced)
    }
}
