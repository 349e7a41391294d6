//! Reading one entity.

use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{EntityId, Kind, Offset};
use fairlead_ports::{
    BoxFuture, By, Chunk, CursorId, Entry, KeyPage, Log, Marks, StoreError, Stored, Want, Writers,
};
use parking_lot::Mutex;

use crate::entity::Entity;
use crate::world::World;

#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) world: Arc<Mutex<World>>,
    pub(crate) entity: EntityId,
}

impl Handle {
    fn look<T: Send + 'static>(
        &self,
        see: impl FnOnce(&Entity) -> Result<T, StoreError>,
    ) -> BoxFuture<'_, Result<T, StoreError>> {
        let mut world = self.world.lock();
        world.begin();
        world.retain(self.entity);
        let seen = match world.entities.get(self.entity) {
            Some(entity) => see(&entity),
            None => Err(StoreError::NoEntity(self.entity)),
        };
        Box::pin(std::future::ready(seen))
    }
}

impl Log for Handle {
    fn marks(&self) -> BoxFuture<'_, Result<Marks, StoreError>> {
        self.look(|entity| Ok(entity.marks()))
    }

    fn read(&self, from: Offset, want: Want) -> BoxFuture<'_, Result<Chunk, StoreError>> {
        self.look(move |entity| entity.read(from, want))
    }

    fn fetch(&self, at: Vec<Offset>) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>> {
        self.look(|entity| Ok(entity.fetch(&at)))
    }

    fn backlog(
        &self,
        cursor: CursorId,
        from: Offset,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Entry>, StoreError>> {
        self.look(|entity| Ok(entity.backlog(cursor, from, max)))
    }

    fn find(&self, by: By) -> BoxFuture<'_, Result<Option<Offset>, StoreError>> {
        let By::Time(time) = by;
        self.look(|entity| Ok(entity.first_at(time)))
    }

    fn latest(
        &self,
        prefix: Bytes,
        after: Option<Bytes>,
        max: usize,
    ) -> BoxFuture<'_, Result<KeyPage, StoreError>> {
        self.look(|entity| match entity.spec.kind {
            Kind::Latest => Ok(entity.latest(&prefix, after.as_ref(), max)),
            Kind::Log | Kind::Queue => Err(StoreError::Unsupported {
                what: "latest values of this kind",
            }),
        })
    }

    fn writers(&self) -> BoxFuture<'_, Result<Writers, StoreError>> {
        self.look(|entity| Ok(entity.writers()))
    }

    fn cursors(&self) -> BoxFuture<'_, Result<Vec<CursorId>, StoreError>> {
        self.look(|entity| Ok(entity.others()))
    }
}
