//! Random operations on a store made of two, in which entities change their class in between: the
//! same answers as those of one store, and the same content afterwards.

use std::collections::BTreeMap;

use fairlead_canon::{Class, EntityId, Kind, Retention, SizeLimits, Spec};
use fairlead_ports::{Committed, CursorId, Op, Place, StoreError, Unit};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::Subject;
use crate::trace::{ENTITIES, Trace, compare, kind};

/// One trace with moves in it.
struct Moves {
    seed: u64,
    random: StdRng,
    reference: Subject,
    tested: Subject,
    /// What each entity is, so that it moves as that.
    specs: BTreeMap<EntityId, Spec>,
    done: u64,
}

/// Runs `steps` random commits on both stores, and every few of them moves an entity of the tested one
/// between memory and disk; at times, and at the end, that is taken through `restart`, everything in
/// memory having been moved to disk. Returns how many moves there were. Panics with the seed where the stores differ.
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
        done: 0,
    };
    moves.step(0, &Trace::creation()).await;
    for at in 1..=steps {
        if let Some(unit) = whole(trace.unit()) {
            moves.step(at, &unit).await;
        }
        if moves.random.random_ratio(1, 4) {
            let entity = EntityId(moves.random.random_range(0..ENTITIES));
            moves.switch(at, entity).await;
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
        let placed = |outcome: Result<Committed, _>| outcome.map(|committed| committed.placed);
        let got = self.tested.store.commit(vec![unit.clone()]).await.remove(0);
        if matches!(got, Err(StoreError::Unsupported { .. })) {
            return;
        }
        let expected = self.reference.store.commit(vec![unit.clone()]).await;
        let expected = placed(expected.into_iter().next().expect("one answer"));
        let is_done = expected.is_ok();
        let seed = self.seed;
        assert_eq!(placed(got), expected, "seed {seed}, step {at}: {unit:?}");
        if is_done {
            self.learn(unit);
        }
    }

    fn learn(&mut self, unit: &Unit) {
        for op in &unit.ops {
            if let Op::Create { entity, spec } | Op::Alter { entity, spec } = op {
                self.specs.insert(*entity, *spec);
            }
        }
    }

    /// Moves an entity, if what is in it can be moved.
    async fn switch(&mut self, at: usize, entity: EntityId) -> bool {
        let Some(spec) = self.specs.get_mut(&entity) else {
            return false;
        };
        let class = match spec.class {
            Class::Memory => Class::Local,
            Class::Local | Class::Object => Class::Memory,
        };
        let there = Spec { class, ..*spec };
        let op = Op::Alter {
            entity,
            spec: there,
        };
        match self.tested.commit(vec![op]).await {
            Ok(_) => *spec = there,
            Err(StoreError::Unsupported { .. }) => return false,
            Err(error) => panic!("seed {}, step {at}: {error}", self.seed),
        }
        self.done += 1;
        true
    }

    async fn restart(mut self, at: usize, restart: &impl Fn(Subject) -> Subject) -> Self {
        let in_memory =
            |(entity, spec): (&EntityId, &Spec)| (spec.class == Class::Memory).then_some(*entity);
        let all: Vec<_> = self.specs.iter().filter_map(in_memory).collect();
        for entity in all {
            let is_moved = self.switch(at, entity).await;
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

/// One operation for one entity: two stores have no common answer to what concerns both, and a move
/// carries neither transactions nor what readers of a log have settled. Numbers are never used again
/// where entities move.
fn whole(mut unit: Unit) -> Option<Unit> {
    let mut op = unit.ops.pop()?;
    unit.ops.clear();
    match &mut op {
        Op::Append { to, batch } => {
            to.truncate(1);
            let target = to.first()?;
            batch.flags.transactional = false;
            if target.place != Place::Next {
                return None;
            }
            // One batch with several keys does not move either.
            if kind(target.entity) == Kind::Latest {
                batch.keys.truncate(1);
                (batch.count, batch.span) = (1, 1);
            }
        }
        Op::Settle { entity, cursor, .. } => {
            let is_carried = kind(*entity) == Kind::Queue || *cursor == CursorId::CLEANER;
            is_carried.then_some(())?;
        }
        Op::Alter { entity, spec } => {
            // An age becomes a deadline of the message when it moves.
            spec.retention = Retention::default();
            if kind(*entity) == Kind::Log {
                spec.limits = SizeLimits::default();
            }
        }
        Op::Create { .. } | Op::Delete { .. } => return None,
        Op::Expect { .. }
        | Op::Trim { .. }
        | Op::Mark { .. }
        | Op::Put { .. }
        | Op::EndTxn { .. } => {}
    }
    unit.ops.push(op);
    Some(unit)
}
