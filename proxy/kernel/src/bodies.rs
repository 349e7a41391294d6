//! From assigned offsets to deliveries: bodies are read a stretch at a time, in order.

use std::cell::LazyCell;
use std::collections::VecDeque;
use std::mem::swap;
use std::sync::{Arc, LazyLock};

use fairlead_canon::{Address, DeadReason, Message, Outcome, Path, RealmId};
use fairlead_delivery::Assigned;
use fairlead_ports::{BoxFuture, Store, StoreError, Stored};
use fairlead_topology::Family;
use smallvec::SmallVec;

use crate::Caller;
use crate::consume::Attached;
use crate::hub::Hot;
use crate::inbox::Given;
use crate::mark::Mark;
use crate::seldom::Fresh;
use crate::solo::Solo;
use crate::verb::{AttachmentId, Delivery, DeliveryId};

/// Assigned messages on their way: bodies are read a stretch at a time, in order.
#[derive(Debug)]
pub(crate) struct Bodies {
    pub(crate) waiting: VecDeque<Given>,
    /// Boxed: mostly there is nothing to read.
    pub(crate) reading: Option<Box<Reading>>,
    /// How many to read at a time; follows their size.
    pub(crate) step: usize,
}

/// Bodies being read.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) attachment: AttachmentId,
    pub(crate) assigned: Vec<Assigned>,
    pub(crate) bodies: Solo<BoxFuture<'static, Result<Vec<Stored>, StoreError>>>,
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

impl Fresh for Bodies {
    fn fresh() -> &'static Self {
        static FRESH: LazyLock<Bodies> = LazyLock::new(Bodies::default);
        &FRESH
    }
}

impl Bodies {
    const STEP_FIRST: usize = 64;
    const STEP_MAX: usize = 512;
    /// A step that read more than this makes the next one smaller: bounds what a slow reader holds.
    const BYTES_HIGH: usize = 1024 * 1024;
    const BYTES_LOW: usize = 128 * 1024;

    /// Whether nothing waits and nothing is read.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.reading.is_none()
    }

    /// Adds what was assigned, and leaves nothing of it but room.
    pub(crate) fn await_their_turn(&mut self, assigned: &mut VecDeque<Given>) {
        match self.waiting.is_empty() {
            true => swap(&mut self.waiting, assigned),
            false => self.waiting.append(assigned),
        }
    }

    /// How many of the messages that wait go together: of one lane, and whether their bodies are here.
    pub(crate) fn next_run(&self) -> Option<(AttachmentId, usize, bool)> {
        let first = self.waiting.front()?;
        let of = |given: &Given| {
            let lane = given.assigned.place.lane;
            (given.attachment, lane, given.body.is_some())
        };
        let (attachment, _, is_here) = of(first);
        let run = self.waiting.iter().take(self.step);
        let count = run.take_while(|given| of(given) == of(first)).count();
        Some((attachment, count, is_here))
    }

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
    /// Turns what was read into deliveries; expired ones end here and are counted.
    pub(crate) fn open_bodies(
        &mut self,
        id: AttachmentId,
        count: usize,
        opened: impl Iterator<Item = (Assigned, Option<Message>)>,
    ) -> Vec<Delivery> {
        let now = LazyCell::new(|| self.kernel.clock().wall());
        let keeps_begun = self.keeps_begun(id);
        let mut deliveries = Vec::with_capacity(count);
        let (mut expired, mut gone) = (
            SmallVec::<[DeliveryId; 4]>::new(),
            SmallVec::<[_; 4]>::new(),
        );
        for (one, message) in opened {
            let delivery = DeliveryId::new(id, one.place);
            match message {
                None => gone.push(delivery),
                Some(_)
                    if one.facts.deadline.is_some_and(|deadline| deadline <= *now)
                        && !one.facts.is_spared
                        && !(keeps_begun && one.is_redelivered) =>
                {
                    expired.push(delivery);
                }
                Some(message) => deliveries.push(Delivery {
                    id: delivery,
                    message,
                    is_redelivered: one.is_redelivered,
                    returned: one.facts.requeued,
                }),
            }
        }
        let redelivered = deliveries
            .iter()
            .filter(|delivery| delivery.is_redelivered)
            .count();
        for (counter, count) in [
            (&self.meters.expired, expired.len()),
            (&self.meters.delivered, deliveries.len()),
            (&self.meters.redelivered, redelivered),
        ] {
            // Mostly there is one delivery, and the others are nothing to wait for the counter's cache line for.
            if count > 0 {
                counter.inc_by(count as u64);
            }
        }
        self.end_unseen(&expired, Outcome::Dead(DeadReason::Expired));
        self.end_unseen(&gone, Outcome::Done);
        deliveries
    }

    /// Whether a delivery that has begun is completed although its message expires meanwhile: a
    /// mailbox has one reader, who may know the message already.
    fn keeps_begun(&self, id: AttachmentId) -> bool {
        match self.attachments.get(id) {
            Some(Attached::Queue(attached)) => attached.key.family == Family::Mailbox,
            Some(Attached::Live(_)) | None => false,
        }
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
}

/// What was assigned, with what was read of it; what is gone, or cannot be opened, is not there.
pub(crate) fn opened(
    assigned: &[Assigned],
    bodies: Vec<Stored>,
) -> impl Iterator<Item = (Assigned, Option<Message>)> {
    let nowhere = Address::new(RealmId::QUEUES, Path::EMPTY);
    let mut bodies = bodies.into_iter().peekable();
    assigned.iter().map(move |one| {
        let stored = bodies.next_if(|stored| stored.base == one.place.offset);
        let message = stored.and_then(|stored| stored.batch.into_message(&nowhere).ok());
        (*one, message)
    })
}

/// Reads the bodies of messages that were assigned from one lane, and sees to it meanwhile that the
/// store knows of their being handed out.
pub(crate) fn read_bodies(
    store: &dyn Store,
    hot: &Arc<Hot>,
    assigned: &[Assigned],
) -> BoxFuture<'static, Result<Vec<Stored>, StoreError>> {
    let lane = assigned.first().map_or(0, |one| one.place.lane);
    let offsets = assigned.iter().map(|one| one.place.offset).collect();
    let log = hot.open(store, lane);
    let mark = Mark::begin(store, hot, assigned);
    Box::pin(async move {
        let bodies = log?.fetch(offsets).await?;
        if let Some(mark) = mark {
            mark.kept().await?;
        }
        Ok(bodies)
    })
}
