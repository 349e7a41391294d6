//! What an application can see of a message, in words that all three protocols share, and what the mapping
//! leaves of it for a reader of another protocol. `mapping.md` sections 4, 6, 7 and 12, restated for tests.

use crate::{Record, Value};

/// The language of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tongue {
    Mqtt5,
    Mqtt311,
    Kafka,
    Amqp,
}

/// A message as an application sees it. `life` says only whether there is an expiry: its rest shrinks on the way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    pub body: Option<Vec<u8>>,
    pub key: Option<Vec<u8>>,
    /// Without the names that carry properties.
    pub headers: Vec<(String, Value)>,
    pub properties: Vec<(&'static str, String)>,
    pub correlation: Option<Vec<u8>>,
    pub reply_to: Option<String>,
    pub event_ms: Option<i64>,
    pub life: bool,
}

/// Properties that are text in each protocol, by the header that carries them where there is no field.
const TEXTS: [&str; 5] = [
    "content-type",
    "content-encoding",
    "message-id",
    "type",
    "app-id",
];
const CARRIERS: [&str; 5] = [
    "correlation-id",
    "x-correlation-id",
    "reply-to",
    "x-reply-to-topic",
    "user-id",
];

impl Seen {
    /// Reads a record that a client of this tongue has published or received.
    pub fn of(tongue: Tongue, record: &Record) -> Self {
        let flagged = record.header("fl-null").is_some();
        let text = |name: &str| record.header(name).map(as_text);
        let event = record.timestamp_ms;
        Self {
            body: record.body.clone().filter(|_| !flagged),
            key: record
                .key
                .clone()
                .or_else(|| text("fl-key").map(String::into_bytes)),
            headers: record
                .headers
                .iter()
                .filter(|(name, _)| !carries(name))
                .cloned()
                .collect(),
            properties: TEXTS
                .into_iter()
                .filter_map(|name| Some((name, property(record, name)?)))
                .collect(),
            correlation: record
                .correlation
                .clone()
                .or_else(|| carried_correlation(record)),
            reply_to: record.reply_to.clone().or_else(|| text("reply-to")),
            event_ms: match text("fl-ts") {
                Some(none) if none == "none" => None,
                Some(stamp) => stamp.parse().ok(),
                None => event,
            },
            life: record.expiry_ms.is_some()
                || (tongue == Tongue::Kafka && record.header("fl-deadline").is_some()),
        }
    }

    /// What a reader of another tongue sees of this message.
    pub fn told(mut self, from: Tongue, to: Tongue) -> Self {
        if to == Tongue::Mqtt311 {
            return Self {
                body: Some(self.body.unwrap_or_default()),
                ..Self::default()
            };
        }
        if from == to {
            return self;
        }
        self.reply_to = self.reply_to.map(|name| reply_name(from, to, &name));
        for (_, value) in &mut self.headers {
            *value = told_value(to, value);
        }
        if to == Tongue::Amqp {
            // A table holds a name once; the second occurrence travels in `fl-dup`.
            let mut first = Vec::new();
            self.headers
                .retain(|(name, _)| !first.contains(name) && (first.push(name.clone()), true).1);
        }
        self
    }

    /// The fields in which `other` differs, each with both values, cut to a readable length.
    pub fn differences(&self, other: &Self) -> String {
        let fields = |seen: &Self| {
            let mut fields = vec![
                ("body", format!("{:?}", seen.body)),
                ("key", format!("{:?}", seen.key)),
            ];
            fields.push(("headers", format!("{:?}", seen.headers)));
            fields.push(("properties", format!("{:?}", seen.properties)));
            fields.push(("correlation", format!("{:?}", seen.correlation)));
            fields.push(("reply_to", format!("{:?}", seen.reply_to)));
            fields.push(("event_ms", format!("{:?}", seen.event_ms)));
            fields.push(("life", format!("{:?}", seen.life)));
            fields
        };
        let cut = |text: &str| text.chars().take(400).collect::<String>();
        let pairs = fields(self).into_iter().zip(fields(other));
        let differing = pairs.filter(|((_, mine), (_, theirs))| mine != theirs);
        differing
            .map(|((name, mine), (_, theirs))| {
                format!("  {name}: {}\n   not: {}\n", cut(&theirs), cut(&mine))
            })
            .collect()
    }
}

fn carries(name: &str) -> bool {
    name.starts_with("fl-") || TEXTS.contains(&name) || CARRIERS.contains(&name)
}

fn property(record: &Record, name: &str) -> Option<String> {
    let field = match name {
        "content-type" => &record.content_type,
        "content-encoding" => &record.content_encoding,
        "message-id" => &record.message_id,
        "type" => &record.kind,
        _ => &record.app_id,
    };
    field.clone().or_else(|| record.header(name).map(as_text))
}

fn carried_correlation(record: &Record) -> Option<Vec<u8>> {
    let value = record
        .header("correlation-id")
        .or_else(|| record.header("x-correlation-id"))?;
    Some(match value["b64"].as_str() {
        Some(bytes) => crate::record::unpack(bytes),
        None => as_text(value).into_bytes(),
    })
}

fn as_text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// The text form of a value, for a reader whose headers are not typed.
fn told_value(to: Tongue, value: &Value) -> Value {
    match (to, value) {
        (Tongue::Amqp, _) | (Tongue::Kafka, Value::Null) | (_, Value::String(_)) => value.clone(),
        (Tongue::Mqtt5, Value::Null) => Value::from(""),
        (Tongue::Mqtt5, Value::Object(marked)) if marked.contains_key("b64") => {
            marked["b64"].clone()
        }
        (Tongue::Kafka, Value::Object(marked)) if marked.contains_key("b64") => value.clone(),
        _ => Value::from(value.to_string()),
    }
}

/// A name to reply to, for plain names of letters: mapping.md section 12 has the general rule.
fn reply_name(from: Tongue, to: Tongue, name: &str) -> String {
    match (from, to) {
        (Tongue::Amqp, Tongue::Mqtt5) => format!("$reply/q/{name}"),
        (Tongue::Amqp, _) => format!("-_24reply.q.{name}"),
        (_, Tongue::Amqp) => format!("fl.address:{}", name.replace('/', ".")),
        (Tongue::Kafka, _) => name.replace('.', "/"),
        _ => name.replace('/', "."),
    }
}
