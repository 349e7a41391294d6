//! Reading an entity wherever it lives at that moment.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use fairlead_canon::{EntityId, Offset};
use fairlead_ports::{
    BoxFuture, By, Chunk, CursorId, Entry, KeyPage, Log, Marks, StoreError, Stored, Want, Writers,
};
use parking_lot::RwLock;

use crate::by_class::Places;

/// Asks again where the entity is after any of them has moved.
#[derive(Debug)]
pub(crate) struct Handle {
    places: Arc<Places>,
    entity: EntityId,
    known: RwLock<Known>,
}

/// Where it was after so many moves.
type Known = (u64, Arc<dyn Log>);

impl Handle {
    pub(crate) fn open(places: &Arc<Places>, entity: EntityId) -> Result<Self, StoreError> {
        let moves = places.moves.load(Ordering::Acquire);
        let log = places.store(places.side(entity)).open(entity)?;
        Ok(Self {
            places: Arc::clone(places),
            entity,
            known: RwLock::new((moves, log)),
        })
    }

    fn log(&self) -> Result<Known, StoreError> {
        let moves = self.places.moves.load(Ordering::Acquire);
        let known = self.known.read().clone();
        if known.0 == moves {
            return Ok(known);
        }
        let log = self
            .places
            .store(self.places.side(self.entity))
            .open(self.entity)?;
        *self.known.write() = (moves, Arc::clone(&log));
        Ok((moves, log))
    }

    /// Where to ask once more: the entity was away because it has moved meanwhile.
    fn again<T>(&self, asked: u64, answer: &Result<T, StoreError>) -> Option<Arc<dyn Log>> {
        let is_away = matches!(answer, Err(StoreError::NoEntity(_)));
        let (moves, log) = self.log().ok()?;
        (is_away && moves != asked).then_some(log)
    }
}

/// Asks a question, and once more where the entity has moved meanwhile.
macro_rules! ask {
    ($handle:ident, $log:ident => $question:expr) => {
        Box::pin(async move {
            let (asked, $log) = $handle.log()?;
            let answer = $question.await;
            match $handle.again(asked, &answer) {
                Some($log) => $question.await,
                None => answer,
            }
        })
    };
}

impl Log for Handle {
    fn marks(&self) -> BoxFuture<'_, Result<Marks, StoreError>> {
        ask!(self, log => log.marks())
    }

    fn read(&self, from: Offset, want: Want) -> BoxFuture<'_, Result<Chunk, StoreError>> {
        ask!(self, log => log.read(from, want))
    }

    fn fetch(&self, at: Vec<Offset>) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>> {
        ask!(self, log => log.fetch(at.clone()))
    }

    fn backlog(
        &self,
        cursor: CursorId,
        from: Offset,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Entry>, StoreError>> {
        ask!(self, log => log.backlog(cursor, from, max))
    }

    fn find(&self, by: By) -> BoxFuture<'_, Result<Option<Offset>, StoreError>> {
        ask!(self, log => log.find(by))
    }

    fn latest(
        &self,
        prefix: Bytes,
        after: Option<Bytes>,
        max: usize,
    ) -> BoxFuture<'_, Result<KeyPage, StoreError>> {
        ask!(self, log => log.latest(prefix.clone(), after.clone(), max))
    }

    fn writers(&self) -> BoxFuture<'_, Result<Writers, StoreError>> {
        ask!(self, log => log.writers())
    }

    fn cursors(&self) -> BoxFuture<'_, Result<Vec<CursorId>, StoreError>> {
        ask!(self, log => log.cursors())
    }
}
