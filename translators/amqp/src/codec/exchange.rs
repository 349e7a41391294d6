//! Class 40: exchanges.
#![expect(
    missing_docs,
    reason = "fields are named as the specification names them"
)]

use super::method::fields;
use super::{ShortStr, Table};

fields! {
    /// Makes an exchange, or checks that it is as said.
    Declare { reserved_1: u16, exchange: ShortStr, kind: ShortStr | passive, durable, auto_delete, internal, no_wait | arguments: Table }
    /// The exchange is there.
    DeclareOk {}
    /// Removes an exchange.
    Delete { reserved_1: u16, exchange: ShortStr | if_unused, no_wait | }
    /// The exchange is gone.
    DeleteOk {}
    /// Binds an exchange to another.
    Bind { reserved_1: u16, destination: ShortStr, source: ShortStr, routing_key: ShortStr | no_wait | arguments: Table }
    /// The binding is there.
    BindOk {}
    /// Removes a binding between exchanges.
    Unbind { reserved_1: u16, destination: ShortStr, source: ShortStr, routing_key: ShortStr | no_wait | arguments: Table }
    /// The binding is gone.
    UnbindOk {}
}
