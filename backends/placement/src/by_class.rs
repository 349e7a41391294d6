//! The store that routes by class.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fairlead_canon::{Class, EntityId, Spec};
use fairlead_ports::{BoxFuture, Committed, Log, Op, Store, StoreError, Unit, Watcher};
use foldhash::fast::FixedState;
use hashbrown::HashSet;
use parking_lot::RwLock;

use crate::gate::{Gate, Handed, Passage};
use crate::handle::Handle;
use crate::muffle::{Muffle, Muted};
use crate::split::{Side, Split};
use crate::switch::{self, Closed};

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
/// the same offsets. All commits wait meanwhile, in order. It goes on while its future is polled; when
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
    gate: Gate,
    muted: Arc<Muted>,
    /// How often entities have moved.
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
            muted: Arc::default(),
            moves: AtomicU64::new(0),
        }))
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

    /// Forgets entities whose removal has been ordered; their ids never come again.
    fn forget(&self, units: &[Unit]) {
        for op in units.iter().flat_map(|unit| &unit.ops) {
            if let Op::Delete { entity } = op
                && self.side(*entity) == Side::Memory
            {
                self.in_memory.write().remove(entity);
            }
        }
    }

    fn passage(&self, units: &[Unit]) -> Passage {
        let mut ops = units.iter().flat_map(|unit| &unit.ops);
        if ops.any(|op| self.crossing(op).is_some()) {
            Passage::Last
        } else {
            Passage::Plain
        }
    }

    /// Hands units over to the stores; those that move an entity have closed the gate.
    fn hand(self: &Arc<Self>, units: Vec<Unit>) -> Handed {
        match self.passage(&units) {
            Passage::Last => Box::pin(switch::all(Closed(Arc::clone(self)), units)),
            Passage::Plain => self.route(units),
        }
    }

    /// To the store of each.
    pub(crate) fn route(&self, units: Vec<Unit>) -> Handed {
        self.learn(&units);
        let in_memory = self.in_memory.read();
        let split = Split::of(&units, |entity| Side::by(&in_memory, entity));
        drop(in_memory);
        self.forget(&units);
        match split {
            Split::Whole(side) => self.store(side).commit(units),
            Split::Halves(halves) => halves.commit(&self.memory, &self.durable),
        }
    }

    /// Their messages are about to be appended once more.
    pub(crate) fn mute(&self, entities: &[EntityId]) {
        self.muted.set(entities);
    }

    pub(crate) fn unmute(&self) {
        self.muted.clear();
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
        self.unmute();
        self.gate
            .open(|units| self.passage(units), |units| self.hand(units));
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

    fn commit(&self, units: Vec<Unit>) -> BoxFuture<'static, Vec<Result<Committed, StoreError>>> {
        let places = &self.0;
        let passage = |units: &[Unit]| places.passage(units);
        places.gate.pass(units, passage, |units| places.hand(units))
    }

    fn is_busy(&self) -> bool {
        self.0.durable.is_busy()
    }

    fn backup(&self, to: PathBuf) -> BoxFuture<'static, io::Result<u64>> {
        self.0.durable.backup(to)
    }

    fn open(&self, entity: EntityId) -> Result<Arc<dyn Log>, StoreError> {
        Ok(Arc::new(Handle::open(&self.0, entity)?))
    }

    fn watch(&self, watcher: Arc<dyn Watcher>) {
        for store in [&self.0.memory, &self.0.durable] {
            store.watch(Arc::new(Muffle {
                watcher: Arc::clone(&watcher),
                muted: Arc::clone(&self.0.muted),
            }));
        }
    }
}
