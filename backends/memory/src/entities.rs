//! All entities. One that holds nothing takes a few bytes: what it is, and where it ends.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::Arc;

use fairlead_canon::{EntityId, Offset, ProducerId, Spec};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::entity::Entity;
use crate::producer::Producer;

/// Entities that stay as they are for a while after they became empty, since most are used again.
const WARM_MAX: usize = 1_024;

#[derive(Debug, Default)]
pub(crate) struct Entities {
    slots: HashMap<EntityId, Slot, FixedState>,
    /// Those that became empty lately, oldest first, each once.
    warm: VecDeque<EntityId>,
    /// The settings that were given last: most entities are like the one before.
    latest: Option<Arc<Spec>>,
}

#[derive(Debug)]
enum Slot {
    Empty { spec: Arc<Spec>, end: Offset },
    Used(Box<Entity>),
}

/// An entity as it is.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "lives on the stack for one look, where a box would cost more"
)]
pub(crate) enum Seen<'a> {
    Empty(Entity),
    Used(&'a Entity),
}

impl Deref for Seen<'_> {
    type Target = Entity;

    fn deref(&self) -> &Entity {
        match self {
            Self::Empty(entity) => entity,
            Self::Used(entity) => entity,
        }
    }
}

impl Entities {
    pub(crate) fn get(&self, id: EntityId) -> Option<Seen<'_>> {
        Some(match self.slots.get(&id)? {
            Slot::Empty { spec, end } => Seen::Empty(Entity::empty(**spec, *end)),
            Slot::Used(entity) => Seen::Used(entity),
        })
    }

    pub(crate) fn contains(&self, id: EntityId) -> bool {
        self.slots.contains_key(&id)
    }

    /// One that is more than a few bytes here: it holds something, or did of late.
    pub(crate) fn used(&self, id: EntityId) -> Option<&Entity> {
        match self.slots.get(&id)? {
            Slot::Empty { .. } => None,
            Slot::Used(entity) => Some(entity),
        }
    }

    /// What is known of a producer in an entity.
    pub(crate) fn producer(&self, id: EntityId, producer: ProducerId) -> Option<&Producer> {
        self.used(id)?.producer(producer)
    }

    pub(crate) fn insert(&mut self, id: EntityId, spec: Spec) {
        let spec = self.shared(spec);
        let end = Offset(0);
        self.slots.insert(id, Slot::Empty { spec, end });
    }

    /// Removes one; returns what it was if that is more than a few bytes.
    pub(crate) fn remove(&mut self, id: EntityId) -> Option<Box<Entity>> {
        match self.slots.remove(&id)? {
            Slot::Empty { .. } => None,
            Slot::Used(entity) => Some(entity),
        }
    }

    /// Changes one entity, if it is there.
    pub(crate) fn change<R>(
        &mut self,
        id: EntityId,
        change: impl FnOnce(&mut Entity) -> R,
    ) -> Option<R> {
        let slot = self.slots.get_mut(&id)?;
        if let Slot::Empty { spec, end } = slot {
            *slot = Slot::Used(Box::new(Entity::empty(**spec, *end)));
        }
        let Slot::Used(entity) = slot else {
            return None;
        };
        let result = change(entity);
        if entity.is_empty() && !entity.is_warm {
            entity.is_warm = true;
            self.warm.push_back(id);
            self.cool();
        }
        Some(result)
    }

    /// Shrinks the one that has been empty longest, if there are too many of them.
    fn cool(&mut self) {
        if self.warm.len() <= WARM_MAX {
            return;
        }
        let Some(id) = self.warm.pop_front() else {
            return;
        };
        let Some(Slot::Used(entity)) = self.slots.get_mut(&id) else {
            return;
        };
        entity.is_warm = false;
        if entity.is_empty() {
            let (spec, end) = (entity.spec, entity.end);
            let spec = self.shared(spec);
            self.slots.insert(id, Slot::Empty { spec, end });
        }
    }

    fn shared(&mut self, spec: Spec) -> Arc<Spec> {
        match &self.latest {
            Some(latest) if **latest == spec => Arc::clone(latest),
            _ => Arc::clone(self.latest.insert(Arc::new(spec))),
        }
    }
}
