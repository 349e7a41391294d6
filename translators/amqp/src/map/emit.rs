//! A canonical message as properties for a consumer.

use std::collections::BTreeSet;

use fairlead_canon::{Loss, LossCode, Message, Promise, Properties, Timestamp, Value};

use super::home::Facts;
use super::place::reply_name;
use super::{deaths, headers, native};
use crate::codec::{BasicProperties, ShortStr};

/// The properties of a message, delivered at `now`.
pub(crate) fn emit(message: &Message, now: Timestamp, loss: &mut Loss) -> BasicProperties {
    let facts = Facts::of(message);
    let none = Properties::default();
    let said = message.properties.as_deref().unwrap_or(&none);
    let mut properties = match facts.verbatim {
        Some(mut verbatim) => {
            // A message that has died has lost its life, and says so in its history.
            if !said.deaths.is_empty() {
                verbatim.expiration = None;
            }
            verbatim
        }
        None => rebuilt(message, said, &facts, now, loss),
    };
    deaths::add(message, &mut properties.headers);
    properties
}

fn rebuilt(
    message: &Message,
    said: &Properties,
    facts: &Facts,
    now: Timestamp,
    loss: &mut Loss,
) -> BasicProperties {
    BasicProperties {
        content_type: said.content_type.as_ref().and_then(native::text),
        content_encoding: said.content_encoding.as_ref().and_then(native::text),
        headers: headers::write(message),
        delivery_mode: (!facts.no_delivery_mode).then_some(mode(message.terms.promise)),
        priority: message.terms.priority,
        correlation_id: said.correlation.as_ref().and_then(native::id),
        reply_to: said.reply_to.as_ref().and_then(|wish| {
            let name = reply_name(wish);
            if name.is_none() {
                loss.add(LossCode::ReplyTo);
            }
            name
        }),
        expiration: expiration(message, facts.own_expiration, now),
        message_id: said.message_id.as_ref().and_then(native::id),
        timestamp: message.terms.event_at.and_then(native::seconds),
        kind: said.kind.as_ref().and_then(native::text),
        user_id: said.user.as_ref().and_then(|user| native::text(&user.name)),
        app_id: said.app.as_ref().and_then(native::text),
        cluster_id: None,
    }
}

/// Drops headers until the properties fit `bytes_max`: the largest first.
pub(crate) fn drop_largest_headers(properties: &mut BasicProperties, bytes_max: usize) {
    let Some(table) = &mut properties.headers else {
        return;
    };
    let sizes = table
        .0
        .iter()
        .map(|(name, value)| name.len() + 1 + size(value));
    let mut by_size: Vec<(usize, usize)> = sizes.enumerate().map(|(i, size)| (size, i)).collect();
    by_size.sort_unstable();
    let mut left = bytes_max.saturating_sub(OTHERS_BYTES_MAX);
    let fitting = by_size.into_iter().map_while(|(size, index)| {
        left = left.checked_sub(size)?;
        Some(index)
    });
    let kept: BTreeSet<usize> = fitting.collect();
    let mut indices = 0..;
    table
        .0
        .retain(|_| indices.next().is_some_and(|index| kept.contains(&index)));
}

/// All properties but the headers at their longest, and the frame around them, in bytes.
const OTHERS_BYTES_MAX: usize = 3_000;

/// The most bytes that a value takes in a table.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what has no length of its own takes nine bytes, or is written as a short text"
)]
fn size(value: &Value) -> usize {
    match value {
        Value::Text(text) | Value::Symbol(text) => 5 + text.len(),
        Value::RawText(bytes) | Value::Bytes(bytes) => 5 + bytes.len(),
        Value::List(values) => 5 + values.iter().map(size).sum::<usize>(),
        Value::Map(entries) => {
            let sizes = entries
                .iter()
                .map(|(name, value)| name.len() + 1 + size(value));
            5 + sizes.sum::<usize>()
        }
        _ => 40,
    }
}

fn mode(promise: Promise) -> u8 {
    match promise {
        Promise::Durable => 2,
        Promise::Nothing | Promise::Accepted => 1,
    }
}

/// To its own protocol the life as published; from others what is left of it, never 0.
fn expiration(message: &Message, is_own: bool, now: Timestamp) -> Option<ShortStr> {
    let deadline = message.terms.deadline?;
    let left = match is_own {
        true => deadline.since(message.terms.accepted_at).as_millis(),
        false => deadline.since(now).as_millis().max(1),
    };
    Some(ShortStr::cut(&left.to_string()))
}
