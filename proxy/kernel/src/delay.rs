//! Messages that are published later.
//!
//! Until it is due a message lies in a queue of the kernel's own, where its deadline is the moment at
//! which it is due. Then one durable unit appends it to whatever its address leads to by that time
//! and settles it here, so that it is never lost and never published twice, also over a crash.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fairlead_canon::codec::envelope;
use fairlead_canon::{
    Address, EntityId, Message, Offset, Outcome, Overflow, Path, Promise, RealmId, SizeLimits,
    Timestamp,
};
use fairlead_ports::{Action, Committed, CursorId, Log, Op, Ops, Place, StoreError, Stored, Unit};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::admission::Admitted;
use crate::house::House;
use crate::publish::{check_size, documents};
use crate::reach::{Reached, target};
use crate::salvage::{Salvage, salvage};
use crate::verb::{Later, Pending, ranges};
use crate::{Caller, Error, Reason};

/// When each delayed message is due. Bounded by [`Delays::LIMITS`].
#[derive(Debug)]
pub(crate) struct Delays {
    /// The queue that they wait in.
    entity: EntityId,
    due: Mutex<BTreeSet<(Timestamp, Offset)>>,
    wake: Notify,
}

/// The task's work.
struct Posting(Arc<House>);

/// A message that is due, on its way.
struct Post {
    offset: Offset,
    /// Appends it to its targets, if it has any, and settles it where it waited.
    unit: Unit,
    /// It, for whoever listens; `None` when it is not published after all.
    message: Option<Message>,
    /// Room that was taken in queues.
    admitted: Admitted,
    /// A log asks for a key, and does not get it.
    lacks_key: bool,
}

/// Messages published at a time.
const PAGE: usize = 64;
/// Entries read at a time at start.
const BACKLOG_PAGE: usize = 16_384;
/// The wall clock may jump, so no sleep is longer.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// When to try again what a store refused.
const RETRY: Duration = Duration::from_secs(1);

impl Delays {
    /// The longest delay, 49 days: as many milliseconds as a 32-bit number counts.
    const DELAY_MAX: Duration = Duration::from_millis(u32::MAX as u64);

    /// What may wait at a time: each takes some 50 bytes of memory. Beyond it a publish is refused
    /// as `Full`.
    pub(crate) const LIMITS: SizeLimits = SizeLimits {
        count_max: Some(1 << 20),
        bytes_max: Some(4 << 30),
        overflow: Overflow::Reject,
    };

    pub(crate) fn new(entity: EntityId) -> Self {
        Self {
            entity,
            due: Mutex::default(),
            wake: Notify::new(),
        }
    }

    /// Starts the task on the current runtime, after reading what waited when the process stopped.
    pub(crate) async fn start(self: &Arc<Self>, house: &Arc<House>) -> Result<(), StoreError> {
        let log = house.store.open(self.entity)?;
        let mut from = Offset(0);
        loop {
            let page = log.backlog(CursorId(0), from, BACKLOG_PAGE).await?;
            let Some(last) = page.last() else { break };
            from = last.base.plus(u64::from(last.span));
            for entry in &page {
                self.note(entry.base, entry.deadline.unwrap_or_default());
            }
        }
        tokio::spawn(Arc::clone(self).run(Posting(Arc::clone(house)), log));
        Ok(())
    }

    /// The queue that delayed messages wait in.
    pub(crate) fn entity(&self) -> EntityId {
        self.entity
    }

    /// A message waits at this offset.
    pub(crate) fn note(&self, offset: Offset, due: Timestamp) {
        let due = (due, offset);
        let mut all = self.due.lock();
        all.insert(due);
        if all.first() == Some(&due) {
            drop(all);
            self.wake.notify_one();
        }
    }

    /// Takes one out; `false` when it is published, or about to be.
    fn forget(&self, offset: Offset, due: Timestamp) -> bool {
        self.due.lock().remove(&(due, offset))
    }

    async fn run(self: Arc<Self>, posting: Posting, log: Arc<dyn Log>) {
        loop {
            let now = posting.0.clock.wall();
            let due = self.take_due(now);
            if !due.is_empty() {
                let waiting = posting.publish((self.entity, &*log), due, now).await;
                let retry = now.after(RETRY);
                let waiting = waiting.into_iter();
                waiting.for_each(|offset| self.note(offset, retry));
                continue;
            }
            let next = self.due.lock().first().map(|(due, _)| *due);
            let Some(next) = next else {
                self.wake.notified().await;
                continue;
            };
            tokio::select! {
                () = tokio::time::sleep(next.since(now).min(SLEEP_MAX)) => {}
                () = self.wake.notified() => {}
            }
        }
    }

    /// Takes out what is due, earliest first.
    fn take_due(&self, now: Timestamp) -> Vec<Offset> {
        let mut all = self.due.lock();
        let mut due = Vec::new();
        while due.len() < PAGE
            && let Some((at, offset)) = all.first().copied()
            && at <= now
        {
            all.pop_first();
            due.push(offset);
        }
        due
    }
}

impl Posting {
    /// Publishes what is due; gives back what waits on. What is damaged stays in the store, where the
    /// next start finds it again.
    async fn publish(
        &self,
        (entity, log): (EntityId, &dyn Log),
        due: Vec<Offset>,
        now: Timestamp,
    ) -> Vec<Offset> {
        let Salvage { whole, damaged } = match salvage(log, due.clone()).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "delayed messages wait on");
                return due;
            }
        };
        for (_, error) in damaged {
            self.0.note_damaged(error);
        }
        let posts: Vec<_> = whole
            .iter()
            .map(|stored| self.post(entity, stored, now))
            .collect();
        let units = posts.iter().map(|post| post.unit.clone()).collect();
        let results = self.0.store.commit(units).await;
        let (mut waiting, mut why) = (Vec::new(), None);
        for (post, result) in posts.into_iter().zip(results) {
            match result {
                Ok(committed) => self.published(post, &committed),
                Err(error) => {
                    waiting.push(post.offset);
                    why = Some(error);
                }
            }
        }
        if let Some(error) = why {
            tracing::warn!(%error, count = waiting.len(), "delayed messages wait on");
        }
        waiting
    }

    fn published(&self, post: Post, committed: &Committed) {
        post.admitted.kept_by(committed);
        if post.lacks_key {
            self.0.note_keyless();
        }
        if let Some(message) = post.message {
            self.0.subscriptions.serve(message);
        }
    }

    fn post(&self, entity: EntityId, stored: &Stored, now: Timestamp) -> Post {
        let message = open(stored).filter(|message| !message.terms.is_expired(now));
        let mut ops = Ops::with_capacity(2);
        let mut admitted = Admitted::default();
        let mut lacks_key = false;
        if let Some(message) = &message {
            let reached = self.reached(message);
            lacks_key = reached.lacks_key(message);
            // Its time in the queues begins now.
            (_, admitted) = reached.stage(message, now, &mut ops);
        }
        ops.push(Op::Settle {
            entity,
            cursor: CursorId(0),
            ranges: ranges([stored.base.0]),
            outcome: Outcome::Done,
        });
        let promise = Promise::Durable;
        Post {
            offset: stored.base,
            unit: Unit { ops, promise },
            message,
            admitted,
            lacks_key,
        }
    }

    /// Where a message goes by now.
    fn reached(&self, message: &Message) -> Reached {
        let mut reached = Reached::new(Place::IfRoom);
        let at = (&message.address, message, &[][..]);
        self.0
            .atlas
            .read(|topology| reached.add_all((topology, &self.0.hub), at, |_| true));
        if message.terms.latest {
            reached.add_entity(self.0.latest);
        }
        reached.send_on(message, &self.0.undertaker);
        reached
    }
}

impl Caller {
    /// Stages a publish that takes effect at `later.at`; its receipt says that it will. Refused as
    /// `OutOfRange` when that is more than 49 days away, and as `Full` in the receipt when too many
    /// wait. A message that has a deadline and outlives it while it waits is dropped.
    pub fn publish_later(&mut self, later: Later) -> Result<Pending, Error> {
        let Later {
            mut message,
            at,
            promise,
            with,
        } = later;
        self.admit(&Action::Publish(&message.address))?;
        check_size(message.body_len())?;
        if at.since(self.kernel.clock().wall()) > Delays::DELAY_MAX {
            let max = Delays::DELAY_MAX.as_millis();
            let detail = format!("a delay of more than {max} ms");
            return Err(Error::peer(Reason::OutOfRange, detail));
        }
        self.meters.published.inc();
        message.origin = self.origin;
        let mut batch = envelope::seal(&message);
        batch.deadline = Some(at);
        let bytes = batch.bytes.len();
        let mut ops = documents(self.space, with);
        ops.push(Op::Append {
            to: [target(self.kernel.delays.entity())].into(),
            batch,
        });
        let pending = self.outbox.next();
        let receipt = (promise != Promise::Nothing).then_some((pending, 1));
        let promise = promise.max(Promise::Accepted);
        self.outbox.stage(Unit { ops, promise }, bytes, receipt);
        Ok(pending)
    }
}

impl Caller {
    /// Takes back what [`Caller::publish_later`] staged for `due`: it waits at `offset`, as its receipt
    /// said. Durable on return; `false` when it is published already, or about to be.
    pub async fn recall(&self, offset: Offset, due: Timestamp) -> Result<bool, Error> {
        let delays = &self.kernel.delays;
        if !delays.forget(offset, due) {
            return Ok(false);
        }
        let settle = Op::Settle {
            entity: delays.entity(),
            cursor: CursorId(0),
            ranges: ranges([offset.0]),
            outcome: Outcome::Done,
        };
        let unit = Unit {
            ops: [settle].into(),
            promise: Promise::Durable,
        };
        let settled = self.kernel.commit_one(unit).await;
        if settled.is_err() {
            // It waits where it was.
            delays.note(offset, due);
        }
        settled.map(|()| true)
    }
}

fn open(stored: &Stored) -> Option<Message> {
    let nowhere = Address::new(RealmId::QUEUES, Path::EMPTY);
    stored.batch.clone().into_message(&nowhere).ok()
}
