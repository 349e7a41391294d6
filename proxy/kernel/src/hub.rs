//! Queues that somebody is attached to: the delivery owner of each, behind a short lock.

use std::sync::{Arc, OnceLock};

use fairlead_canon::{EntityId, Offset, SizeLimits};
use fairlead_delivery::{Amount, Assigned, Facts, Joining, Left, Manner, MemberId, Queue, Stretch};
use fairlead_ports::{Appended, Clock, Condition, Log, Marks, Store, StoreError, Watcher};
use fairlead_topology::Stream;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};
use smallvec::SmallVec;

use crate::arrivals::Arrivals;
use crate::condition::Conditions;
use crate::delay::Delays;
use crate::expiry::Expiry;
use crate::inbox::Inbox;
use crate::surplus::Surplus;
use crate::undertaker::Undertaker;
use crate::{AttachmentId, Error, Reason};

/// Every queue with a member, or that lets its oldest go. Any other costs nothing here.
#[derive(Debug)]
pub(crate) struct Hub {
    shards: [RwLock<HashMap<EntityId, Arc<Hot>, RandomState>>; Hub::SHARDS],
    arrivals: Arc<Arrivals>,
    undertaker: Arc<Undertaker>,
    conditions: Arc<Conditions>,
    expiry: Arc<Expiry>,
    surplus: Arc<Surplus>,
    /// Known once the queue of delayed messages is.
    delays: OnceLock<Arc<Delays>>,
    clock: Arc<dyn Clock>,
}

/// A queue with members.
#[derive(Debug)]
pub(crate) struct Hot {
    lanes: Lanes,
    /// How much may be ready; without a limit it is not looked at.
    pub(crate) limits: SizeLimits,
    expiry: Arc<Expiry>,
    surplus: Arc<Surplus>,
    state: Mutex<State>,
}

/// The lanes of a queue, for reading them.
pub(crate) type Lanes = SmallVec<[Lane; 1]>;

/// One lane of a queue.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    /// Which.
    pub(crate) entity: EntityId,
    /// For reading it.
    pub(crate) log: Arc<dyn Log>,
}

/// Somebody who becomes a member.
#[derive(Debug)]
pub(crate) struct Entrant {
    pub(crate) joining: Joining,
    pub(crate) attachment: AttachmentId,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) is_exclusive: bool,
    /// Whether messages are pushed to it; otherwise it takes them when it likes.
    pub(crate) is_consumer: bool,
}

/// Where a member is told of its messages.
#[derive(Debug)]
struct Receiver {
    member: MemberId,
    attachment: AttachmentId,
    inbox: Arc<Inbox>,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    /// In the order of their numbers. Most queues have one: a map would take room for eleven.
    members: SmallVec<[Receiver; 1]>,
    is_exclusive: bool,
    /// The stream is being removed: nobody may join.
    is_gone: bool,
    /// It stays although nobody uses it.
    is_pinned: bool,
    /// Kept between pumps so that assigning allocates nothing.
    scratch: Vec<Assigned>,
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
            expiry: Arc::default(),
            surplus: Arc::default(),
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
        let lanes = open_lanes(store, stream).await?;
        self.warm(lanes, stream, |hot| hot.enter(entrant))
    }

    /// Keeps a queue hot that lets its oldest go, and counts what is ready in it.
    pub(crate) async fn pin(&self, store: &dyn Store, stream: &Stream) -> Result<(), Error> {
        if !stream.lets_oldest_go() {
            return Ok(());
        }
        let lanes = open_lanes(store, stream).await?;
        let hot = self.warm(lanes, stream, |hot| {
            hot.state.lock().is_pinned = true;
            Ok(())
        })?;
        // Counted when it is told of what comes, so that nothing is missed in between.
        for (number, lane) in (0..=u8::MAX).zip(&hot.lanes) {
            let marks = lane.log.marks().await?;
            let (count, bytes) = (marks.count, marks.bytes);
            hot.with(|queue| queue.counted(number, Amount { count, bytes }, marks.end));
        }
        Ok(())
    }

    /// Begins to use a queue, which becomes hot if it was not; `lanes` and `stream` are then looked at.
    fn warm(
        &self,
        lanes: SmallVec<[(Lane, Marks); 1]>,
        stream: &Stream,
        begin: impl FnOnce(&Hot) -> Result<(), Error>,
    ) -> Result<Arc<Hot>, Error> {
        let first = lanes.first().map(|(lane, _)| lane.entity);
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
            let mut shard = self.shard(lane.entity).write();
            shard.insert(lane.entity, Arc::clone(&hot));
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

    /// The timers of all queues.
    pub(crate) fn expiry(&self) -> &Arc<Expiry> {
        &self.expiry
    }

    /// Who ends what is too much in a queue.
    pub(crate) fn surplus(&self) -> &Arc<Surplus> {
        &self.surplus
    }

    /// A hot queue.
    pub(crate) fn get(&self, entity: EntityId) -> Option<Arc<Hot>> {
        self.shard(entity).read().get(&entity).cloned()
    }

    /// Forgets a queue that nobody uses; how many still take part otherwise.
    pub(crate) fn cool(&self, hot: &Hot) -> usize {
        let mut shard = self.shard(hot.entity()).write();
        let state = hot.state.lock();
        let members = state.queue.members();
        let is_used = !state.queue.is_idle() || !state.members.is_empty();
        if is_used || state.is_gone || state.is_pinned {
            return members;
        }
        shard.remove(&hot.entity());
        drop(state);
        drop(shard);
        for lane in hot.lanes.iter().skip(1) {
            let mut shard = self.shard(lane.entity).write();
            // Whoever joined in between has put another one in this place.
            if shard
                .get(&lane.entity)
                .is_some_and(|held| std::ptr::eq(&**held, hot))
            {
                shard.remove(&lane.entity);
            }
        }
        members
    }

    /// The entity was removed: tells its members and waiting readers.
    pub(crate) fn remove(&self, entity: EntityId) {
        self.arrivals.tell(entity);
        let Some(hot) = self.shard(entity).write().remove(&entity) else {
            return;
        };
        let mut state = hot.state.lock();
        if std::mem::replace(&mut state.is_gone, true) {
            return;
        }
        for Receiver {
            attachment, inbox, ..
        } in &state.members
        {
            inbox.put(|contents| contents.ended.push(*attachment));
        }
    }

    /// Messages of one entity can be read: its members and readers learn of them at once.
    fn grown(&self, run: &[Appended]) {
        let Some(first) = run.first() else { return };
        self.arrivals.tell(first.entity);
        let shard = self.shard(first.entity).read();
        if let Some(hot) = shard.get(&first.entity) {
            hot.grown(run, &*self.clock);
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
                _ => self.expiry.note(part.entity, deadline),
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
        for run in appended.chunk_by(|one, next| one.entity == next.entity) {
            self.grown(run);
        }
    }

    fn died(&self, entities: &[EntityId]) {
        self.undertaker.look_at(entities.iter().copied());
    }

    fn condition(&self, condition: Condition) {
        self.conditions.set(condition);
    }
}

impl Hot {
    fn new(lanes: SmallVec<[(Lane, Marks); 1]>, stream: &Stream, hub: &Hub) -> Self {
        let settings = stream.settings();
        let manner = Manner {
            returns_max: settings.returns_max,
            is_single_active: settings.is_single_active,
        };
        let known = lanes
            .iter()
            .map(|(_, marks)| (marks.start, marks.handed_out));
        let state = State {
            queue: Queue::new(known, manner),
            members: SmallVec::new(),
            is_exclusive: false,
            is_gone: false,
            is_pinned: false,
            scratch: Vec::new(),
        };
        Self {
            state: Mutex::new(state),
            limits: stream.ready_limits(),
            expiry: Arc::clone(&hub.expiry),
            surplus: Arc::clone(&hub.surplus),
            lanes: lanes.into_iter().map(|(lane, _)| lane).collect(),
        }
    }

    fn enter(&self, entrant: Entrant) -> Result<(), Error> {
        let mut state = self.state.lock();
        let is_taken = entrant.is_consumer && state.is_exclusive
            || entrant.is_exclusive && state.queue.members() > 0;
        if is_taken {
            return Err(Error::peer(
                Reason::Locked,
                "somebody is attached for himself alone",
            ));
        }
        let member = entrant.joining.id;
        if entrant.is_consumer {
            state.is_exclusive = entrant.is_exclusive;
            state.queue.join(entrant.joining);
        }
        let receiver = Receiver {
            member,
            attachment: entrant.attachment,
            inbox: entrant.inbox,
        };
        if let Err(place) = state.place_of(member) {
            state.members.insert(place, receiver);
        }
        state.pump();
        Ok(())
    }

    /// The first lane, which stands for the queue.
    pub(crate) fn entity(&self) -> EntityId {
        // A queue has at least one lane.
        self.lanes.first().map_or(EntityId(0), |lane| lane.entity)
    }

    /// A lane by its number.
    pub(crate) fn lane(&self, number: u8) -> Option<&Lane> {
        self.lanes.get(usize::from(number))
    }

    /// The number of a lane.
    pub(crate) fn number_of(&self, entity: EntityId) -> u8 {
        let place = self.lanes.iter().position(|lane| lane.entity == entity);
        place
            .and_then(|place| u8::try_from(place).ok())
            .unwrap_or(0)
    }

    /// These are messages of one lane.
    fn grown(&self, run: &[Appended], clock: &dyn Clock) {
        let number = run.first().map_or(0, |first| self.number_of(first.entity));
        let mut state = self.state.lock();
        for part in run {
            let is_born_dead = part.deadline.is_some_and(|at| at <= clock.wall());
            if is_born_dead {
                // Who still waits is known once those before it are handed out.
                state.pump();
            }
            let facts = Facts {
                requeued: 0,
                deadline: part.deadline,
                bytes: self.weigh(part.bytes),
                // Without a life it is for whoever waits, or for nobody.
                is_spared: is_born_dead && state.queue.gives_at_once(),
            };
            let stretch = Stretch {
                base: part.base.0,
                span: part.span,
                facts,
            };
            state.queue.grown(number, stretch);
        }
        // Whoever waits is given it first: then it does not count.
        state.pump();
        self.surplus.take(self, &mut state.queue);
        self.note_due(&mut state);
    }

    /// What so many bytes count for here.
    pub(crate) fn weigh(&self, bytes: u32) -> u32 {
        match self.limits.bytes_max {
            Some(_) => bytes,
            None => 0,
        }
    }

    /// Changes the queue, then hands out what became possible.
    pub(crate) fn with<R>(&self, change: impl FnOnce(&mut Queue) -> R) -> R {
        let mut state = self.state.lock();
        let result = change(&mut state.queue);
        // What came back may be too much, and is not given out again then.
        self.surplus.take(self, &mut state.queue);
        state.pump();
        self.note_due(&mut state);
        result
    }

    /// Changes the queue and hands out nothing: whoever calls this sees to that.
    pub(crate) fn quietly<R>(&self, change: impl FnOnce(&mut Queue) -> R) -> R {
        change(&mut self.state.lock().queue)
    }

    /// Takes a member off the list; what it holds goes back, unless it did so too often.
    pub(crate) fn remove(&self, member: MemberId) -> Left {
        let mut state = self.state.lock();
        if let Ok(place) = state.place_of(member) {
            state.members.remove(place);
        }
        let left = state.queue.remove(member);
        if state.queue.members() == 0 {
            state.is_exclusive = false;
        }
        self.surplus.take(self, &mut state.queue);
        state.pump();
        self.note_due(&mut state);
        left
    }

    /// What came back, or to the head, may outlive its deadline if nobody takes it.
    fn note_due(&self, state: &mut State) {
        while let Some((lane, deadline)) = state.queue.take_due() {
            if let Some(lane) = self.lane(lane) {
                self.expiry.note(lane.entity, deadline);
            }
        }
    }

    /// Gives a member nothing more; it may settle what it holds. How many still take part.
    pub(crate) fn leave(&self, member: MemberId) -> usize {
        let mut state = self.state.lock();
        state.queue.leave(member);
        if state.queue.members() == 0 {
            state.is_exclusive = false;
        }
        state.pump();
        state.queue.members()
    }

    /// A load of a lane's backlog ended: what it found, or `None` if it failed.
    pub(crate) fn loaded(&self, lane: u8, found: Option<(Vec<Stretch>, bool, Offset)>) {
        self.with(|queue| match found {
            Some((stretches, is_all, end)) => queue.loaded(lane, &stretches, is_all, end),
            None => queue.load_failed(lane),
        });
    }
}

async fn open_lanes(
    store: &dyn Store,
    stream: &Stream,
) -> Result<SmallVec<[(Lane, Marks); 1]>, StoreError> {
    let mut lanes = SmallVec::new();
    for entity in stream.lanes.iter().copied() {
        let log = store.open(entity)?;
        let marks = log.marks().await?;
        lanes.push((Lane { entity, log }, marks));
    }
    Ok(lanes)
}

impl State {
    fn place_of(&self, member: MemberId) -> Result<usize, usize> {
        self.members
            .binary_search_by_key(&member, |held| held.member)
    }

    fn pump(&mut self) {
        let mut assigned = std::mem::take(&mut self.scratch);
        self.queue.assign(&mut assigned);
        let mut rest = assigned.as_slice();
        while let Some(first) = rest.first() {
            let run = rest
                .iter()
                .take_while(|next| next.member == first.member)
                .count();
            let (own, after) = rest.split_at(run);
            let receiver = self.place_of(first.member).ok();
            if let Some(receiver) = receiver.and_then(|place| self.members.get(place)) {
                let own = own.iter().map(|assigned| (receiver.attachment, *assigned));
                receiver.inbox.put(|contents| contents.assigned.extend(own));
            }
            rest = after;
        }
        assigned.clear();
        self.scratch = assigned;
        if self.queue.lacks_load()
            && let Some(receiver) = self.members.first()
        {
            receiver.inbox.put(|contents| contents.look = true);
        }
    }
}
