//! Moving entities from one store to the other: what they keep is copied while commits wait, the
//! move is decided by one unit of the durable store, and then what was there before is removed.

use std::collections::BTreeMap;
use std::sync::Arc;

use fairlead_canon::{Class, EntityId, Offset, Promise, Spec};
use fairlead_ports::{Committed, Op, Ops, Store, StoreError, Unit};

use crate::by_class::Places;
use crate::copy::Copier;
use crate::gate::Outcomes;
use crate::split::Side;

/// Bytes of a unit of copies: a part of what any store takes at once.
const SLICE_BYTES: usize = 8 << 20;
/// Operations of one.
const SLICE_OPS: usize = Unit::OPS_MAX / 4;

/// A unit that changes the class of entities across stores.
#[derive(Debug)]
pub(crate) struct Switch {
    to: Side,
    entities: BTreeMap<EntityId, Spec>,
    /// What else the unit asks for, in order.
    rest: Ops,
    promise: Promise,
}

/// Opens the gate again, whatever becomes of the move.
pub(crate) struct Closed(pub(crate) Arc<Places>);

impl Drop for Closed {
    fn drop(&mut self) {
        self.0.reopen();
    }
}

/// Carries out the units of one commit, of which at least one moves entities. The gate is closed.
pub(crate) async fn all(closed: Closed, units: Vec<Unit>) -> Outcomes {
    let places = &closed.0;
    let mut outcomes = Vec::with_capacity(units.len());
    for unit in units {
        outcomes.push(match Switch::of(places, &unit) {
            Ok(Some(switch)) => switch.run(places).await,
            Ok(None) => one(places.route(vec![unit]).await),
            Err(error) => Err(error),
        });
    }
    outcomes
}

fn one(outcomes: Outcomes) -> Result<Committed, StoreError> {
    let outcome = outcomes.into_iter().next();
    outcome.unwrap_or(Err(StoreError::Unavailable))
}

async fn commit(
    store: &Arc<dyn Store>,
    ops: Ops,
    promise: Promise,
) -> Result<Committed, StoreError> {
    one(store.commit(vec![Unit { ops, promise }]).await)
}

impl Switch {
    fn of(places: &Places, unit: &Unit) -> Result<Option<Self>, StoreError> {
        let crossing = unit.ops.iter().filter_map(|op| places.crossing(op));
        let crossing: Vec<_> = crossing.collect();
        let Some(&(_, _, to)) = crossing.first() else {
            return Ok(None);
        };
        if crossing.iter().any(|(_, _, side)| *side != to) {
            return Err(StoreError::Unsupported {
                what: "entities that change places with each other",
            });
        }
        let moving = |entity| crossing.iter().any(|(id, ..)| *id == entity);
        let rest = unit.ops.iter().filter(|op| places.crossing(op).is_none());
        let rest: Ops = rest.cloned().collect();
        // It is judged by the durable store alone, before the entities are there or gone.
        let is_apart = |entity| !moving(entity) && places.side(entity) == Side::Durable;
        if !rest.iter().all(|op| is_durable(op, &is_apart)) {
            return Err(StoreError::Unsupported {
                what: "a move together with changes of what moves or of what is in memory",
            });
        }
        Ok(Some(Self {
            to,
            // Of an entity that is altered twice, it is as the last one says.
            entities: crossing
                .into_iter()
                .map(|(entity, spec, _)| (entity, spec))
                .collect(),
            rest,
            promise: unit.promise,
        }))
    }

    async fn run(mut self, places: &Arc<Places>) -> Result<Committed, StoreError> {
        let ids: Vec<_> = self.entities.keys().copied().collect();
        places.mute(&ids);
        let asked: usize = self.rest.iter().map(targets).sum();
        let moved = self.copy(places).await.map(|mut committed| {
            // Behind what the unit asked for come the copies.
            committed.placed.truncate(asked);
            committed
        });
        let there = if moved.is_ok() {
            self.to
        } else {
            self.to.other()
        };
        places.moved(&ids, there);
        // What is left where nobody looks any more is removed; if that fails it only takes room.
        for entity in ids {
            let left = [Op::Delete { entity }].into();
            drop(commit(places.store(there.other()), left, Promise::Accepted).await);
        }
        places.unmute();
        moved
    }

    /// Copies everything; the last unit of the durable store decides.
    async fn copy(&mut self, places: &Places) -> Result<Committed, StoreError> {
        let (from, to) = (places.store(self.to.other()), places.store(self.to));
        let mut ops = Ops::new();
        for (entity, spec) in &self.entities {
            // What an earlier try may have left there.
            let left = [Op::Delete { entity: *entity }].into();
            drop(commit(to, left, Promise::Accepted).await);
            // Resolves when everything before it can be seen.
            let (entity, upto) = (*entity, Offset(0));
            let nothing = [Op::Mark { entity, upto }].into();
            commit(from, nothing, Promise::Durable).await?;
            ops.extend(Copier::of(from.open(entity)?, entity, *spec).await?);
        }
        let mut slices = slices(ops);
        let mut decides = std::mem::take(&mut self.rest);
        let promise = self.promise;
        if self.to == Side::Durable {
            let mut last = slices.pop().unwrap_or_default();
            // What the unit expects is judged before anything of it is done.
            last.insert_many(0, decides);
            for slice in slices {
                commit(to, slice, Promise::Accepted).await?;
            }
            return commit(to, last, Promise::Durable).await;
        }
        for slice in slices {
            commit(to, slice, promise).await?;
        }
        // Readers go on there: both places hold the same until this is decided. What is on disk goes
        // with the decision, or a crash behind it would leave that to nobody.
        let ids: Vec<_> = self.entities.keys().copied().collect();
        places.moved(&ids, self.to);
        decides.extend(ids.into_iter().map(|entity| Op::Delete { entity }));
        commit(from, decides, promise).await
    }
}

fn targets(op: &Op) -> usize {
    if let Op::Append { to, .. } = op {
        to.len()
    } else {
        0
    }
}

/// Whether all of an operation concerns documents and such entities.
fn is_durable(op: &Op, is_apart: &impl Fn(EntityId) -> bool) -> bool {
    match op {
        Op::Expect { .. } | Op::Put { .. } => true,
        Op::Append { to, .. } => to.iter().all(|target| is_apart(target.entity)),
        Op::Create { entity, spec } => spec.class != Class::Memory && is_apart(*entity),
        Op::Alter { entity, .. }
        | Op::Delete { entity }
        | Op::Settle { entity, .. }
        | Op::Trim { entity, .. }
        | Op::Mark { entity, .. }
        | Op::Restore { entity, .. } => is_apart(*entity),
        Op::EndTxn { entity, .. } => entity.is_some_and(is_apart),
    }
}

/// In units of a size that any store takes.
fn slices(ops: Ops) -> Vec<Ops> {
    let mut slices = vec![Ops::new()];
    let mut bytes = 0;
    for op in ops {
        let size = if let Op::Append { batch, .. } = &op {
            batch.bytes.len()
        } else {
            0
        };
        let is_full = slices.last().is_some_and(|slice: &Ops| {
            slice.len() >= SLICE_OPS || (!slice.is_empty() && bytes + size > SLICE_BYTES)
        });
        if is_full {
            slices.push(Ops::new());
            bytes = 0;
        }
        bytes += size;
        if let Some(slice) = slices.last_mut() {
            slice.push(op);
        }
    }
    slices
}
