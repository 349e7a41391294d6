//! What the kernel's own tasks work with.

use std::sync::Arc;
use std::time::Duration;

use fairlead_canon::{DeadReason, EntityId, Outcome, Promise};
use fairlead_ports::{Clock, CursorId, Op, Store, StoreError, Unit};
use parking_lot::Mutex;
use prometheus::IntCounter;
use tokio::time::Instant;

use crate::Error;
use crate::atlas::Atlas;
use crate::delay::Delays;
use crate::hub::Hub;
use crate::live::Subscriptions;
use crate::metrics::{Buried, DropReason, Meters};
use crate::undertaker::Undertaker;
use crate::verb::ranges;

/// Shared by the tasks that look after queues.
#[derive(Debug)]
pub(crate) struct House {
    pub(crate) atlas: Arc<Atlas>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) subscriptions: Arc<Subscriptions>,
    pub(crate) undertaker: Arc<Undertaker>,
    /// Holds the latest value of every address.
    pub(crate) latest: EntityId,
    pub(crate) buried: Buried,
    pub(crate) displaced: IntCounter,
    /// What these tasks fail at, and drop.
    pub(crate) meters: Arc<Meters>,
    pub(crate) keyless: Keyless,
}

/// When it was last said that a message went without its key.
#[derive(Debug, Default)]
pub(crate) struct Keyless(Mutex<Option<Instant>>);

impl Keyless {
    /// Each is counted, and one in so long is told of.
    const TOLD_EVERY: Duration = Duration::from_secs(60);

    /// Whether enough time has passed since the last one.
    fn is_to_be_told(&self) -> bool {
        let mut told = self.0.lock();
        let is_due = told.is_none_or(|told| told.elapsed() >= Self::TOLD_EVERY);
        if is_due {
            *told = Some(Instant::now());
        }
        is_due
    }
}

impl House {
    /// Starts the tasks on the current runtime: they look at what was left when the process stopped.
    pub(crate) async fn start(self, delays: &Arc<Delays>) -> Result<(), Error> {
        let house = Arc::new(self);
        house.undertaker.start(&house);
        house.hub.expiry().start(&house);
        house.hub.surplus().start(&house).await?;
        Ok(delays.start(&house).await?)
    }

    /// Counts a message that cannot be read, and stays where it is.
    pub(crate) fn note_damaged(&self, error: StoreError) {
        tracing::error!(%error, "a damaged message stays where it is, and others go on");
        self.meters.failed(&error.into());
    }

    /// Counts a message that a log did not get because it keeps the newest of each key.
    pub(crate) fn note_keyless(&self) {
        self.meters.dropped(DropReason::Keyless);
        if self.keyless.is_to_be_told() {
            tracing::warn!("a compacted log takes no dead or delayed message without a key");
        }
    }

    /// Lets messages of a queue die that nobody holds and the queue has forgotten.
    pub(crate) async fn end(
        &self,
        entity: EntityId,
        mut offsets: Vec<u64>,
        reason: DeadReason,
    ) -> Result<(), StoreError> {
        if offsets.is_empty() {
            return Ok(());
        }
        offsets.sort_unstable();
        let is_mourned = self.atlas.read(|topology| {
            let stream = topology.stream_of(entity);
            stream.is_some_and(|stream| stream.settings().dead_letter.is_some())
        });
        let settle = Op::Settle {
            entity,
            cursor: CursorId(0),
            ranges: ranges(offsets),
            outcome: Outcome::Dead(reason),
        };
        let promise = match is_mourned {
            true => Promise::Durable,
            false => Promise::Accepted,
        };
        let ops = [settle].into();
        let results = self.store.commit([Unit { ops, promise }].into()).await;
        results
            .into_iter()
            .try_for_each(|result| result.map(drop))?;
        if is_mourned {
            self.undertaker.look_at([entity]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_message_without_a_key_in_a_minute_is_told_of() {
        let keyless = Keyless::default();
        assert!(keyless.is_to_be_told());
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(!keyless.is_to_be_told());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(keyless.is_to_be_told());
    }
}
