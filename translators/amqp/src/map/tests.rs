use bytes::{Bytes, BytesMut};
use fairlead_canon::{
    Address, BodyFormat, EventTime, HeadersBuilder, Loss, Message, Path, Promise, Properties,
    ReplyTo, Terms, Text, Timestamp, TraceContext, Value,
};
use proptest::option::of;
use proptest::prelude::*;

use super::{emit, ingest};
use crate::codec::{BasicProperties, ShortStr, Table};

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn address() -> Address {
    Address::shared(Path::from_segments(["a"]).unwrap())
}

fn written(properties: &BasicProperties) -> BytesMut {
    let mut out = BytesMut::new();
    properties.encode(&mut out).unwrap();
    out
}

fn short() -> impl Strategy<Value = ShortStr> {
    prop_oneof![
        "[a-z]{0,8}".prop_map(|text| ShortStr::new(text).unwrap()),
        proptest::collection::vec(any::<u8>(), 0..4)
            .prop_map(|bytes| ShortStr::new(bytes).unwrap()),
        "[b-d]{255}".prop_map(|text| ShortStr::new(text).unwrap()),
    ]
}

fn name() -> impl Strategy<Value = Bytes> {
    let known = [
        "a",
        "b",
        "",
        "fl-t",
        "fl-dup",
        "fl-key",
        "fl-null",
        "fl-ts",
        "fl-retain",
        "fl-format",
        "traceparent",
        "tracestate",
        "content-type",
        "x-message-id",
    ];
    prop_oneof![
        proptest::sample::select(known.to_vec())
            .prop_map(|name| Bytes::from_static(name.as_bytes())),
        proptest::collection::vec(any::<u8>(), 0..3).prop_map(Bytes::from),
    ]
}

/// Values that have a type letter.
fn typed() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i8>().prop_map(Value::I8),
        any::<u32>().prop_map(Value::U32),
        any::<i64>().prop_map(Value::I64),
        any::<f32>().prop_map(Value::F32),
        any::<f64>().prop_map(Value::F64),
        any::<i64>().prop_map(Value::TimeSeconds),
        proptest::sample::select(vec!["", "1", "0", "v", "1700000000123"])
            .prop_map(|text| Value::Text(Text::from_static(text))),
        Just(Value::RawText(Bytes::from_static(b"\xff"))),
        proptest::collection::vec(any::<u8>(), 0..4).prop_map(|bytes| Value::Bytes(bytes.into())),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::List),
            proptest::collection::vec((name(), inner), 0..3).prop_map(Value::Map),
        ]
    })
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => typed(),
        1 => any::<u64>().prop_map(Value::U64),
        1 => any::<i64>().prop_map(Value::TimeMillis),
        1 => any::<[u8; 16]>().prop_map(Value::Uuid),
        1 => Just(Value::Symbol(Text::from_static("sym"))),
    ]
}

prop_compose! {
    fn properties()(
        content in (of(short()), of(short()), of(any::<u8>()), of(any::<u8>())),
        ids in (of(short()), of(short()), of(short()), of(short()), of(short()), of(short()), of(short())),
        life in of(proptest::sample::select(vec!["0", "60000", "007", "+5"])),
        timestamp in of(any::<u64>()),
        entries in of(proptest::collection::btree_map(name(), typed(), 0..5)),
    ) -> BasicProperties {
        BasicProperties {
            content_type: content.0,
            content_encoding: content.1,
            headers: entries.map(|entries| Table(entries.into_iter().collect())),
            delivery_mode: content.2.map(|mode| mode % 4),
            priority: content.3,
            correlation_id: ids.0,
            reply_to: ids.1,
            expiration: life.map(|text| ShortStr::new(text.as_bytes()).unwrap()),
            message_id: ids.2,
            timestamp,
            kind: ids.3,
            user_id: ids.4,
            app_id: ids.5,
            cluster_id: ids.6,
        }
    }
}

prop_compose! {
    /// A message as another protocol could have made it.
    fn foreign()(
        key in of(proptest::collection::vec(any::<u8>(), 0..4)),
        body in of(Just(Bytes::from_static(b"hi"))),
        event_at in of(-3_000_i64..3_000),
        flags in any::<(bool, Option<bool>, Option<u8>)>(),
        ids in (of(any_value()), of(any_value())),
        texts in (of("[a-z]{0,3}|[a-z]{300}"), of("[a-z]{0,3}|[a-z]{300}"), of("[0-9]{2}"), of("[a-z]{1,2}")),
        headers in proptest::collection::vec((name(), any_value()), 0..6),
    ) -> Message {
        let mut message = Message::new(address(), Bytes::new(), Terms::accepted(NOW, Promise::Durable));
        message.key = key.map(Bytes::from);
        message.body = body;
        message.terms.event_at = event_at.map(EventTime::Millis);
        message.terms.latest = flags.0;
        message.terms.priority = flags.2;
        let mut list = HeadersBuilder::default();
        for (name, value) in &headers {
            list.push(name, value);
        }
        message.headers = list.build().unwrap();
        let properties = Properties {
            content_type: texts.0.map(Text::from),
            kind: texts.1.map(Text::from),
            message_id: ids.0.filter(|id| *id != Value::Null),
            correlation: ids.1.filter(|id| *id != Value::Null),
            trace: texts.2.map(|parent| TraceContext { parent: parent.into(), state: texts.3.map(Text::from) }),
            format: flags.1.map(|is_text| if is_text { BodyFormat::Text } else { BodyFormat::Bytes }),
            ..Properties::default()
        };
        message.properties = (properties != Properties::default()).then(|| Box::new(properties));
        message
    }
}

/// Key and body, event time, properties, headers: what comes back of a foreign message.
type Common = (
    (Option<Bytes>, Option<Bytes>),
    Option<i64>,
    Properties,
    Vec<(Bytes, Value)>,
);

fn common(message: &Message) -> Common {
    let headers = message
        .headers
        .iter()
        .map(|header| (header.name, header.value));
    (
        (message.key.clone(), message.body.clone()),
        message.terms.event_at.map(EventTime::as_millis),
        message.properties.as_deref().cloned().unwrap_or_default(),
        headers.collect(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn properties_come_home_byte_for_byte(properties in properties()) {
        let before = written(&properties);
        let message = match ingest(&properties, Bytes::from_static(b"hi"), address(), NOW) {
            Ok(message) => message,
            Err(refusal) => return Err(TestCaseError::reject(refusal.text)),
        };
        let mut loss = Loss::NONE;
        let after = emit(&message, Timestamp(NOW.0 + 5), &mut loss);
        prop_assert_eq!(written(&after), before);
        prop_assert!(loss.is_none());
    }

    #[test]
    fn a_foreign_message_goes_out_and_comes_back(message in foreign()) {
        let mut loss = Loss::NONE;
        let there = emit(&message, NOW, &mut loss);
        let body = message.body.clone().unwrap_or_default();
        let back = ingest(&there, body, address(), NOW).unwrap();
        prop_assert_eq!(common(&back), common(&message));
        prop_assert_eq!(back.terms.latest, message.terms.latest);
        prop_assert_eq!(back.terms.priority, message.terms.priority);
    }
}

#[test]
fn a_type_that_a_table_cannot_say_and_a_key_stand_in_the_sidecar() {
    let mut message = Message::new(
        address(),
        Bytes::new(),
        Terms::accepted(NOW, Promise::Durable),
    );
    message.key = Some(Bytes::from_static(b"k"));
    let mut headers = HeadersBuilder::default();
    headers.push(b"n", &Value::U64(u64::MAX));
    message.headers = headers.build().unwrap();
    let table = emit(&message, NOW, &mut Loss::default()).headers.unwrap();
    let text = |text: &'static str| Value::Text(Text::from_static(text));
    assert_eq!(table.get(b"fl-key"), Some(&text("k")));
    assert_eq!(table.get(b"n"), Some(&text("18446744073709551615")));
    let marks = vec![
        (Bytes::from_static(b"fl-key"), text("p")),
        (Bytes::from_static(b"n"), text("L")),
    ];
    assert_eq!(table.get(b"fl-t"), Some(&Value::Map(marks)));
}

#[test]
fn life_from_another_protocol_is_what_is_left_of_it_and_never_nothing() {
    let mut message = Message::new(
        address(),
        Bytes::new(),
        Terms::accepted(NOW, Promise::Durable),
    );
    message.terms.deadline = Some(Timestamp(NOW.0 + 1_000));
    for (waited, left) in [(0, "1000"), (999, "1"), (1_000, "1")] {
        let said = emit(&message, Timestamp(NOW.0 + waited), &mut Loss::default()).expiration;
        assert_eq!(said.unwrap().as_str(), Some(left));
    }
}

#[test]
fn a_life_of_ten_years_is_legal_and_a_millisecond_more_is_not() {
    let with = |text: &'static str| BasicProperties {
        expiration: ShortStr::new(text),
        ..BasicProperties::default()
    };
    let ingest = |text| ingest(&with(text), Bytes::new(), address(), NOW);
    assert!(ingest("315360000000").is_ok() && ingest("0").is_ok());
    for refused in ["315360000001", "-1", "", "soon", "1.5"] {
        assert_eq!(ingest(refused).unwrap_err().code.number(), 406, "{refused}");
    }
}

#[test]
fn an_address_of_any_protocol_is_a_reply_name_and_comes_back() {
    let mut message = Message::new(
        address(),
        Bytes::new(),
        Terms::accepted(NOW, Promise::Durable),
    );
    let wish = ReplyTo::Address(Address::shared(
        Path::from_segments(["dev", "7", "r"]).unwrap(),
    ));
    message.properties_mut().reply_to = Some(wish.clone());
    let there = emit(&message, NOW, &mut Loss::default());
    let name = there.reply_to.clone().unwrap();
    assert_eq!(name.as_str(), Some("fl.address:dev.7.r"));
    let reply = super::address_of_default(name.as_bytes()).unwrap();
    assert_eq!(ReplyTo::Address(reply), wish);
    let back = ingest(&there, Bytes::new(), address(), NOW).unwrap();
    assert_eq!(back.properties.unwrap().reply_to, Some(wish));
}

/// What a message says beyond its defaults, as the vectors of `mapping.toml` write it.
fn described(message: &Message) -> std::collections::BTreeMap<String, String> {
    let terms = &message.terms;
    let none = Properties::default();
    let said = message.properties.as_deref().unwrap_or(&none);
    let text = |text: &Option<Text>| text.as_ref().map(Text::to_string);
    let deadline = |at: Timestamp| at.since(NOW).as_millis().to_string();
    let reply_to = said.reply_to.as_ref().map(|wish| match wish {
        ReplyTo::Address(address) => format!("Address({:?})", address.path),
        ReplyTo::Entity(_) | ReplyTo::Opaque(_) => format!("{wish:?}"),
    });
    let fields = [
        (
            "key",
            message
                .key
                .as_ref()
                .map(|key| key.escape_ascii().to_string()),
        ),
        ("body", message.body.is_none().then(|| "none".to_owned())),
        ("format", said.format.map(|format| format!("{format:?}"))),
        ("content_type", text(&said.content_type)),
        ("content_encoding", text(&said.content_encoding)),
        ("kind", text(&said.kind)),
        (
            "message_id",
            said.message_id.as_ref().map(|id| format!("{id:?}")),
        ),
        (
            "correlation",
            said.correlation.as_ref().map(|id| format!("{id:?}")),
        ),
        ("reply_to", reply_to),
        ("user", said.user.as_ref().map(|user| user.name.to_string())),
        ("app", text(&said.app)),
        (
            "trace",
            said.trace.as_ref().map(|trace| trace.parent.to_string()),
        ),
        ("event_at", terms.event_at.map(|at| format!("{at:?}"))),
        ("deadline", terms.deadline.map(deadline)),
        ("promise", Some(format!("{:?}", terms.promise))),
        ("latest", terms.latest.then(|| "true".to_owned())),
        (
            "priority",
            terms.priority.map(|priority| priority.to_string()),
        ),
    ];
    let fields = fields
        .into_iter()
        .filter_map(|(name, said)| Some((name.to_owned(), said?)));
    let headers = message.headers.iter().map(|header| {
        let name = format!("header {}", header.name.escape_ascii());
        (name, format!("{:?}", header.value))
    });
    fields.chain(headers).collect()
}

#[test]
fn each_vector_of_the_mapping_means_what_it_says_and_is_written_back() {
    let mapping: toml::Table = include_str!("../../mapping.toml").parse().unwrap();
    let mut count = 0;
    for field in mapping["field"].as_array().unwrap() {
        let vectors = field.get("vector").and_then(toml::Value::as_array);
        assert!(
            vectors.is_some() || field.get("shown_by").is_some(),
            "{field:?}"
        );
        for vector in vectors.into_iter().flatten() {
            let pairs: Vec<u8> = vector["wire"].as_str().unwrap().bytes().collect();
            let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
            let wire: Vec<u8> = pairs.chunks(2).map(|pair| byte(pair).unwrap()).collect();
            let properties = BasicProperties::decode(&Bytes::from(wire.clone())).unwrap();
            let message = ingest(&properties, Bytes::new(), address(), NOW).unwrap();
            let mut meant: std::collections::BTreeMap<String, String> = vector["canon"]
                .as_table()
                .unwrap()
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
                .collect();
            meant
                .entry("promise".to_owned())
                .or_insert("Accepted".to_owned());
            assert_eq!(described(&message), meant);
            let back = emit(&message, NOW, &mut Loss::default());
            assert_eq!(written(&back), wire, "{vector:?}");
            count += 1;
        }
    }
    assert!(count > 30, "{count} vectors");
}

#[test]
fn a_bad_expiration_is_refused_in_the_words_that_clients_know() {
    let cases = [
        ("abc", "'abc': no_integer"),
        ("", "'': no_integer"),
        ("-1", "'-1': {value_negative,-1}"),
        ("1.5", "'1.5': {leftover_string,\".5\"}"),
        (
            "315360000001",
            "'315360000001': {value_too_large,315360000001}",
        ),
        (
            "99999999999999999999",
            "'99999999999999999999': {value_too_large,99999999999999999999}",
        ),
    ];
    for (said, why) in cases {
        let properties = BasicProperties {
            expiration: Some(ShortStr::cut(said)),
            ..BasicProperties::default()
        };
        let refusal = ingest(&properties, Bytes::new(), address(), Timestamp(0)).unwrap_err();
        assert_eq!(refusal.text, format!("invalid expiration {why}"));
    }
}
