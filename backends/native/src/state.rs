//! What the records of the log add up to, and the only way in which it changes: [`State::apply`].
//! A replay applies the same records, so it ends in the same state.

use std::collections::BTreeMap;
use std::sync::Arc;

use fairlead_canon::{EntityId, Kind, Offset, Spec};
use fairlead_ports::{Appended, Lsn};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};

use crate::documents::Documents;
use crate::entity::{Content, Entity, Location};
use crate::record::{Data, Record};

/// Changed by the engine alone; readers take each lock for a look.
#[derive(Debug, Default)]
pub(crate) struct State {
    entities: RwLock<HashMap<EntityId, Arc<Entity>, FixedState>>,
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
    pub(crate) fn entity(&self, id: EntityId) -> Option<Arc<Entity>> {
        self.entities.read().get(&id).map(Arc::clone)
    }

    /// All entities, in the order of their numbers.
    pub(crate) fn entities(&self) -> BTreeMap<EntityId, Arc<Entity>> {
        let entities = self.entities.read();
        let shared = |(id, entity): (&EntityId, &Arc<Entity>)| (*id, Arc::clone(entity));
        entities.iter().map(shared).collect()
    }

    /// Applies a record that lies at `at`. What it appends is added to `hidden`.
    pub(crate) fn apply(&self, at: Location, record: &Record, hidden: &mut Vec<Hidden>) {
        match record {
            Record::Data(data) => self.append(at, data, hidden),
            Record::Create { entity, spec } => self.create(*entity, *spec),
            Record::Alter { entity, spec } => {
                self.change(*entity, |content| content.spec = *spec);
            }
            Record::Delete { entity } => {
                // Dropped after the lock: a large entity takes a while.
                let gone = self.entities.write().remove(entity);
                drop(gone);
            }
            Record::Settle {
                entity,
                cursor,
                ranges,
                outcome,
            } => self.change(*entity, |content| {
                for range in ranges {
                    content.settle(*cursor, range.clone(), *outcome);
                }
            }),
            Record::Trim { entity, to } => self.change(*entity, |content| content.trim(*to)),
            Record::Mark { entity, upto } => self.change(*entity, |content| content.mark(*upto)),
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

    fn create(&self, id: EntityId, spec: Spec) {
        self.entities
            .write()
            .insert(id, Arc::new(Entity::new(spec)));
    }

    fn append(&self, at: Location, data: &Data, hidden: &mut Vec<Hidden>) {
        let batch = &data.batch;
        for (id, base) in &data.targets {
            let Some(entity) = self.entity(*id) else {
                continue;
            };
            entity.content.lock().append(*base, batch, at);
            let appended = Appended {
                entity: *id,
                base: *base,
                span: batch.span,
                bytes: u32::try_from(batch.bytes.len()).unwrap_or(u32::MAX),
                deadline: batch.deadline,
            };
            hidden.push(Hidden { entity, appended });
        }
    }

    fn change(&self, id: EntityId, change: impl FnOnce(&mut Content)) {
        if let Some(entity) = self.entity(id) {
            change(&mut entity.content.lock());
        }
    }

    /// Ends a replay: what it showed is what an earlier process left.
    pub(crate) fn begin_anew(&self) {
        let entities = self.entities.read();
        for entity in entities.values() {
            entity.content.lock().begin_anew();
        }
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
