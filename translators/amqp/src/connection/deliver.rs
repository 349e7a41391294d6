//! Messages of the kernel as deliveries.

use bytes::Bytes;
use fairlead_canon::{Loss, LossCode, Message, Outcome, Promise, Value};
use fairlead_kernel::{AttachmentId, Delivery, Settle};

use super::Peer;
use crate::channel::{Channel, Unsettled};
use crate::codec::{ContentHeader, Method, basic};
use crate::errors::Refusal;
use crate::exchanges::shown_at;
use crate::map::emit;

/// How often a message was returned to a queue of type `quorum`.
const DELIVERY_COUNT: &str = "x-delivery-count";

/// What a delivery says beside its message.
#[derive(Debug, Default)]
pub(crate) struct Extra {
    /// How often it was returned, where the queue tells.
    pub(crate) returned: Option<u16>,
    /// The whole routing key, when it is too long to be shown.
    pub(crate) whole_key: Option<Bytes>,
}

impl Peer {
    /// Writes what came for a consumer of a queue.
    pub(super) fn deliver(
        &mut self,
        attachment: AttachmentId,
        deliveries: Vec<Delivery>,
        channel: Option<&mut Channel>,
    ) -> Result<(), Refusal> {
        let consumer = self.consumers.get(&attachment).cloned();
        let (Some(consumer), Some(channel)) = (consumer, channel) else {
            return self.give_back(&deliveries);
        };
        for delivery in deliveries {
            let delivery_tag = channel.next_delivery_tag();
            let method = basic::Deliver {
                consumer_tag: consumer.tag.clone(),
                delivery_tag,
                redelivered: delivery.is_redelivered,
                ..basic::Deliver::default()
            };
            let extra = Extra {
                returned: consumer.counts.then_some(delivery.returned),
                ..Extra::default()
            };
            self.deliver_one(consumer.channel, method, &delivery.message, extra)?;
            if consumer.acks {
                channel.unsettled.push(Unsettled {
                    tag: delivery_tag,
                    id: delivery.id,
                });
            }
        }
        Ok(())
    }

    /// Writes messages that were never in a queue.
    pub(super) fn deliver_live(
        &mut self,
        attachment: AttachmentId,
        messages: &[Message],
        channel: Option<&mut Channel>,
    ) -> Result<(), Refusal> {
        let consumer = self.consumers.get(&attachment).cloned();
        let (Some(consumer), Some(channel)) = (consumer, channel) else {
            // The consumer is gone, and nobody was promised anything.
            return Ok(());
        };
        for message in messages {
            let method = basic::Deliver {
                consumer_tag: consumer.tag.clone(),
                delivery_tag: channel.next_delivery_tag(),
                ..basic::Deliver::default()
            };
            self.deliver_one(consumer.channel, method, message, Extra::default())?;
        }
        Ok(())
    }

    fn deliver_one(
        &mut self,
        channel: u16,
        mut method: basic::Deliver,
        message: &Message,
        mut extra: Extra,
    ) -> Result<(), Refusal> {
        let shown = shown_at(&self.caller, message);
        method.exchange = shown.exchange;
        method.routing_key = shown.routing_key;
        extra.whole_key = shown.whole_key;
        self.write_message(channel, method.into(), message, extra)
    }

    /// Answers `basic.get` with a message.
    pub(crate) fn get_ok(
        &mut self,
        channel: u16,
        mut method: basic::GetOk,
        message: &Message,
        mut extra: Extra,
    ) -> Result<(), Refusal> {
        let shown = shown_at(&self.caller, message);
        method.exchange = shown.exchange;
        method.routing_key = shown.routing_key;
        extra.whole_key = shown.whole_key;
        self.write_message(channel, method.into(), message, extra)
    }

    fn write_message(
        &mut self,
        channel: u16,
        method: Method,
        message: &Message,
        extra: Extra,
    ) -> Result<(), Refusal> {
        let mut loss = Loss::NONE;
        let now = self.caller.kernel().clock().wall();
        let mut header = ContentHeader {
            body_size: message.body_len() as u64,
            properties: emit(message, now, &mut loss),
        };
        if let Some(returned) = extra.returned {
            let headers = header.properties.headers.get_or_insert_default();
            headers.0.retain(|(name, _)| name != DELIVERY_COUNT);
            headers.push(DELIVERY_COUNT, Value::I64(returned.into()));
        }
        if let Some(key) = extra.whole_key {
            let headers = header.properties.headers.get_or_insert_default();
            headers.push("fl-address", Value::from_untyped(key));
            loss.add(LossCode::NameCut);
        }
        let body = message.body.as_deref().unwrap_or_default();
        if self.out.content(channel, method, &mut header, body)? {
            loss.add(LossCode::HdrSize);
        }
        self.caller.meters().lost(message.origin, loss);
        Ok(())
    }

    /// Tells a client that can hear it that a consumer ended with its queue.
    pub(super) fn cancelled(&mut self, attachment: AttachmentId) -> Result<(), Refusal> {
        let Some(consumer) = self.consumers.remove(&attachment) else {
            return Ok(());
        };
        if !self.hears_cancel {
            return Ok(());
        }
        let cancel = basic::Cancel {
            consumer_tag: consumer.tag,
            no_wait: true,
        };
        self.out.method(consumer.channel, cancel)
    }

    fn give_back(&mut self, deliveries: &[Delivery]) -> Result<(), Refusal> {
        let ids: Vec<_> = deliveries.iter().map(|delivery| delivery.id).collect();
        self.settle(&ids, Outcome::Returned)
    }

    /// Ends deliveries; kept with the next flush.
    pub(crate) fn settle(
        &mut self,
        ids: &[fairlead_kernel::DeliveryId],
        outcome: Outcome,
    ) -> Result<(), Refusal> {
        let settle = Settle {
            ids,
            outcome,
            promise: Promise::Accepted,
            with: Vec::new(),
        };
        self.caller.settle(settle)?;
        Ok(())
    }
}
