//! Class 60: messages.
#![expect(
    missing_docs,
    reason = "fields are named as the specification names them"
)]

use super::method::fields;
use super::{ShortStr, Table};

fields! {
    /// Limits what is on its way to consumers.
    Qos { prefetch_size: u32, prefetch_count: u16 | global | }
    /// The limits hold.
    QosOk {}
    /// Starts a consumer.
    Consume { reserved_1: u16, queue: ShortStr, consumer_tag: ShortStr | no_local, no_ack, exclusive, no_wait | arguments: Table }
    /// The consumer is started.
    ConsumeOk { consumer_tag: ShortStr }
    /// Ends a consumer.
    Cancel { consumer_tag: ShortStr | no_wait | }
    /// The consumer is ended.
    CancelOk { consumer_tag: ShortStr }
    /// A message follows, from the client.
    Publish { reserved_1: u16, exchange: ShortStr, routing_key: ShortStr | mandatory, immediate | }
    /// A message follows that could not be routed.
    Return { reply_code: u16, reply_text: ShortStr, exchange: ShortStr, routing_key: ShortStr }
    /// A message follows, for a consumer.
    Deliver { consumer_tag: ShortStr, delivery_tag: u64 | redelivered | exchange: ShortStr, routing_key: ShortStr }
    /// Asks for one message.
    Get { reserved_1: u16, queue: ShortStr | no_ack | }
    /// The message that was asked for follows.
    GetOk { delivery_tag: u64 | redelivered | exchange: ShortStr, routing_key: ShortStr, message_count: u32 }
    /// There is no message.
    GetEmpty { reserved_1: ShortStr }
    /// Messages are done, or taken over.
    Ack { delivery_tag: u64 | multiple | }
    /// One message is refused.
    Reject { delivery_tag: u64 | requeue | }
    /// Asks for unsettled messages again, without an answer.
    RecoverAsync { | requeue | }
    /// Asks for unsettled messages again.
    Recover { | requeue | }
    /// Unsettled messages will come again.
    RecoverOk {}
    /// Messages are refused, or not taken over.
    Nack { delivery_tag: u64 | multiple, requeue | }
}
