//! Ends the life of messages whose deadline passes while nobody reads them.
//!
//! The store tells of each message with a deadline that it was given; one timer per queue stands at
//! the earliest. When it is up, the head of the queue is looked through: what is past its deadline
//! and held by nobody is settled as dead, and the timer moves on. Far behind the head a message may
//! outlive its deadline in the store, but it is never delivered: whoever reads it looks first.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fairlead_canon::{DeadReason, EntityId, Offset, Outcome, Promise, Timestamp};
use fairlead_delivery::Place;
use fairlead_ports::{CursorId, Entry, Op, StoreError, Unit};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::house::House;
use crate::verb::ranges;

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
    /// Ends what is past its deadline at the head of a queue; when to look again.
    async fn expire(
        &self,
        entity: EntityId,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let Some(is_mourned) = self.is_mourned(entity) else {
            return Ok(None);
        };
        let log = self.0.store.open(entity)?;
        let mut from = Offset(0);
        let mut later: Option<Timestamp> = None;
        loop {
            let page = log.backlog(CursorId(0), from, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(later);
            };
            from = last.base.plus(u64::from(last.span));
            let expired = self.unheld(entity, &page, now);
            let alive = page.iter().filter(|entry| !is_past(entry, now));
            let deadlines = alive.clone().filter_map(|entry| entry.deadline);
            later = later.into_iter().chain(deadlines).min();
            if expired.is_empty() && alive.count() > 0 {
                return Ok(later);
            }
            self.settle(entity, expired, is_mourned).await?;
        }
    }

    /// Whether messages that die in this queue are moved on; `None` when it is not a queue that
    /// anybody looks after.
    fn is_mourned(&self, entity: EntityId) -> Option<bool> {
        let watched = |topology: &fairlead_topology::Topology| {
            let stream = topology.stream_of(entity).filter(|s| s.is_watched())?;
            Some(stream.settings().dead_letter.is_some())
        };
        let is_hot = || self.0.hub.get(entity).is_some();
        self.0
            .atlas
            .read(watched)
            .or_else(|| is_hot().then_some(false))
    }

    /// The offsets of these entries that are past their deadline. Their queue forgets them; those
    /// that somebody holds are left to him.
    fn unheld(&self, entity: EntityId, page: &[Entry], now: Timestamp) -> Vec<u64> {
        let past = page.iter().filter(|entry| is_past(entry, now));
        let offsets = past.flat_map(|entry| entry.base.0..entry.base.0 + u64::from(entry.span));
        match self.0.hub.get(entity) {
            None => offsets.collect(),
            Some(hot) => {
                let lane = hot.number_of(entity);
                hot.with(|queue| {
                    let forget = |offset: &u64| {
                        queue.forget(Place {
                            lane,
                            offset: Offset(*offset),
                        })
                    };
                    offsets.filter(forget).collect()
                })
            }
        }
    }

    async fn settle(
        &self,
        entity: EntityId,
        expired: Vec<u64>,
        is_mourned: bool,
    ) -> Result<(), StoreError> {
        if expired.is_empty() {
            return Ok(());
        }
        let op = Op::Settle {
            entity,
            cursor: CursorId(0),
            ranges: ranges(expired),
            outcome: Outcome::Dead(DeadReason::Expired),
        };
        let unit = Unit {
            ops: [op].into(),
            promise: match is_mourned {
                true => Promise::Durable,
                false => Promise::Accepted,
            },
        };
        let results = self.0.store.commit(vec![unit]).await;
        results
            .into_iter()
            .try_for_each(|result| result.map(drop))?;
        if is_mourned {
            self.0.undertaker.look_at([entity]);
        }
        Ok(())
    }
}

fn is_past(entry: &Entry, now: Timestamp) -> bool {
    entry.deadline.is_some_and(|deadline| deadline <= now)
}
