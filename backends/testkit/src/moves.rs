//! Random operations on a store made of two, in which entities change their class in between: the
//! same answers as those of one store, and the same content afterwards.

use std::collections::{BTreeMap, BTreeSet};

use fairlead_canon::{Class, EntityId, Promise, Spec};
use fairlead_ports::{Committed, Op, Placed, StoreError, Target, Targets, Unit};
use futures_util::future::join;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::Subject;
use crate::trace::{ENTITIES, Trace, compare};

type Answer = Result<Vec<Placed>, StoreError>;

/// Commits while one move is under way.
const MEANWHILE_MAX: usize = 12;
const ALL: usize = ENTITIES as usize;

/// One trace with moves in it.
struct Moves {
    seed: u64,
    random: StdRng,
    reference: Subject,
    tested: Subject,
    /// What each entity is, so that it moves as that.
    specs: BTreeMap<EntityId, Spec>,
    /// Deleted ones: their numbers never come again.
    deleted: BTreeSet<EntityId>,
    done: u64,
}

/// Runs `steps` random commits on both stores, and every few of them changes the class of an entity of the
/// tested one, while others follow; at times, and at the end, that is taken through `restart`, everything in
/// memory having been moved to disk. Returns how many changes there were. Panics with the seed where the
/// stores differ.
pub async fn run(
    seed: u64,
    steps: usize,
    (reference, tested): (Subject, Subject),
    restart: impl Fn(Subject) -> Subject,
) -> u64 {
    let mut trace = Trace::new(seed);
    let mut moves = Moves {
        seed,
        random: StdRng::seed_from_u64(!seed),
        reference,
        tested,
        specs: BTreeMap::new(),
        deleted: BTreeSet::new(),
        done: 0,
    };
    moves.step(0, &creation()).await;
    for at in 1..=steps {
        let unit = moves.movable(trace.unit());
        moves.step(at, &unit).await;
        if moves.random.random_ratio(1, 4) {
            let entity = EntityId(moves.random.random_range(0..ENTITIES));
            let count = moves.random.random_range(0..MEANWHILE_MAX);
            let units = (0..count).map(|_| alone(moves.movable(trace.unit())));
            let units: Vec<_> = units.collect();
            moves.switch(at, entity, units).await;
        }
        if moves.random.random_ratio(1, 60) {
            moves = moves.restart(at, &restart).await;
        }
    }
    moves.compare("at the end").await;
    moves.restart(steps, &restart).await.done
}

impl Moves {
    /// The same unit on both; the same answer.
    async fn step(&mut self, at: usize, unit: &Unit) {
        let placed = |committed: Committed| committed.placed.to_vec();
        let got = self
            .tested
            .store
            .commit([unit.clone()].into())
            .await
            .remove(0);
        let has_refused = matches!(got, Err(StoreError::Unsupported { .. }));
        // Not everything can be asked for together with a move.
        if has_refused && self.moves(unit) {
            return;
        }
        let expected = self.reference(unit).await;
        let seed = self.seed;
        assert_eq!(
            got.map(placed),
            expected,
            "seed {seed}, step {at}: {unit:?}"
        );
    }

    /// What the reference says to a unit, which is two where it concerns both places.
    async fn reference(&mut self, unit: &Unit) -> Answer {
        if self.moves(unit) {
            return self.learn(unit).await;
        }
        let halves = [true, false].map(|is_in_memory| self.half(unit, is_in_memory));
        let [in_memory, on_disk] = &halves;
        if in_memory.ops.is_empty() {
            return self.learn(on_disk).await;
        }
        // Before they are gone.
        let targets = unit.ops.iter().flat_map(targets);
        let sides: Vec<_> = targets
            .map(|target| self.is_in_memory(target.entity))
            .collect();
        let held = self.learn(in_memory).await;
        let kept = self.learn(on_disk).await;
        let (mut held, mut kept) = (held?.into_iter(), kept?.into_iter());
        let next = |is_in_memory| match is_in_memory {
            true => held.next(),
            false => kept.next(),
        };
        Ok(sides.into_iter().filter_map(next).collect())
    }

    /// Commits to the reference, and remembers what became of entities.
    async fn learn(&mut self, unit: &Unit) -> Answer {
        let committed = self.reference.store.commit([unit.clone()].into()).await;
        let committed = committed.into_iter().next().expect("one answer")?;
        for op in &unit.ops {
            if let Op::Create { entity, spec } | Op::Alter { entity, spec } = op {
                self.specs.insert(*entity, *spec);
            }
            if let Op::Delete { entity } = op {
                self.specs.remove(entity);
                self.deleted.insert(*entity);
            }
        }
        Ok(committed.placed.to_vec())
    }

    fn is_in_memory(&self, entity: EntityId) -> bool {
        let spec = self.specs.get(&entity);
        spec.is_some_and(|spec| spec.class == Class::Memory)
    }

    /// Whether something changes its place by a unit.
    fn moves(&self, unit: &Unit) -> bool {
        let moves = |op: &Op| match op {
            Op::Alter { entity, spec } => {
                self.is_in_memory(*entity) != (spec.class == Class::Memory)
            }
            _ => false,
        };
        unit.ops.iter().any(moves)
    }

    /// What of a unit concerns one place.
    fn half(&self, unit: &Unit, is_in_memory: bool) -> Unit {
        let is_here = |entity: EntityId| self.is_in_memory(entity) == is_in_memory;
        let part = |op: &Op| match op {
            Op::Append { to, batch } => {
                let here = to.iter().copied().filter(|target| is_here(target.entity));
                let (to, batch): (Targets, _) = (here.collect(), batch.clone());
                (!to.is_empty()).then_some(Op::Append { to, batch })
            }
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
            } => is_here(*entity).then(|| op.clone()),
            // See [`everywhere`].
            Op::EndTxn { entity: None, .. } => None,
            Op::Expect { .. } | Op::Put { .. } => (!is_in_memory).then(|| op.clone()),
        };
        let ops = unit.ops.iter().flat_map(everywhere);
        let ops = ops.filter_map(|op| part(&op)).collect();
        Unit { ops, ..*unit }
    }

    /// Changes the class of an entity, if what is in it can be moved, and commits some more meanwhile.
    async fn switch(&mut self, at: usize, entity: EntityId, meanwhile: Vec<Unit>) -> bool {
        let Some(spec) = self.specs.get(&entity).copied() else {
            return false;
        };
        let [one, other] = match spec.class {
            Class::Memory => [Class::Local, Class::Object],
            Class::Local => [Class::Object, Class::Memory],
            Class::Object => [Class::Memory, Class::Local],
        };
        let class = if self.random.random() { one } else { other };
        let spec = Spec { class, ..spec };
        let moves = Unit {
            ops: [Op::Alter { entity, spec }].into(),
            promise: Promise::Durable,
        };
        let moved = self.tested.store.commit([moves].into());
        let steps = async {
            for unit in &meanwhile {
                self.step(at, unit).await;
            }
        };
        let (mut moved, ()) = join(moved, steps).await;
        match moved.remove(0) {
            // Perhaps it was deleted once it was there.
            Ok(_) => _ = self.specs.get_mut(&entity).map(|known| *known = spec),
            // It was deleted before it was there.
            Err(StoreError::NoEntity(gone)) if self.deleted.contains(&gone) => return false,
            Err(StoreError::Unsupported { .. }) => return false,
            Err(error) => panic!("seed {}, step {at}: {error}", self.seed),
        }
        self.done += 1;
        true
    }

    /// What of a unit can be asked of entities that move.
    fn movable(&self, mut unit: Unit) -> Unit {
        unit.ops.retain(|op| match op {
            Op::Create { entity, .. } => !self.deleted.contains(entity),
            Op::Restore { .. } => false,
            Op::Append { .. }
            | Op::Alter { .. }
            | Op::Delete { .. }
            | Op::Settle { .. }
            | Op::Expect { .. }
            | Op::Trim { .. }
            | Op::Mark { .. }
            | Op::Put { .. }
            | Op::EndTxn { .. } => true,
        });
        // Deleted and made again at once, it would have its number twice.
        let deletes = unit.ops.iter().any(|op| matches!(op, Op::Delete { .. }));
        unit.ops
            .retain(|op| !deletes || !matches!(op, Op::Create { .. }));
        unit
    }

    async fn restart(mut self, at: usize, restart: &impl Fn(Subject) -> Subject) -> Self {
        let in_memory =
            |(entity, spec): (&EntityId, &Spec)| (spec.class == Class::Memory).then_some(*entity);
        let all: Vec<_> = self.specs.iter().filter_map(in_memory).collect();
        for entity in all {
            let is_moved = self.switch(at, entity, Vec::new()).await;
            assert!(is_moved, "seed {}, step {at}: it stays", self.seed);
        }
        self.tested = restart(self.tested);
        self.compare(&format!("after a restart at step {at}")).await;
        self
    }

    async fn compare(&self, when: &str) {
        let when = format!("seed {}, {when}", self.seed);
        compare(&self.reference, &self.tested, &when).await;
    }
}

/// The end of a transaction wherever it is open, as its end in each entity: so it can be taken apart.
fn everywhere(op: &Op) -> Vec<Op> {
    let Op::EndTxn {
        producer,
        epoch,
        decision,
        entity: None,
    } = *op
    else {
        return vec![op.clone()];
    };
    let end = |entity| Op::EndTxn {
        producer,
        epoch,
        decision,
        entity: Some(EntityId(entity)),
    };
    (0..ENTITIES).map(end).collect()
}

fn targets(op: &Op) -> &[Target] {
    match op {
        Op::Append { to, .. } => to,
        _ => &[],
    }
}

/// The first operation of a unit, in one place: what goes to both of them can be taken in one and
/// refused in the other, and where an entity is while it moves only the tested store knows.
fn alone(mut unit: Unit) -> Unit {
    unit.ops.truncate(1);
    unit.ops.retain(|op| match op {
        Op::Append { to, .. } => {
            to.truncate(1);
            true
        }
        // A number that comes again is no number: whether one was deleted is not known here yet.
        Op::Create { .. } | Op::Alter { .. } | Op::EndTxn { entity: None, .. } => false,
        _ => true,
    });
    unit
}

/// Makes half of the entities; the others come later.
fn creation() -> Unit {
    let mut all = Trace::creation();
    all.ops.truncate(ALL / 2);
    all
}
