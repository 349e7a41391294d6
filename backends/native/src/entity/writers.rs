//! What is remembered of those who wrote to an entity, as a whole.

use fairlead_canon::{Kind, Offset};
use fairlead_ports::{CursorId, Lsn, Writers};

use super::{Content, Source};

impl Content {
    pub(crate) fn writers(&self) -> Writers {
        let Source { ground, entity } = &self.source;
        let open = ground.open_txns.lock();
        Writers {
            producers: self.producers.epochs(),
            batches: self.producers.remembered(),
            open: open.within(*entity).collect(),
            aborted: self.aborted.touching(Offset(0), Offset(u64::MAX)),
        }
    }

    /// Remembers these and no others, by the record at `lsn`.
    pub(crate) fn restore(&mut self, lsn: Lsn, writers: &Writers) {
        let now = self.source.ground.now();
        self.change_producers(|producers| producers.restore(writers, now));
        let Source { ground, entity } = &self.source;
        let mut open = ground.open_txns.lock();
        open.forget(*entity);
        for (producer, first) in &writers.open {
            open.begin(*entity, *producer, *first);
        }
        drop(open);
        self.aborted.restore(&writers.aborted);
        // What was hidden by a transaction that is not open any more is not to be seen before this
        // is durable.
        self.txn_ended_at = lsn;
        self.retain();
        self.reschedule();
    }

    /// Whose view differs from that of somebody new, besides a queue's own.
    pub(crate) fn others(&self) -> Vec<CursorId> {
        let used = self.cursors.iter().filter(|(_, view)| !view.is_empty());
        let ids = used.map(|(id, _)| *id);
        let is_own = |id| self.spec.kind == Kind::Queue && id == CursorId::default();
        ids.filter(|id| !is_own(*id)).collect()
    }
}
