//! Everything the store holds, and how a judged unit changes it.

use fairlead_canon::{Batch, EntityId};
use fairlead_ports::{
    Appended, Committed, Document, Lsn, Op, Placed, Placement, StoreError, Unit, Version,
};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::documents::Documents;
use crate::entity::Entity;
use crate::judge::{Effect, judge};

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) entities: HashMap<EntityId, Entity, FixedState>,
    pub(crate) documents: Documents,
    /// Documents written so far: where their versions come from.
    pub(crate) writes: u64,
    /// What the messages count for, and the most they may.
    pub(crate) weight: u64,
    pub(crate) weight_max: u64,
}

impl World {
    pub(crate) fn new(weight_max: u64) -> Self {
        Self {
            entities: HashMap::default(),
            documents: Documents::default(),
            writes: 0,
            weight: 0,
            weight_max,
        }
    }

    /// Takes a unit, or leaves everything as it was. What became visible is added to `grown`.
    pub(crate) fn take(
        &mut self,
        unit: Unit,
        grown: &mut Vec<Appended>,
    ) -> Result<Committed, StoreError> {
        let effects = judge(self, &unit)?;
        let mut committed = Committed {
            lsn: Lsn(0),
            placed: SmallVec::new(),
        };
        for (op, effect) in unit.ops.into_iter().zip(effects) {
            match effect {
                Effect::Plain => self.apply(op),
                Effect::Version(version) => self.write(op, version),
                Effect::Append {
                    placed,
                    trims,
                    weight,
                } => {
                    for (entity, to) in trims {
                        self.change(entity, |entity| entity.trim(to));
                    }
                    if let Op::Append { batch, .. } = op {
                        self.append(&placed, &batch, weight, grown);
                    }
                    committed.placed.extend(placed);
                }
            }
        }
        Ok(committed)
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Create { entity, spec } => {
                self.entities.insert(entity, Entity::new(spec));
            }
            Op::Alter { entity, spec } => self.change(entity, |entity| entity.spec = spec),
            Op::Delete { entity } => {
                let gone = self.entities.remove(&entity);
                self.weight -= gone.map_or(0, |gone| gone.weight());
            }
            Op::Settle {
                entity,
                cursor,
                ranges,
                outcome,
            } => self.change(entity, |entity| {
                for range in ranges {
                    entity.settle(cursor, range, outcome);
                }
            }),
            Op::Trim { entity, to } => self.change(entity, |entity| entity.trim(to)),
            // A mark is for the next process, and this store has none.
            Op::Mark { .. }
            | Op::Expect { .. }
            | Op::Append { .. }
            | Op::Put { .. }
            | Op::EndTxn { .. } => {}
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

    fn append(&mut self, placed: &[Placed], batch: &Batch, weight: u64, grown: &mut Vec<Appended>) {
        for placed in placed.iter().filter(|placed| placed.how == Placement::New) {
            self.change(placed.entity, |entity| {
                entity.append(placed.base, batch, weight)
            });
            grown.push(Appended {
                entity: placed.entity,
                base: placed.base,
                span: batch.span,
                bytes: u32::try_from(batch.bytes.len()).unwrap_or(u32::MAX),
                deadline: batch.deadline,
            });
        }
    }

    /// Changes one entity and keeps the sum of weights right.
    fn change(&mut self, entity: EntityId, change: impl FnOnce(&mut Entity)) {
        if let Some(entity) = self.entities.get_mut(&entity) {
            self.weight -= entity.weight();
            change(entity);
            self.weight += entity.weight();
        }
    }
}
