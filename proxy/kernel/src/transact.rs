//! Publishes and settlements that take effect together.

use std::collections::VecDeque;

use fairlead_canon::{Outcome, Promise};
use fairlead_delivery::Place;
use fairlead_ports::Unit;
use smallvec::SmallVec;

use crate::consume::Attached;
use crate::settle::{Ended, by_attachment, in_order};
use crate::verb::{
    AttachmentId, DeliveryId, Event, Pending, Publish, Settled, Transacted, Transaction,
};
use crate::{Caller, Error, Reason};

/// Transactions whose receipt is awaited, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Endings(VecDeque<Ending>);

/// A transaction under way: what it settles is held until it is kept.
#[derive(Debug)]
struct Ending {
    pending: Pending,
    deliveries: Vec<(AttachmentId, Vec<Place>, Outcome)>,
}

impl Caller {
    /// Stages publishes and settlements as one durable unit. A refusal means that nothing of it was
    /// kept. Until its receipt comes the deliveries stay with this caller; if it fails they still are its.
    ///
    /// Live readers do not wait for it: they were promised nothing, also not that the rest is kept.
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
        let endings = self.endings.get_or_insert_default();
        endings.0.push_back(Ending {
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
    ) -> Vec<(AttachmentId, Vec<Place>, Outcome)> {
        let mut deliveries = Vec::new();
        for Settled { ids, outcome } in settled {
            for (attachment, ids) in by_attachment(&in_order(&ids)) {
                let (held, ending) = self.held_of(attachment, ids, outcome);
                for ended in ending {
                    self.note_dead(&ended);
                    self.outbox.stage_op(ended.into_op());
                }
                deliveries.push((attachment, held, outcome));
            }
        }
        deliveries
    }

    /// Which of these deliveries an attachment holds, and how they will have ended.
    fn held_of(
        &self,
        attachment: AttachmentId,
        ids: &[DeliveryId],
        outcome: Outcome,
    ) -> (Vec<Place>, SmallVec<[Ended; 1]>) {
        let member = self.member(attachment);
        let mut ending = SmallVec::new();
        let Some(Attached::Queue(attached)) = self.attachments.get(attachment) else {
            return (Vec::new(), ending);
        };
        let held: Vec<Place> = attached.hot.with(|queue| {
            let held = queue.held_by(member);
            held.filter(|place| ids.binary_search_by_key(place, |id| id.place()).is_ok())
                .collect()
        });
        for place in &held {
            attached.gather(*place, outcome, &mut ending);
        }
        (held, ending)
    }

    /// A receipt is about to be given: if it is a transaction's that was kept, what it settled ends.
    pub(crate) fn end_transaction(&mut self, event: &Event) {
        let Some(endings) = self.endings.as_deref_mut() else {
            return;
        };
        let Event::Receipt(pending, result) = event else {
            return;
        };
        let Some(ending) = endings.0.pop_front_if(|ending| ending.pending == *pending) else {
            return;
        };
        if result.is_ok() {
            for (attachment, places, outcome) in ending.deliveries {
                // The store knows already; only the queue in memory has to learn it. It alone knows
                // what was returned too often.
                let places = places.into_iter();
                let spent = self.end(attachment, places, outcome).into_iter();
                spent
                    .filter(|ended| ended.differs_from(outcome))
                    .for_each(|ended| self.stage_ended(ended));
            }
            self.flush();
        }
    }
}
