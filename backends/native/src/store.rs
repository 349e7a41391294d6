//! The ports `Store` and `Documents`.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{EntityId, Timestamp};
use fairlead_ports::{
    BoxFuture, Commit, Condition, Document, Documents, Log, Lsn, Space, Store, StoreError, Units,
    Watcher,
};

use crate::backup::Origin;
use crate::call::Job;
use crate::documents;
use crate::log::Handle;
use crate::meter::Stats;
use crate::reader::Reads;
use crate::sequencer::Shared;
use crate::state::Progress;
use crate::threads::Threads;

/// A store in a data directory. Dropping it finishes what was committed, syncs, and gives the
/// directory back.
#[derive(Debug)]
pub struct Native {
    shared: Arc<Shared>,
    reads: Reads,
    threads: Threads,
}

impl Native {
    pub(crate) fn new(shared: Arc<Shared>, reads: Reads, threads: Threads) -> Self {
        Self {
            shared,
            reads,
            threads,
        }
    }

    /// Resolves when a write or sync of the log has failed: nothing is acknowledged any more, and
    /// the process should end.
    pub fn poisoned(&self) -> BoxFuture<'static, ()> {
        let mut told = self.shared.told.subscribe();
        Box::pin(async move {
            let is_poisoned = |told: &Condition| *told == Condition::Poisoned;
            if told.wait_for(is_poisoned).await.is_err() {
                // The store was closed and can no longer be poisoned.
                std::future::pending().await
            }
        })
    }

    fn origin(&self) -> Origin {
        Origin {
            shared: Arc::clone(&self.shared),
            pool: Arc::clone(&self.threads.pool),
            sites: Arc::clone(self.reads.sites()),
        }
    }

    /// What the log has done since it was opened.
    pub fn stats(&self) -> Stats {
        let (files_live, files_free) = self.threads.pool.counts();
        Stats {
            files_live,
            files_free,
            graves: self.shared.state.graves().len() as u64,
            condition: self.shared.told.get(),
            sync: self.shared.sync,
            ..self.shared.meter.stats()
        }
    }

    /// Lets the thread that minds the disk look at it.
    #[cfg(test)]
    pub(crate) fn look_at_disk(&self) {
        self.threads.pool.look();
    }

    /// Looks at the documents on a reader thread, and tells what was seen once it is durable.
    fn look<T: Send + 'static>(
        &self,
        see: impl FnOnce(&documents::Documents) -> T + Send + 'static,
    ) -> BoxFuture<'_, Result<T, StoreError>> {
        let shared = Arc::clone(&self.shared);
        let look = move || {
            let documents = shared.state.documents.lock();
            let seen = (see(&documents), documents.changed_at());
            drop(documents);
            shared.state.trusted(seen)
        };
        Box::pin(async move {
            self.shared.reach_line().await;
            let (seen, changed_at) = self.reads.look(look).await?;
            self.shared.durable(changed_at).await.map(|()| seen)
        })
    }
}

impl Shared {
    /// Waits until what is in line is sequenced: whoever reads on behalf of a client that is back has to see what
    /// was handed over on its last connection.
    pub(crate) async fn reach_line(&self) {
        if self.inbox.is_empty() {
            return;
        }
        let (job, call) = Job::new(Units::new());
        self.inbox.push(job);
        // A store that takes no more has nothing newer.
        drop(Commit::called(call).await);
    }

    /// Waits until the record at `lsn` is durable, and sees to it that it soon is.
    pub(crate) async fn durable(&self, lsn: Lsn) -> Result<(), StoreError> {
        let is_past = |progress: &Progress| match progress {
            Progress::Durable(end) => *end > lsn,
            Progress::Poisoned => true,
        };
        let mut progress = self.progress.subscribe();
        if !is_past(&progress.borrow()) {
            self.inbox.hurry();
        }
        let reached = progress.wait_for(is_past).await.map(|reached| *reached);
        match reached {
            Ok(Progress::Durable(_)) => Ok(()),
            Ok(Progress::Poisoned) => Err(StoreError::Poisoned),
            Err(_closed) => Err(StoreError::Unavailable),
        }
    }
}

impl Store for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    fn commit(&self, units: Units) -> Commit {
        let (job, call) = Job::new(units);
        self.shared.inbox.push(job);
        Commit::called(call)
    }

    fn is_busy(&self) -> bool {
        self.shared.inbox.is_busy()
    }

    fn backup(&self, to: PathBuf) -> BoxFuture<'static, io::Result<u64>> {
        let origin = self.origin();
        Box::pin(async move { origin.copy_aside(to).await.map(|backup| backup.bytes) })
    }

    fn open(&self, entity: EntityId) -> Result<Arc<dyn Log>, StoreError> {
        let (shared, reads) = (Arc::clone(&self.shared), self.reads.clone());
        Ok(Arc::new(Handle {
            shared,
            reads,
            entity,
        }))
    }

    fn watch(&self, watcher: Arc<dyn Watcher>) {
        if self.shared.watcher.set(watcher).is_err() {
            tracing::error!("a second watcher of the store was refused");
        }
        // It may have changed before anybody watched.
        let told = self.shared.told.get();
        if let Some(watcher) = self
            .shared
            .watcher
            .get()
            .filter(|_| told != Condition::Well)
        {
            watcher.condition(told);
        }
    }
}

impl Documents for Native {
    fn get(&self, space: Space, key: Bytes) -> BoxFuture<'_, Result<Option<Document>, StoreError>> {
        Box::pin(async move {
            self.shared.reach_line().await;
            let (changed, changed_at) = {
                let documents = self.shared.state.documents.lock();
                (documents.changed(space, &key), documents.changed_at())
            };
            let shared = Arc::clone(&self.shared);
            // Read without the lock: what has changed meanwhile is in the index once it is durable.
            let stored = move || {
                let stored = documents::stored(&shared.state.ground, space, &key);
                let stored = shared.state.ground.trust(stored);
                shared.state.trusted(stored)
            };
            let seen = match changed {
                Some(changed) => changed,
                None => self.reads.look(stored).await?,
            };
            self.shared.durable(changed_at).await.map(|()| seen)
        })
    }

    fn list(
        &self,
        space: Space,
        prefix: Bytes,
        after: Option<Bytes>,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Document>, StoreError>> {
        self.look(move |documents| documents.list(space, &prefix, after.as_ref(), max))
    }

    fn due(&self, now: Timestamp, max: usize) -> BoxFuture<'_, Result<Vec<Document>, StoreError>> {
        self.look(move |documents| documents.due(now, max))
    }
}
