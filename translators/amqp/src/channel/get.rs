//! Taking one message.

use fairlead_kernel::Settling;

use super::{Channel, Unsettled};
use crate::codec::basic;
use crate::connection::{Extra, Peer};
use crate::errors::Refusal;
use crate::queues;

impl Channel {
    pub(super) async fn get(&mut self, get: basic::Get, peer: &mut Peer) -> Result<(), Refusal> {
        let queue = self.queue_name(get.queue)?;
        let stream = queues::require(&peer.caller, &queue)?;
        let settling = match get.no_ack {
            true => Settling::OnDelivery,
            false => Settling::Explicit,
        };
        let Some(taken) = peer.caller.take(&stream.key, settling).await? else {
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
        let extra = Extra {
            returned: queues::counts_returns(&stream).then_some(taken.delivery.returned),
            ..Extra::default()
        };
        peer.get_ok(self.number, method, &taken.delivery.message, extra)
    }
}
