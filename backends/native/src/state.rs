//! What the records of the log add up to, and the only way in which it changes: [`State::apply`].
//! A replay applies the same records, so it ends in the same state.

use std::collections::BTreeSet;
use std::sync::Arc;

use fairlead_canon::{Batch, EntityId, Kind, Offset, ProducerId};
use fairlead_ports::{Appended, Decision, Lsn, StoreError, Target};
use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::documents::Documents;
use crate::entities::{Changed, Entities};
use crate::entity::{Content, Entity, Location};
use crate::graves::Graves;
use crate::ground::Ground;
use crate::index::KvError;
use crate::record::{Data, Record};
use crate::superblock::Epoch;

/// Entities that a record concerns, in its order, where they are at hand.
pub(crate) type Known = SmallVec<[Option<Arc<Entity>>; 1]>;

/// Changed by the engine alone; readers take each lock for a look.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) ground: Arc<Ground>,
    entities: Entities,
    pub(crate) documents: Mutex<Documents>,
}

/// A batch that was appended and is not yet visible.
#[derive(Debug)]
pub(crate) struct Hidden {
    entity: Arc<Entity>,
    pub(crate) appended: Appended,
}

impl Hidden {
    fn end(&self) -> Offset {
        self.appended.base.plus(u64::from(self.appended.span))
    }

    /// Makes it visible: everything before it is.
    pub(crate) fn show(&self) {
        self.entity.content.lock().show(self.end());
    }

    /// Makes all of these visible, which were appended in this order. With the last of those that stand side by side
    /// in one entity the others are.
    pub(crate) fn show_all(hidden: &[Self]) {
        let runs = hidden.chunk_by(|one, next| Arc::ptr_eq(&one.entity, &next.entity));
        runs.filter_map(<[Self]>::last).for_each(Self::show);
    }

    /// Makes it visible if nothing before it is hidden.
    pub(crate) fn show_in_turn(&self) -> bool {
        let mut content = self.entity.content.lock();
        let may = content.visible == self.appended.base;
        if may {
            content.show(self.end());
        }
        may
    }

    /// Makes it visible if it is in a queue and nothing before it is hidden: whoever published it
    /// did not ask for durability, so its readers need not wait.
    pub(crate) fn show_early(&self) -> bool {
        let mut content = self.entity.content.lock();
        let may = content.spec.kind == Kind::Queue && content.visible == self.appended.base;
        if may {
            content.show(self.end());
        }
        may
    }
}

impl State {
    /// What the index says, and nothing more.
    pub(crate) fn new(ground: Arc<Ground>) -> Result<Self, KvError> {
        Ok(Self {
            entities: Entities::new(Arc::clone(&ground))?,
            documents: Mutex::new(Documents::new(Arc::clone(&ground))),
            ground,
        })
    }

    /// Gives up a part of what was deleted.
    pub(crate) fn reap(&self) {
        self.entities.reap();
    }

    /// What was deleted and is not yet given up.
    pub(crate) fn graves(&self) -> &Graves {
        &self.entities.graves
    }

    pub(crate) fn entity(&self, id: EntityId) -> Option<Arc<Entity>> {
        self.entities.get(id)
    }

    /// The entities of many targets, in their order, where they are in memory.
    pub(crate) fn in_memory(&self, to: &[Target]) -> Known {
        self.entities.in_memory_all(to)
    }

    /// Numbers of all entities.
    pub(crate) fn entities(&self) -> Result<BTreeSet<EntityId>, KvError> {
        self.entities.all()
    }

    /// Sees what is in memory alone; `None` when that is not enough to say anything.
    pub(crate) fn glance<T>(
        &self,
        id: EntityId,
        see: impl FnOnce(&mut Content) -> Result<T, StoreError>,
    ) -> Option<Result<T, StoreError>> {
        let entity = self.entities.in_memory(id)?;
        if entity.is_deleted() {
            return Some(Err(StoreError::NoEntity(id)));
        }
        entity.content.lock().glance(see)
    }

    /// Sees an entity, wherever it is. May read from disk.
    pub(crate) fn look<T>(
        &self,
        id: EntityId,
        see: impl FnOnce(&mut Content) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let entity = self.entity(id);
        let seen = entity.map(|entity| see(&mut entity.content.lock()));
        self.entities.relieve();
        self.trusted(())?;
        seen.unwrap_or(Err(StoreError::NoEntity(id)))
    }

    /// What was seen, unless the index has failed: what it did not give must not be taken for what
    /// is there.
    pub(crate) fn trusted<T>(&self, seen: T) -> Result<T, StoreError> {
        if self.ground.is_faulty() {
            return Err(StoreError::Poisoned);
        }
        Ok(seen)
    }

    /// Entities in memory.
    #[cfg(test)]
    pub(crate) fn hot(&self) -> usize {
        self.entities.hot()
    }

    /// How much changed since the last checkpoint was begun: entities and documents.
    pub(crate) fn changes(&self) -> usize {
        self.entities.changes() + self.documents.lock().changes()
    }

    /// Whether a checkpoint would say more than the last one.
    pub(crate) fn is_ahead(&self) -> bool {
        self.changes() > 0 || !self.ground.has_written_homes()
    }

    /// Takes the list of entities that changed in the generation that ends.
    pub(crate) fn take_changed(&self) -> Vec<Changed> {
        self.entities.take_changed()
    }

    /// A checkpoint has what these changed in it.
    pub(crate) fn written(&self, changed: Vec<Changed>) {
        self.entities.written(changed);
    }

    /// Applies a record that lies at `at`. What it appends, hidden, is given to `hide` one by one.
    pub(crate) fn apply(&self, at: Location, record: &Record, hide: &mut impl FnMut(Hidden)) {
        self.apply_to(&mut Known::new(), (at, record), hide);
    }

    /// Does what [`State::apply`] does; entities that are at hand are not looked up.
    pub(crate) fn apply_to(
        &self,
        known: &mut Known,
        (at, record): (Location, &Record),
        hide: &mut impl FnMut(Hidden),
    ) {
        match record {
            Record::Data(data) => self.append(known, (at, data), hide),
            Record::Create { entity, spec } => self.entities.create(*entity, *spec),
            Record::Alter { entity, spec } => {
                self.change(*entity, |content| {
                    if content.spec.class != spec.class {
                        self.ground.moved.lock().add(*entity);
                    }
                    content.alter(*spec);
                });
            }
            Record::Delete { entity } => self.entities.delete(*entity),
            Record::Settle {
                entity,
                cursor,
                ranges,
                outcome,
            } => {
                let settle = |content: &mut Content| {
                    for range in ranges {
                        content.settle(*cursor, range.clone(), *outcome);
                    }
                };
                let known = known.pop().flatten();
                self.entities.change(*entity, known, settle);
            }
            Record::Trim { entity, to } => self.change(*entity, |content| content.trim(*to)),
            Record::Mark { entity, upto } => self.change(*entity, |content| content.mark(*upto)),
            Record::Sealed(sealed) => self.ground.homes.lock().apply(sealed),
            Record::EndTxn {
                producer,
                epoch,
                decision,
                entity,
            } => self.end_txn(at, (*producer, *epoch), *decision, *entity),
            Record::Restore { entity, writers } => {
                self.change(*entity, |content| content.restore(at.lsn, writers));
            }
            Record::Put {
                space,
                key,
                value,
                due,
            } => {
                let change = value.as_deref().map(|value| (value, *due));
                self.documents.lock().put(at.lsn, *space, key, change);
            }
        }
    }

    fn append(
        &self,
        known: &mut Known,
        (at, data): (Location, &Data),
        hide: &mut impl FnMut(Hidden),
    ) {
        let targets = u32::try_from(data.targets.len()).unwrap_or(u32::MAX);
        let share = at.len / targets.max(1);
        // All at once; one that does not keep it gives its share back.
        let uses = &self.ground.uses;
        uses.lock().add_shares(at, share, targets);
        let mut known = known.drain(..);
        for (id, base) in &data.targets {
            let known = known.next().flatten();
            match known.or_else(|| self.entities.get(*id)) {
                Some(entity) => hide(self.add((*id, entity), (at, share), (*base, &data.batch))),
                None => uses.lock().remove(at, share),
            }
        }
    }

    /// Appends a batch that went to one entity, which is at hand, and its record to `at`.
    pub(crate) fn append_to(
        &self,
        entity: (EntityId, Arc<Entity>),
        (at, base, batch): (Location, Offset, &Batch),
    ) -> Hidden {
        self.ground.uses.lock().add(at, at.len);
        self.add(entity, (at, at.len), (base, batch))
    }

    /// Adds a batch to an entity whose share of the record is counted.
    fn add(
        &self,
        (id, entity): (EntityId, Arc<Entity>),
        (at, share): (Location, u32),
        (base, batch): (Offset, &Batch),
    ) -> Hidden {
        let mut content = self.entities.touched(id, &entity);
        let (deadline, bytes) = content.append(base, batch, at, share);
        drop(content);
        let appended = Appended {
            entity: id,
            base,
            span: batch.span,
            bytes,
            deadline,
        };
        Hidden { entity, appended }
    }

    fn end_txn(
        &self,
        at: Location,
        (producer, epoch): (ProducerId, i16),
        decision: Decision,
        only: Option<EntityId>,
    ) {
        let open = self.ground.open_txns.lock();
        let touched: Vec<_> = open.touched(producer, only).collect();
        drop(open);
        for id in touched {
            self.change(id, |content| {
                content.end_txn(at.lsn, (producer, epoch), decision);
            });
        }
    }

    fn change(&self, id: EntityId, change: impl FnOnce(&mut Content)) {
        self.entities.change(id, None, change);
    }

    /// Ends a replay: what it showed is what an earlier process left.
    pub(crate) fn begin_anew(&self, epoch: Epoch) {
        self.ground.set_epoch(epoch);
        self.entities.begin_anew();
    }
}

/// How far the log is durable, for those who wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Everything below is durable.
    Durable(Lsn),
    /// Nothing more ever will be.
    Poisoned,
}
