//! A store in which some messages are not what was written.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{EntityId, Offset};
use fairlead_ports::{
    BoxFuture, By, Chunk, CursorId, Entry, KeyPage, Log, Marks, Store, StoreError, Stored, Want,
    Writers,
};
use parking_lot::Mutex;

use super::Manner;

/// Messages that cannot be read: batches that begin at these offsets.
#[derive(Debug, Default)]
pub struct Damaging(Damage);

type Damage = Arc<Mutex<BTreeSet<(EntityId, Offset)>>>;

/// One entity, for reading what is whole.
#[derive(Debug)]
struct Damaged {
    log: Arc<dyn Log>,
    entity: EntityId,
    damage: Damage,
}

impl Damaging {
    /// The batch at this offset cannot be read from now on.
    pub fn damage(&self, entity: EntityId, offset: Offset) {
        self.0.lock().insert((entity, offset));
    }
}

impl Manner for Damaging {
    fn open(&self, below: &dyn Store, entity: EntityId) -> Result<Arc<dyn Log>, StoreError> {
        Ok(Arc::new(Damaged {
            log: below.open(entity)?,
            entity,
            damage: Arc::clone(&self.0),
        }))
    }
}

impl Damaged {
    /// How many of these are before the first that cannot be read, and why that cannot.
    fn whole<'a>(&self, read: impl IntoIterator<Item = &'a Stored>) -> (usize, Option<StoreError>) {
        let damage = self.damage.lock();
        let mut count = 0;
        for stored in read {
            if damage.contains(&(self.entity, stored.base)) {
                let error = StoreError::Corrupt {
                    entity: self.entity,
                    offset: stored.base,
                    file: "a file".to_owned(),
                    at: 0,
                };
                return (count, Some(error));
            }
            count += 1;
        }
        (count, None)
    }
}

impl Log for Damaged {
    fn marks(&self) -> BoxFuture<'_, Result<Marks, StoreError>> {
        self.log.marks()
    }

    fn read(&self, from: Offset, want: Want) -> BoxFuture<'_, Result<Chunk, StoreError>> {
        Box::pin(async move {
            let mut chunk = self.log.read(from, want).await?;
            match self.whole(&chunk.batches) {
                (0, Some(error)) => Err(error),
                (count, _) => {
                    chunk.batches.truncate(count);
                    Ok(chunk)
                }
            }
        })
    }

    fn fetch(&self, at: Vec<Offset>) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>> {
        Box::pin(async move {
            let read = self.log.fetch(at).await?;
            match self.whole(&read) {
                (_, Some(error)) => Err(error),
                (_, None) => Ok(read),
            }
        })
    }

    fn backlog(
        &self,
        cursor: CursorId,
        from: Offset,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Entry>, StoreError>> {
        self.log.backlog(cursor, from, max)
    }

    fn find(&self, by: By) -> BoxFuture<'_, Result<Option<Offset>, StoreError>> {
        self.log.find(by)
    }

    fn latest(
        &self,
        prefix: Bytes,
        after: Option<Bytes>,
        max: usize,
    ) -> BoxFuture<'_, Result<KeyPage, StoreError>> {
        Box::pin(async move {
            let mut page = self.log.latest(prefix, after, max).await?;
            let (count, error) = self.whole(page.entries.iter().map(|(_, stored)| stored));
            let rest = page.entries.split_off(count);
            page.is_cut |= error.is_some();
            page.damaged = error
                .zip(rest.into_iter().next())
                .map(|(error, (key, _))| (key, error));
            Ok(page)
        })
    }

    fn writers(&self) -> BoxFuture<'_, Result<Writers, StoreError>> {
        self.log.writers()
    }

    fn cursors(&self) -> BoxFuture<'_, Result<Vec<CursorId>, StoreError>> {
        self.log.cursors()
    }
}
