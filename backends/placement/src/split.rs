//! Units taken apart by where their entities live, and their results put together again.

use std::sync::Arc;

use fairlead_canon::EntityId;
use fairlead_ports::{
    Commit, Committed, Op, Ops, Outcomes, Store, StoreError, Targets, Unit, Units,
};
use futures_util::future::join;

/// One of the two stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Memory,
    Durable,
}

impl Side {
    /// Where it is not.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Memory => Self::Durable,
            Self::Durable => Self::Memory,
        }
    }
}

/// Where the units of one commit go.
#[derive(Debug)]
pub(crate) enum Split {
    /// All to one store, as they are.
    Whole(Side),
    /// To both.
    Halves(Halves),
}

/// The units of one commit, for each store, and what belongs to what.
#[derive(Debug, Default)]
pub(crate) struct Halves {
    memory: Vec<Unit>,
    durable: Vec<Unit>,
    origins: Vec<Origin>,
    /// Some unit with a half in memory depends on a document.
    is_conditional: bool,
}

/// What became of one unit.
#[derive(Debug)]
struct Origin {
    has_memory: bool,
    has_durable: bool,
    /// Where the target of each `placed` went, in order.
    targets: Vec<Side>,
}

impl Split {
    pub(crate) fn of(units: &[Unit], side: impl Fn(EntityId) -> Side) -> Self {
        let mut sides = units
            .iter()
            .flat_map(|unit| &unit.ops)
            .map(|op| one_side(op, &side));
        let first = sides.next().unwrap_or(Some(Side::Durable));
        if let Some(first) = first
            && sides.all(|side| side == Some(first))
        {
            return Self::Whole(first);
        }
        let mut halves = Halves::default();
        units.iter().for_each(|unit| halves.add(unit, &side));
        Self::Halves(halves)
    }
}

impl Halves {
    fn add(&mut self, unit: &Unit, side: &impl Fn(EntityId) -> Side) {
        let half = || Unit {
            ops: Ops::new(),
            promise: unit.promise,
        };
        let (mut memory, mut durable) = (half(), half());
        let mut targets = Vec::new();
        for op in &unit.ops {
            if let Op::Append { to, .. } = op {
                targets.extend(to.iter().map(|target| side(target.entity)));
            }
            memory.ops.extend(part(op, Side::Memory, side));
            durable.ops.extend(part(op, Side::Durable, side));
        }
        let has_memory = !memory.ops.is_empty();
        let is_conditional = durable.ops.iter().any(|op| matches!(op, Op::Expect { .. }));
        self.is_conditional |= has_memory && is_conditional;
        // A unit without operations still has a result, which the durable store gives.
        let has_durable = !durable.ops.is_empty() || !has_memory;
        self.memory.extend(has_memory.then_some(memory));
        self.durable.extend(has_durable.then_some(durable));
        self.origins.push(Origin {
            has_memory,
            has_durable,
            targets,
        });
    }

    /// Hands over what goes to disk, and to memory either at once or, if that depends on the disk, by
    /// `late` once it is known.
    pub(crate) fn commit(
        self,
        memory: &Arc<dyn Store>,
        durable: &Arc<dyn Store>,
        late: impl FnOnce(Units) -> Commit + Send + 'static,
    ) -> Commit {
        let kept = durable.commit(self.durable.into());
        if self.is_conditional {
            let (units, origins) = (self.memory, self.origins);
            return Commit::steps(async move {
                let kept = kept.await;
                let held = late(admitted(units, &kept, &origins)).await;
                join_results(origins, held, kept)
            });
        }
        let held = memory.commit(self.memory.into());
        Commit::steps(async move {
            let (held, kept) = join(held, kept).await;
            join_results(self.origins, held, kept)
        })
    }
}

/// The halves in memory whose durable half took effect.
fn admitted(units: Vec<Unit>, kept: &[Result<Committed, StoreError>], origins: &[Origin]) -> Units {
    let mut kept = kept.iter();
    let may = origins.iter().filter_map(|origin| {
        let is_kept = !origin.has_durable || kept.next().is_some_and(Result::is_ok);
        origin.has_memory.then_some(is_kept)
    });
    // A half that may not take effect becomes empty, so that results stay in line.
    let admit = |(unit, may): (Unit, bool)| {
        if may {
            unit
        } else {
            Unit {
                ops: Ops::new(),
                ..unit
            }
        }
    };
    units
        .into_iter()
        .zip(may.collect::<Vec<_>>())
        .map(admit)
        .collect()
}

fn join_results(origins: Vec<Origin>, held: Outcomes, kept: Outcomes) -> Outcomes {
    let (mut held, mut kept) = (held.into_iter(), kept.into_iter());
    let mut join = |origin: Origin| {
        let held = origin.has_memory.then(|| held.next()).flatten();
        let kept = origin.has_durable.then(|| kept.next()).flatten();
        let (held, kept) = match (held.transpose()?, kept.transpose()?) {
            (Some(held), Some(kept)) => (held, kept),
            (Some(one), None) | (None, Some(one)) => return Ok(one),
            (None, None) => return Err(StoreError::Unavailable),
        };
        let (mut in_memory, mut on_disk) = (held.placed.into_iter(), kept.placed.into_iter());
        let placed = origin.targets.iter().filter_map(|side| match side {
            Side::Memory => in_memory.next(),
            Side::Durable => on_disk.next(),
        });
        Ok(Committed {
            lsn: kept.lsn,
            placed: placed.collect(),
        })
    };
    origins.into_iter().map(&mut join).collect()
}

/// The side of an operation, if all of it goes to one.
fn one_side(op: &Op, side: &impl Fn(EntityId) -> Side) -> Option<Side> {
    if let Op::EndTxn { entity: None, .. } = op {
        return None;
    }
    let Op::Append { to, .. } = op else {
        return Some(side_of(op, side));
    };
    let mut sides = to.iter().map(|target| side(target.entity));
    let first = sides.next().unwrap_or(Side::Durable);
    sides.all(|side| side == first).then_some(first)
}

fn side_of(op: &Op, side: &impl Fn(EntityId) -> Side) -> Side {
    match op {
        Op::Create { entity, .. }
        | Op::Alter { entity, .. }
        | Op::Delete { entity }
        | Op::Settle { entity, .. }
        | Op::Trim { entity, .. }
        | Op::Mark { entity, .. }
        | Op::Restore { entity, .. }
        | Op::EndTxn {
            entity: Some(entity),
            ..
        } => side(*entity),
        // Documents are durable; an append goes where each of its targets does, and the end of a
        // transaction wherever that is open.
        Op::Expect { .. } | Op::Put { .. } => Side::Durable,
        Op::Append { .. } | Op::EndTxn { entity: None, .. } => Side::Durable,
    }
}

/// What of an operation concerns one side.
fn part(op: &Op, wanted: Side, side: &impl Fn(EntityId) -> Side) -> Option<Op> {
    if let Op::EndTxn { entity: None, .. } = op {
        return Some(op.clone());
    }
    let Op::Append { to, batch } = op else {
        return (side_of(op, side) == wanted).then(|| op.clone());
    };
    let to: Targets = to
        .iter()
        .copied()
        .filter(|target| side(target.entity) == wanted)
        .collect();
    (!to.is_empty()).then(|| Op::Append {
        to,
        batch: batch.clone(),
    })
}
