//! Messages of the kernel as deliveries.

use bytes::Bytes;
use fairlead_canon::{Loss, LossCode, Message, Outcome, Promise, Value};
use fairlead_kernel::{AttachmentId, Delivery, Live, Settle};

use super::Peer;
use crate::channel::{Channel, Unsettled};
use crate::codec::{ContentHeader, Method, basic};
use crate::errors::Refusal;
use crate::exchanges::shown_at;
use crate::map::emit;

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
            self.deliver_one(consumer.channel, method, &delivery.message)?;
            if consumer.acks {
                channel.unsettled.push(Unsettled {
                    tag: delivery_tag,
                    id: delivery.id,
                });
            }
        }
        Ok(())
    }

    /// Writes a message that was never in a queue.
    pub(super) fn deliver_live(
        &mut self,
        attachment: AttachmentId,
        live: &Live,
        channel: Option<&mut Channel>,
    ) -> Result<(), Refusal> {
        let consumer = self.consumers.get(&attachment).cloned();
        let (Some(consumer), Some(channel)) = (consumer, channel) else {
            // The consumer is gone, and nobody was promised anything.
            return Ok(());
        };
        let method = basic::Deliver {
            consumer_tag: consumer.tag,
            delivery_tag: channel.next_delivery_tag(),
            ..basic::Deliver::default()
        };
        self.deliver_one(consumer.channel, method, &live.message)
    }

    fn deliver_one(
        &mut self,
        channel: u16,
        mut method: basic::Deliver,
        message: &Message,
    ) -> Result<(), Refusal> {
        let shown = shown_at(&self.caller, message);
        method.exchange = shown.exchange;
        method.routing_key = shown.routing_key;
        self.write_message(channel, method.into(), message, shown.whole_key)
    }

    /// Answers `basic.get` with a message.
    pub(crate) fn get_ok(
        &mut self,
        channel: u16,
        mut method: basic::GetOk,
        message: &Message,
    ) -> Result<(), Refusal> {
        let shown = shown_at(&self.caller, message);
        method.exchange = shown.exchange;
        method.routing_key = shown.routing_key;
        self.write_message(channel, method.into(), message, shown.whole_key)
    }

    fn write_message(
        &mut self,
        channel: u16,
        method: Method,
        message: &Message,
        whole_key: Option<Bytes>,
    ) -> Result<(), Refusal> {
        let mut loss = Loss::NONE;
        let now = self.caller.kernel().clock().wall();
        let mut header = ContentHeader {
            body_size: message.body_len() as u64,
            properties: emit(message, now, &mut loss),
        };
        if let Some(key) = whole_key {
            let headers = header.properties.headers.get_or_insert_default();
            headers.push("fl-address", Value::from_untyped(key));
            loss.add(LossCode::NameCut);
        }
        let body = message.body.as_deref().unwrap_or_default();
        if self.out.content(channel, method, &mut header, body)? {
            loss.add(LossCode::HdrSize);
        }
        self.caller.meters().lost(loss);
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
