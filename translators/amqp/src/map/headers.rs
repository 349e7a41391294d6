//! Headers of a message as a field table, and back: the carrier of `fairlead_canon::carry`, told which
//! properties have a field here and fit it.

use fairlead_canon::carry::{self, Field, Restored, Target};
use fairlead_canon::{EventTime, Message, Value};

use super::native;
use crate::codec::Table;

/// The table of a message; `None` when it has no entry.
pub(super) fn write(message: &Message) -> Option<Table> {
    let table = carry::write_table(&FieldTable, message);
    (!table.is_empty()).then_some(Table(table))
}

/// Puts the headers of a table, and the properties that they carry, into a message without headers.
pub(super) fn read(table: &Table, message: Message) -> Restored {
    carry::read_table(&FieldTable, message, &table.0)
}

/// The headers property, as a target of the carrier.
struct FieldTable;

impl Target for FieldTable {
    fn has_place(&self, field: Field) -> bool {
        match field {
            Field::ContentType
            | Field::ContentEncoding
            | Field::Kind
            | Field::MessageId
            | Field::Correlation
            | Field::ReplyTo
            | Field::App
            | Field::Priority
            | Field::EventTime
            | Field::User
            | Field::Address
            | Field::Deadline => true,
            Field::TraceParent
            | Field::TraceState
            | Field::Key
            | Field::NullBody
            | Field::Format
            | Field::Latest => false,
        }
    }

    fn carried(&self, field: Field, message: &Message) -> Option<Value> {
        // Numbers always fit the fields that they have here.
        if matches!(field, Field::Priority | Field::Deadline) {
            return None;
        }
        let value = field.get(message)?;
        let stands_whole = match field == Field::EventTime {
            true => is_whole_second(message),
            false => self.has_place(field) && native::id(&value).is_some(),
        };
        (!stands_whole).then_some(value)
    }

    fn restore(&self, field: Field, message: &mut Message, value: &Value) -> bool {
        if field == Field::EventTime {
            return refine_event_time(message, value);
        }
        let has_value = self.has_place(field) && field.get(message).is_some();
        !has_value && field.set(message, value)
    }

    fn name(&self, field: Field) -> &'static str {
        if field == Field::MessageId {
            "x-message-id"
        } else if field == Field::Correlation {
            "x-correlation-id"
        } else {
            field.name()
        }
    }
}

fn is_whole_second(message: &Message) -> bool {
    match message.terms.event_at {
        None => true,
        Some(EventTime::Seconds(at)) => at >= 0,
        Some(EventTime::Millis(at)) => at >= 0 && at % 1000 == 0,
    }
}

/// Milliseconds count only when they agree with the seconds of the field.
fn refine_event_time(message: &mut Message, value: &Value) -> bool {
    let before = message.terms.event_at;
    let agrees = Field::EventTime.set(message, value)
        && message.terms.event_at.and_then(native::seconds) == before.and_then(native::seconds);
    if !agrees {
        message.terms.event_at = before;
    }
    agrees
}
