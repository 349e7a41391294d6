//! Queues that somebody is attached to: the delivery owner of each, behind a short lock.

use std::collections::BTreeMap;
use std::sync::Arc;

use fairlead_canon::{EntityId, Offset};
use fairlead_delivery::{Assigned, MemberId, Queue, Stretch};
use fairlead_ports::{Appended, Condition, Log, Marks, Watcher};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};

use crate::arrivals::Arrivals;
use crate::inbox::Inbox;
use crate::{AttachmentId, Error, Reason};

/// Every queue with a member. A queue without one costs nothing here.
#[derive(Debug)]
pub(crate) struct Hub {
    shards: [RwLock<HashMap<EntityId, Arc<Hot>, RandomState>>; Hub::SHARDS],
    arrivals: Arc<Arrivals>,
}

/// A queue with members.
#[derive(Debug)]
pub(crate) struct Hot {
    /// Which.
    pub(crate) entity: EntityId,
    /// For reading it.
    pub(crate) log: Arc<dyn Log>,
    state: Mutex<State>,
}

/// A wish to become a member.
#[derive(Debug)]
pub(crate) struct Joining {
    pub(crate) member: MemberId,
    pub(crate) attachment: AttachmentId,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) window: u32,
    pub(crate) ahead_max: u32,
    pub(crate) is_exclusive: bool,
    /// Whether messages are pushed to it; otherwise it takes them when it likes.
    pub(crate) is_consumer: bool,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    members: BTreeMap<MemberId, (AttachmentId, Arc<Inbox>)>,
    is_exclusive: bool,
    /// The stream is being removed: nobody may join.
    is_gone: bool,
    /// Kept between pumps so that assigning allocates nothing.
    scratch: Vec<Assigned>,
}

impl Hub {
    const SHARDS: usize = 16;

    pub(crate) fn new(arrivals: Arc<Arrivals>) -> Self {
        Self {
            shards: Default::default(),
            arrivals,
        }
    }

    /// Joins a queue, which becomes hot if it was not; `log` and `marks` are then used.
    pub(crate) fn join(
        &self,
        entity: EntityId,
        log: Arc<dyn Log>,
        marks: Marks,
        joining: Joining,
    ) -> Result<Arc<Hot>, Error> {
        let mut shard = self.shard(entity).write();
        let hot = shard.entry(entity).or_insert_with(|| {
            let state = State {
                queue: Queue::new(marks.start, marks.handed_out),
                members: BTreeMap::new(),
                is_exclusive: false,
                is_gone: false,
                scratch: Vec::new(),
            };
            Arc::new(Hot {
                entity,
                log,
                state: Mutex::new(state),
            })
        });
        let mut state = hot.state.lock();
        let is_taken = joining.is_consumer && state.is_exclusive
            || joining.is_exclusive && state.queue.members() > 0;
        if is_taken {
            return Err(Error::peer(
                Reason::Locked,
                "somebody is attached for himself alone",
            ));
        }
        if joining.is_consumer {
            state.is_exclusive = joining.is_exclusive;
            state
                .queue
                .join(joining.member, joining.window, joining.ahead_max);
        }
        state
            .members
            .insert(joining.member, (joining.attachment, joining.inbox));
        state.pump();
        drop(state);
        Ok(Arc::clone(hot))
    }

    /// A hot queue.
    pub(crate) fn get(&self, entity: EntityId) -> Option<Arc<Hot>> {
        self.shard(entity).read().get(&entity).cloned()
    }

    /// Forgets a queue that nobody uses; how many still take part otherwise.
    pub(crate) fn cool(&self, hot: &Hot) -> usize {
        let mut shard = self.shard(hot.entity).write();
        let state = hot.state.lock();
        if state.queue.is_idle() && state.members.is_empty() && !state.is_gone {
            shard.remove(&hot.entity);
        }
        state.queue.members()
    }

    /// The entity was removed: tells its members and waiting readers.
    pub(crate) fn remove(&self, entity: EntityId) {
        self.arrivals.tell(entity);
        let Some(hot) = self.shard(entity).write().remove(&entity) else {
            return;
        };
        let mut state = hot.state.lock();
        state.is_gone = true;
        for (attachment, inbox) in state.members.values() {
            inbox.put(|contents| contents.ended.push(*attachment));
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
        for part in appended {
            self.arrivals.tell(part.entity);
            let shard = self.shard(part.entity).read();
            if let Some(hot) = shard.get(&part.entity) {
                hot.with(|queue| queue.grown(part.base, part.span));
            }
        }
    }

    fn died(&self, _entities: &[EntityId]) {}

    fn condition(&self, _condition: Condition) {}
}

impl Hot {
    /// Changes the queue, then hands out what became possible.
    pub(crate) fn with<R>(&self, change: impl FnOnce(&mut Queue) -> R) -> R {
        let mut state = self.state.lock();
        let result = change(&mut state.queue);
        state.pump();
        result
    }

    /// Takes a member off the list; what it holds goes back.
    pub(crate) fn remove(&self, member: MemberId) {
        let mut state = self.state.lock();
        state.members.remove(&member);
        state.queue.remove(member);
        if state.queue.members() == 0 {
            state.is_exclusive = false;
        }
        state.pump();
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

    /// A load of the backlog ended: what it found, or `None` if it failed.
    pub(crate) fn loaded(&self, found: Option<(Vec<Stretch>, bool, Offset)>) {
        self.with(|queue| match found {
            Some((stretches, is_all, end)) => queue.loaded(&stretches, is_all, end),
            None => queue.load_failed(),
        });
    }
}

impl State {
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
            if let Some((attachment, inbox)) = self.members.get(&first.member) {
                let own = own.iter().map(|assigned| (*attachment, *assigned));
                inbox.put(|contents| contents.assigned.extend(own));
            }
            rest = after;
        }
        assigned.clear();
        self.scratch = assigned;
        if self.queue.lacks_load()
            && let Some((_, inbox)) = self.members.values().next()
        {
            inbox.put(|contents| contents.look = true);
        }
    }
}
