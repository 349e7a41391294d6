//! Properties that have a field of their own here, as far as they fit it.

use fairlead_canon::{EventTime, Text, Value};

use crate::codec::ShortStr;

/// A property as a field of at most 255 bytes, when it fits.
pub(super) fn text(text: &Text) -> Option<ShortStr> {
    ShortStr::new(text.as_bytes().clone())
}

/// An identifier as a field; only text, and bytes that are not text, come back as what they were.
pub(super) fn id(value: &Value) -> Option<ShortStr> {
    if let Value::Text(said) = value {
        text(said)
    } else if let Value::Bytes(bytes) = value
        && std::str::from_utf8(bytes).is_err()
    {
        ShortStr::new(bytes.clone())
    } else {
        None
    }
}

/// The event time as whole seconds, when the field can hold it.
pub(super) fn seconds(event_at: EventTime) -> Option<u64> {
    match event_at {
        EventTime::Seconds(seconds) => u64::try_from(seconds).ok(),
        EventTime::Millis(ms) => u64::try_from(ms.div_euclid(1000)).ok(),
    }
}
