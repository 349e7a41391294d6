//! Holds the conversion to `mapping.toml`: each vector from record to message and from message to
//! record.

#![expect(
    clippy::unwrap_used,
    reason = "a test says what it expects and stops where it is wrong"
)]

use bytes::Bytes;
use fairlead_canon::codec::records::{self, Record};
use fairlead_canon::{
    Address, EventTime, HeadersBuilder, Message, Path, Promise, ReplyTo, Terms, Text, Timestamp,
    Value,
};
use toml::Table;

fn text(value: &toml::Value) -> Text {
    Text::from(value.as_str().unwrap().to_owned())
}

fn bytes(value: &toml::Value) -> Bytes {
    text(value).into_bytes()
}

fn address(segments: &toml::Value) -> Address {
    let segments = segments.as_array().unwrap().iter().map(bytes);
    Address::shared(Path::from_segments(segments).unwrap())
}

fn topic() -> Address {
    Address::shared(Path::from_segments(["orders", "eu"]).unwrap())
}

fn record(wire: &Table) -> Record {
    let none = Vec::new();
    let headers = wire
        .get("headers")
        .map_or(&none, |headers| headers.as_array().unwrap());
    let value = wire.get("value").map_or(Bytes::from("hi"), bytes);
    Record {
        delta: 0,
        time: wire
            .get("time")
            .map_or(5, |time| time.as_integer().unwrap()),
        key: wire.get("key").map(bytes),
        value: (!wire.contains_key("null_value")).then_some(value),
        headers: headers
            .iter()
            .map(|pair| (bytes(&pair[0]), pair.get(1).map(bytes)))
            .collect(),
    }
}

/// What a record that was sent means to others.
fn read(record: Record) -> Message {
    let batch = records::accept(records::build(0, &[record])).unwrap();
    batch.open(&topic()).unwrap().remove(0).message
}

/// The message of a vector; what it does not name is as in `base`.
fn message(canon: &Table, accepted_at: Timestamp) -> Message {
    let terms = Terms::accepted(accepted_at, Promise::Durable);
    let mut message = Message::new(topic(), Bytes::from("hi"), terms);
    message.terms.event_at = Some(EventTime::Millis(5));
    let mut headers = HeadersBuilder::default();
    for (field, value) in canon {
        match field.as_str() {
            "address" => message.address = address(value),
            "key" => message.key = Some(bytes(value)),
            "body" => message.body = Some(bytes(value)),
            "null_body" => message.body = None,
            "event_at" => message.terms.event_at = value.as_integer().map(EventTime::Millis),
            "deadline" => {
                let ms = u64::try_from(value.as_integer().unwrap()).unwrap();
                message.terms.deadline = Some(Timestamp(ms));
            }
            "priority" => {
                message.terms.priority = Some(u8::try_from(value.as_integer().unwrap()).unwrap());
            }
            "latest" => message.terms.latest = true,
            "content_type" => message.properties_mut().content_type = Some(text(value)),
            "content_encoding" => message.properties_mut().content_encoding = Some(text(value)),
            "kind" => message.properties_mut().kind = Some(text(value)),
            "app" => message.properties_mut().app = Some(text(value)),
            "message_id" => message.properties_mut().message_id = Some(Value::Text(text(value))),
            "correlation" => message.properties_mut().correlation = Some(Value::Text(text(value))),
            "reply_to" => {
                message.properties_mut().reply_to = Some(ReplyTo::Address(address(value)));
            }
            "headers" => {
                for pair in value.as_array().unwrap() {
                    let value = match pair.get(1) {
                        None => Value::Null,
                        Some(toml::Value::Integer(number)) => {
                            Value::I32(i32::try_from(*number).unwrap())
                        }
                        Some(other) => Value::Text(text(other)),
                    };
                    headers.push(&bytes(&pair[0]), &value);
                }
            }
            other => assert_eq!(other, "", "unknown field of a vector"),
        }
    }
    message.headers = headers.build().unwrap();
    message
}

#[test]
fn every_row_holds_from_record_to_message_and_back() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("mapping.toml");
    let mapping: Table = std::fs::read_to_string(file).unwrap().parse().unwrap();
    let mut vectors = 0;
    for field in mapping["field"].as_array().unwrap() {
        let name = field["canon"].as_str().unwrap();
        assert!(
            field.get("native").is_some() || field.get("loss").is_some(),
            "{name}: no place"
        );
        let vectors_of = field.get("vector").and_then(|vectors| vectors.as_array());
        for vector in vectors_of.into_iter().flatten() {
            vectors += 1;
            let record = record(vector["wire"].as_table().unwrap());
            let canon = vector["canon"].as_table().unwrap();
            // A message without a time of its own shows when it was accepted.
            let accepted_at = Timestamp(u64::try_from(record.time).unwrap());
            let written = records::record(&message(canon, accepted_at), &topic(), 0);
            assert_eq!(written.0, record, "{name}: canon to wire");
            if vector.get("one_way").is_none() {
                let (read, want) = (read(record), message(canon, accepted_at));
                assert_eq!(
                    format!("{read:?}"),
                    format!("{want:?}"),
                    "{name}: wire to canon"
                );
            }
        }
    }
    println!("kafka: {vectors} vectors of mapping.toml hold");
    assert!(vectors > 0);
}
