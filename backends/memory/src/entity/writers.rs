//! What is remembered of those who wrote to an entity, as a whole.

use fairlead_canon::{Kind, Offset, Timestamp};
use fairlead_ports::{CursorId, Writers};

use super::Entity;
use crate::producer::Producer;
use crate::txn::Transactions;

impl Entity {
    pub(crate) fn writers(&self) -> Writers {
        let known = self.producers.iter();
        let mut producers: Vec<_> = known.map(|(id, known)| (*id, known.epoch())).collect();
        producers.sort_unstable();
        let known = self.producers.values();
        let mut batches: Vec<_> = known.flat_map(Producer::batches).collect();
        batches.sort_unstable_by_key(|(base, _)| *base);
        Writers {
            producers,
            batches,
            open: self.transactions.begun(),
            aborted: self.transactions.aborted(Offset(0), Offset(u64::MAX)),
        }
    }

    /// Remembers these and no others.
    pub(crate) fn restore(&mut self, writers: &Writers, now: Timestamp) {
        let known = |epoch| Producer::of(epoch).used_at(now);
        let producers = writers.producers.iter();
        self.producers = producers.map(|(id, epoch)| (*id, known(*epoch))).collect();
        self.idle_since = (!self.producers.is_empty()).then_some(now);
        for (base, stamp) in &writers.batches {
            self.record(*stamp, *base, now);
        }
        self.transactions = Transactions::of(writers);
    }

    /// Whose view differs from that of somebody new, besides a queue's own.
    pub(crate) fn others(&self) -> Vec<CursorId> {
        let used = self.cursors.iter().filter(|(_, view)| !view.is_empty());
        let ids = used.map(|(id, _)| *id);
        ids.filter(|id| !self.is_own(*id)).collect()
    }

    fn is_own(&self, cursor: CursorId) -> bool {
        self.spec.kind == Kind::Queue && cursor == CursorId::default()
    }
}
