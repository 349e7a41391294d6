//! What the kernel's own tasks work with.

use std::sync::Arc;

use fairlead_canon::{DeadReason, EntityId, Outcome, Promise};
use fairlead_ports::{Clock, CursorId, Op, Store, StoreError, Unit};
use prometheus::IntCounter;

use crate::Error;
use crate::atlas::Atlas;
use crate::delay::Delays;
use crate::hub::Hub;
use crate::live::Subscriptions;
use crate::metrics::Buried;
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
        let results = self.store.commit(vec![Unit { ops, promise }]).await;
        results
            .into_iter()
            .try_for_each(|result| result.map(drop))?;
        if is_mourned {
            self.undertaker.look_at([entity]);
        }
        Ok(())
    }
}
