//! A published message as a canonical one.

use std::time::Duration;

use bytes::Bytes;
use fairlead_canon::{
    Address, EventTime, Message, Promise, Properties, Terms, Text, Timestamp, User, Value,
};

use super::headers;
use super::home::Facts;
use super::place::reply_to;
use crate::codec::{BasicProperties, ShortStr};
use crate::errors::{Refusal, ReplyCode};

/// The longest life that may be asked for, as in RabbitMQ: ten years of 365 days.
const EXPIRATION_MS_MAX: u64 = 315_360_000_000;

/// The canonical form of a message that was published to `address` at `now`.
pub(crate) fn ingest(
    properties: &BasicProperties,
    body: Bytes,
    address: Address,
    now: Timestamp,
) -> Result<Message, Refusal> {
    let terms = terms(properties, now)?;
    let mut message = Message::new(address, body, terms);
    message.properties = vocabulary(properties);
    let mut is_plain = true;
    if let Some(table) = &properties.headers {
        let restored = headers::read(table, message);
        message = restored.message;
        is_plain = restored.loss.is_none();
    }
    let facts = Facts {
        no_delivery_mode: properties.delivery_mode.is_none(),
        own_expiration: properties.expiration.is_some(),
        verbatim: (!is_plain || needs_verbatim(properties, &message)).then(|| properties.clone()),
    };
    message.home = facts.into_home();
    Ok(message)
}

fn terms(properties: &BasicProperties, now: Timestamp) -> Result<Terms, Refusal> {
    let promise = match properties.delivery_mode {
        Some(2) => Promise::Durable,
        _ => Promise::Accepted,
    };
    let life = properties.expiration.as_ref().map(life).transpose()?;
    let seconds = properties
        .timestamp
        .and_then(|said| i64::try_from(said).ok());
    Ok(Terms {
        event_at: seconds.map(EventTime::Seconds),
        deadline: life.map(|life| now.after(life)),
        priority: properties.priority,
        ..Terms::accepted(now, promise)
    })
}

//= basic.properties.expiration: milliseconds to live, as decimal text.
fn life(expiration: &ShortStr) -> Result<Duration, Refusal> {
    let said = expiration.as_bytes();
    milliseconds(said).map_err(|why| {
        let text = format!("invalid expiration '{}': {why}", said.escape_ascii());
        ReplyCode::PreconditionFailed.because(text)
    })
}

/// What is wrong is said in RabbitMQ's words.
fn milliseconds(said: &[u8]) -> Result<Duration, String> {
    let (is_negative, unsigned) = match said.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        Some(_) | None => (false, said),
    };
    let digits = unsigned
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let (digits, leftover) = unsigned.split_at(digits);
    if digits.is_empty() {
        return Err("no_integer".to_owned());
    }
    if !leftover.is_empty() {
        return Err(format!(
            "{{leftover_string,\"{}\"}}",
            leftover.escape_ascii()
        ));
    }
    let number = digits.escape_ascii();
    if is_negative && digits.iter().any(|digit| *digit != b'0') {
        return Err(format!("{{value_negative,-{number}}}"));
    }
    let ms = number.to_string().parse().ok();
    ms.filter(|ms| *ms <= EXPIRATION_MS_MAX)
        .map(Duration::from_millis)
        .ok_or_else(|| format!("{{value_too_large,{number}}}"))
}

fn vocabulary(properties: &BasicProperties) -> Option<Box<Properties>> {
    let fields = [
        &properties.content_type,
        &properties.content_encoding,
        &properties.kind,
        &properties.app_id,
        &properties.message_id,
        &properties.correlation_id,
        &properties.reply_to,
        &properties.user_id,
    ];
    if fields.into_iter().all(Option::is_none) {
        return None;
    }
    let said = Properties {
        content_type: properties.content_type.as_ref().and_then(text),
        content_encoding: properties.content_encoding.as_ref().and_then(text),
        kind: properties.kind.as_ref().and_then(text),
        app: properties.app_id.as_ref().and_then(text),
        message_id: properties.message_id.as_ref().map(identifier),
        correlation: properties.correlation_id.as_ref().map(identifier),
        reply_to: properties.reply_to.as_ref().and_then(reply_to),
        user: properties.user_id.as_ref().and_then(text).map(|name| User {
            name,
            is_verified: true,
        }),
        ..Properties::default()
    };
    Some(Box::new(said))
}

fn text(field: &ShortStr) -> Option<Text> {
    Text::try_from(field.as_bytes().clone()).ok()
}

fn identifier(field: &ShortStr) -> Value {
    Value::from_untyped(field.as_bytes().clone())
}

/// Whether the canonical form would not give back what an application can see.
fn needs_verbatim(properties: &BasicProperties, message: &Message) -> bool {
    let texts = [
        &properties.content_type,
        &properties.content_encoding,
        &properties.kind,
        &properties.app_id,
        &properties.reply_to,
        &properties.user_id,
    ];
    let has_odd_text = texts
        .into_iter()
        .flatten()
        .any(|field| field.as_str().is_none());
    let has_odd_table = properties.headers.is_some() && message.headers.is_empty();
    let has_odd_mode = properties
        .delivery_mode
        .is_some_and(|mode| !matches!(mode, 1 | 2));
    let has_odd_time = properties.timestamp.is_some() != message.terms.event_at.is_some();
    let has_odd_life = properties.expiration.as_ref().is_some_and(|said| {
        let digits = said.as_bytes();
        digits.starts_with(b"+") || (digits.starts_with(b"0") && digits.len() > 1)
    });
    has_odd_text
        || has_odd_table
        || has_odd_mode
        || has_odd_time
        || has_odd_life
        || properties.cluster_id.is_some()
}
