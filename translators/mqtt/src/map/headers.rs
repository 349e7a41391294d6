//! User properties: the publisher's headers, and what MQTT 5 has no property for.

use fairlead_canon::carry::{self, Cells, Entry, Field, ListTarget, Target};
use fairlead_canon::{Loss, Message, Text, Value};

use crate::codec::{Property, UserProperty};

/// MQTT 5 as a place for headers.
struct UserProperties;

/// The longest text or binary value of a property.
const VALUE_BYTES_MAX: usize = 65_535;

impl ListTarget for UserProperties {
    fn cells(&self) -> Cells {
        Cells::Text
    }
}

impl Target for UserProperties {
    fn has_place(&self, field: Field) -> bool {
        matches!(
            field,
            Field::ContentType
                | Field::Correlation
                | Field::ReplyTo
                | Field::Format
                | Field::Latest
                | Field::Address
                | Field::Deadline
        )
    }

    fn carried(&self, field: Field, message: &Message) -> Option<Value> {
        let value = field.get(message)?;
        let stands_whole = match (field, &value) {
            (Field::ContentType, Value::Text(text)) => as_content_type(text).is_some(),
            (Field::Correlation, value) => as_correlation(value).is_some(),
            _ => self.has_place(field),
        };
        (!stands_whole).then_some(value)
    }
}

/// A content type that its property can hold.
pub(super) fn as_content_type(text: &Text) -> Option<Property> {
    let fits = text.len() <= VALUE_BYTES_MAX && !text.contains('\0');
    fits.then(|| Property::ContentType(text.clone()))
}

/// A correlation that its property can hold and that reads back as the same value.
pub(super) fn as_correlation(value: &Value) -> Option<Property> {
    let bytes = if let Value::Text(text) = value {
        text.clone().into_bytes()
    } else if let Value::Bytes(bytes) = value
        && std::str::from_utf8(bytes).is_err()
    {
        bytes.clone()
    } else {
        return None;
    };
    (bytes.len() <= VALUE_BYTES_MAX).then_some(Property::CorrelationData(bytes))
}

/// Reads user properties into a message that has everything else.
pub(super) fn read(user: Vec<UserProperty>, message: Message) -> (Message, Loss) {
    let entry = |pair: UserProperty| (pair.name.into_bytes(), Some(pair.value.into_bytes()));
    let entries: Vec<Entry> = user.into_iter().map(entry).collect();
    let restored = carry::read(&UserProperties, message, &entries);
    (restored.message, restored.loss)
}

/// Appends the user properties of a message; what they could not carry.
pub(super) fn write(message: &Message, list: &mut Vec<Property>) -> Loss {
    let carried = carry::write(&UserProperties, message);
    for (name, value) in carried.entries {
        // Both are text: the carrier was told that nothing else fits.
        if let (Ok(name), Ok(value)) = (
            Text::try_from(name),
            Text::try_from(value.unwrap_or_default()),
        ) {
            list.push(Property::User(UserProperty { name, value }));
        }
    }
    carried.loss
}
