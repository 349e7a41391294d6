//! Open transactions of the whole store: whose, in which entity, and where each began. All of them
//! are in memory, and in the index as rows of their own.

use std::collections::{BTreeMap, BTreeSet};

use fairlead_canon::{EntityId, Offset, ProducerId};

use crate::entity::each;
use crate::index::pack::{Pack, Unpack};
use crate::index::{Batch, Index, KvError, rows};

/// Where each open transaction began, by entity and by producer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OpenTxns {
    firsts: BTreeMap<(EntityId, ProducerId), Offset>,
    by_producer: BTreeSet<(ProducerId, EntityId)>,
}

impl OpenTxns {
    /// What the index says.
    pub(crate) fn load(index: &Index) -> Result<Self, KvError> {
        let mut open = Self::default();
        each(index, &rows::open_txns(), &mut |key, row| {
            let (entity, producer) = rows::open_txn_in(key)?;
            let mut unpack = Unpack::new(row);
            let first = Offset(unpack.uint()?);
            open.begin(entity, producer, first);
            unpack.done(())
        })?;
        Ok(open)
    }

    /// A batch of a transaction: it is the first one unless one is open.
    pub(crate) fn begin(&mut self, entity: EntityId, producer: ProducerId, base: Offset) {
        self.firsts.entry((entity, producer)).or_insert(base);
        self.by_producer.insert((producer, entity));
    }

    /// Ends one; returns where it began.
    pub(crate) fn end(&mut self, entity: EntityId, producer: ProducerId) -> Option<Offset> {
        self.by_producer.remove(&(producer, entity));
        self.firsts.remove(&(entity, producer))
    }

    /// Ends all in an entity that is no more.
    pub(crate) fn forget(&mut self, entity: EntityId) {
        let producers: Vec<_> = self.within(entity).map(|(producer, _)| producer).collect();
        for producer in producers {
            self.end(entity, producer);
        }
    }

    pub(crate) fn contains(&self, entity: EntityId, producer: ProducerId) -> bool {
        self.firsts.contains_key(&(entity, producer))
    }

    pub(crate) fn len(&self) -> usize {
        self.firsts.len()
    }

    /// Entities in which a producer has one open, or the one that was asked for.
    pub(crate) fn touched(
        &self,
        producer: ProducerId,
        only: Option<EntityId>,
    ) -> impl Iterator<Item = EntityId> {
        let all = (producer, EntityId(0))..=(producer, EntityId(u64::MAX));
        let touched = self.by_producer.range(all).map(|(_, entity)| *entity);
        touched.filter(move |entity| only.is_none_or(|only| only == *entity))
    }

    /// Where the oldest one in an entity began.
    pub(crate) fn first_in(&self, entity: EntityId) -> Option<Offset> {
        self.within(entity).map(|(_, first)| first).min()
    }

    /// Where each one in an entity began, by producer.
    pub(crate) fn within(&self, entity: EntityId) -> impl Iterator<Item = (ProducerId, Offset)> {
        let all = (entity, ProducerId(i64::MIN))..=(entity, ProducerId(i64::MAX));
        let within = self.firsts.range(all);
        within.map(|((_, producer), first)| (*producer, *first))
    }

    /// Adds what leads from `before` to this.
    pub(crate) fn write(&self, before: &Self, batch: &mut Batch) {
        for key @ (entity, producer) in before.firsts.keys() {
            if !self.firsts.contains_key(key) {
                batch.delete(rows::open_txn(*entity, *producer));
            }
        }
        for (key @ (entity, producer), first) in &self.firsts {
            if before.firsts.get(key) != Some(first) {
                let mut pack = Pack::default();
                pack.uint(first.0);
                batch.put(rows::open_txn(*entity, *producer), pack.done());
            }
        }
    }
}
