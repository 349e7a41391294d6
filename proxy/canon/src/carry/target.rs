//! What differs between the protocols whose headers carry a message.

use super::{Cells, Field};
use crate::{Loss, Message, Value};

/// The places that a protocol has for properties, beside its headers.
pub trait Target {
    /// Whether the protocol has a place of its own for this field. A plain header of the field's name
    /// is then only a header.
    fn has_place(&self, field: Field) -> bool;

    /// What has to be carried of this field: `None` when it is absent, or stands whole in a place of
    /// the protocol's own.
    fn carried(&self, field: Field, message: &Message) -> Option<Value>;

    /// Puts a carried value back. `false`, and no change, when the value is not one of this field, or
    /// the protocol's own place has given it one.
    fn restore(&self, field: Field, message: &mut Message, value: &Value) -> bool {
        let has_value = self.has_place(field) && field.get(message).is_some();
        !has_value && field.set(message, value)
    }

    /// The name of the header that carries this field; each field has another.
    fn name(&self, field: Field) -> &'static str {
        field.name()
    }
}

/// A target whose headers are a list, in which names may repeat and values have no types.
pub trait ListTarget: Target {
    /// What names and values may be.
    fn cells(&self) -> Cells;
}

/// A list or table of headers as a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The message that was given, with headers and carried properties.
    pub message: Message,
    /// `HDR_TYPE` when there was an `fl-t` or `fl-dup` that could not be believed.
    pub loss: Loss,
}
