//! The store that routes by class.

use std::sync::Arc;

use fairlead_canon::{Class, EntityId};
use fairlead_ports::{BoxFuture, Committed, Log, Op, Store, StoreError, Unit, Watcher};
use foldhash::fast::FixedState;
use hashbrown::HashSet;
use parking_lot::RwLock;

use crate::split::{Side, Split};

/// Two stores behind one door: entities of class `memory` in one, everything else in the other.
///
/// A unit that concerns both is two units, one in each store, resolved after both. Within each
/// store it is all or nothing; across them it is so only as far as its conditions reach: when a
/// document that it expects differs, neither half takes effect. The half in memory is first where
/// nothing is expected, so that the order of a publisher holds in both; where something is, it follows
/// the durable one while the future is polled: whoever drops it before loses that half (the kernel sees
/// every commit to its end).
#[derive(Debug)]
pub struct ByClass {
    memory: Arc<dyn Store>,
    durable: Arc<dyn Store>,
    /// The entities that live in `memory`. It forgets them with the process, and so does this.
    in_memory: RwLock<HashSet<EntityId, FixedState>>,
}

impl ByClass {
    /// Routes between these two. Documents are the durable store's.
    pub fn new(memory: Arc<dyn Store>, durable: Arc<dyn Store>) -> Self {
        Self {
            memory,
            durable,
            in_memory: RwLock::default(),
        }
    }

    fn side(&self, entity: EntityId) -> Side {
        if self.in_memory.read().contains(&entity) {
            Side::Memory
        } else {
            Side::Durable
        }
    }

    /// Learns where new entities go, before their first operation is routed.
    fn learn(&self, units: &[Unit]) {
        for op in units.iter().flat_map(|unit| &unit.ops) {
            match op {
                Op::Create { entity, spec } if spec.class == Class::Memory => {
                    self.in_memory.write().insert(*entity);
                }
                Op::Create { .. }
                | Op::Expect { .. }
                | Op::Alter { .. }
                | Op::Delete { .. }
                | Op::Append { .. }
                | Op::Settle { .. }
                | Op::Trim { .. }
                | Op::Mark { .. }
                | Op::Put { .. }
                | Op::EndTxn { .. } => {}
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
}

impl Store for ByClass {
    fn name(&self) -> &'static str {
        self.durable.name()
    }

    fn commit(&self, units: Vec<Unit>) -> BoxFuture<'static, Vec<Result<Committed, StoreError>>> {
        self.learn(&units);
        let split = Split::of(&units, |entity| self.side(entity));
        self.forget(&units);
        match split {
            Split::Whole(Side::Memory) => self.memory.commit(units),
            Split::Whole(Side::Durable) => self.durable.commit(units),
            Split::Halves(halves) => halves.commit(&self.memory, &self.durable),
        }
    }

    fn is_busy(&self) -> bool {
        self.durable.is_busy()
    }

    fn open(&self, entity: EntityId) -> Result<Arc<dyn Log>, StoreError> {
        match self.side(entity) {
            Side::Memory => self.memory.open(entity),
            Side::Durable => self.durable.open(entity),
        }
    }

    fn watch(&self, watcher: Arc<dyn Watcher>) {
        self.memory.watch(Arc::clone(&watcher));
        self.durable.watch(watcher);
    }
}
