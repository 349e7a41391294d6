//! Publishes and settlements that take effect together.

use fairlead_canon::{EntityId, Offset, Outcome, Promise};
use fairlead_ports::{CursorId, Op, Unit};

use crate::consume::Attached;
use crate::settle::by_attachment;
use crate::verb::{
    AttachmentId, Event, Pending, Publish, Settled, Transacted, Transaction, ranges,
};
use crate::{Caller, Error, Reason};

/// A transaction under way: what it settles is held until it is kept.
#[derive(Debug)]
pub(crate) struct Ending {
    pending: Pending,
    deliveries: Vec<(AttachmentId, Vec<Offset>, Outcome)>,
}

impl Caller {
    /// Stages publishes and settlements as one durable unit. A refusal means that nothing of it was
    /// kept. Until its receipt comes the deliveries stay with this caller; if it fails they still are its.
    ///
    /// Live readers are served at once: they were promised nothing, also not that the rest is kept.
    pub fn transact(&mut self, transaction: Transaction<'_>) -> Result<Transacted, Error> {
        let Transaction { publishes, settled } = transaction;
        self.outbox.join();
        let published = self.publish_all(publishes);
        let deliveries = self.stage_settlements(settled);
        let published = match published {
            Ok(published) if self.outbox.joined() <= Unit::OPS_MAX => published,
            Ok(_) => {
                self.outbox.part();
                let detail = format!("a transaction of more than {} steps", Unit::OPS_MAX);
                return Err(Error::peer(Reason::TooLarge, detail));
            }
            Err(error) => {
                self.outbox.part();
                return Err(error);
            }
        };
        let whole = self.outbox.next();
        self.outbox.seal(Promise::Durable, whole);
        self.endings.get_or_insert_default().push_back(Ending {
            pending: whole,
            deliveries,
        });
        Ok(Transacted { published, whole })
    }

    fn publish_all(&mut self, publishes: Vec<Publish<'_>>) -> Result<Vec<Pending>, Error> {
        let publishes = publishes.into_iter();
        publishes.map(|publish| self.publish(publish)).collect()
    }

    fn stage_settlements(
        &mut self,
        settled: Vec<Settled>,
    ) -> Vec<(AttachmentId, Vec<Offset>, Outcome)> {
        let mut deliveries = Vec::new();
        for Settled { ids, outcome } in settled {
            for (attachment, offsets) in by_attachment(&ids) {
                let Some((entity, held)) = self.held_of(attachment, &offsets) else {
                    continue;
                };
                self.outbox.stage_op(Op::Settle {
                    entity,
                    cursor: CursorId(0),
                    ranges: ranges(held.iter().map(|offset| offset.0)),
                    outcome,
                });
                deliveries.push((attachment, held, outcome));
            }
        }
        deliveries
    }

    /// Which of these offsets an attachment holds; `None` when it holds none.
    fn held_of(
        &self,
        attachment: AttachmentId,
        offsets: &[Offset],
    ) -> Option<(EntityId, Vec<Offset>)> {
        let member = self.member(attachment);
        let Some(Attached::Queue(attached)) = self.attachments.get(&attachment) else {
            return None;
        };
        let held: Vec<Offset> = attached.hot.with(|queue| {
            let held = queue.held_by(member);
            held.filter(|offset| offsets.binary_search(offset).is_ok())
                .collect()
        });
        (!held.is_empty()).then_some((attached.hot.entity, held))
    }

    /// A receipt is about to be given: if it is a transaction's that was kept, what it settled ends.
    pub(crate) fn end_transaction(&mut self, event: &Event) {
        let Some(endings) = self.endings.as_deref_mut() else {
            return;
        };
        let Event::Receipt(pending, result) = event else {
            return;
        };
        let Some(ending) = endings.pop_front_if(|ending| ending.pending == *pending) else {
            return;
        };
        if result.is_ok() {
            for (attachment, offsets, outcome) in ending.deliveries {
                // The store knows already; only the queue in memory has to learn it.
                drop(self.end(attachment, &offsets, outcome));
            }
        }
    }
}
