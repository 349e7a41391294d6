//! Class 50: queues.
#![expect(
    missing_docs,
    reason = "fields are named as the specification names them"
)]

use super::method::fields;
use super::{ShortStr, Table};

fields! {
    /// Makes a queue, or checks that it is as said.
    Declare { reserved_1: u16, queue: ShortStr | passive, durable, exclusive, auto_delete, no_wait | arguments: Table }
    /// The queue is there.
    DeclareOk { queue: ShortStr, message_count: u32, consumer_count: u32 }
    /// Binds a queue to an exchange.
    Bind { reserved_1: u16, queue: ShortStr, exchange: ShortStr, routing_key: ShortStr | no_wait | arguments: Table }
    /// The binding is there.
    BindOk {}
    /// Removes what waits in a queue.
    Purge { reserved_1: u16, queue: ShortStr | no_wait | }
    /// What waited is gone.
    PurgeOk { message_count: u32 }
    /// Removes a queue.
    Delete { reserved_1: u16, queue: ShortStr | if_unused, if_empty, no_wait | }
    /// The queue is gone.
    DeleteOk { message_count: u32 }
    /// Removes a binding.
    Unbind { reserved_1: u16, queue: ShortStr, exchange: ShortStr, routing_key: ShortStr, arguments: Table }
    /// The binding is gone.
    UnbindOk {}
}
