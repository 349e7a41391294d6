//! Ends the life of messages whose deadline passes while nobody reads them.
//!
//! The store tells of each message with a deadline that it was given; one timer per queue stands at
//! the earliest. When it is up, the queue is looked through from its head: what is past its deadline
//! and held by nobody is settled as dead, up to the first message that has time left. Behind that one
//! a message may outlive its deadline in the store, until it comes to the head; it is never
//! delivered: whoever reads it looks first.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fairlead_canon::{DeadReason, EntityId, Offset, Timestamp};
use fairlead_delivery::Place;
use fairlead_ports::{CursorId, Entry, StoreError};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::house::House;
use crate::hub::Hot;

/// The timers: one per entity at most.
#[derive(Debug, Default)]
pub(crate) struct Expiry {
    schedule: Mutex<Schedule>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Schedule {
    due: BTreeSet<(Timestamp, EntityId)>,
    times: HashMap<EntityId, Timestamp, RandomState>,
}

/// The task's work.
struct Rounds(Arc<House>);

/// How much of a queue is looked through at a time, from its head.
const PAGE: usize = 64;
/// The wall clock may jump, so no sleep is longer.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// When to look again at what a store refused.
const RETRY: Duration = Duration::from_secs(1);

impl Expiry {
    /// Starts the task on the current runtime. Queues that outlived the process are looked through
    /// once, for those which have a life of their own or dead letters; others wait for a reader.
    pub(crate) fn start(self: &Arc<Self>, house: &Arc<House>) {
        let now = house.clock.wall();
        let kept: Vec<EntityId> = house.atlas.read(|topology| {
            let told = topology.streams().filter(|stream| stream.told.is_some());
            let kept = told.filter(|stream| stream.is_watched());
            kept.flat_map(|stream| stream.lanes.to_vec()).collect()
        });
        kept.into_iter().for_each(|entity| self.note(entity, now));
        tokio::spawn(Arc::clone(self).run(Rounds(Arc::clone(house))));
    }

    /// A message of this entity has a deadline.
    pub(crate) fn note(&self, entity: EntityId, deadline: Timestamp) {
        if self.schedule.lock().put(entity, deadline) {
            self.wake.notify_one();
        }
    }

    async fn run(self: Arc<Self>, rounds: Rounds) {
        loop {
            let now = rounds.0.clock.wall();
            let next = self.schedule.lock().due.first().copied();
            match next {
                Some((deadline, entity)) if deadline <= now => {
                    self.schedule.lock().remove(entity);
                    match rounds.expire(entity, now).await {
                        Ok(Some(later)) => self.note(entity, later),
                        // Gone with everything in it.
                        Ok(None) | Err(StoreError::NoEntity(_)) => {}
                        Err(error) => {
                            tracing::debug!(%error, entity = entity.0, "expired messages stay for now");
                            self.note(entity, now.after(RETRY));
                        }
                    }
                }
                Some((deadline, _)) => {
                    let sleep = tokio::time::sleep(deadline.since(now).min(SLEEP_MAX));
                    tokio::select! {
                        () = sleep => {}
                        () = self.wake.notified() => {}
                    }
                }
                None => self.wake.notified().await,
            }
        }
    }
}

impl Schedule {
    /// Sets an entity's timer if that is earlier; whether it then is the earliest of all.
    fn put(&mut self, entity: EntityId, deadline: Timestamp) -> bool {
        match self.times.get(&entity) {
            Some(held) if *held <= deadline => return false,
            Some(_) => self.remove(entity),
            None => {}
        }
        self.times.insert(entity, deadline);
        self.due.insert((deadline, entity));
        self.due.first() == Some(&(deadline, entity))
    }

    fn remove(&mut self, entity: EntityId) {
        if let Some(deadline) = self.times.remove(&entity) {
            self.due.remove(&(deadline, entity));
        }
    }
}

impl Rounds {
    /// Ends what is past its deadline at the head of a queue; when to look again. What is held by
    /// somebody is passed over.
    async fn expire(
        &self,
        entity: EntityId,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        if !self.is_looked_after(entity) {
            return Ok(None);
        }
        let hot = self.0.hub.get(entity);
        let first = match &hot {
            None => Some(Offset(0)),
            Some(hot) => hot.with(|queue| queue.head(hot.number_of(entity))),
        };
        let Some(mut from) = first else {
            return Ok(None);
        };
        let log = self.0.store.open(entity)?;
        loop {
            let page = log.backlog(CursorId(0), from, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(None);
            };
            from = last.base.plus(u64::from(last.span));
            let (expired, alive) = head(hot.as_deref(), entity, &page, now);
            self.0.end(entity, expired, DeadReason::Expired).await?;
            if let Some(alive) = alive {
                return Ok(alive.deadline);
            }
        }
    }

    /// Whether anybody looks after the messages of an entity.
    fn is_looked_after(&self, entity: EntityId) -> bool {
        let is_watched = self.0.atlas.read(|topology| {
            let stream = topology.stream_of(entity);
            stream.is_some_and(|stream| stream.is_watched())
        });
        is_watched || self.0.hub.get(entity).is_some()
    }
}

/// The offsets up to the first entry that is ready and has time left, which comes with them. Their
/// queue forgets them.
fn head(
    hot: Option<&Hot>,
    entity: EntityId,
    page: &[Entry],
    now: Timestamp,
) -> (Vec<u64>, Option<Entry>) {
    let mut expired = Vec::new();
    for entry in page {
        for offset in entry.base.0..entry.base.0 + u64::from(entry.span) {
            let is_ready = hot.is_none_or(|hot| {
                let place = Place {
                    lane: hot.number_of(entity),
                    offset: Offset(offset),
                };
                hot.with(|queue| match is_past(entry, now) {
                    true => queue.forget(place, hot.weigh(entry.bytes)),
                    false => !queue.is_held(place),
                })
            });
            match (is_ready, is_past(entry, now)) {
                (true, false) => return (expired, Some(*entry)),
                (true, true) => expired.push(offset),
                (false, _) => {}
            }
        }
    }
    (expired, None)
}

fn is_past(entry: &Entry, now: Timestamp) -> bool {
    entry.deadline.is_some_and(|deadline| deadline <= now)
}
