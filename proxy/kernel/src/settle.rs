//! Ending deliveries.

use std::borrow::Cow;

use fairlead_canon::{DeadReason, EntityId, Outcome, Promise};
use fairlead_delivery::{End, Left, Place, Queue};
use fairlead_ports::{CursorId, Op, Ops, Unit};
use smallvec::SmallVec;

use crate::consume::{Attached, QueueAttachment};
use crate::publish::documents;
use crate::undertaker::Undertaker;
use crate::verb::{AttachmentId, DeliveryId, Pending, Settle, ranges};
use crate::{Caller, Error};

/// Of what was returned too often.
const SPENT: Outcome = Outcome::Dead(DeadReason::DeliveryLimit);

/// Deliveries of one lane that ended in one way.
#[derive(Debug)]
pub(crate) struct Ended {
    entity: EntityId,
    outcome: Outcome,
    offsets: SmallVec<[u64; 2]>,
    /// Somebody moves them on once they are kept as dead.
    is_mourned: bool,
}

impl Caller {
    /// Ends deliveries; those that are no longer this caller's are passed over. Kept with the next
    /// [`Caller::flush`]. What is returned more often than its stream allows dies.
    pub fn settle(&mut self, settle: Settle<'_>) -> Result<Pending, Error> {
        let Settle {
            ids,
            outcome,
            promise,
            with,
        } = settle;
        let pending = self.outbox.next();
        let mut ops = match with.is_empty() {
            true => Ops::new(),
            false => documents(self.space, with),
        };
        let is_awaited = promise == Promise::Durable;
        for (attachment, ids) in by_attachment(&in_order(ids)) {
            let places = ids.iter().map(|id| id.place());
            for ended in self.end(attachment, places, outcome) {
                if ops.is_empty() && !is_awaited {
                    self.stage_ended(ended);
                } else {
                    self.note_dead(&ended);
                    ops.push(ended.into_op());
                }
            }
        }
        let receipt = is_awaited.then_some((pending, 0));
        if !ops.is_empty() {
            self.outbox.stage(
                Unit {
                    ops,
                    promise: promise.max(Promise::Accepted),
                },
                0,
                receipt,
            );
        } else if is_awaited {
            self.outbox.stage_receipt(pending, 0);
        }
        Ok(pending)
    }

    /// Stages what nobody waits for. Deaths that somebody mourns are durable before he is told.
    pub(crate) fn stage_ended(&mut self, ended: Ended) {
        self.note_dead(&ended);
        if ended.is_mourned {
            let (ops, promise) = ([ended.into_op()].into(), Promise::Durable);
            self.outbox.stage(Unit { ops, promise }, 0, None);
        } else {
            self.outbox
                .stage_settled(ended.entity, ended.offsets, ended.outcome);
        }
    }

    pub(crate) fn note_dead(&mut self, ended: &Ended) {
        if ended.is_mourned {
            self.outbox.note_dead(ended.entity);
        }
    }

    /// Ends deliveries in their queue; which of them really ended, and how.
    pub(crate) fn end(
        &mut self,
        attachment: AttachmentId,
        places: impl Iterator<Item = Place>,
        outcome: Outcome,
    ) -> SmallVec<[Ended; 1]> {
        let member = self.member(attachment);
        let mut ended = SmallVec::new();
        let Some(Attached::Queue(attached)) = self.attachments.get(attachment) else {
            return ended;
        };
        let allowance = attached.allowance.clone();
        let allowance = allowance.filter(|allowance| allowance.is_bounded());
        let mut doomed = Vec::new();
        let end = |queue: &mut Queue| {
            for place in places {
                let end = match outcome {
                    Outcome::Returned => queue.put_back(member, place),
                    Outcome::Done | Outcome::Dead(_) => queue.done(member, place),
                };
                match end {
                    End::NotHeld => {}
                    End::Done | End::Ready => attached.gather(place, outcome, &mut ended),
                    End::Spent => attached.gather(place, SPENT, &mut ended),
                    // He is through with it: it is dead for nobody else.
                    End::Doomed if outcome == Outcome::Done => {
                        attached.gather(place, outcome, &mut ended);
                    }
                    End::Doomed => doomed.push(place),
                }
            }
            queue.lacks_load()
        };
        // What is lacked once the room is given to somebody is asked for by the queue.
        let lacks_load = match allowance {
            None => attached.hot.with(end),
            // Its room is for all that share it, this queue in turn.
            Some(_) => attached.hot.quietly(end),
        };
        attached.mourn(&doomed, &self.kernel.undertaker);
        self.share_room(allowance.as_ref());
        if lacks_load {
            self.look_for_loads(attachment);
        }
        self.forget_if_left(attachment);
        ended
    }
}

impl QueueAttachment {
    /// What a member left behind when it went.
    pub(crate) fn gather_left(&self, left: &Left) -> SmallVec<[Ended; 1]> {
        let mut ended = SmallVec::new();
        for place in &left.returned {
            self.gather(*place, Outcome::Returned, &mut ended);
        }
        for place in &left.spent {
            self.gather(*place, SPENT, &mut ended);
        }
        ended
    }

    /// These died while they were held, and are to be moved on now.
    pub(crate) fn mourn(&self, doomed: &[Place], undertaker: &Undertaker) {
        let entities = doomed.iter().filter_map(|at| self.hot.lane(at.lane));
        undertaker.look_at(entities);
    }

    /// Adds a delivery to those of its lane and outcome.
    pub(crate) fn gather(&self, place: Place, outcome: Outcome, all: &mut SmallVec<[Ended; 1]>) {
        let Some(entity) = self.hot.lane(place.lane) else {
            return;
        };
        let same = |ended: &&mut Ended| ended.entity == entity && ended.outcome == outcome;
        if let Some(ended) = all.iter_mut().find(same) {
            return ended.offsets.push(place.offset.0);
        }
        all.push(Ended {
            entity,
            outcome,
            offsets: SmallVec::from_slice(&[place.offset.0]),
            is_mourned: self.has_route && matches!(outcome, Outcome::Dead(_)),
        });
    }
}

impl Ended {
    /// Whether it ended otherwise than its holder said.
    pub(crate) fn differs_from(&self, said: Outcome) -> bool {
        self.outcome != said
    }

    pub(crate) fn into_op(self) -> Op {
        Op::Settle {
            entity: self.entity,
            cursor: CursorId(0),
            ranges: ranges(self.offsets),
            outcome: self.outcome,
        }
    }
}

/// Deliveries in the order of their places, those of one attachment side by side. Clients mostly acknowledge in it.
pub(crate) fn in_order(ids: &[DeliveryId]) -> Cow<'_, [DeliveryId]> {
    if ids.is_sorted() {
        return Cow::Borrowed(ids);
    }
    let mut sorted = ids.to_vec();
    sorted.sort_unstable();
    Cow::Owned(sorted)
}

/// Those of each attachment, of deliveries in order.
pub(crate) fn by_attachment(
    ids: &[DeliveryId],
) -> impl Iterator<Item = (AttachmentId, &[DeliveryId])> {
    let groups = ids.chunk_by(|one, next| one.attachment == next.attachment);
    groups.filter_map(|group| Some((group.first()?.attachment, group)))
}
