//! Moving entities from one store to the other. What they keep is copied in rounds while everything goes
//! on, each round shorter than the one before. Once one was short, commits wait for a last one; then a
//! unit of the durable store decides, they go on, and what was there before is removed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fairlead_canon::{Class, EntityId, Offset, Promise, Spec};
use fairlead_ports::{Committed, Op, Ops, Outcomes, StoreError, Unit, Units};
use tokio::time::Instant;

use crate::by_class::Places;
use crate::copy::{Copier, Round};
use crate::marker::{marked, unmarked};
use crate::slice::commit;
use crate::split::Side;

/// How long a pause may be, up to which round: rather a few more rounds than a long pause, and rather
/// a long pause than none on a machine that has no time. A round that took longer does not lead to one.
const PAUSES: [(usize, Duration); 3] = [
    (8, Duration::from_millis(20)),
    (16, Duration::from_millis(100)),
    (32, Duration::from_millis(1_000)),
];
/// Bytes of messages that may be copied in a pause: what a round can read at once, and as much again.
const PAUSE_BYTES_MAX: u64 = 2 << 20;
/// In how many steps a copy in memory is removed, so that nobody waits for its lock for long.
const REMOVAL_STEPS: u64 = 256;

/// A unit that changes the class of entities across stores.
#[derive(Debug)]
pub(crate) struct Switch {
    to: Side,
    entities: BTreeMap<EntityId, Spec>,
    /// What else the unit asks for, in order.
    rest: Ops,
    promise: Promise,
}

/// Carries out the units of one commit, of which at least one moves entities.
pub(crate) async fn all(places: Arc<Places>, units: Units) -> Outcomes {
    let mut outcomes = Outcomes::with_capacity(units.len());
    for unit in units {
        outcomes.push(each(&places, unit).await);
    }
    outcomes
}

async fn each(places: &Arc<Places>, unit: Unit) -> Result<Committed, StoreError> {
    if places.crosses(&unit) {
        let turn = places.turns.acquire().await;
        let _turn = turn.map_err(|_closed| StoreError::Unavailable)?;
        // Those who had the turn may have moved it already.
        if let Some(switch) = Switch::of(places, &unit)? {
            let ids: Vec<_> = switch.entities.keys().copied().collect();
            let moved = switch.run(places).await;
            if moved.is_err() {
                // Those that were deleted on the way are remembered up to here.
                for entity in ids {
                    places.look_after(entity).await;
                }
            }
            return moved;
        }
    }
    let outcome = places.pass([unit].into()).await.into_iter().next();
    outcome.unwrap_or(Err(StoreError::Unavailable))
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

    async fn run(self, places: &Arc<Places>) -> Result<Committed, StoreError> {
        let mut way = Way::begin(places, &self);
        let mut copiers = self.copiers(places).await?;
        let pause = way.catch_up(&mut copiers).await?;
        for copier in &mut copiers {
            copier.finish().await?;
        }
        let to = self.to;
        let committed = self.decide(&mut way).await?;
        way.arrive();
        drop(pause);
        if to == Side::Durable {
            way.remove_from_memory().await;
        }
        Ok(committed)
    }

    async fn copiers(&self, places: &Places) -> Result<Vec<Copier>, StoreError> {
        let (from, to) = (places.store(self.to.other()), places.store(self.to));
        if self.to == Side::Durable {
            let ids = self.entities.keys().copied();
            commit(to, [marked(ids)].into(), Promise::Accepted).await?;
        }
        let mut copiers = Vec::with_capacity(self.entities.len());
        for (entity, spec) in &self.entities {
            let log = from.open(*entity)?;
            copiers.push(Copier::begin(log, to, (*entity, *spec), &places.meter).await?);
        }
        Ok(copiers)
    }

    /// One unit of the durable store makes the copies what counts, or does not.
    async fn decide(mut self, way: &mut Way) -> Result<Committed, StoreError> {
        let places = &way.places;
        let mut decides = std::mem::take(&mut self.rest);
        let promise = match self.to {
            Side::Durable => {
                decides.push(unmarked());
                Promise::Durable
            }
            Side::Memory => {
                // Readers go on there: both places hold the same until this is decided. What is on disk
                // goes with the decision, or a crash behind it would leave that to nobody.
                places.moved(&way.entities, Side::Memory);
                let ids = way.entities.iter().copied();
                decides.extend(ids.map(|entity| Op::Delete { entity }));
                self.promise
            }
        };
        // From here on the durable store has it, whoever waits for that.
        way.is_decided = true;
        let decided = commit(places.store(Side::Durable), decides, promise).await;
        way.is_decided = decided.is_ok();
        match (self.to, &decided) {
            (Side::Durable, Ok(_)) => places.moved(&way.entities, Side::Durable),
            (Side::Memory, Err(_)) => places.moved(&way.entities, Side::Durable),
            (Side::Durable, Err(_)) | (Side::Memory, Ok(_)) => {}
        }
        decided
    }
}

/// Entities on their way. What is left of a copy that came to nothing is removed with it.
struct Way {
    places: Arc<Places>,
    to: Side,
    entities: Vec<EntityId>,
    is_decided: bool,
}

impl Way {
    fn begin(places: &Arc<Places>, switch: &Switch) -> Self {
        let kinds = switch.entities.iter();
        let kinds = kinds.map(|(entity, spec)| (*entity, spec.kind));
        // What is on its way to a store now is seen before the first round.
        places.gate.between(|| places.notes.begin(kinds));
        let entities: Vec<_> = switch.entities.keys().copied().collect();
        places.muted(switch.to).set(&entities);
        places.meter.begin(&entities);
        Self {
            places: Arc::clone(places),
            to: switch.to,
            entities,
            is_decided: false,
        }
    }

    /// Copies in rounds until a last one is done while commits wait, which they do from then on.
    async fn catch_up(&self, copiers: &mut [Copier]) -> Result<Pause, StoreError> {
        let mut rounds = 0;
        for (upto, pause_max) in PAUSES {
            while rounds < upto {
                rounds += 1;
                let began = Instant::now();
                self.round(copiers, Round::Open).await?;
                if began.elapsed() > pause_max {
                    continue;
                }
                let pause = Pause::begin(&self.places);
                let last = Round::Last {
                    bytes_max: PAUSE_BYTES_MAX,
                };
                let is_complete = self.round(copiers, last).await?;
                if is_complete && pause.began.elapsed() <= pause_max {
                    return Ok(pause);
                }
            }
        }
        Err(StoreError::Full {
            limit: "rounds of a move: more changes than can be copied meanwhile",
        })
    }

    /// Whether all copies are complete.
    async fn round(&self, copiers: &mut [Copier], round: Round) -> Result<bool, StoreError> {
        let places = &self.places;
        let take = || copiers.iter().map(|copier| copier.touched(&places.notes));
        let touched: Vec<_> = places.gate.between(|| take().collect());
        // Resolves when everything before it can be seen.
        let nothing = |entity: &EntityId| Op::Mark {
            entity: *entity,
            upto: Offset(0),
        };
        let nothing = self.entities.iter().map(nothing).collect();
        commit(places.store(self.to.other()), nothing, Promise::Durable).await?;
        let mut held = (0, 0);
        for copier in &*copiers {
            let (messages, bytes) = copier.held().await?;
            held = (held.0 + messages, held.1 + bytes);
        }
        places.meter.round(held);
        let mut is_complete = true;
        for (copier, touched) in copiers.iter_mut().zip(touched) {
            is_complete &= copier.round(touched, round).await?;
        }
        Ok(is_complete)
    }

    /// They are where they were to go, and what comes next is told of them.
    fn arrive(&self) {
        self.places.notes.end();
        self.places.muted(self.to).clear();
        self.places.meter.moved();
    }

    /// Removes what nobody looks at any more; if that fails it only takes room.
    async fn remove_from_memory(&self) {
        let memory = self.places.store(Side::Memory);
        for entity in self.entities.iter().copied() {
            let marks = match memory.open(entity) {
                Ok(log) => log.marks().await.unwrap_or_default(),
                Err(_away) => continue,
            };
            let step = (marks.end.0 - marks.start.0) / REMOVAL_STEPS;
            for part in 1..REMOVAL_STEPS {
                let to = marks.start.plus(part * step);
                drop(commit(memory, [Op::Trim { entity, to }].into(), Promise::Accepted).await);
            }
            drop(commit(memory, [Op::Delete { entity }].into(), Promise::Accepted).await);
        }
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.places.meter.over();
        if self.is_decided {
            return;
        }
        let store = self.places.store(self.to);
        let gone = self
            .entities
            .iter()
            .map(|entity| Op::Delete { entity: *entity });
        let unmarked = (self.to == Side::Durable).then(unmarked);
        let unit = |op| Unit {
            ops: [op].into(),
            promise: Promise::Accepted,
        };
        // Handed over at once, and nobody waits for it. What fails is removed at the next start.
        drop(store.commit(gone.chain(unmarked).map(unit).collect()));
        self.places.notes.end();
        self.places.muted(self.to).clear();
    }
}

/// While it lives, commits wait.
struct Pause {
    places: Arc<Places>,
    began: Instant,
}

impl Pause {
    fn begin(places: &Arc<Places>) -> Self {
        places.gate.close();
        Self {
            places: Arc::clone(places),
            began: Instant::now(),
        }
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        self.places.reopen();
        self.places.meter.paused(self.began.elapsed());
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
