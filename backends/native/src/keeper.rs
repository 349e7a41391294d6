//! The thread that does what is due: logs forget what is too old, and are compacted. What it decides
//! is a commit like any other.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use fairlead_canon::{Compaction, EntityId, Outcome, Promise, Timestamp};
use fairlead_ports::{BoxFuture, Clock, Commit, CursorId, Log, Op, StoreError, Unit};
use smallvec::SmallVec;
use tokio::runtime::Runtime;

use crate::call::Job;
use crate::compaction::{Cleaner, KEYS_MAX, Workplace};
use crate::log::Handle;
use crate::reader::Reads;
use crate::sequencer::Shared;

/// How fast compaction reads, in bytes a millisecond: 64 MiB a second, so that it leaves the disk to
/// others.
const BYTES_PER_MS: u64 = 64 * 1024;

#[derive(Debug)]
pub(crate) struct Keeper {
    shared: Arc<Shared>,
    reads: Reads,
    clock: Arc<dyn Clock>,
}

impl Keeper {
    pub(crate) fn new(shared: Arc<Shared>, reads: Reads, clock: Arc<dyn Clock>) -> Self {
        Self {
            shared,
            reads,
            clock,
        }
    }

    /// Works until the store is closed. `runtime` only waits for answers.
    pub(crate) fn run(self, runtime: &Runtime) {
        let ground = &self.shared.state.ground;
        if ground
            .trust(ground.chores.load(&ground.index).map(Some))
            .is_none()
        {
            return;
        }
        while let Some(entity) = ground.chores.next(self.clock.as_ref()) {
            match runtime.block_on(self.tend(entity)) {
                // It was deleted meanwhile.
                Ok(()) | Err(StoreError::NoEntity(_)) => {}
                Err(StoreError::Poisoned) => return,
                Err(error) => {
                    tracing::warn!(%error, entity = entity.0, "a log was not tended to");
                }
            }
        }
    }

    async fn tend(&self, id: EntityId) -> Result<(), StoreError> {
        let entity = self.shared.state.entity(id);
        let entity = entity.ok_or(StoreError::NoEntity(id))?;
        let now = self.clock.wall();
        let task = entity.content.lock().task(now);
        if let Some(to) = task.trim {
            self.shared.keep(Op::Trim { entity: id, to }).await?;
        }
        let cleaned = match task.clean {
            Some(rules) => self.clean(id, rules, now).await,
            None => Ok(None),
        };
        // What failed is tried again after the usual pause.
        let clean_at = cleaned.as_ref().map_or(Some(now), |clean_at| *clean_at);
        entity.content.lock().tended(now, clean_at);
        cleaned.map(drop)
    }

    async fn clean(
        &self,
        entity: EntityId,
        rules: Compaction,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let place = Place(Handle {
            shared: Arc::clone(&self.shared),
            reads: self.reads.clone(),
            entity,
        });
        let cleaner = Cleaner {
            place: &place,
            rules,
            now,
            keys_max: KEYS_MAX,
        };
        cleaner.clean().await
    }
}

/// A log of this store.
struct Place(Handle);

impl Workplace for Place {
    fn log(&self) -> &dyn Log {
        &self.0
    }

    fn remove(&self, ranges: SmallVec<[Range<u64>; 1]>) -> BoxFuture<'_, Result<(), StoreError>> {
        let settle = Op::Settle {
            entity: self.0.entity,
            cursor: CursorId::CLEANER,
            ranges,
            outcome: Outcome::Done,
        };
        Box::pin(self.0.shared.keep(settle))
    }

    fn pause(&self, bytes: u64) -> Result<(), StoreError> {
        let time = Duration::from_millis(bytes / BYTES_PER_MS);
        if self.0.shared.state.ground.chores.pause(time) {
            Ok(())
        } else {
            Err(StoreError::Unavailable)
        }
    }
}

impl Shared {
    /// Commits what the store itself decides. Nobody waits for it to be durable.
    async fn keep(&self, op: Op) -> Result<(), StoreError> {
        let (ops, promise) = ([op].into(), Promise::Accepted);
        let (job, call) = Job::new([Unit { ops, promise }].into());
        self.inbox.push(job);
        let outcomes = Commit::called(call).await;
        outcomes
            .into_iter()
            .try_for_each(|outcome| outcome.map(drop))
    }
}
