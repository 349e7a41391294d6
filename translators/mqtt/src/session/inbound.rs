//! What a client publishes, and what it acknowledges.

use std::time::Duration;

use fairlead_canon::{Address, Outcome, Promise, Timestamp};
use fairlead_kernel::{
    ClosedReason, Content, DeliveryId, Error, Io, Later, Pending, Publish as Publication,
    PutDocument, Reason, Receipt, Settle, To,
};

use super::Session;
use super::answers::Answer;
use super::client::Remembered;
use super::delayed::{self, When};
use super::ending::End;
use super::topics::Topics;
use super::window::Expects;
use crate::codec::{Ack, Delivery, Properties, Property, Publish, ReasonCode, Version};
use crate::errors::{Denial, Fault};
use crate::map::{self, Inbound};

impl<I: Io> Session<I> {
    /// PUBLISH, at this moment.
    pub(super) fn published(&mut self, mut publish: Publish, now: Timestamp) -> Result<(), End> {
        let delivery = publish.delivery;
        if let Delivery::ExactlyOnce(id) = delivery
            && self.received.contains(id)
        {
            //= MQTT-4.3.3-10: until PUBREL the same packet id is the same message, which is
            // answered again and not published again.
            self.answers.ready(Answer::PubRec(id), ReasonCode::SUCCESS);
            return self.answer();
        }
        self.check_receive_maximum(delivery)?;
        self.pace();
        if self.settings.checks_payload && is_false_text(&publish) {
            let why = "the payload is said to be UTF-8 and is not";
            return self.refused(
                delivery,
                Denial::new(ReasonCode::PAYLOAD_FORMAT_INVALID, why),
            );
        }
        let delay = match delayed::read(&publish.topic) {
            When::Now => None,
            // An alias would stand for the topic and forget the delay.
            When::Later(delay, topic) if publish.properties.topic_alias().is_none() => {
                publish.topic = topic;
                Some(delay)
            }
            When::Later(..) | When::Never => {
                let why = "not $delayed/<seconds>/<topic>, or with a topic alias";
                return self.refused(delivery, Denial::new(ReasonCode::TOPIC_NAME_INVALID, why));
            }
        };
        let Some(address) = self.address(&publish)? else {
            let why = "nobody publishes to this topic";
            return self.refused(delivery, Denial::new(ReasonCode::TOPIC_NAME_INVALID, why));
        };
        match self.forward(address, publish, delay, now)? {
            Ok(pending) => self.awaits(delivery, pending),
            Err(error) => {
                self.caller.meters().failed(&error);
                self.refused(delivery, error.into())?;
            }
        }
        Ok(())
    }

    /// 3.1.1 has no Receive Maximum: there the gate is shut after a read that goes beyond it.
    fn check_receive_maximum(&self, delivery: Delivery) -> Result<(), End> {
        if delivery == Delivery::AtMostOnce || self.link.version != Version::V5 {
            return Ok(());
        }
        let max = usize::from(self.settings.receive_maximum);
        let received = self.received.here();
        // Counted only when it may matter: this is asked for every message.
        if self.answers.len() + received >= max && self.answers.ending() + received >= max {
            //= MQTT-3.3.4-7: a client does not exceed the Receive Maximum.
            let detail = "more unacknowledged messages than the Receive Maximum";
            let code = ReasonCode::RECEIVE_MAXIMUM_EXCEEDED;
            return Err(Fault::new(code, ClosedReason::Malformed, detail).into());
        }
        Ok(())
    }

    /// Where a PUBLISH goes, aliases resolved; `None` when nobody may publish there.
    fn address(&mut self, publish: &Publish) -> Result<Option<Address>, End> {
        let Some(alias) = publish.properties.topic_alias() else {
            if publish.topic.is_empty() {
                return Err(Fault::protocol("neither a topic name nor an alias").into());
            }
            return Ok(self.address_of(&publish.topic));
        };
        //= MQTT-3.3.2-8: an alias is not 0, and
        //= MQTT-3.3.2-9: not above the Topic Alias Maximum.
        let place = Topics::place(alias).ok_or_else(|| {
            let detail = "a topic alias that is 0 or above the Topic Alias Maximum";
            let code = ReasonCode::TOPIC_ALIAS_INVALID;
            Fault::new(code, ClosedReason::Malformed, detail)
        })?;
        if publish.topic.is_empty() {
            let unset = || Fault::protocol("a topic alias that was never set");
            return Ok(Some(self.topics.aliased(place).ok_or_else(unset)?));
        }
        let address = self.address_of(&publish.topic);
        if let Some(address) = &address {
            self.topics.set_alias(place, address);
        }
        Ok(address)
    }

    fn forward(
        &mut self,
        address: Address,
        publish: Publish,
        delay: Option<Duration>,
        now: Timestamp,
    ) -> Result<Result<Pending, Error>, Fault> {
        let qos = publish.delivery.qos();
        let with = match publish.delivery {
            Delivery::ExactlyOnce(id) if self.client.expiry.is_some() => {
                vec![self.client.remember(Remembered::Received(id))]
            }
            Delivery::AtMostOnce | Delivery::AtLeastOnce(_) | Delivery::ExactlyOnce(_) => {
                Vec::new()
            }
        };
        let to = address.clone();
        let inbound = Inbound {
            address,
            qos,
            retain: publish.retain,
            properties: &publish.properties,
            payload: publish.payload,
        };
        let (mut message, loss) = map::ingest(inbound, now)?;
        map::sign(&mut message, self.caller.who());
        self.caller.meters().lost(map::ORIGIN, loss);
        if let Some(delay) = delay {
            return Ok(self.caller.publish_later(Later {
                message,
                at: now.after(delay),
                promise: map::promise_of(qos),
                with,
            }));
        }
        Ok(self.caller.publish(Publication {
            to: To::Address(&to),
            content: Content::Message(message),
            promise: map::promise_of(qos),
            with,
            own_mailbox: Some(&self.client.mailbox),
        }))
    }

    fn awaits(&mut self, delivery: Delivery, pending: Pending) {
        match delivery {
            Delivery::AtMostOnce => {}
            Delivery::AtLeastOnce(id) => self.answers.wait(pending, Answer::PubAck(id)),
            Delivery::ExactlyOnce(id) => {
                self.received.came(id);
                self.answers.wait(pending, Answer::PubRec(id));
            }
        }
    }

    /// A PUBLISH was not taken. QoS 0 has no answer; 3.1.1 has none that says no.
    fn refused(&mut self, delivery: Delivery, denial: Denial) -> Result<(), End> {
        let code = denial.code;
        let answer = match delivery {
            Delivery::AtMostOnce => return Ok(()),
            Delivery::AtLeastOnce(id) => Answer::PubAck(id),
            Delivery::ExactlyOnce(id) => Answer::PubRec(id),
        };
        if self.link.version != Version::V5 || !may_answer(code) {
            let why = denial.words.as_deref().unwrap_or_default();
            let detail = format!("a message was refused: {code:?} {why}");
            return Err(Fault::new(code, ClosedReason::Refused, detail.trim_end()).into());
        }
        let words = self.words(denial, 0);
        self.answers.ready_with(answer, code, words);
        self.answer()
    }

    /// What an answer with so many codes says besides them.
    pub(super) fn words(&self, denial: Denial, codes: usize) -> Properties {
        match self.client.wants_words {
            true => denial.words(codes, self.client.size_max),
            false => Properties::NONE,
        }
    }

    /// A promise was kept, or was not.
    pub(super) fn kept(
        &mut self,
        pending: Pending,
        result: Result<Receipt, Error>,
    ) -> Result<(), End> {
        let Some(answer) = self.answers.receipt(pending) else {
            // A message of a group that was taken over: what is not kept goes to another member.
            return result.map(drop).map_err(End::from);
        };
        let reason = match (result, answer) {
            (Ok(receipt), Answer::PubAck(_) | Answer::PubRec(_)) if receipt.matched == 0 => {
                ReasonCode::NO_MATCHING_SUBSCRIBERS
            }
            (Ok(_), _) => ReasonCode::SUCCESS,
            // The id was remembered by an earlier connection: the message is already published.
            (Err(error), Answer::PubRec(_)) if error.reason == Reason::Conflict => {
                ReasonCode::SUCCESS
            }
            (Err(error), answer) => return self.not_kept(error, answer),
        };
        self.link.send(&answer.packet(reason))?;
        self.answer()
    }

    fn not_kept(&mut self, error: Error, answer: Answer) -> Result<(), End> {
        self.caller.meters().failed(&error);
        // A full disk refuses everything: each refusal is counted, and the store says once why.
        tracing::debug!(client = %self.client.id, %error, "a promise was not kept");
        match answer {
            Answer::PubAck(id) => self.refused(Delivery::AtLeastOnce(id), error.into()),
            Answer::PubRec(id) => {
                self.received.remove(id);
                self.refused(Delivery::ExactlyOnce(id), error.into())
            }
            Answer::PubRel(_) | Answer::PubComp(_) => Err(Fault::from(error).into()),
        }
    }

    /// Sends the answers that wait for nothing.
    fn answer(&mut self) -> Result<(), End> {
        while let Some(answer) = self.answers.next_ready() {
            self.link.send(&answer)?;
        }
        Ok(())
    }

    /// PUBREL: the packet id is free once that is kept.
    pub(super) fn released(&mut self, ack: &Ack) -> Result<(), End> {
        let id = ack.packet_id;
        if !self.received.remove(id) {
            self.answers
                .ready(Answer::PubComp(id), ReasonCode::PACKET_ID_NOT_FOUND);
            return self.answer();
        }
        let forget = self.client.forget(Remembered::Received(id));
        self.settle_then(&[], forget, Answer::PubComp(id))
    }

    /// PUBACK.
    pub(super) fn acknowledged(&mut self, ack: &Ack) -> Result<(), End> {
        self.settled
            .extend(self.window.acknowledged(ack.packet_id, Expects::PubAck));
        self.send_waiting()
    }

    /// PUBREC.
    pub(super) fn received(&mut self, ack: &Ack) -> Result<(), End> {
        let id = ack.packet_id;
        let delivery = self.window.acknowledged(id, Expects::PubRec);
        if ack.reason.is_failure() {
            //= MQTT-4.4.0-2: a PUBREC that says no ends the delivery.
            self.settled.extend(delivery);
            self.window.completed(id);
            return self.send_waiting();
        }
        match delivery {
            Some(delivery) => {
                let remember = self.client.remember(Remembered::Released(id));
                self.settle_then(&[delivery], remember, Answer::PubRel(id))
            }
            None => {
                let is_known = self.window.is_released(id);
                let code = if is_known {
                    ReasonCode::SUCCESS
                } else {
                    ReasonCode::PACKET_ID_NOT_FOUND
                };
                self.answers.ready(Answer::PubRel(id), code);
                self.answer()
            }
        }
    }

    /// PUBCOMP.
    pub(super) fn completed(&mut self, ack: &Ack) -> Result<(), End> {
        let id = ack.packet_id;
        if self.window.completed(id) && self.client.expiry.is_some() {
            let with = vec![self.client.forget(Remembered::Released(id))];
            let promise = Promise::Accepted;
            self.caller.settle(Settle {
                ids: &[],
                outcome: Outcome::Done,
                promise,
                with,
            })?;
        }
        self.send_waiting()
    }

    /// Ends deliveries together with a step of a QoS 2 exchange, which is then answered. Only a
    /// session that outlives its connection has to keep the step first.
    fn settle_then(
        &mut self,
        ids: &[DeliveryId],
        step: PutDocument,
        answer: Answer,
    ) -> Result<(), End> {
        if !self.client.expiry.is_some() {
            self.settled.extend_from_slice(ids);
            self.answers.ready(answer, ReasonCode::SUCCESS);
            return self.answer();
        }
        let settle = Settle {
            ids,
            outcome: Outcome::Done,
            promise: Promise::Durable,
            with: vec![step],
        };
        let pending = self.caller.settle(settle)?;
        self.answers.wait(pending, answer);
        Ok(())
    }
}

/// Whether a payload says that it is text, and is none.
fn is_false_text(publish: &Publish) -> bool {
    let mut properties = publish.properties.iter();
    let says_text = properties.any(|one| one == Property::PayloadFormat(true));
    says_text && std::str::from_utf8(&publish.payload).is_err()
}

/// Whether PUBACK and PUBREC may say this; anything else ends the connection.
fn may_answer(code: ReasonCode) -> bool {
    matches!(
        code,
        ReasonCode::NO_MATCHING_SUBSCRIBERS
            | ReasonCode::UNSPECIFIED
            | ReasonCode::IMPLEMENTATION_SPECIFIC
            | ReasonCode::NOT_AUTHORIZED
            | ReasonCode::TOPIC_NAME_INVALID
            | ReasonCode::QUOTA_EXCEEDED
            | ReasonCode::PAYLOAD_FORMAT_INVALID
    )
}
