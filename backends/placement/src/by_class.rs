//! The store that routes by class.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fairlead_canon::{Class, EntityId, Spec};
use fairlead_ports::{
    BoxFuture, Commit, Documents, Log, Op, Progress, Store, StoreError, Unit, Units, Watcher,
};
use foldhash::fast::FixedState;
use hashbrown::HashSet;
use parking_lot::RwLock;
use tokio::sync::Semaphore;

use crate::gate::Gate;
use crate::handle::Handle;
use crate::marker::sweep;
use crate::meter::{Meter, Moves};
use crate::muffle::{Muffle, Muted};
use crate::split::{Side, Split};
use crate::switch;
use crate::touched::Notes;

/// Two stores behind one door: entities of class `memory` in one, everything else in the other.
///
/// A unit that concerns both is two units, one in each store, resolved after both. Within each
/// store it is all or nothing; across them it is so only as far as its conditions reach: when a
/// document that it expects differs, neither half takes effect. The half in memory is first where
/// nothing is expected, so that the order of a publisher holds in both; where something is, it follows
/// the durable one while the future is polled: whoever drops it before loses that half (the kernel sees
/// every commit to its end).
///
/// An `Alter` that leads an entity from one store to the other moves everything that it keeps, under
/// the same offsets. It takes effect at the end of that: what is committed meanwhile, by whomever, comes
/// before it. Commits wait only for the last part, in order. It goes on while its future is polled; when
/// that is dropped before the end, the entity stays where it was.
#[derive(Debug)]
pub struct ByClass(Arc<Places>);

/// The two stores, and who is where.
#[derive(Debug)]
pub(crate) struct Places {
    memory: Arc<dyn Store>,
    durable: Arc<dyn Store>,
    /// The entities that live in `memory`. It forgets them with the process, and so does this.
    in_memory: RwLock<HashSet<EntityId, FixedState>>,
    pub(crate) gate: Gate,
    /// One unit moves entities at a time.
    pub(crate) turns: Semaphore,
    /// What is done meanwhile to those on their way.
    pub(crate) notes: Notes,
    muted_in_memory: Arc<Muted>,
    muted_on_disk: Arc<Muted>,
    pub(crate) meter: Arc<Meter>,
    /// How often entities were found elsewhere.
    pub(crate) moves: AtomicU64,
}

impl ByClass {
    /// Routes between these two. Documents are the durable store's.
    pub fn new(memory: Arc<dyn Store>, durable: Arc<dyn Store>) -> Self {
        Self(Arc::new(Places {
            memory,
            durable,
            in_memory: RwLock::default(),
            gate: Gate::default(),
            turns: Semaphore::new(1),
            notes: Notes::default(),
            muted_in_memory: Arc::default(),
            muted_on_disk: Arc::default(),
            meter: Arc::default(),
            moves: AtomicU64::new(0),
        }))
    }

    /// Removes what a crash has left of moves to disk. To be called before the first commit.
    pub async fn sweep(&self, documents: &dyn Documents) -> Result<(), StoreError> {
        sweep(&self.0.durable, documents).await
    }

    /// What moves have done so far.
    pub fn moves(&self) -> Moves {
        self.0.meter.read()
    }
}

impl Places {
    pub(crate) fn side(&self, entity: EntityId) -> Side {
        Side::by(&self.in_memory.read(), entity)
    }

    pub(crate) fn store(&self, side: Side) -> &Arc<dyn Store> {
        match side {
            Side::Memory => &self.memory,
            Side::Durable => &self.durable,
        }
    }

    /// What leads an entity into the other store, if this operation does.
    pub(crate) fn crossing(&self, op: &Op) -> Option<(EntityId, Spec, Side)> {
        let Op::Alter { entity, spec } = op else {
            return None;
        };
        let to = Side::of(spec.class);
        (self.side(*entity) != to).then_some((*entity, *spec, to))
    }

    /// Learns where new entities go, before their first operation is routed.
    fn learn(&self, units: &[Unit]) {
        for op in units.iter().flat_map(|unit| &unit.ops) {
            if let Op::Create { entity, spec } = op
                && spec.class == Class::Memory
            {
                self.in_memory.write().insert(*entity);
            }
        }
    }

    /// Forgets entities whose removal has been ordered; their ids never come again. Tells those of which
    /// that may yet be refused, with the rest of their unit. The copy of one on its way is not to be taken
    /// for it.
    fn forget(&self, units: &[Unit]) -> Vec<EntityId> {
        let mut in_doubt = Vec::new();
        for unit in units {
            for op in &unit.ops {
                let Op::Delete { entity } = op else {
                    continue;
                };
                if self.side(*entity) != Side::Memory || self.notes.has(*entity) {
                    continue;
                }
                match unit.ops.len() {
                    1 => self.gone(*entity),
                    _ => in_doubt.push(*entity),
                }
            }
        }
        in_doubt
    }

    /// Forgets an entity if it is not there any more.
    pub(crate) async fn look_after(&self, entity: EntityId) {
        let Ok(log) = self.memory.open(entity) else {
            return;
        };
        if let Err(StoreError::NoEntity(_)) = log.marks().await {
            self.gone(entity);
        }
    }

    /// It is not in memory any more.
    fn gone(&self, entity: EntityId) {
        self.in_memory.write().remove(&entity);
    }

    /// Whether a unit leads entities into the other store.
    pub(crate) fn crosses(&self, unit: &Unit) -> bool {
        unit.ops.iter().any(|op| self.crossing(op).is_some())
    }

    /// Hands units over to the stores, or waits at the gate.
    pub(crate) fn pass(self: &Arc<Self>, units: Units) -> Commit {
        self.gate.pass(units, |units| self.hand(units))
    }

    fn hand(self: &Arc<Self>, units: Units) -> Commit {
        if let Some(entity) = only_concern(&units) {
            self.notes.note(&units);
            return self.store(self.side(entity)).commit(units);
        }
        if units.iter().any(|unit| self.crosses(unit)) {
            return Commit::steps(switch::all(Arc::clone(self), units));
        }
        self.route(units)
    }

    /// To the store of each.
    fn route(self: &Arc<Self>, units: Units) -> Commit {
        self.notes.note(&units);
        self.learn(&units);
        let in_memory = self.in_memory.read();
        let split = Split::of(&units, |entity| Side::by(&in_memory, entity));
        drop(in_memory);
        let in_doubt = self.forget(&units);
        let handed = match split {
            Split::Whole(side) => self.store(side).commit(units),
            Split::Halves(halves) => {
                let (places, known) = (Arc::clone(self), self.moves.load(Ordering::Acquire));
                let late = move |units| places.gate.pass(units, |units| places.late(units, known));
                halves.commit(&self.memory, &self.durable, late)
            }
        };
        if in_doubt.is_empty() {
            return handed;
        }
        let places = Arc::clone(self);
        Commit::steps(async move {
            let outcomes = handed.await;
            for entity in in_doubt {
                places.look_after(entity).await;
            }
            outcomes
        })
    }

    /// Units for what was in memory when their other halves were handed over, after so many moves.
    fn late(self: &Arc<Self>, units: Units, known: u64) -> Commit {
        if self.moves.load(Ordering::Acquire) != known {
            return self.route(units);
        }
        self.notes.note(&units);
        self.memory.commit(units)
    }

    /// What is copied to this side is not told once more.
    pub(crate) fn muted(&self, side: Side) -> &Muted {
        match side {
            Side::Memory => &self.muted_in_memory,
            Side::Durable => &self.muted_on_disk,
        }
    }

    /// They are over there now.
    pub(crate) fn moved(&self, entities: &[EntityId], to: Side) {
        let mut in_memory = self.in_memory.write();
        for entity in entities {
            match to {
                Side::Memory => in_memory.insert(*entity),
                Side::Durable => in_memory.remove(entity),
            };
        }
        drop(in_memory);
        self.moves.fetch_add(1, Ordering::AcqRel);
    }

    /// Lets those pass who wait.
    pub(crate) fn reopen(self: &Arc<Self>) {
        self.gate.open(|units| self.hand(units));
    }
}

/// The entity of a single append or settlement, which is what most commits are: it neither comes, goes nor moves by it.
fn only_concern(units: &[Unit]) -> Option<EntityId> {
    let [unit] = units else { return None };
    match &*unit.ops {
        [Op::Settle { entity, .. }] => Some(*entity),
        [Op::Append { to, .. }] => match &**to {
            [target] => Some(target.entity),
            _ => None,
        },
        _ => None,
    }
}

impl Side {
    fn by(in_memory: &HashSet<EntityId, FixedState>, entity: EntityId) -> Self {
        match in_memory.contains(&entity) {
            true => Self::Memory,
            false => Self::Durable,
        }
    }

    fn of(class: Class) -> Self {
        match class {
            Class::Memory => Self::Memory,
            Class::Local | Class::Object => Self::Durable,
        }
    }
}

impl Store for ByClass {
    fn name(&self) -> &'static str {
        self.0.durable.name()
    }

    fn commit(&self, units: Units) -> Commit {
        self.0.pass(units)
    }

    fn is_busy(&self) -> bool {
        self.0.durable.is_busy()
    }

    fn backup(&self, to: PathBuf) -> BoxFuture<'static, io::Result<u64>> {
        self.0.durable.backup(to)
    }

    fn progress(&self, entity: EntityId) -> Option<Progress> {
        self.0.meter.progress(entity)
    }

    fn open(&self, entity: EntityId) -> Result<Arc<dyn Log>, StoreError> {
        Ok(Arc::new(Handle::open(&self.0, entity)?))
    }

    fn watch(&self, watcher: Arc<dyn Watcher>) {
        let places = &self.0;
        for (store, muted) in [
            (&places.memory, &places.muted_in_memory),
            (&places.durable, &places.muted_on_disk),
        ] {
            store.watch(Arc::new(Muffle {
                watcher: Arc::clone(&watcher),
                muted: Arc::clone(muted),
            }));
        }
    }
}
