#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test names what it expects"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fairlead_canon::{
    Address, BodyFormat, DeadReason, Death, EventTime, LossCode, Message, Path, Promise, RealmId,
    ReplyTo, Terms, Text, Timestamp, Value,
};

use super::*;
use crate::codec::{self, Delivery, Packet, Properties, Publish, Version};

const EPOCH: Timestamp = Timestamp(0);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn publish(wire: &[u8]) -> Publish {
    match codec::decode(&mut BytesMut::from(wire), Version::V5, 1 << 20) {
        Ok(Some(Packet::Publish(publish))) => publish,
        other => panic!("{other:?}"),
    }
}

fn message_of(publish: &Publish) -> Message {
    let inbound = Inbound {
        address: address_of(&publish.topic).unwrap(),
        qos: publish.delivery.qos(),
        retain: publish.retain,
        properties: &publish.properties,
        payload: publish.payload.clone(),
    };
    let (message, loss) = ingest(inbound, EPOCH).unwrap();
    assert!(loss.is_none());
    message
}

fn segments(path: &Path) -> String {
    let shown: Vec<String> = path
        .segments()
        .map(|s| String::from_utf8(s.to_vec()).unwrap())
        .collect();
    shown.join("|")
}

fn value(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("text:{text}"),
        Value::Bytes(bytes) => format!("bytes:{}", hex(bytes)),
        other => format!("{other:?}"),
    }
}

fn reply(reply: &ReplyTo) -> String {
    match reply {
        ReplyTo::Address(address) if address.realm == RealmId::QUEUES => {
            format!("queue:{}", segments(&address.path))
        }
        ReplyTo::Address(address) => segments(&address.path),
        other => format!("{other:?}"),
    }
}

/// A message as the words of `mapping.toml`.
fn shown(message: &Message) -> BTreeMap<String, String> {
    let mut shown = BTreeMap::new();
    let mut put = |name: &str, said: Option<String>| {
        shown.extend(said.map(|said| (name.to_owned(), said)));
    };
    let terms = message.terms;
    put("address", Some(segments(&message.address.path)));
    put("key", message.key.as_deref().map(hex));
    put("body", message.body.as_deref().map(hex));
    put(
        "promise",
        Some(format!("{:?}", terms.promise).to_lowercase()),
    );
    put(
        "qos",
        (published_qos(message) == Qos::ExactlyOnce).then(|| "2".to_owned()),
    );
    put("latest", terms.latest.then(|| "true".to_owned()));
    put("deadline", terms.deadline.map(|at| at.0.to_string()));
    put(
        "event_at",
        terms.event_at.map(|at| at.as_millis().to_string()),
    );
    put(
        "priority",
        terms.priority.map(|priority| priority.to_string()),
    );
    if let Some(own) = &message.properties {
        let text = |text: &Option<Text>| text.as_ref().map(ToString::to_string);
        let format = own
            .format
            .map(|format| format!("{format:?}").to_lowercase());
        put("format", format);
        put("content_type", text(&own.content_type));
        put("content_encoding", text(&own.content_encoding));
        put("kind", text(&own.kind));
        put("app", text(&own.app));
        put("message_id", own.message_id.as_ref().map(value));
        put("correlation", own.correlation.as_ref().map(value));
        put("reply_to", own.reply_to.as_ref().map(reply));
        put(
            "trace",
            own.trace.as_ref().map(|trace| trace.parent.to_string()),
        );
    }
    let headers = message.headers.iter();
    let headers: Vec<String> = headers
        .map(|h| {
            format!(
                "{}={}",
                String::from_utf8(h.name.to_vec()).unwrap(),
                value(&h.value)
            )
        })
        .collect();
    put("headers", (!headers.is_empty()).then(|| headers.join(" ")));
    shown
}

/// The PUBLISH of a message, with what is of the hop taken from `like`.
fn wire_of(message: &Message, like: &Publish) -> Vec<u8> {
    let target = Target {
        version: Version::V5,
        left: message.terms.deadline.map(|at| at.since(EPOCH)),
        ids: &[],
        is_resent: false,
    };
    let emitted = Emitter::default().emit(message, target).unwrap();
    assert!(emitted.loss.is_none());
    let publish = Publish {
        topic: emitted.topic,
        properties: emitted.properties,
        payload: emitted.payload,
        ..like.clone()
    };
    let mut out = BytesMut::new();
    Packet::Publish(publish)
        .encode(Version::V5, &mut out)
        .unwrap();
    out.to_vec()
}

fn fields() -> Vec<toml::Table> {
    let mapping: toml::Table = include_str!("../../mapping.toml").parse().unwrap();
    let fields = mapping["field"].as_array().unwrap().clone();
    fields
        .into_iter()
        .map(|field| field.as_table().unwrap().clone())
        .collect()
}

#[test]
fn every_vector_of_the_mapping_holds_in_both_directions() {
    let mut count = 0;
    for field in fields() {
        let vectors = field.get("vector").and_then(|vectors| vectors.as_array());
        for vector in vectors.into_iter().flatten() {
            let wire = bytes(vector["wire"].as_str().unwrap());
            let canon = vector["canon"].as_table().unwrap().iter();
            let canon: BTreeMap<String, String> = canon
                .map(|(name, said)| (name.clone(), said.as_str().unwrap().to_owned()))
                .collect();
            let publish = publish(&wire);
            let message = message_of(&publish);
            assert_eq!(shown(&message), canon, "{:?}", field["canon"]);
            assert_eq!(
                hex(&wire_of(&message, &publish)),
                hex(&wire),
                "{:?}",
                field["canon"]
            );
            count += 1;
        }
    }
    assert!(count > 20, "{count} vectors");
}

fn full() -> Message {
    let address = Address::shared(Path::from_segments(["a"]).unwrap());
    let mut terms = Terms::accepted(EPOCH, Promise::Durable);
    terms.event_at = Some(EventTime::Millis(5));
    terms.deadline = Some(Timestamp(2_500));
    terms.priority = Some(0);
    let mut message = Message::new(address, Bytes::from_static(b"x"), terms);
    message.key = Some(Bytes::from_static(b"k"));
    message.body = None;
    let mut headers = fairlead_canon::HeadersBuilder::default();
    headers.push(b"h", &Value::Text(Text::from_static("v")));
    message.headers = headers.build().unwrap();
    let own = message.properties_mut();
    own.content_type = Some(Text::from_static("a/b"));
    own.content_encoding = Some(Text::from_static("gzip"));
    own.kind = Some(Text::from_static("k"));
    own.app = Some(Text::from_static("a"));
    own.message_id = Some(Value::U64(7));
    own.correlation = Some(Value::Text(Text::from_static("c")));
    own.reply_to = Some(ReplyTo::Entity(Text::from_static("q")));
    own.format = Some(BodyFormat::Text);
    message
}

/// A message that died in a queue.
fn dead() -> Message {
    let mut message = full();
    let death = Death {
        stream: Text::from_static("q"),
        reason: DeadReason::Rejected,
        count: 1,
        first_at: EPOCH,
        last_at: EPOCH,
        realm: Text::from_static("r"),
        path: Path::EMPTY,
        life_ms: None,
        is_first: true,
    };
    message.properties_mut().deaths.record(death);
    message
}

#[test]
fn what_3_1_1_cannot_say_is_counted_under_the_name_in_the_mapping() {
    let target = Target {
        version: Version::V311,
        left: dead().terms.deadline.map(|at| at.since(EPOCH)),
        ids: &[],
        is_resent: false,
    };
    let emitted = Emitter::default().emit(&dead(), target).unwrap();
    assert_eq!(emitted.properties, Properties::NONE);
    let counted: Vec<&str> = emitted.loss.codes().map(LossCode::name).collect();
    let unset = ["user", "trace"];
    let mut named = 0;
    for field in fields() {
        let code = field
            .get("v311")
            .map(|v311| v311["loss"].as_str().unwrap().to_owned());
        if let Some(code) = code.filter(|_| !unset.contains(&field["canon"].as_str().unwrap())) {
            assert!(counted.contains(&&*code), "{code} is not among {counted:?}");
            named += 1;
        }
    }
    assert_eq!(named, counted.len(), "{counted:?}");
}

#[test]
fn where_a_message_died_is_in_user_properties_of_mqtt_5() {
    let target = Target {
        version: Version::V5,
        left: dead().terms.deadline.map(|at| at.since(EPOCH)),
        ids: &[],
        is_resent: false,
    };
    let emitted = Emitter::default().emit(&dead(), target).unwrap();
    assert!(emitted.loss.is_none());
    let said = format!("{:?}", emitted.properties);
    for part in [
        "fl-deaths",
        "x-first-death-queue",
        "x-last-death-reason",
        "rejected",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_message_with_every_field_goes_through_mqtt_5_and_back() {
    let message = full();
    let like = Publish {
        dup: false,
        delivery: Delivery::AtLeastOnce(codec::PacketId::MAX),
        retain: false,
        topic: Text::new(),
        properties: Properties::NONE,
        payload: Bytes::new(),
    };
    let back = message_of(&publish(&wire_of(&message, &like)));
    let (mut wanted, mut came) = (shown(&message), shown(&back));
    // Seconds are what MQTT has; the queue comes back as an address in the realm of queues.
    assert_eq!(wanted.remove("deadline").as_deref(), Some("2500"));
    assert_eq!(came.remove("deadline").as_deref(), Some("3000"));
    wanted.remove("reply_to");
    assert_eq!(came.remove("reply_to").as_deref(), Some("queue:q"));
    assert_eq!(came, wanted);
}

//= MQTT-3.3.2-5
#[test]
fn what_is_left_of_a_life_is_rounded_up_and_never_0() {
    let seconds = |left| {
        let message = full();
        let target = Target {
            version: Version::V5,
            left: Some(Duration::from_millis(left)),
            ids: &[],
            is_resent: false,
        };
        let emitted = Emitter::default().emit(&message, target).ok()?;
        emitted
            .properties
            .iter()
            .find_map(|property| match property {
                codec::Property::MessageExpiry(seconds) => Some(seconds),
                _ => None,
            })
    };
    let told = [0, 1, 999, 1000, 1001, u64::from(u32::MAX) * 1000 + 5].map(seconds);
    assert_eq!(
        told,
        [None, Some(1), Some(1), Some(1), Some(2), Some(u32::MAX)]
    );
}

#[test]
fn a_replayed_message_is_marked_and_keeps_its_qos() {
    let message = message_of(&publish(&bytes("35 07 0001 74 0001 00 78")));
    let copy = replayed(&message);
    assert!(is_replayed(&copy) && !is_replayed(&message));
    assert_eq!(published_qos(&copy), Qos::ExactlyOnce);
    assert!(message.terms.latest && !copy.terms.latest);
}
