//! Attaching to queues, mailboxes and live patterns, and leaving them.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use fairlead_canon::{Address, DeadReason, EntityId, Offset, Outcome, Path, Pattern};
use fairlead_delivery::{Assigned, Queue, Stretch};
use fairlead_ports::{
    Action, BoxFuture, CursorId, Entry, Marks, Op, StoreError, Stored, Unit, Verdict,
};
use fairlead_topology::{Lifetime, Stream, StreamKey};
use smallvec::SmallVec;

use crate::hub::{Hot, Joining};
use crate::live::Subscription;
use crate::solo::Solo;
use crate::verb::{Attach, AttachmentId, Delivery, DeliveryId, Depth, Settling, Source, Taken};
use crate::{Caller, Error, Reason};

/// One attachment of a caller.
#[derive(Debug)]
pub(crate) enum Attached {
    /// To a queue or mailbox.
    Queue(QueueAttachment),
    /// To a pattern.
    Live(Pattern),
}

/// An attachment to a queue.
#[derive(Debug)]
pub(crate) struct QueueAttachment {
    pub(crate) hot: Arc<Hot>,
    pub(crate) stream: Arc<Stream>,
    pub(crate) settling: Settling,
    pub(crate) role: Role,
}

/// What an attachment to a queue still does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Is pushed messages.
    Consuming,
    /// Is pushed nothing more; what it holds can be settled.
    Leaving,
    /// Takes single messages when it asks.
    Taking,
}

/// Assigned messages on their way: bodies are read a stretch at a time, in order.
#[derive(Debug)]
pub(crate) struct Bodies {
    pub(crate) waiting: VecDeque<(AttachmentId, Assigned)>,
    pub(crate) reading: Option<Reading>,
    /// How many to read at a time; follows their size.
    pub(crate) step: usize,
}

/// Bodies being read.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) attachment: AttachmentId,
    pub(crate) assigned: Vec<Assigned>,
    pub(crate) bodies: Solo<Result<Vec<Stored>, StoreError>>,
}

/// A queue's backlog being read; gives the right to load back when dropped.
#[derive(Debug)]
pub(crate) struct Load {
    hot: Arc<Hot>,
    pub(crate) backlog: Solo<Result<(Vec<Entry>, Marks), StoreError>>,
    is_done: bool,
}

impl Default for Bodies {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            reading: None,
            step: Self::STEP_FIRST,
        }
    }
}

impl Bodies {
    const STEP_FIRST: usize = 64;
    const STEP_MAX: usize = 512;
    /// A step that read more than this makes the next one smaller: bounds what a slow reader holds.
    const BYTES_HIGH: usize = 1024 * 1024;
    const BYTES_LOW: usize = 128 * 1024;

    /// Adapts the step to what the last one weighed.
    pub(crate) fn weigh(&mut self, bytes: usize) {
        if bytes > Self::BYTES_HIGH {
            self.step = (self.step / 4).max(1);
        } else if bytes < Self::BYTES_LOW {
            self.step = (self.step * 2).min(Self::STEP_MAX);
        }
    }
}

impl Caller {
    /// Asks to be pushed messages. Exclusive streams of other connections answer `Locked`.
    pub async fn attach(&mut self, attach: Attach) -> Result<AttachmentId, Error> {
        self.last_attachment += 1;
        let id = AttachmentId(self.last_attachment);
        let attached = match attach.source {
            Source::Live(pattern) => {
                self.admit(&Action::Subscribe(&pattern))?;
                let subscription = self.subscription(id, attach.no_local);
                self.kernel.subscriptions.insert(&pattern, subscription);
                Attached::Live(pattern)
            }
            Source::Stream(ref key) => {
                self.admit(&Action::Consume(&key.name))?;
                let stream = self.own_or_shared(key)?;
                let joining = Joining {
                    member: self.member(id),
                    attachment: id,
                    inbox: Arc::clone(&self.inbox),
                    window: attach.window,
                    ahead_max: Attach::AHEAD_MAX,
                    is_exclusive: attach.is_exclusive,
                    is_consumer: true,
                };
                let hot = self.join(&stream, joining).await?;
                let (settling, role) = (attach.settling, Role::Consuming);
                Attached::Queue(QueueAttachment {
                    hot,
                    stream,
                    settling,
                    role,
                })
            }
        };
        self.attachments.insert(id, attached);
        self.look_for_loads(id);
        Ok(id)
    }

    /// Ends an attachment; what it holds goes back to its place. Unknown ones are passed over.
    pub fn detach(&mut self, id: AttachmentId) {
        match self.attachments.remove(&id) {
            Some(Attached::Live(pattern)) => {
                let subscription = self.subscription(id, false);
                self.kernel.subscriptions.remove(&pattern, &subscription);
            }
            Some(Attached::Queue(attached)) => {
                self.keep_returned(id, &attached.hot);
                attached.hot.remove(self.member(id));
                self.after_leaving(&attached);
            }
            None => {}
        }
    }

    /// Keeps in the store that what an attachment holds goes back: a queue that nobody uses for a
    /// while is forgotten here, and has to say redelivered all the same.
    fn keep_returned(&mut self, id: AttachmentId, hot: &Hot) {
        let member = self.member(id);
        let held: Vec<u64> =
            hot.with(|queue| queue.held_by(member).map(|offset| offset.0).collect());
        if !held.is_empty() {
            self.outbox
                .stage_settled(hot.entity, held, Outcome::Returned);
            self.flush();
        }
    }

    /// Takes nothing more from a queue; what is held can still be settled.
    pub fn stop(&mut self, id: AttachmentId) {
        let member = self.member(id);
        let Some(Attached::Queue(attached)) = self.attachments.get_mut(&id) else {
            return self.detach(id);
        };
        attached.role = Role::Leaving;
        // Assigned but never shown: somebody else may have them.
        let mut unseen: Vec<Offset> = Vec::new();
        let waiting = std::mem::take(&mut self.bodies.waiting);
        for (attachment, assigned) in waiting {
            if attachment == id {
                unseen.push(assigned.offset);
            } else {
                self.bodies.waiting.push_back((attachment, assigned));
            }
        }
        attached.hot.with(|queue| {
            for offset in unseen {
                queue.put_back(member, offset);
            }
        });
        if attached.hot.leave(member) == 0 {
            self.kernel.janitor.unused(&attached.stream);
        }
        self.forget_if_left(id);
    }

    /// Sets how many unsettled deliveries an attachment may hold; 0 pauses it.
    pub fn credit(&mut self, id: AttachmentId, window: u32) {
        let member = self.member(id);
        if let Some(Attached::Queue(attached)) = self.attachments.get(&id) {
            attached.hot.with(|queue| queue.set_window(member, window));
        }
        self.look_for_loads(id);
    }

    /// Takes the oldest ready message of a queue, if there is one.
    pub async fn take(
        &mut self,
        key: &StreamKey,
        settling: Settling,
    ) -> Result<Option<Taken>, Error> {
        self.admit(&Action::Consume(&key.name))?;
        let stream = self.own_or_shared(key)?;
        if let Lifetime::Unused { .. } = stream.lifetime {
            // Taking is a use: the time without one begins anew.
            self.kernel.janitor.unused(&stream);
        }
        let id = self.taking_attachment(&stream).await?;
        let Some(Attached::Queue(attached)) = self.attachments.get(&id) else {
            return Ok(None);
        };
        let hot = Arc::clone(&attached.hot);
        loop {
            let Some(assigned) = hot.with(|queue| queue.take(self.member(id))) else {
                match hot.with(|queue| queue.lacks_all()) {
                    Some(from) => Load::start(Arc::clone(&hot), from).finish().await?,
                    None => return Ok(None),
                }
                continue;
            };
            let bodies = read_bodies(&hot, &[assigned]).await?;
            let mut deliveries = self.open_bodies(id, &[assigned], bodies);
            let Some(delivery) = deliveries.pop() else {
                continue;
            };
            if let Some(upto) = hot.with(|queue| queue.mark(delivery.id.offset)) {
                self.outbox.stage_mark(hot.entity, upto);
                self.flush();
            }
            if settling == Settling::OnDelivery {
                self.settle_delivered(id, std::slice::from_ref(&delivery));
            }
            let (depth, _) = self.kernel.depth_of(hot.entity).await?;
            return Ok(Some(Taken {
                delivery,
                remaining: depth.ready,
            }));
        }
    }

    /// Removes every ready message of a queue; how many.
    pub async fn purge(&mut self, key: &StreamKey) -> Result<u64, Error> {
        self.admit(&Action::Declare(&key.name))?;
        let stream = self.own_or_shared(key)?;
        let mut purged = 0;
        for lane in &stream.lanes {
            purged += self.purge_lane(*lane).await?;
        }
        Ok(purged)
    }

    /// How much is in a queue or mailbox, summed over its lanes.
    pub async fn depth(&self, key: &StreamKey) -> Result<Depth, Error> {
        let stream = self.own_or_shared(key)?;
        let mut sum = Depth::default();
        for lane in &stream.lanes {
            let (depth, _) = self.kernel.depth_of(*lane).await?;
            sum.ready += depth.ready;
            sum.unsettled += depth.unsettled;
            sum.consumers += depth.consumers;
        }
        Ok(sum)
    }

    /// Settles every ready message below the end; those that are held stay with their holders.
    async fn purge_lane(&mut self, lane: EntityId) -> Result<u64, Error> {
        let log = self.kernel.backing.store.open(lane)?;
        let end = log.marks().await?.end;
        let held: BTreeSet<u64> = self.kernel.hub.get(lane).map_or_else(BTreeSet::new, |hot| {
            hot.with(|queue| {
                queue.purge(end);
                queue.held().map(|offset| offset.0).collect()
            })
        });
        let mut purged = 0;
        let mut from = Offset(0);
        loop {
            let page = log.backlog(CursorId(0), from, PURGE_PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(purged);
            };
            from = last.base.plus(u64::from(last.span));
            let offsets = page
                .iter()
                .flat_map(|e| e.base.0..e.base.0 + u64::from(e.span));
            let ready: Vec<u64> = offsets
                .filter(|offset| *offset < end.0 && !held.contains(offset))
                .collect();
            if ready.is_empty() {
                continue;
            }
            purged += ready.len() as u64;
            let ranges = crate::verb::ranges(ready);
            let settle = Op::Settle {
                entity: lane,
                cursor: CursorId(0),
                ranges,
                outcome: Outcome::Done,
            };
            let unit = Unit {
                ops: vec![settle],
                promise: fairlead_canon::Promise::Durable,
            };
            self.kernel.commit_one(unit).await?;
        }
    }

    /// A queue of any connection, or this connection's own.
    pub(crate) fn own_or_shared(&self, key: &StreamKey) -> Result<Arc<Stream>, Error> {
        let found = self
            .kernel
            .topology(|topology| topology.stream(key).cloned());
        let stream = found
            .ok_or_else(|| Error::peer(Reason::Unknown, format!("no such name: {}", key.name)))?;
        match stream.owner() {
            Some(owner) if owner != self.id => {
                let detail = format!("{} belongs to another connection", key.name);
                Err(Error::peer(Reason::Locked, detail))
            }
            _ => Ok(stream),
        }
    }

    pub(crate) fn admit(&self, action: &Action<'_>) -> Result<(), Error> {
        match self.kernel.policy.admit(&self.who, action) {
            Verdict::Yes => Ok(()),
            Verdict::No(denied) => Err(denied.into()),
        }
    }

    /// Starts reading the backlog of a queue that lacks it.
    pub(crate) fn look_for_loads(&mut self, id: AttachmentId) {
        if let Some(Attached::Queue(attached)) = self.attachments.get(&id)
            && let Some(from) = attached.hot.with(Queue::wants_load)
        {
            self.loads
                .push(Load::start(Arc::clone(&attached.hot), from));
        }
    }

    /// Forgets an attachment that was stopped and holds nothing more.
    pub(crate) fn forget_if_left(&mut self, id: AttachmentId) {
        let member = self.member(id);
        if let Some(Attached::Queue(attached)) = self.attachments.get(&id)
            && attached.role == Role::Leaving
            && attached
                .hot
                .with(|queue| queue.held_by(member).next().is_none())
        {
            self.detach(id);
        }
    }

    /// Turns what was read into deliveries; expired ones end here and are counted.
    pub(crate) fn open_bodies(
        &mut self,
        id: AttachmentId,
        assigned: &[Assigned],
        bodies: Vec<Stored>,
    ) -> Vec<Delivery> {
        let nowhere = Address::new(fairlead_canon::RealmId::QUEUES, Path::EMPTY);
        let now = self.kernel.clock().wall();
        let mut deliveries = Vec::with_capacity(assigned.len());
        let (mut expired, mut gone) = (
            SmallVec::<[DeliveryId; 4]>::new(),
            SmallVec::<[_; 4]>::new(),
        );
        let mut bodies = bodies.into_iter().peekable();
        for one in assigned {
            let delivery = DeliveryId {
                attachment: id,
                offset: one.offset,
            };
            let stored = bodies.next_if(|stored| stored.base == one.offset);
            let opened = stored.and_then(|stored| stored.batch.open(&nowhere).ok()?.pop());
            match opened {
                None => gone.push(delivery),
                Some(opened) if opened.message.terms.is_expired(now) => expired.push(delivery),
                Some(opened) => deliveries.push(Delivery {
                    id: delivery,
                    message: Arc::new(opened.message),
                    is_redelivered: one.is_redelivered,
                    returned: one.requeued,
                }),
            }
        }
        self.meters.expired.inc_by(expired.len() as u64);
        self.end_unseen(&expired, Outcome::Dead(DeadReason::Expired));
        self.end_unseen(&gone, Outcome::Done);
        self.meters.delivered.inc_by(deliveries.len() as u64);
        let redelivered = deliveries
            .iter()
            .filter(|delivery| delivery.is_redelivered)
            .count();
        self.meters.redelivered.inc_by(redelivered as u64);
        deliveries
    }

    /// Settles what [`Settling::OnDelivery`] has just shown.
    pub(crate) fn settle_delivered(&mut self, id: AttachmentId, deliveries: &[Delivery]) {
        let ids: SmallVec<[DeliveryId; 16]> = deliveries.iter().map(|one| one.id).collect();
        debug_assert!(
            ids.iter().all(|one| one.attachment == id),
            "one attachment at a time"
        );
        self.end_unseen(&ids, Outcome::Done);
    }

    fn end_unseen(&mut self, ids: &[DeliveryId], outcome: Outcome) {
        if ids.is_empty() {
            return;
        }
        let promise = fairlead_canon::Promise::Accepted;
        let settle = crate::Settle {
            ids,
            outcome,
            promise,
            with: Vec::new(),
        };
        if let Err(error) = self.settle(settle) {
            self.meters.failed(&error);
        }
        self.flush();
    }

    async fn join(&self, stream: &Stream, joining: Joining) -> Result<Arc<Hot>, Error> {
        let [entity] = *stream.lanes else {
            let detail = format!(
                "{} has several lanes and is read by offset",
                stream.key.name
            );
            return Err(Error::peer(Reason::Unsupported, detail));
        };
        let log = self.kernel.backing.store.open(entity)?;
        let marks = log.marks().await?;
        self.kernel.hub.join(entity, log, marks, joining)
    }

    /// The attachment that takes single messages from a queue: outside the turn of consumers.
    async fn taking_attachment(&mut self, stream: &Arc<Stream>) -> Result<AttachmentId, Error> {
        let taking = self
            .attachments
            .iter()
            .find_map(|(id, attached)| match attached {
                Attached::Queue(own)
                    if own.role == Role::Taking && own.stream.lanes == stream.lanes =>
                {
                    Some(*id)
                }
                Attached::Queue(_) | Attached::Live(_) => None,
            });
        if let Some(id) = taking {
            return Ok(id);
        }
        self.last_attachment += 1;
        let id = AttachmentId(self.last_attachment);
        let joining = Joining {
            member: self.member(id),
            attachment: id,
            inbox: Arc::clone(&self.inbox),
            window: 0,
            ahead_max: 0,
            is_exclusive: false,
            is_consumer: false,
        };
        let hot = self.join(stream, joining).await?;
        let attached = QueueAttachment {
            hot,
            stream: Arc::clone(stream),
            settling: Settling::Explicit,
            role: Role::Taking,
        };
        self.attachments.insert(id, Attached::Queue(attached));
        Ok(id)
    }

    fn after_leaving(&self, attached: &QueueAttachment) {
        if self.kernel.hub.cool(&attached.hot) == 0 && attached.role == Role::Consuming {
            self.kernel.janitor.unused(&attached.stream);
        }
    }

    fn subscription(&self, attachment: AttachmentId, no_local: bool) -> Subscription {
        Subscription {
            caller: self.id,
            attachment,
            no_local,
            inbox: Arc::clone(&self.inbox),
        }
    }
}

/// Reads the bodies of assigned messages.
pub(crate) fn read_bodies(
    hot: &Arc<Hot>,
    assigned: &[Assigned],
) -> BoxFuture<'static, Result<Vec<Stored>, StoreError>> {
    let offsets = assigned.iter().map(|one| one.offset).collect();
    let log = Arc::clone(&hot.log);
    Box::pin(async move { log.fetch(offsets).await })
}

impl Load {
    fn start(hot: Arc<Hot>, from: Offset) -> Self {
        let log = Arc::clone(&hot.log);
        let max = usize::try_from(Queue::READY_MAX).unwrap_or(usize::MAX);
        let backlog = Solo::new(Box::pin(async move {
            // Marks first: what comes in between is told to the queue by the store.
            let marks = log.marks().await?;
            let entries = log.backlog(CursorId(0), from, max).await?;
            Ok((entries, marks))
        }));
        Self {
            hot,
            backlog,
            is_done: false,
        }
    }

    /// Hands what was read to the queue.
    pub(crate) fn done(mut self, found: Result<(Vec<Entry>, Marks), StoreError>) {
        let Ok((entries, marks)) = found else { return };
        self.is_done = true;
        let stretches: Vec<Stretch> = entries
            .iter()
            .map(|e| Stretch {
                base: e.base.0,
                span: e.span,
                requeued: e.requeued,
            })
            .collect();
        let is_all = (entries.len() as u64) < Queue::READY_MAX;
        self.hot.loaded(Some((stretches, is_all, marks.end)));
    }

    async fn finish(mut self) -> Result<(), Error> {
        let found = std::future::poll_fn(|cx| self.backlog.poll(cx)).await;
        let failed = found.as_ref().err().cloned();
        self.done(found);
        failed.map_or(Ok(()), |error| Err(error.into()))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if !self.is_done {
            self.hot.loaded(None);
        }
    }
}

/// Entries settled at a time by a purge.
const PURGE_PAGE: usize = 16_384;
