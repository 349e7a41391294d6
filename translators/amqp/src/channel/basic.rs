//! Methods of class basic.

use fairlead_kernel::Settling;

use super::{Channel, Unsettled};
use crate::codec::{Method, basic};
use crate::connection::Peer;
use crate::errors::{Refusal, ReplyCode};
use crate::queues;

impl Channel {
    pub(super) async fn on_basic(
        &mut self,
        method: Method,
        peer: &mut Peer,
    ) -> Result<(), Refusal> {
        match method {
            Method::BasicPublish(publish) => self.on_publish(publish, peer),
            Method::BasicAck(ack) => self.ack(&ack, peer),
            Method::BasicNack(nack) => self.nack(&nack, peer),
            Method::BasicReject(reject) => self.reject(&reject, peer),
            Method::BasicRecoverAsync(recover) => self.recover(recover.requeue, peer),
            Method::BasicRecover(recover) => {
                self.recover(recover.requeue, peer)?;
                peer.out.method(self.number, basic::RecoverOk {})
            }
            Method::BasicQos(qos) => self.qos(&qos, peer),
            Method::BasicConsume(consume) => self.consume(consume, peer).await,
            Method::BasicCancel(cancel) => self.cancel(cancel, peer).await,
            // Our own cancel asks for no answer, but some clients give one.
            Method::BasicCancelOk(_) => Ok(()),
            Method::BasicGet(get) => self.get(get, peer).await,
            method => {
                let text = format!("{} is not for a client to say", method.name());
                Err(ReplyCode::CommandInvalid.because(text))
            }
        }
    }

    async fn get(&mut self, get: basic::Get, peer: &mut Peer) -> Result<(), Refusal> {
        let queue = self.queue_name(get.queue)?;
        let key = queues::require(&peer.caller, &queue)?.key.clone();
        let settling = match get.no_ack {
            true => Settling::OnDelivery,
            false => Settling::Explicit,
        };
        let Some(taken) = peer.caller.take(&key, settling).await? else {
            return peer.out.method(self.number, basic::GetEmpty::default());
        };
        let delivery_tag = self.next_delivery_tag();
        let method = basic::GetOk {
            delivery_tag,
            redelivered: taken.delivery.is_redelivered,
            message_count: u32::try_from(taken.remaining).unwrap_or(u32::MAX),
            ..basic::GetOk::default()
        };
        if !get.no_ack {
            self.unsettled.push(Unsettled {
                tag: delivery_tag,
                id: taken.delivery.id,
            });
        }
        peer.get_ok(self.number, method, &taken.delivery.message)
    }
}
