//! What differs between the protocols whose headers carry a message.

use super::{Cells, Field};
use crate::{Message, Value};

/// A header list, and the places that its protocol has for properties.
pub trait Target {
    /// What names and values may be.
    fn cells(&self) -> Cells;

    /// Whether the protocol has a place of its own for this field. A plain header of the field's name
    /// is then only a header.
    fn has_place(&self, field: Field) -> bool;

    /// What has to be carried of this field: `None` when it is absent, or stands whole in a place of
    /// the protocol's own.
    fn carried(&self, field: Field, message: &Message) -> Option<Value>;

    /// Puts a carried value back. `false`, and no change, when the value is not one of this field.
    fn restore(&self, field: Field, message: &mut Message, value: &Value) -> bool {
        field.set(message, value)
    }
}
