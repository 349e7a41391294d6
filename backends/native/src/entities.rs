//! The entities that are in memory, and how others come there and leave.
//!
//! An entity is *hot*, in the map, or *cold*, only in the index. What was changed stays hot until a
//! checkpoint has it; then it may leave if nobody used it lately: at once when it keeps nothing, since a
//! single row brings it back, and otherwise as soon as there are more than [`HOT_MAX`]. A deleted one
//! stays until a checkpoint has it, so that no row of it is believed.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use fairlead_canon::{EntityId, Spec};
use fairlead_ports::Target;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use parking_lot::{Mutex, MutexGuard, RwLock};
use smallvec::SmallVec;

use crate::entity::{Content, Entity, Source};
use crate::graves::Graves;
use crate::ground::Ground;
use crate::index::{KvError, rows};
use crate::limits::{HOT_MAX, REAPED_CHUNKS};
use crate::state::Known;

/// Entities looked at for leaving when one comes in.
const LOOKS_PER_LOAD: usize = 8;
/// One that a checkpoint has written leaves at the second look, if nobody used it in between.
const LOOKS_PER_CHANGE: usize = 2;
/// Entities that are looked up at once.
const SEEN_TOGETHER: usize = 32;
/// Entities for which the map keeps room, however few are left.
const ROOM_MIN: usize = 1_024;

#[derive(Debug)]
pub(crate) struct Entities {
    ground: Arc<Ground>,
    hot: RwLock<HashMap<EntityId, Arc<Entity>, FixedState>>,
    /// Held while one is loaded, so that what was read is not older than what left meanwhile.
    loading: Mutex<()>,
    /// Those that changed in this generation, in the order in which they first did.
    changed: Mutex<Vec<Changed>>,
    /// Those that may leave, longest there first.
    warm: Mutex<VecDeque<EntityId>>,
    pub(crate) graves: Graves,
}

/// An entity that changed.
pub(crate) type Changed = (EntityId, Arc<Entity>);

impl Entities {
    pub(crate) fn new(ground: Arc<Ground>) -> Result<Self, KvError> {
        Ok(Self {
            graves: Graves::load(&ground)?,
            ground,
            hot: RwLock::default(),
            loading: Mutex::default(),
            changed: Mutex::default(),
            warm: Mutex::default(),
        })
    }

    pub(crate) fn get(&self, id: EntityId) -> Option<Arc<Entity>> {
        let entity = self.in_memory(id).or_else(|| self.load(id))?;
        (!entity.is_deleted()).then_some(entity)
    }

    /// An entity that is in memory, whether deleted or not.
    pub(crate) fn in_memory(&self, id: EntityId) -> Option<Arc<Entity>> {
        let entity = self.hot.read().get(&id).map(Arc::clone)?;
        entity.set_used();
        Some(entity)
    }

    /// Of many targets, those entities that are in memory and not deleted, in their order.
    pub(crate) fn in_memory_all(&self, to: &[Target]) -> Known {
        let mut all = Known::with_capacity(to.len());
        for some in to.chunks(SEEN_TOGETHER) {
            let hot = self.hot.read();
            // Seen before any is counted: so one need not wait until the one before has come from memory.
            let seen = some.iter().map(|target| hot.get(&target.entity));
            let seen = seen.map(|entity| entity.filter(|entity| !entity.is_deleted()));
            let seen: SmallVec<[_; SEEN_TOGETHER]> = seen.collect();
            for entity in seen {
                entity.inspect(|entity| entity.set_used());
                all.push(entity.map(Arc::clone));
            }
        }
        all
    }

    /// Lets go of what readers have loaded, when it is too much.
    pub(crate) fn relieve(&self) {
        self.shed(LOOKS_PER_LOAD);
    }

    fn load(&self, id: EntityId) -> Option<Arc<Entity>> {
        let alone = self.loading.lock();
        if let Some(entity) = self.hot.read().get(&id) {
            return Some(Arc::clone(entity));
        }
        let loaded = Content::load(self.source(id));
        let loaded = Arc::new(Entity::new(self.ground.trust(loaded)?));
        // Nobody else loads, but the engine may have made it anew.
        let entity = Arc::clone(self.hot.write().entry(id).or_insert(loaded));
        drop(alone);
        self.warm(id, &entity);
        self.look_round(LOOKS_PER_LOAD);
        Some(entity)
    }

    fn source(&self, entity: EntityId) -> Source {
        let ground = Arc::clone(&self.ground);
        Source { ground, entity }
    }

    pub(crate) fn create(&self, id: EntityId, spec: Spec) {
        if let Some(grave) = self.graves.take(id) {
            // Its rows must not be taken for those of the new one.
            self.reap_from(id, &grave, usize::MAX);
        }
        let entity = Arc::new(Entity::new(Content::new(self.source(id), spec)));
        self.touch(id, &entity, &mut entity.content.lock());
        self.hot.write().insert(id, entity);
    }

    pub(crate) fn delete(&self, id: EntityId) {
        if let Some(entity) = self.get(id) {
            self.touch(id, &entity, &mut entity.content.lock());
            self.graves.bury(id, entity);
        }
    }

    /// Gives up a part of what was deleted, if anything is left of it.
    pub(crate) fn reap(&self) {
        if let Some((id, grave)) = self.graves.first()
            && self.reap_from(id, &grave, REAPED_CHUNKS)
        {
            self.graves.take(id);
        }
    }

    /// Gives up a part of one; whether it was the last.
    fn reap_from(&self, id: EntityId, grave: &Arc<Entity>, chunks: usize) -> bool {
        let mut content = grave.content.lock();
        self.touch(id, grave, &mut content);
        content.reap(chunks);
        content.is_empty()
    }

    /// Changes an entity, if it is there. One that is known is not looked up.
    pub(crate) fn change(
        &self,
        id: EntityId,
        known: Option<Arc<Entity>>,
        change: impl FnOnce(&mut Content),
    ) {
        if let Some(entity) = known.or_else(|| self.get(id)) {
            change(&mut self.touched(id, &entity));
        }
    }

    /// What is in an entity, to be changed.
    pub(crate) fn touched<'a>(
        &self,
        id: EntityId,
        entity: &'a Arc<Entity>,
    ) -> MutexGuard<'a, Content> {
        let mut content = entity.content.lock();
        self.touch(id, entity, &mut content);
        content
    }

    fn touch(&self, id: EntityId, entity: &Arc<Entity>, content: &mut Content) {
        if content.touch(self.ground.generation()) {
            self.changed.lock().push((id, Arc::clone(entity)));
        }
    }

    /// How many are in memory.
    #[cfg(test)]
    pub(crate) fn hot(&self) -> usize {
        self.hot.read().len()
    }

    /// How many changed in this generation.
    pub(crate) fn changes(&self) -> usize {
        self.changed.lock().len()
    }

    /// Takes the list of those that changed in the generation that ends.
    pub(crate) fn take_changed(&self) -> Vec<Changed> {
        std::mem::take(&mut *self.changed.lock())
    }

    /// A checkpoint has what these changed in it.
    pub(crate) fn written(&self, changed: Vec<Changed>) {
        let durable = self.ground.durable();
        let looks = changed.len().saturating_mul(LOOKS_PER_CHANGE);
        for (id, entity) in changed {
            if !entity.is_deleted() {
                self.warm(id, &entity);
            } else if entity.content.lock().is_in_index(durable) {
                let mut hot = self.hot.write();
                // It may have been made anew.
                if hot.get(&id).is_some_and(|here| Arc::ptr_eq(here, &entity)) {
                    hot.remove(&id);
                }
            }
        }
        self.look_round(looks);
        let looks = self.warm.lock().len().saturating_mul(2);
        self.shed(looks);
    }

    fn warm(&self, id: EntityId, entity: &Entity) {
        if entity.begin_warm() {
            self.warm.lock().push_back(id);
        }
    }

    /// Lets go of what is too much, looking at so many entities at most.
    fn shed(&self, looks: usize) {
        for _ in 0..looks {
            if !self.is_crowd() && !self.ground.is_crowded() {
                return;
            }
            self.look_round(1);
        }
    }

    /// Looks at so many entities, longest there first. One that was used since it was looked at last stays
    /// once more.
    fn look_round(&self, looks: usize) {
        for _ in 0..looks {
            let Some(id) = self.warm.lock().pop_front() else {
                return;
            };
            self.look_at(id);
        }
    }

    fn is_crowd(&self) -> bool {
        self.hot.read().len() > HOT_MAX
    }

    fn look_at(&self, id: EntityId) {
        let mut hot = self.hot.write();
        let Some(entity) = hot.get(&id).map(Arc::clone) else {
            return;
        };
        // The map's and this one: nobody else has it, and nobody can get it while the map is locked.
        let is_free = Arc::strong_count(&entity) == 2 && !entity.was_used();
        if is_free && self.may_leave(&entity.content.lock(), hot.len()) {
            hot.remove(&id);
            let room = hot.len().max(ROOM_MIN);
            if hot.capacity() > 4 * room {
                hot.shrink_to(2 * room);
            }
            return;
        }
        drop(hot);
        let mut content = entity.content.lock();
        content.unload();
        drop(content);
        self.warm.lock().push_back(id);
    }

    /// Whether the index has all of an entity, and it is one too many or keeps nothing.
    fn may_leave(&self, content: &Content, hot: usize) -> bool {
        let is_wanted = hot <= HOT_MAX && !content.is_bare();
        !is_wanted && content.is_in_index(self.ground.durable())
    }

    /// Numbers of all entities, hot and cold.
    pub(crate) fn all(&self) -> Result<BTreeSet<EntityId>, KvError> {
        let mut all = BTreeSet::new();
        let prefix = rows::entities();
        crate::entity::each(&self.ground.index, &prefix, &mut |key, _| {
            all.insert(EntityId(rows::number_in(key, 0)?));
            Some(())
        })?;
        all.extend(self.hot.read().keys());
        Ok(all)
    }

    /// Ends a replay: what it showed is what an earlier process left.
    pub(crate) fn begin_anew(&self) {
        for entity in self.hot.read().values() {
            entity.content.lock().begin_anew();
        }
    }
}
