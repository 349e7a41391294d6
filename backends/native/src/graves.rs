//! Entities that were deleted and had too many batches to forget them at once. The engine gives up a
//! few chunks at each of its turns, so that nobody waits for a large one; what has been given up is
//! in no record of the log. A checkpoint writes what is left of each, and a start goes on from there.

use std::collections::BTreeMap;
use std::sync::Arc;

use fairlead_canon::EntityId;
use parking_lot::Mutex;

use crate::entity::{Content, Entity, Source, each};
use crate::ground::Ground;
use crate::index::{KvError, rows};

/// By number: one that is made anew takes the place of one that is gone to the end.
#[derive(Debug, Default)]
pub(crate) struct Graves(Mutex<BTreeMap<EntityId, Arc<Entity>>>);

impl Graves {
    /// Those that the index knows of.
    pub(crate) fn load(ground: &Arc<Ground>) -> Result<Self, KvError> {
        let mut ids = Vec::new();
        each(&ground.index, &rows::graves(), &mut |key, _| {
            ids.push(EntityId(rows::number_in(key, 0)?));
            Some(())
        })?;
        let mut graves = BTreeMap::new();
        for entity in ids {
            let ground = Arc::clone(ground);
            let content = Content::load_deleted(Source { ground, entity })?;
            graves.insert(entity, Arc::new(Entity::new(content)));
        }
        Ok(Self(Mutex::new(graves)))
    }

    /// Deletes an entity. What is left of it is here as soon as it is not found elsewhere: whoever does
    /// not find it, and then sees that nothing is here, knows that it is given up.
    pub(crate) fn bury(&self, id: EntityId, entity: Arc<Entity>) {
        let mut graves = self.0.lock();
        entity.delete();
        if !entity.content.lock().is_empty() {
            graves.insert(id, entity);
        }
    }

    /// The one that is next; whether it is the last is known once it is gone to the end.
    pub(crate) fn first(&self) -> Option<(EntityId, Arc<Entity>)> {
        let graves = self.0.lock();
        let (id, entity) = graves.first_key_value()?;
        Some((*id, Arc::clone(entity)))
    }

    pub(crate) fn take(&self, id: EntityId) -> Option<Arc<Entity>> {
        self.0.lock().remove(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Visits what is left of each.
    pub(crate) fn each(&self, visit: &mut dyn FnMut(EntityId, &mut Content)) {
        for (id, entity) in &*self.0.lock() {
            visit(*id, &mut entity.content.lock());
        }
    }
}
