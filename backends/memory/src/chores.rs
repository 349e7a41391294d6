//! Which entities are to be looked at although nobody asks, and when: one time for each.

use std::collections::{BTreeMap, BTreeSet};

use fairlead_canon::{EntityId, Timestamp};

#[derive(Debug, Default)]
pub(crate) struct Chores {
    by_time: BTreeSet<(Timestamp, EntityId)>,
    by_entity: BTreeMap<EntityId, Timestamp>,
}

impl Chores {
    /// An entity is due then, unless it is earlier anyway.
    pub(crate) fn bring_forward(&mut self, entity: EntityId, due: Timestamp) {
        if self.by_entity.get(&entity).is_none_or(|held| *held > due) {
            self.set(entity, Some(due));
        }
    }

    /// An entity is due at another time, or no more.
    pub(crate) fn set(&mut self, entity: EntityId, due: Option<Timestamp>) {
        let old = match due {
            Some(due) => self.by_entity.insert(entity, due),
            None => self.by_entity.remove(&entity),
        };
        if let Some(old) = old {
            self.by_time.remove(&(old, entity));
        }
        if let Some(due) = due {
            self.by_time.insert((due, entity));
        }
    }

    /// Takes one that is due by now.
    pub(crate) fn take(&mut self, now: Timestamp) -> Option<EntityId> {
        let (_, entity) = *self.by_time.first().filter(|(due, _)| *due <= now)?;
        self.set(entity, None);
        Some(entity)
    }
}
