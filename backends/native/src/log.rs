//! The port `Log`: what an entity knows, and the bodies it points at.

use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{Batch, EntityId, Kind, Offset, Stamp};
use fairlead_ports::{
    BoxFuture, By, Chunk, CursorId, Entry, KeyPage, Log, Lsn, Marks, StoreError, Stored, View, Want,
};

use crate::entity::{Content, Found, FoundKeys};
use crate::lsn::{file_of, position_of};
use crate::reader::Reads;
use crate::sequencer::Shared;

/// How often a record can move to another place while one reader looks for it.
const MOVES_MAX: usize = 3;

#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) reads: Reads,
    pub(crate) entity: EntityId,
}

impl Handle {
    /// Sees the entity: at once if what is in memory is enough, else on a reader thread.
    fn look<T: Send + 'static>(
        &self,
        see: impl Fn(&mut Content) -> Result<T, StoreError> + Send + 'static,
    ) -> impl Future<Output = Result<T, StoreError>> + Send {
        let (shared, id) = (Arc::clone(&self.shared), self.entity);
        let seen = shared.state.glance(id, &see);
        async move {
            match seen {
                Some(seen) => seen,
                None => self.reads.look(move || shared.state.look(id, see)).await,
            }
        }
    }

    /// The batches that were found, from memory where they are there.
    async fn bodies(&self, found: Vec<Found>) -> Result<Vec<Stored>, StoreError> {
        let places = found.iter().map(|found| found.at);
        let mut batches = self.shared.tail.get(places);
        let absent = found
            .iter()
            .zip(&batches)
            .filter(|(_, batch)| batch.is_none());
        let places: Vec<_> = absent.map(|(found, _)| found.at).collect();
        if !places.is_empty() {
            let read = self.reads.read(places).await?;
            let gaps = batches.iter_mut().filter(|batch| batch.is_none());
            gaps.zip(read).for_each(|(gap, batch)| *gap = batch);
        }
        for (found, batch) in found.iter().zip(&mut batches) {
            if batch.is_none() {
                *batch = self.moved(found).await?;
            }
        }
        let stored = |(found, batch): (Found, Option<_>)| {
            batch.map(|batch| Stored {
                base: found.base,
                batch,
                requeued: found.requeued,
            })
        };
        Ok(found.into_iter().zip(batches).filter_map(stored).collect())
    }

    /// A batch that was not where it was looked for: either nobody needs it any more, and it is left
    /// out, or it has moved meanwhile.
    async fn moved(&self, found: &Found) -> Result<Option<Batch>, StoreError> {
        for _ in 0..MOVES_MAX {
            let (base, lsn) = (found.base, found.at.lsn);
            let is_kept = self.look(move |content| Ok(content.keeps(base, lsn)));
            if !is_kept.await? {
                return Ok(None);
            }
            let read = self.reads.read(vec![found.at]).await?;
            if let Some(batch) = read.into_iter().flatten().next() {
                return Ok(Some(batch));
            }
        }
        Err(StoreError::Corrupt {
            file: file_of(found.at.lsn).name(),
            at: position_of(found.at.lsn),
        })
    }

    /// Waits until the end of a transaction is durable: what was hidden by it is not to be seen before.
    async fn stable(&self, ended_at: Lsn) -> Result<(), StoreError> {
        if ended_at == Lsn(0) {
            return Ok(());
        }
        self.shared.durable(ended_at).await
    }

    async fn key_page(
        &self,
        prefix: Bytes,
        after: Option<Bytes>,
        max: usize,
    ) -> Result<KeyPage, StoreError> {
        let found = self.look(move |content| match content.spec.kind {
            Kind::Latest => Ok((
                content.latest(&prefix, after.as_ref(), max),
                content.changed_at(),
            )),
            Kind::Log | Kind::Queue => Err(StoreError::Unsupported {
                what: "latest values of this kind",
            }),
        });
        let (found, changed_at) = found.await?;
        // The message that a newer one displaced is gone already, so wait for the newer one.
        self.shared.durable(changed_at).await?;
        let FoundKeys { entries, is_cut } = found;
        let (keys, found): (Vec<_>, Vec<_>) = entries.into_iter().unzip();
        let bodies = self.bodies(found).await?;
        Ok(KeyPage {
            entries: keys.into_iter().zip(bodies).collect(),
            is_cut,
        })
    }
}

impl Log for Handle {
    fn marks(&self) -> BoxFuture<'_, Result<Marks, StoreError>> {
        let seen = self.look(move |content| Ok((content.marks(), content.txn_ended_at())));
        Box::pin(async move {
            let (marks, ended_at) = seen.await?;
            self.stable(ended_at).await.map(|()| marks)
        })
    }

    fn read(&self, from: Offset, want: Want) -> BoxFuture<'_, Result<Chunk, StoreError>> {
        let found = self.look(move |content| {
            let found = content.read(from, want)?;
            let (aborted, ended_at) = match want.view {
                View::All => (Vec::new(), Lsn(0)),
                View::Committed => (content.aborted(&found), content.txn_ended_at()),
            };
            Ok((found, aborted, content.marks(), ended_at))
        });
        Box::pin(async move {
            let (found, aborted, marks, ended_at) = found.await?;
            self.stable(ended_at).await?;
            Ok(Chunk {
                batches: self.bodies(found).await?,
                aborted,
                marks,
            })
        })
    }

    fn fetch(&self, at: Vec<Offset>) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>> {
        let found = self.look(move |content| Ok(content.fetch(&at)));
        Box::pin(async move { self.bodies(found.await?).await })
    }

    fn backlog(
        &self,
        cursor: CursorId,
        from: Offset,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Entry>, StoreError>> {
        Box::pin(self.look(move |content| Ok(content.backlog(cursor, from, max))))
    }

    fn find(&self, by: By) -> BoxFuture<'_, Result<Option<Offset>, StoreError>> {
        let By::Time(time) = by;
        Box::pin(self.look(move |content| Ok(content.first_at(time))))
    }

    fn latest(
        &self,
        prefix: Bytes,
        after: Option<Bytes>,
        max: usize,
    ) -> BoxFuture<'_, Result<KeyPage, StoreError>> {
        Box::pin(self.key_page(prefix, after, max))
    }

    fn producers(&self) -> BoxFuture<'_, Result<Vec<(Offset, Stamp)>, StoreError>> {
        Box::pin(self.look(|content| Ok(content.producers.remembered())))
    }
}
