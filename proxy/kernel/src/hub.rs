//! Queues that somebody is attached to: the delivery owner of each, behind a short lock.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use fairlead_canon::EntityId;
use fairlead_delivery::{Amount, Joining};
use fairlead_ports::{Appended, Clock, Condition, Marks, Store, StoreError, Watcher};
use fairlead_topology::Stream;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use parking_lot::RwLock;
use smallvec::SmallVec;

use crate::arrivals::Arrivals;
use crate::condition::Conditions;
use crate::damaged::Damaged;
use crate::delay::Delays;
use crate::expiry::Expiry;
use crate::inbox::Inbox;
use crate::surplus::Surplus;
use crate::undertaker::Undertaker;
use crate::{Error, Reason};

mod hot;

pub(crate) use hot::Hot;

/// Every queue with a member, or with limits. Any other costs nothing here.
#[derive(Debug)]
pub(crate) struct Hub {
    shards: [RwLock<HashMap<EntityId, Arc<Hot>, RandomState>>; Hub::SHARDS],
    arrivals: Arc<Arrivals>,
    undertaker: Arc<Undertaker>,
    conditions: Arc<Conditions>,
    chores: Arc<Chores>,
    damaged: Damaged,
    /// Known once the queue of delayed messages is.
    delays: OnceLock<Arc<Delays>>,
    clock: Arc<dyn Clock>,
}

/// Who ends what nobody takes in time, and what is too much.
#[derive(Debug, Default)]
struct Chores {
    expiry: Arc<Expiry>,
    surplus: Arc<Surplus>,
}

/// The lanes of a queue, and how far each was when it was looked at.
type Looked = SmallVec<[(EntityId, Marks); 1]>;

/// Somebody who becomes a member.
#[derive(Debug)]
pub(crate) struct Entrant {
    pub(crate) joining: Joining,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) is_exclusive: bool,
    /// Whether messages are pushed to it; otherwise it takes them when it likes.
    pub(crate) is_consumer: bool,
}

impl Hub {
    const SHARDS: usize = 16;

    pub(crate) fn new(
        arrivals: Arc<Arrivals>,
        undertaker: Arc<Undertaker>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            shards: Default::default(),
            arrivals,
            undertaker,
            conditions: Arc::default(),
            chores: Arc::default(),
            damaged: Damaged::default(),
            delays: OnceLock::new(),
            clock,
        }
    }

    /// Joins a queue, which becomes hot if it was not.
    pub(crate) async fn join(
        &self,
        store: &dyn Store,
        stream: &Stream,
        entrant: Entrant,
    ) -> Result<Arc<Hot>, Error> {
        let lanes = look_at_lanes(store, stream).await?;
        self.warm(&lanes, stream, |hot| hot.enter(entrant))
    }

    /// Keeps a queue with limits hot, and counts what is ready in it.
    pub(crate) async fn pin(&self, store: &dyn Store, stream: &Stream) -> Result<(), Error> {
        if !stream.limits_ready() {
            return Ok(());
        }
        let lanes = look_at_lanes(store, stream).await?;
        let hot = self.warm(&lanes, stream, |hot| {
            hot.pin();
            Ok(())
        })?;
        // Counted when it is told of what comes, so that nothing is missed in between.
        for (number, lane) in (0..=u8::MAX).zip(&hot.lanes) {
            let marks = store.open(*lane)?.marks().await?;
            let (count, bytes) = (marks.count, marks.bytes);
            hot.with(|queue| queue.counted(number, Amount { count, bytes }, marks.end));
        }
        Ok(())
    }

    /// Begins to use a queue, which becomes hot if it was not; `lanes` and `stream` are then looked at.
    fn warm(
        &self,
        lanes: &Looked,
        stream: &Stream,
        begin: impl FnOnce(&Hot) -> Result<(), Error>,
    ) -> Result<Arc<Hot>, Error> {
        let first = lanes.first().map(|(lane, _)| *lane);
        let first = first.ok_or_else(|| Error::us(Reason::Unknown, "a queue without a lane"))?;
        let mut shard = self.shard(first).write();
        let hot = shard
            .entry(first)
            .or_insert_with(|| Arc::new(Hot::new(lanes, stream, self)));
        begin(hot)?;
        let hot = Arc::clone(hot);
        drop(shard);
        // The first lane stands for all. The store tells of the others from here on; what it told
        // before is found by the load that each lane begins with.
        for lane in hot.lanes.iter().skip(1) {
            let mut shard = self.shard(*lane).write();
            shard.insert(*lane, Arc::clone(&hot));
        }
        Ok(hot)
    }

    /// Tells `delays` from now on what waits.
    pub(crate) fn delays(&self, delays: &Arc<Delays>) {
        self.delays.get_or_init(|| Arc::clone(delays));
    }

    /// How the store says it is.
    pub(crate) fn conditions(&self) -> &Arc<Conditions> {
        &self.conditions
    }

    /// What could not be handed out.
    pub(crate) fn damaged(&self) -> &Damaged {
        &self.damaged
    }

    /// The timers of all queues.
    pub(crate) fn expiry(&self) -> &Arc<Expiry> {
        &self.chores.expiry
    }

    /// Who ends what is too much in a queue.
    pub(crate) fn surplus(&self) -> &Arc<Surplus> {
        &self.chores.surplus
    }

    /// A hot queue.
    pub(crate) fn get(&self, entity: EntityId) -> Option<Arc<Hot>> {
        self.shard(entity).read().get(&entity).cloned()
    }

    /// Forgets a queue that nobody uses; how many still take part otherwise.
    pub(crate) fn cool(&self, hot: &Hot) -> usize {
        let mut shard = self.shard(hot.entity()).write();
        let (members, is_needed) = hot.use_of();
        if is_needed {
            return members;
        }
        shard.remove(&hot.entity());
        drop(shard);
        for lane in hot.lanes.iter().skip(1) {
            let mut shard = self.shard(*lane).write();
            // Whoever joined in between has put another one in this place.
            if shard
                .get(lane)
                .is_some_and(|held| std::ptr::eq(&**held, hot))
            {
                shard.remove(lane);
            }
        }
        members
    }

    /// The entity was removed: tells its members and waiting readers.
    pub(crate) fn remove(&self, entity: EntityId) {
        self.arrivals.tell(entity);
        let hot = self.shard(entity).write().remove(&entity);
        if let Some(hot) = hot {
            hot.end();
        }
    }

    /// Messages of one entity can be read: its members and readers learn of them at once.
    fn grown(&self, run: &[Appended], bodies: &[Option<Bytes>]) {
        let Some(first) = run.first() else { return };
        self.arrivals.tell(first.entity);
        let shard = self.shard(first.entity).read();
        if let Some(hot) = shard.get(&first.entity) {
            hot.grown(run, bodies, &*self.clock);
        }
        drop(shard);
        for part in run {
            let Some(deadline) = part.deadline else {
                continue;
            };
            match self.delays.get() {
                Some(delays) if delays.entity() == part.entity => {
                    delays.note(part.base, deadline);
                }
                _ => self.chores.expiry.note(part.entity, deadline),
            }
        }
    }

    fn shard(&self, entity: EntityId) -> &RwLock<HashMap<EntityId, Arc<Hot>, RandomState>> {
        // Counters are consecutive, so their low bits spread evenly.
        let [first, ..] = &self.shards;
        usize::try_from(entity.0 % 16)
            .ok()
            .and_then(|n| self.shards.get(n))
            .unwrap_or(first)
    }
}

impl Watcher for Hub {
    fn appended(&self, appended: &[Appended]) {
        self.appended_here(appended, &[]);
    }

    fn appended_here(&self, appended: &[Appended], mut bodies: &[Option<Bytes>]) {
        for run in appended.chunk_by(|one, next| one.entity == next.entity) {
            let (own, rest) = bodies.split_at(run.len().min(bodies.len()));
            self.grown(run, own);
            bodies = rest;
        }
    }

    fn died(&self, entities: &[EntityId]) {
        self.undertaker.look_at(entities.iter().copied());
    }

    fn condition(&self, condition: Condition) {
        self.conditions.set(condition);
    }
}

async fn look_at_lanes(store: &dyn Store, stream: &Stream) -> Result<Looked, StoreError> {
    let mut lanes = SmallVec::new();
    for lane in stream.lanes.iter().copied() {
        let marks = store.open(lane)?.marks().await?;
        lanes.push((lane, marks));
    }
    Ok(lanes)
}
