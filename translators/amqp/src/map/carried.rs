//! Properties that have no field of their own here, or do not fit it, and the header that carries each
//! (`mapping.md` sections 6.3 and 6.4).

use bytes::Bytes;
use fairlead_canon::{BodyFormat, EventTime, Message, Text, TraceContext, Value};

use crate::codec::ShortStr;

/// One property and its header.
#[derive(Debug)]
pub(super) struct Carried {
    /// Name of the header.
    pub(super) name: &'static str,
    /// Whether a plain header of that name, by anyone, also means the property.
    pub(super) lifts: bool,
    /// The value to carry; `None` when there is nothing to carry.
    pub(super) get: fn(&Message) -> Option<Value>,
    /// Puts a carried value back; `false` and no change when it is not usable.
    pub(super) set: fn(&mut Message, &Value) -> bool,
}

/// In the order in which they stand in a table.
pub(super) const CARRIED: &[Carried] = &[
    row("content-type", false, get_content_type, set_content_type),
    row("content-encoding", false, get_encoding, set_encoding),
    row("x-correlation-id", false, get_correlation, set_correlation),
    row("x-message-id", false, get_message_id, set_message_id),
    row("type", false, get_kind, set_kind),
    row("app-id", false, get_app, set_app),
    row("traceparent", true, get_trace_parent, set_trace_parent),
    row("tracestate", true, get_trace_state, set_trace_state),
    row("fl-key", true, get_key, set_key),
    row("fl-null", true, get_null_body, set_null_body),
    row("fl-format", true, get_format, set_format),
    row("fl-retain", true, get_latest, set_latest),
    row("fl-ts", true, get_event_ms, set_event_ms),
];

const fn row(
    name: &'static str,
    lifts: bool,
    get: fn(&Message) -> Option<Value>,
    set: fn(&mut Message, &Value) -> bool,
) -> Carried {
    Carried {
        name,
        lifts,
        get,
        set,
    }
}

/// The row of a header name, if it is one of ours.
pub(super) fn find(name: &[u8]) -> Option<&'static Carried> {
    CARRIED.iter().find(|row| row.name.as_bytes() == name)
}

/// A property as a field of at most 255 bytes, when it fits.
pub(super) fn native_text(text: &Text) -> Option<ShortStr> {
    ShortStr::new(text.as_bytes().clone())
}

/// An identifier as a field; only text, and bytes that are not text, come back as what they were.
pub(super) fn native_id(value: &Value) -> Option<ShortStr> {
    if let Value::Text(text) = value {
        return native_text(text);
    }
    odd_bytes(value).cloned().and_then(ShortStr::new)
}

/// Bytes that a reader could not take for text.
fn odd_bytes(value: &Value) -> Option<&Bytes> {
    if let Value::Bytes(bytes) = value
        && std::str::from_utf8(bytes).is_err()
    {
        return Some(bytes);
    }
    None
}

/// The event time as whole seconds, when the field can hold it.
pub(super) fn native_seconds(event_at: EventTime) -> Option<u64> {
    match event_at {
        EventTime::Seconds(seconds) => u64::try_from(seconds).ok(),
        EventTime::Millis(ms) => u64::try_from(ms.div_euclid(1000)).ok(),
    }
}

fn long_text(text: Option<&Text>) -> Option<Value> {
    let text = text.filter(|text| native_text(text).is_none())?;
    Some(Value::Text(text.clone()))
}

fn odd_id(value: Option<&Value>) -> Option<Value> {
    value.filter(|value| native_id(value).is_none()).cloned()
}

fn put_text(value: &Value, place: impl FnOnce(Text)) -> bool {
    match as_text(value) {
        Some(text) => {
            place(text.clone());
            true
        }
        None => false,
    }
}

fn as_text(value: &Value) -> Option<&Text> {
    if let Value::Text(text) = value {
        return Some(text);
    }
    None
}

fn get_content_type(message: &Message) -> Option<Value> {
    long_text(message.properties.as_ref()?.content_type.as_ref())
}

fn set_content_type(message: &mut Message, value: &Value) -> bool {
    put_text(value, |text| {
        message.properties_mut().content_type = Some(text);
    })
}

fn get_encoding(message: &Message) -> Option<Value> {
    long_text(message.properties.as_ref()?.content_encoding.as_ref())
}

fn set_encoding(message: &mut Message, value: &Value) -> bool {
    put_text(value, |text| {
        message.properties_mut().content_encoding = Some(text);
    })
}

fn get_correlation(message: &Message) -> Option<Value> {
    odd_id(message.properties.as_ref()?.correlation.as_ref())
}

fn set_correlation(message: &mut Message, value: &Value) -> bool {
    message.properties_mut().correlation = Some(value.clone());
    true
}

fn get_message_id(message: &Message) -> Option<Value> {
    odd_id(message.properties.as_ref()?.message_id.as_ref())
}

fn set_message_id(message: &mut Message, value: &Value) -> bool {
    message.properties_mut().message_id = Some(value.clone());
    true
}

fn get_kind(message: &Message) -> Option<Value> {
    long_text(message.properties.as_ref()?.kind.as_ref())
}

fn set_kind(message: &mut Message, value: &Value) -> bool {
    put_text(value, |text| message.properties_mut().kind = Some(text))
}

fn get_app(message: &Message) -> Option<Value> {
    long_text(message.properties.as_ref()?.app.as_ref())
}

fn set_app(message: &mut Message, value: &Value) -> bool {
    put_text(value, |text| message.properties_mut().app = Some(text))
}

fn get_trace_parent(message: &Message) -> Option<Value> {
    let trace = message.properties.as_ref()?.trace.as_ref()?;
    Some(Value::Text(trace.parent.clone()))
}

fn set_trace_parent(message: &mut Message, value: &Value) -> bool {
    put_text(value, |parent| {
        let trace = &mut message.properties_mut().trace;
        let state = trace.take().and_then(|trace| trace.state);
        *trace = Some(TraceContext { parent, state });
    })
}

fn get_trace_state(message: &Message) -> Option<Value> {
    let trace = message.properties.as_ref()?.trace.as_ref()?;
    trace.state.clone().map(Value::Text)
}

/// Without a `traceparent`, which stands before it, there is nothing that it could continue.
fn set_trace_state(message: &mut Message, value: &Value) -> bool {
    let properties = message.properties.as_mut();
    match properties.and_then(|properties| properties.trace.as_mut()) {
        Some(trace) => put_text(value, |state| trace.state = Some(state)),
        None => false,
    }
}

fn get_key(message: &Message) -> Option<Value> {
    message.key.clone().map(Value::from_untyped)
}

fn set_key(message: &mut Message, value: &Value) -> bool {
    let text = as_text(value).map(|text| text.as_bytes());
    let key = text.or_else(|| odd_bytes(value)).cloned();
    let is_usable = key.is_some();
    if is_usable {
        message.key = key;
    }
    is_usable
}

fn get_null_body(message: &Message) -> Option<Value> {
    message
        .body
        .is_none()
        .then(|| Value::Text(Text::from_static("1")))
}

fn set_null_body(message: &mut Message, value: &Value) -> bool {
    let says_null = as_text(value).is_some_and(|text| &**text == "1");
    let is_usable = says_null && message.body_len() == 0;
    if is_usable {
        message.body = None;
    }
    is_usable
}

fn get_format(message: &Message) -> Option<Value> {
    let digit = match message.properties.as_ref()?.format? {
        BodyFormat::Bytes => "0",
        BodyFormat::Text => "1",
    };
    Some(Value::Text(Text::from_static(digit)))
}

fn set_format(message: &mut Message, value: &Value) -> bool {
    let format = match as_text(value).map(|text| &**text) {
        Some("0") => BodyFormat::Bytes,
        Some("1") => BodyFormat::Text,
        _ => return false,
    };
    message.properties_mut().format = Some(format);
    true
}

fn get_latest(message: &Message) -> Option<Value> {
    message
        .terms
        .latest
        .then(|| Value::Text(Text::from_static("1")))
}

fn set_latest(message: &mut Message, value: &Value) -> bool {
    let says_latest = as_text(value).is_some_and(|text| &**text == "1");
    message.terms.latest |= says_latest;
    says_latest
}

fn get_event_ms(message: &Message) -> Option<Value> {
    let event_at = message.terms.event_at?;
    let is_whole = match event_at {
        EventTime::Seconds(_) => true,
        EventTime::Millis(ms) => ms.rem_euclid(1000) == 0,
    };
    if is_whole && native_seconds(event_at).is_some() {
        return None;
    }
    Some(Value::Text(Text::from(event_at.as_millis().to_string())))
}

/// Milliseconds count only when they agree with the seconds of the field.
fn set_event_ms(message: &mut Message, value: &Value) -> bool {
    let said = as_text(value).and_then(|text| text.parse().ok());
    let Some(ms) = said.map(EventTime::Millis) else {
        return false;
    };
    let field = message.terms.event_at.and_then(native_seconds);
    let agrees = field == native_seconds(ms);
    if agrees {
        message.terms.event_at = Some(ms);
    }
    agrees
}
