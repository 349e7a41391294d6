//! Messages on their way to the client.

use std::sync::Arc;

use fairlead_canon::{LossCode, Message, Outcome, Pattern, Promise, Timestamp};
use fairlead_kernel::{
    AttachmentId, Content, Delivery as Delivered, DropReason, Io, Live, Publish as Publication,
    Run, Settle, Settled, To, Transaction,
};

use super::Session;
use super::ending::End;
use super::frames::Forms;
use super::subscriptions::Grant;
use super::window::Expects;
use crate::codec::{Delivery, PacketId, Publish, Qos};
use crate::errors::Fault;
use crate::map::{self, Refusal, Target};

impl<I: Io> Session<I> {
    /// Messages from the mailbox, or from the queue of a group.
    pub(super) fn deliver(&mut self, mut deliveries: Vec<Delivered>) -> Result<(), End> {
        for delivery in &deliveries {
            if self.mailbox == Some(delivery.id.attachment) && map::is_shared(&delivery.message) {
                self.window.adopted();
            }
        }
        self.send_waiting()?;
        // Mostly nothing waits, and what has come is sent from where it lies.
        let sent = match self.window.has_waiting() {
            true => 0,
            false => self.send_at_once(&deliveries)?,
        };
        if sent < deliveries.len() {
            self.window.push(deliveries.drain(sent..));
        }
        Ok(())
    }

    /// Sends what the window has room for; how many these are.
    fn send_at_once(&mut self, deliveries: &[Delivered]) -> Result<usize, End> {
        for (sent, delivery) in deliveries.iter().enumerate() {
            let Some(id) = self.window.admit(delivery.id, self.mailbox) else {
                return Ok(sent);
            };
            self.send_stored(delivery, id)?;
        }
        Ok(deliveries.len())
    }

    /// Sends what the window has room for of what waits.
    pub(super) fn send_waiting(&mut self) -> Result<(), End> {
        self.look_at_grants();
        while let Some((delivery, id)) = self.window.next(self.mailbox) {
            self.send_stored(&delivery, id)?;
        }
        Ok(())
    }

    fn send_stored(&mut self, delivered: &Delivered, id: PacketId) -> Result<(), Fault> {
        let message = &delivered.message;
        let via = delivered.id.attachment;
        let is_own = self.mailbox == Some(via);
        let (caller, path) = (&self.caller, &message.address.path);
        let may = |pattern: &Pattern| caller.may_receive(pattern, &message.address);
        let grant = match is_own {
            true if map::is_shared(message) => self.subscriptions.grant_shared(path, &may),
            true => self.subscriptions.grant_at(path, &may),
            false => self.subscriptions.grant_by(&[via], path, &may),
        };
        let Some(grant) = grant else {
            // That of a group is with others since its member left.
            if is_own {
                self.caller.meters().dropped(DropReason::NotGranted);
            }
            self.settled.push(delivered.id);
            return Ok(());
        };
        if !is_own && grant.qos.min(map::published_qos(message)) == Qos::ExactlyOnce {
            return self.adopt(delivered);
        }
        //= MQTT-3.8.4-8: the QoS is the lower of the granted and the published one.
        let qos = grant.qos.min(map::published_qos(message));
        let retain =
            map::is_replayed(message) || (grant.retain_as_published && message.terms.latest);
        let (delivery, expects) = match qos {
            Qos::AtMostOnce => (Delivery::AtMostOnce, None),
            Qos::AtLeastOnce => (Delivery::AtLeastOnce(id), Some(Expects::PubAck)),
            Qos::ExactlyOnce => (Delivery::ExactlyOnce(id), Some(Expects::PubRec)),
        };
        let sending = Sending {
            dup: delivered.is_redelivered && qos > Qos::AtMostOnce,
            retain,
            delivery,
        };
        let is_sent = self.send(message, &grant, sending)?;
        match expects {
            Some(expects) if is_sent => self.window.sent(id, delivered.id, expects),
            Some(_) | None => self.settled.push(delivered.id),
        }
        Ok(())
    }

    /// Takes a message of a group over into the client's own mailbox, from where it is sent: an
    /// exchange of QoS 2 belongs to one session, and is completed there or nowhere.
    //= MQTT-4.8.2-4: it is completed when the client is back,
    //= MQTT-4.8.2-5: and goes to nobody else when its session ends.
    fn adopt(&mut self, delivered: &Delivered) -> Result<(), Fault> {
        let to = To::Lane {
            stream: &self.client.mailbox,
            lane: 0,
            address: None,
        };
        let publish = Publication {
            to,
            content: Content::Message(map::shared(&delivered.message)),
            promise: Promise::Nothing,
            with: Vec::new(),
            own_mailbox: None,
        };
        let settled = Settled {
            ids: vec![delivered.id],
            outcome: Outcome::Done,
        };
        self.caller.transact(Transaction {
            publishes: vec![publish],
            settled: vec![settled],
        })?;
        self.window.adopting();
        Ok(())
    }

    /// Messages for subscriptions of QoS 0.
    pub(super) fn deliver_live(&mut self, lives: &[Live]) -> Result<(), End> {
        self.look_at_grants();
        for Live { run, via } in lives {
            let Some(grant) = self.subscriptions.grant_via(via) else {
                self.deliver_granted(run, via)?;
                continue;
            };
            if self.send_as_to_others(run, &grant) {
                continue;
            }
            for message in run.messages() {
                self.send_live(message, &grant)?;
            }
        }
        Ok(())
    }

    /// The messages of a run that are granted, where that is not all of them.
    fn deliver_granted(&mut self, run: &Run, via: &[AttachmentId]) -> Result<(), Fault> {
        for message in run.messages() {
            let (caller, path) = (&self.caller, &message.address.path);
            let may = |pattern: &Pattern| caller.may_receive(pattern, &message.address);
            match self.subscriptions.grant_by(via, path, &may) {
                Some(grant) => self.send_live(message, &grant)?,
                None => self.caller.meters().dropped(DropReason::NotGranted),
            }
        }
        Ok(())
    }

    fn send_live(&mut self, message: &Message, grant: &Grant) -> Result<(), Fault> {
        let sending = Sending {
            retain: grant.retain_as_published && message.terms.latest,
            ..Sending::AT_MOST_ONCE
        };
        self.send(message, grant, sending).map(drop)
    }

    /// Queues messages in the words in which others are told them; `false` when this client is told them in
    /// words of its own, or alone.
    fn send_as_to_others(&mut self, run: &Arc<Run>, grant: &Grant) -> bool {
        let is_plain = grant.ids.is_empty() && !grant.retain_as_published;
        let is_alone = Arc::strong_count(run) == 1;
        if !is_plain || is_alone || self.emitter.has_aliases() {
            return false;
        }
        let forms = run.form::<Forms>();
        let frames = forms.and_then(|forms| forms.of(run.messages(), self.link.version));
        let fitting = frames.filter(|frames| frames.size_max <= self.client.size_max);
        if let Some(frames) = fitting {
            self.link.frames(frames);
        }
        fitting.is_some()
    }

    /// A message that nobody published, for a subscription of any QoS.
    pub(super) fn send_fresh(&mut self, message: &Message, grant: &Grant) -> Result<(), Fault> {
        self.send(message, grant, Sending::AT_MOST_ONCE).map(drop)
    }

    /// A retained message for a subscription of QoS 0.
    pub(super) fn send_retained(&mut self, message: &Message, grant: &Grant) -> Result<(), Fault> {
        let sending = Sending {
            retain: true,
            ..Sending::AT_MOST_ONCE
        };
        self.send(message, grant, sending).map(drop)
    }

    /// Queues a PUBLISH; `false` when the message cannot be delivered to this client.
    fn send(&mut self, message: &Message, grant: &Grant, how: Sending) -> Result<bool, Fault> {
        let deadline = message.terms.deadline;
        let target = Target {
            version: self.link.version,
            // Few messages have a deadline, and only they need a look at the clock.
            left: deadline.map(|deadline| deadline.since(self.now())),
            ids: &grant.ids,
            is_resent: how.dup,
        };
        let emitted = match self.emitter.emit(message, target) {
            Ok(emitted) => emitted,
            Err(refusal) => {
                match refusal {
                    Refusal::Expired => self.caller.meters().expired.inc(),
                    Refusal::Inexpressible => {
                        self.caller.meters().dropped(DropReason::Inexpressible);
                    }
                }
                return Ok(false);
            }
        };
        let mut loss = emitted.loss;
        let publish = Publish {
            dup: how.dup,
            delivery: how.delivery,
            retain: how.retain,
            topic: emitted.topic,
            properties: emitted.properties,
            payload: emitted.payload,
        };
        //= MQTT-3.1.2-24: what is larger than the client accepts is not sent, and
        //= MQTT-3.1.2-25: counts as delivered.
        let fits = publish.size(self.link.version) <= self.client.size_max;
        if fits {
            self.link.publish(&publish)?;
        } else {
            self.emitter.unsent(&publish.topic);
            loss.add(LossCode::Large);
            self.caller.meters().dropped(DropReason::TooLargeForReader);
        }
        self.caller.meters().lost(message.origin, loss);
        Ok(fits)
    }

    /// Settles what was acknowledged in this turn.
    pub(super) fn settle(&mut self) -> Result<(), End> {
        if self.settled.is_empty() {
            return Ok(());
        }
        let ids = std::mem::take(&mut self.settled);
        let (outcome, promise) = (Outcome::Done, Promise::Accepted);
        self.caller.settle(Settle {
            ids: &ids,
            outcome,
            promise,
            with: Vec::new(),
        })?;
        Ok(())
    }

    pub(super) fn now(&self) -> Timestamp {
        self.caller.kernel().clock().wall()
    }
}

/// What a PUBLISH says besides the message.
#[derive(Clone, Copy, Debug)]
struct Sending {
    dup: bool,
    retain: bool,
    delivery: Delivery,
}

impl Sending {
    const AT_MOST_ONCE: Self = Self {
        dup: false,
        retain: false,
        delivery: Delivery::AtMostOnce,
    };
}
