//! Ends what is too much in queues that let the oldest go when they are full.
//!
//! Such a limit counts what is ready, over all lanes of a queue: neither what somebody holds nor
//! what is given at once to somebody who waits. So a queue with one stays in memory from its
//! declaration on and gives up what is too much itself; this task settles that, and reads what the
//! queue does not know. A queue that refuses what is too much is judged in `admission.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use fairlead_canon::{DeadReason, EntityId, SizeLimits};
use fairlead_delivery::{Amount, Queue};
use fairlead_ports::StoreError;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::Error;
use crate::house::House;
use crate::hub::Hot;
use crate::load::Load;

/// What queues have too much of.
#[derive(Debug, Default)]
pub(crate) struct Surplus {
    excess: Mutex<Excess>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Excess {
    /// Nobody's, to be settled as dead: offsets by lane. As many as there are messages in the store.
    displaced: BTreeMap<EntityId, Vec<u64>>,
    /// Queues that hold too much which they do not know. Bounded by the number of queues.
    unknown: BTreeSet<EntityId>,
}

/// How long to wait before reading again what could not be read.
const RETRY: Duration = Duration::from_millis(250);

/// Whether more is ready than a queue may hold.
pub(crate) fn is_over(limits: &SizeLimits, ready: Amount) -> bool {
    let (count_max, bytes_max) = (limits.count_max, limits.bytes_max);
    count_max.is_some_and(|max| ready.count > max) || bytes_max.is_some_and(|max| ready.bytes > max)
}

impl Surplus {
    /// Starts the task on the current runtime. Queues with limits that outlived the process are kept in
    /// memory from here on.
    pub(crate) async fn start(self: &Arc<Self>, house: &Arc<House>) -> Result<(), Error> {
        let limited: Vec<_> = house.atlas.read(|topology| {
            let streams = topology.streams().filter(|stream| stream.limits_ready());
            streams.cloned().collect()
        });
        for stream in limited {
            house.hub.pin(&*house.store, &stream).await?;
        }
        tokio::spawn(Arc::clone(self).run(Arc::clone(house)));
        Ok(())
    }

    /// Takes from the head of a queue what is too much, if it lets that go.
    pub(crate) fn take(&self, hot: &Hot, queue: &mut Queue) {
        let Some(limits) = hot.limits_displacing() else {
            return;
        };
        while is_over(limits, queue.waiting()) {
            let mut excess = self.excess.lock();
            let displaced = queue.displace();
            let lane = displaced.and_then(|place| Some((hot.lane(place.lane)?, place.offset)));
            if let Some((lane, offset)) = lane {
                let displaced = excess.displaced.entry(lane).or_default();
                displaced.push(offset.0);
            } else if queue.lacks_all().is_some() {
                excess.unknown.insert(hot.entity());
            }
            self.wake.notify_one();
            if lane.is_none() {
                return;
            }
        }
    }

    async fn run(self: Arc<Self>, house: Arc<House>) {
        loop {
            let Excess { displaced, unknown } = std::mem::take(&mut *self.excess.lock());
            if displaced.is_empty() && unknown.is_empty() {
                self.wake.notified().await;
                continue;
            }
            for (lane, offsets) in displaced {
                house.displaced.inc_by(offsets.len() as u64);
                match house.end(lane, offsets, DeadReason::MaxLen).await {
                    // Gone with everything in it.
                    Ok(()) | Err(StoreError::NoEntity(_)) => {}
                    Err(error) => {
                        tracing::warn!(%error, entity = lane.0, "a queue gets back at the next start what is too much");
                    }
                }
            }
            for entity in unknown {
                if let Err(error) = load(&house, entity).await {
                    tracing::warn!(%error, entity = entity.0, "a queue holds more than it may");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }
}

/// Lets a queue know what lies in the store; it then gives up what is too much.
async fn load(house: &House, entity: EntityId) -> Result<(), Error> {
    let Some(hot) = house.hub.get(entity) else {
        return Ok(());
    };
    match hot.with(|queue| queue.lacks_all()) {
        Some(from) => {
            let load = Load::start(&*house.store, Arc::clone(&hot), from);
            load.finish().await
        }
        None => Ok(()),
    }
}
