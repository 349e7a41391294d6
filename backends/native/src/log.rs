//! The port `Log`: what an entity knows, and the bodies it points at.

use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{Batch, EntityId, Kind, Offset};
use fairlead_ports::{
    BoxFuture, By, Chunk, CursorId, Entry, KeyPage, Log, Lsn, Marks, StoreError, Stored, View,
    Want, Writers,
};

use crate::entity::{Content, Found, FoundKeys};
use crate::lsn::{file_of, position_of};
use crate::reader::{Answer, Reads, Unread};
use crate::sequencer::Shared;

/// How often a record can move to another place while one reader looks for it.
const MOVES_MAX: usize = 3;

#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) reads: Reads,
    pub(crate) entity: EntityId,
}

/// Batches that were read one after the other, and why the next one was not.
#[derive(Debug)]
struct Bodies {
    stored: Vec<Stored>,
    error: Option<StoreError>,
}

impl Bodies {
    /// All of them.
    fn all(self) -> Result<Vec<Stored>, StoreError> {
        self.error.map_or(Ok(self.stored), Err)
    }

    /// Those before the one that was not read, unless that is the first.
    fn up_to_error(self) -> Result<Vec<Stored>, StoreError> {
        if self.stored.is_empty() {
            return self.all();
        }
        Ok(self.stored)
    }
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

    /// The batches that were found, from memory where they are there, up to one that cannot be read.
    async fn bodies(&self, found: Vec<Found>) -> Result<Bodies, StoreError> {
        let places = found.iter().map(|found| found.at);
        let batches = self.shared.tail.get(places);
        let absent = found
            .iter()
            .zip(&batches)
            .filter(|(_, batch)| batch.is_none());
        let absent: Vec<_> = absent.map(|(found, _)| found.at).collect();
        let mut read = match absent.is_empty() {
            true => Vec::new(),
            false => self.reads.read(absent).await?,
        }
        .into_iter();
        let mut bodies = Bodies {
            stored: Vec::with_capacity(found.len()),
            error: None,
        };
        for (found, batch) in found.into_iter().zip(batches) {
            if let Some(batch) = batch {
                bodies.stored.push(found.stored(batch));
                continue;
            }
            let answer = read.next().unwrap_or(Err(Unread::Unavailable));
            match self.settled(&found, answer).await {
                Ok(Some(batch)) => bodies.stored.push(found.stored(batch)),
                Ok(None) => {}
                Err(error) => {
                    bodies.error = Some(error);
                    break;
                }
            }
        }
        Ok(bodies)
    }

    /// What an answer means: a batch that was not where it was looked for is left out if nobody needs it
    /// any more, or has moved meanwhile.
    async fn settled(
        &self,
        found: &Found,
        mut answer: Answer,
    ) -> Result<Option<Batch>, StoreError> {
        for _ in 0..MOVES_MAX {
            let (Ok(None) | Err(Unread::Missing { .. })) = answer else {
                break;
            };
            let (base, lsn) = (found.base, found.at.lsn);
            let is_kept = self.look(move |content| Ok(content.keeps(base, lsn)));
            if !is_kept.await? {
                return Ok(None);
            }
            let read = self.reads.read(vec![found.at]).await?;
            answer = read.into_iter().next().unwrap_or(Ok(None));
        }
        match answer {
            Ok(Some(batch)) => Ok(Some(batch)),
            Ok(None) => {
                let (file, at) = (file_of(found.at.lsn).name(), position_of(found.at.lsn));
                Err(self.failed(found, Unread::Damaged { file, at }))
            }
            Err(unread) => Err(self.failed(found, unread)),
        }
    }

    fn failed(&self, found: &Found, unread: Unread) -> StoreError {
        let (file, at) = match unread {
            Unread::Unavailable => return StoreError::Unavailable,
            Unread::Missing { segment } => (segment, 0),
            Unread::Damaged { file, at } => (file, at),
        };
        let (entity, offset) = (self.entity, found.base);
        let error = StoreError::Corrupt {
            entity,
            offset,
            file,
            at,
        };
        tracing::error!(%error, "a message cannot be read");
        error
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
        self.shared.reach_line().await;
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
        let found = entries.iter().map(|(_, found)| *found).collect();
        let bodies = self.bodies(found).await?;
        let is_cut = is_cut || bodies.error.is_some();
        let damaged = match &bodies.error {
            Some(error @ StoreError::Corrupt { offset, .. }) => {
                let mut keys = entries.iter();
                let found = keys.find(|(_, found)| found.base == *offset);
                found.map(|(key, _)| (key.clone(), error.clone()))
            }
            Some(_) | None => None,
        };
        let stored = match damaged {
            Some(_) => bodies.stored,
            None => bodies.up_to_error()?,
        };
        Ok(KeyPage {
            entries: paired(entries, stored),
            is_cut,
            damaged,
        })
    }
}

/// Keys with their messages; those whose message is gone by now are left out.
fn paired(keys: Vec<(Bytes, Found)>, stored: Vec<Stored>) -> Vec<(Bytes, Stored)> {
    let mut stored = stored.into_iter().peekable();
    let pair = |(key, found): (Bytes, Found)| {
        let stored = stored.next_if(|stored| stored.base == found.base)?;
        Some((key, stored))
    };
    keys.into_iter().filter_map(pair).collect()
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
                batches: self.bodies(found).await?.up_to_error()?,
                aborted,
                marks,
            })
        })
    }

    fn fetch(&self, at: Vec<Offset>) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>> {
        let found = self.look(move |content| Ok(content.fetch(&at)));
        Box::pin(async move { self.bodies(found.await?).await?.all() })
    }

    fn backlog(
        &self,
        cursor: CursorId,
        from: Offset,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Entry>, StoreError>> {
        Box::pin(async move {
            self.shared.reach_line().await;
            let see = move |content: &mut Content| Ok(content.backlog(cursor, from, max));
            self.look(see).await
        })
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

    fn writers(&self) -> BoxFuture<'_, Result<Writers, StoreError>> {
        Box::pin(self.look(|content| Ok(content.writers())))
    }

    fn cursors(&self) -> BoxFuture<'_, Result<Vec<CursorId>, StoreError>> {
        Box::pin(self.look(|content| Ok(content.others())))
    }
}

#[cfg(test)]
mod tests {
    use fairlead_testkit::make::message;

    use super::*;
    use crate::entity::Location;

    #[test]
    fn a_key_whose_message_is_gone_takes_no_other_ones_message() {
        let found = |base: u64| Found {
            base: Offset(base),
            at: Location {
                lsn: Lsn(base),
                len: 1,
            },
            requeued: 0,
        };
        let keys = ["a", "b", "c"].map(Bytes::from).into_iter();
        let keys = keys.zip([5, 2, 9].map(found)).collect();
        let stored = [5, 9].map(|base| found(base).stored(message(base.to_string())));
        let pairs = paired(keys, stored.into());
        let pairs = pairs.iter().map(|(key, stored)| (&key[..], stored.base.0));
        assert_eq!(pairs.collect::<Vec<_>>(), [(&b"a"[..], 5), (&b"c"[..], 9)]);
    }
}
