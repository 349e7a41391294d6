//! Moves messages that died in a queue to where its dead letters go.
//!
//! A message dies by being settled as dead, by whomever; a queue with a dead-letter route keeps it
//! (`Spec::keeps_dead`). This task alone takes it on from there: one durable unit appends it to its
//! targets and settles it as dead, so that it is never lost and never there twice.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use fairlead_canon::{Batch, EntityId, Offset};
use fairlead_delivery::Place;
use fairlead_ports::{Committed, CursorId, Entry, StoreError};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::house::House;
use crate::letter::{Letter, letters, refused};
use crate::salvage::{Salvage, salvage};

/// Entities with dead messages to look at. Bounded by the number of queues.
#[derive(Debug, Default)]
pub(crate) struct Undertaker {
    waiting: Mutex<BTreeSet<EntityId>>,
    /// What queues have refused and want elsewhere; at most [`REFUSED_MAX`].
    refused: Mutex<VecDeque<(EntityId, Batch)>>,
    wake: Notify,
}

/// The task's work.
struct Burial {
    house: Arc<House>,
    /// Damaged ones that were counted; they stay dead in their queue, and are tried again at the next
    /// start. At most [`PASSED_MAX`]: more are read, and counted, each time.
    passed: BTreeSet<(EntityId, Offset)>,
}

/// Some of the dead messages of an entity were looked at.
struct Page {
    /// Where the next page begins.
    next: Offset,
    /// Whether all of this one were moved.
    is_whole: bool,
}

/// Dead messages moved at a time.
const PAGE: usize = 256;
/// Refused messages that wait; each holds its body in memory.
const REFUSED_MAX: usize = 1_024;
/// Damaged messages that are not read again; each takes some 20 bytes.
const PASSED_MAX: usize = 4_096;
/// How long to wait before trying again what a store refused.
const RETRY: Duration = Duration::from_millis(250);

impl Undertaker {
    /// Starts the task on the current runtime. What was left when the process stopped is looked at
    /// first.
    pub(crate) fn start(self: &Arc<Self>, house: &Arc<House>) {
        let kept: Vec<EntityId> = house.atlas.read(|topology| {
            let streams = topology.streams();
            let keeping = streams.filter(|stream| stream.settings().dead_letter.is_some());
            keeping.flat_map(|stream| stream.lanes.to_vec()).collect()
        });
        self.look_at(kept);
        let burial = Burial {
            house: Arc::clone(house),
            passed: BTreeSet::new(),
        };
        tokio::spawn(Arc::clone(self).run(burial));
    }

    /// Messages died in these entities.
    pub(crate) fn look_at(&self, entities: impl IntoIterator<Item = EntityId>) {
        let mut entities = entities.into_iter().peekable();
        // Asked after each settlement; in most nothing died, and the task sleeps in another runtime.
        if entities.peek().is_some() {
            self.waiting.lock().extend(entities);
            self.wake.notify_one();
        }
    }

    /// A queue that wants it elsewhere has refused this. When too many wait it is dropped: its
    /// publisher was told that it was refused.
    pub(crate) fn refused(&self, entity: EntityId, batch: Batch) {
        let mut refused = self.refused.lock();
        if refused.len() < REFUSED_MAX {
            refused.push_back((entity, batch));
            self.wake.notify_one();
        }
    }

    async fn run(self: Arc<Self>, mut burial: Burial) {
        loop {
            let refused = std::mem::take(&mut *self.refused.lock());
            for (entity, batch) in refused {
                if let Err(error) = burial.forward(entity, &batch).await {
                    tracing::debug!(%error, entity = entity.0, "a refused message is dropped");
                }
            }
            let now = std::mem::take(&mut *self.waiting.lock());
            if now.is_empty() {
                self.wake.notified().await;
                continue;
            }
            let mut again = BTreeSet::new();
            for entity in now {
                if !burial.bury_all(entity).await {
                    again.insert(entity);
                }
            }
            if !again.is_empty() {
                // New deaths wait as well: they meet the same store.
                tokio::time::sleep(RETRY).await;
                self.waiting.lock().append(&mut again);
            }
        }
    }
}

impl Burial {
    /// Leaves out what is known to be damaged, and what a consumer has: it died, but he may be through
    /// with it before he knows.
    fn to_bury(&self, entity: EntityId, mut dead: Vec<Entry>) -> Vec<Entry> {
        dead.retain(|entry| !self.passed.contains(&(entity, entry.base)));
        if let Some(hot) = self.house.hub.get(entity) {
            let lane = hot.number_of(entity);
            hot.with(|queue| {
                dead.retain(|entry| {
                    let offset = entry.base;
                    queue.doom(Place { lane, offset })
                });
            });
        }
        dead
    }

    /// Moves everything that died in an entity; false if something is left, for another time.
    async fn bury_all(&mut self, entity: EntityId) -> bool {
        let mut from = Offset(0);
        let mut is_whole = true;
        loop {
            match self.bury_page(entity, from).await {
                Ok(Some(page)) => {
                    from = page.next;
                    is_whole &= page.is_whole;
                }
                Ok(None) => return is_whole,
                // It was removed with everything in it.
                Err(StoreError::NoEntity(_)) => {
                    self.passed.retain(|(of, _)| *of != entity);
                    return true;
                }
                Err(error) => {
                    tracing::warn!(%error, entity = entity.0, "dead messages could not be read");
                    return false;
                }
            }
        }
    }

    async fn bury_page(
        &mut self,
        entity: EntityId,
        from: Offset,
    ) -> Result<Option<Page>, StoreError> {
        let log = self.house.store.open(entity)?;
        let dead = log.backlog(CursorId::DEAD, from, PAGE).await?;
        let Some(last) = dead.last() else {
            return Ok(None);
        };
        let next = last.base.plus(u64::from(last.span));
        let mut dead = self.to_bury(entity, dead);
        let at = dead.iter().map(|entry| entry.base).collect();
        let Salvage { whole, damaged } = salvage(&*log, at).await?;
        for (offset, error) in damaged {
            dead.retain(|entry| entry.base != offset);
            self.pass_by((entity, offset), error);
        }
        let now = self.house.clock.wall();
        let (letters, mut is_whole) = self
            .house
            .atlas
            .read(|topology| letters((topology, &self.house.hub), (entity, now), &dead, whole));
        let units = letters.iter().map(|letter| letter.unit.clone()).collect();
        let results = self.house.store.commit(units).await;
        for (letter, result) in letters.into_iter().zip(results) {
            match result {
                Ok(committed) => self.sent(letter, &committed),
                Err(error) => {
                    tracing::debug!(%error, entity = entity.0, "a dead message waits");
                    is_whole = false;
                }
            }
        }
        Ok(Some(Page { next, is_whole }))
    }

    /// Leaves a damaged message where it is.
    fn pass_by(&mut self, place: (EntityId, Offset), error: StoreError) {
        self.house.note_damaged(error);
        if self.passed.len() < PASSED_MAX {
            self.passed.insert(place);
        }
    }

    /// Sends what a queue had no room for to where its dead letters go.
    async fn forward(&self, entity: EntityId, batch: &Batch) -> Result<(), StoreError> {
        let now = self.house.clock.wall();
        let letter = self
            .house
            .atlas
            .read(|topology| refused((topology, &self.house.hub), (entity, now), batch));
        let Some(letter) = letter else {
            return Ok(());
        };
        let units = [letter.unit.clone()].into();
        let results = self.house.store.commit(units).await;
        let result = results.into_iter().next();
        let committed = result.unwrap_or(Err(StoreError::Unavailable))?;
        self.sent(letter, &committed);
        Ok(())
    }

    /// Counts a letter that was kept, and tells whoever listens where it goes.
    fn sent(&self, letter: Letter, committed: &Committed) {
        letter.admitted.kept_by(committed);
        self.house.buried.count(letter.reason);
        if letter.lacks_key {
            self.house.note_keyless();
        }
        if letter.forgets {
            self.house.buried.forgotten.inc();
        }
        if let Some(message) = letter.message {
            self.house.subscriptions.serve(message);
        }
    }
}
