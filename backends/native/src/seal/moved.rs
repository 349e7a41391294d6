//! Entities whose class changed: what is sealed of them may belong elsewhere. Kept in the index until
//! everything is there, so that a stop in between is made up for.

use std::collections::BTreeSet;

use fairlead_canon::EntityId;

use crate::entity::each;
use crate::index::{Batch, Index, KvError, rows};

/// Entities whose class changed.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    /// Not looked at yet.
    new: BTreeSet<EntityId>,
    /// Looked at, and perhaps not all of it is where it belongs.
    known: BTreeSet<EntityId>,
}

impl Moved {
    /// What the index says.
    pub(crate) fn load(index: &Index) -> Result<Self, KvError> {
        let mut moved = Self::default();
        each(index, &rows::all_moved(), &mut |key, _| {
            moved.add(EntityId(rows::number_in(key, 0)?));
            Some(())
        })?;
        Ok(moved)
    }

    pub(crate) fn add(&mut self, entity: EntityId) {
        self.new.insert(entity);
    }

    pub(crate) fn any(&self) -> bool {
        !self.new.is_empty() || !self.known.is_empty()
    }

    pub(crate) fn all(&self) -> BTreeSet<EntityId> {
        self.new.union(&self.known).copied().collect()
    }

    /// Those that were not looked at, once.
    pub(super) fn look(&mut self) -> BTreeSet<EntityId> {
        let new = std::mem::take(&mut self.new);
        self.known.extend(&new);
        new
    }

    /// All that was looked at is where it belongs, and that is in the log.
    pub(super) fn settle(&mut self) {
        self.known.clear();
    }
}

/// Replaces the rows of all of them.
pub(crate) fn write(moved: &BTreeSet<EntityId>, batch: &mut Batch) {
    batch.delete_all(rows::all_moved());
    for entity in moved {
        batch.put(rows::moved(*entity), Vec::new());
    }
}
