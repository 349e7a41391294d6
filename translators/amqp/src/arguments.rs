//! Arguments of methods, and the words in which RabbitMQ refuses them.

use std::fmt::Display;

use bytes::Bytes;
use fairlead_canon::Value;

use crate::codec::{ShortStr, Table};
use crate::errors::{Refusal, ReplyCode};
use crate::exchanges::shown;

/// The arguments of a queue, for reading.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueArguments<'a> {
    /// As they came.
    pub(crate) table: &'a Table,
    /// Whose they are.
    pub(crate) queue: &'a ShortStr,
}

impl QueueArguments<'_> {
    /// Whether there is an argument of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.table.get(name.as_bytes()).is_some()
    }

    /// A number.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let Some(value) = self.table.get(name.as_bytes()) else {
            return Ok(None);
        };
        let number = integer(value).map(Some);
        number.ok_or_else(|| {
            let why = format!("\"expected integer, got {}\"", type_name(value));
            self.invalid(name, why)
        })
    }

    /// A number that is not negative.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let Some(number) = self.integer(name)? else {
            return Ok(None);
        };
        let positive = u64::try_from(number).map(Some);
        positive.map_err(|_negative| self.invalid(name, format!("{{value_negative,{number}}}")))
    }

    /// A text, as bytes.
    pub(crate) fn text(&self, name: &str) -> Result<Option<Bytes>, Refusal> {
        let Some(value) = self.table.get(name.as_bytes()) else {
            return Ok(None);
        };
        let text = text_bytes(value).map(Some);
        text.ok_or_else(|| self.unacceptable(name, value))
    }

    /// A switch, off unless it is said.
    pub(crate) fn switch(&self, name: &str) -> Result<bool, Refusal> {
        match self.table.get(name.as_bytes()) {
            None => Ok(false),
            Some(Value::Bool(is_on)) => Ok(*is_on),
            Some(other) => Err(self.unacceptable(name, other)),
        }
    }

    /// The refusal of an argument, and why.
    pub(crate) fn invalid(&self, name: &str, why: impl Display) -> Refusal {
        self.refuse(format!(
            "invalid arg '{name}' for queue '{}' in vhost '/': {why}",
            shown(self.queue)
        ))
    }

    /// The refusal of an argument that queues of this type do not have.
    pub(crate) fn foreign(&self, name: &str, queue_type: &str) -> Refusal {
        self.refuse(format!(
            "invalid arg '{name}' for queue '{}' in vhost '/' of queue type {queue_type}",
            shown(self.queue)
        ))
    }

    /// The refusal of an argument that is not of the only type that it can have.
    pub(crate) fn mistyped(&self, name: &str, value: &Value) -> Refusal {
        self.refuse(format!(
            "invalid type '{}' for arg '{name}' in queue '{}' in vhost '/'",
            type_name(value),
            shown(self.queue)
        ))
    }

    fn unacceptable(&self, name: &str, value: &Value) -> Refusal {
        self.invalid(name, format!("{{unacceptable_type,{}}}", type_name(value)))
    }

    fn refuse(&self, text: String) -> Refusal {
        ReplyCode::PreconditionFailed.because(text)
    }
}

/// The number that a value is; `None` when it is none that fits.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the others are not whole numbers"
)]
pub(crate) fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::I8(n) => Some(i64::from(*n)),
        Value::U8(n) => Some(i64::from(*n)),
        Value::I16(n) => Some(i64::from(*n)),
        Value::U16(n) => Some(i64::from(*n)),
        Value::I32(n) => Some(i64::from(*n)),
        Value::U32(n) => Some(i64::from(*n)),
        Value::I64(n) => Some(*n),
        _ => None,
    }
}

/// The bytes of a text, whether or not it is UTF-8.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "only these two are texts on the wire"
)]
pub(crate) fn text_bytes(value: &Value) -> Option<Bytes> {
    match value {
        Value::Text(text) => Some(text.as_bytes().clone()),
        Value::RawText(bytes) => Some(bytes.clone()),
        _ => None,
    }
}

/// What RabbitMQ calls the type of a value.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "void",
        Value::Bool(_) => "bool",
        Value::I8(_) => "byte",
        Value::U8(_) => "unsignedbyte",
        Value::I16(_) => "short",
        Value::U16(_) => "unsignedshort",
        Value::I32(_) => "signedint",
        Value::U32(_) => "unsignedint",
        Value::I64(_) | Value::U64(_) | Value::TimeMillis(_) => "long",
        Value::F32(_) => "float",
        Value::F64(_) => "double",
        Value::Decimal { .. } => "decimal",
        Value::TimeSeconds(_) => "timestamp",
        Value::Text(_) | Value::RawText(_) | Value::Symbol(_) | Value::Uuid(_) => "longstr",
        Value::Bytes(_) => "binary",
        Value::List(_) => "array",
        Value::Map(_) => "table",
    }
}

/// The first of these arguments that two declarations disagree on, with what each says, for people.
pub(crate) fn first_difference(
    names: &[&'static str],
    said: &Table,
    held: &Table,
) -> Option<(&'static str, String, String)> {
    names.iter().find_map(|name| {
        let (said, held) = (said.get(name.as_bytes()), held.get(name.as_bytes()));
        match (said, held) {
            (None, None) => None,
            (Some(said), Some(held)) if is_same(said, held) => None,
            (Some(said), Some(held)) => Some((
                *name,
                format!("'{}'", head(said)),
                format!("'{}'", head(held)),
            )),
            (said, held) => Some((*name, alone(said), alone(held))),
        }
    })
}

/// Numbers are compared as numbers, whatever their width.
fn is_same(one: &Value, other: &Value) -> bool {
    let (one_number, other_number) = (integer(one), integer(other));
    one == other || one_number.is_some() && one_number == other_number
}

fn alone(value: Option<&Value>) -> String {
    value.map_or_else(
        || "none".to_owned(),
        |value| format!("the value '{}' of type '{}'", head(value), type_name(value)),
    )
}

/// Not more of a value than a reply text holds.
fn head(value: &Value) -> String {
    let text = value.to_text();
    let head = text.get(..64.min(text.len())).unwrap_or_default();
    head.escape_ascii().to_string()
}
