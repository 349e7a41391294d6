mod tables;

use bytes::Bytes;

use super::*;
use crate::arbitrary::{NAMES, Random, for_each_seed};
use crate::{
    Address, DeadReason, Death, Headers, HeadersBuilder, Loss, LossCode, Message, Path, Promise,
    Properties, Terms, Text, Timestamp, Value,
};

const CASES: u64 = 20_000;

/// A list of text with places for content type, correlation, format and latest.
struct TextList;

/// A list of bytes with a place for the key alone.
struct BytesList;

impl ListTarget for TextList {
    fn cells(&self) -> Cells {
        Cells::Text
    }
}

impl Target for TextList {
    fn has_place(&self, field: Field) -> bool {
        matches!(
            field,
            Field::ContentType | Field::Correlation | Field::Format | Field::Latest
        )
    }

    fn carried(&self, field: Field, message: &Message) -> Option<Value> {
        let value = field.get(message)?;
        let stands_whole = match (field, &value) {
            (Field::ContentType, Value::Text(text)) => !text.contains('\0'),
            (Field::Correlation, Value::Text(_)) => true,
            (Field::Correlation, Value::Bytes(bytes)) => std::str::from_utf8(bytes).is_err(),
            (Field::Format | Field::Latest, _) => true,
            _ => false,
        };
        (!stands_whole).then_some(value)
    }
}

impl ListTarget for BytesList {
    fn cells(&self) -> Cells {
        Cells::Bytes
    }
}

impl Target for BytesList {
    fn has_place(&self, field: Field) -> bool {
        field == Field::Key
    }

    fn carried(&self, field: Field, message: &Message) -> Option<Value> {
        field.get(message).filter(|_| field != Field::Key)
    }
}

/// A message without an address of another notation, which only a real target can write.
fn message(random: &mut Random) -> Message {
    let mut message = random.message();
    Field::ReplyTo.clear(&mut message);
    tidy(message)
}

fn tidy(mut message: Message) -> Message {
    if message.properties.as_deref() == Some(&Properties::default()) {
        message.properties = None;
    }
    message
}

/// What stands outside the list.
fn base(target: &impl Target, message: &Message) -> Message {
    let mut base = message.clone();
    base.headers = Headers::default();
    for field in Field::ALL.iter().copied() {
        let is_native = target.has_place(field) && target.carried(field, message).is_none();
        if !is_native {
            field.clear(&mut base);
        }
    }
    tidy(base)
}

/// What a stranger's reader makes of it: what grants something has become a header.
fn seen_by_stranger(target: &impl Target, message: &Message) -> Message {
    let mut seen = message.clone();
    let mut headers = HeadersBuilder::default();
    for field in [Field::User, Field::Address, Field::Deadline] {
        if let Some(value) = target.carried(field, message) {
            headers.push(field.name().as_bytes(), &value);
            field.clear(&mut seen);
        }
    }
    for header in &message.headers {
        headers.push(&header.name, &header.value);
    }
    seen.headers = headers.build().unwrap();
    tidy(seen)
}

fn there_and_back(target: &impl ListTarget, message: &Message) -> Message {
    let carried = write(target, message);
    assert_eq!(carried.loss, Loss::NONE);
    let restored = read(target, base(target, message), &carried.entries);
    tidy(restored.message)
}

fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok() && !bytes.contains(&0)
}

#[test]
fn a_message_comes_back_from_a_list_of_text() {
    for_each_seed(CASES, |random| {
        let message = message(random);
        for (name, value) in write(&TextList, &message).entries {
            assert!(is_text(&name) && is_text(&value.unwrap()));
        }
        let expected = seen_by_stranger(&TextList, &message);
        assert_eq!(there_and_back(&TextList, &message), expected);
    });
}

#[test]
fn a_message_comes_back_from_a_list_of_bytes() {
    for_each_seed(CASES, |random| {
        let message = message(random);
        let entries = write(&BytesList, &message).entries;
        assert!(
            entries
                .iter()
                .all(|(name, _)| std::str::from_utf8(name).is_ok())
        );
        let expected = seen_by_stranger(&BytesList, &message);
        assert_eq!(there_and_back(&BytesList, &message), expected);
    });
}

/// A list as a stranger may write it, now and then with an `fl-t` of his own.
fn strangers_list(cells: Cells, random: &mut Random) -> Vec<Entry> {
    let mut entries = Vec::new();
    for _ in 0..random.below(5) {
        let name = random.pick(NAMES);
        let name = if cells.holds_name(name) { name } else { b"a" };
        let cell = match (cells, random.below(8)) {
            (Cells::Bytes, 0) => None,
            (Cells::Bytes, 1) => Some(Bytes::from_static(b"\xff")),
            _ => Some(strangers_text(cells, random)),
        };
        entries.push((Bytes::from_static(name), cell));
    }
    for _ in 0..random.below(3) {
        let value = forged_sidecar(entries.len(), random);
        entries.push((Bytes::from_static(sidecar::NAME), Some(value)));
    }
    entries
}

fn strangers_text(cells: Cells, random: &mut Random) -> Bytes {
    let text = random.text();
    match cells {
        Cells::Text if text.contains('\0') => Bytes::new(),
        Cells::Bytes | Cells::Text => text.into_bytes(),
    }
}

fn forged_sidecar(len: usize, random: &mut Random) -> Bytes {
    const ITEMS: &[&str] = &["x", "p", "h", "l", "v*", "pv", "n", "", "i", "px"];
    let count = random.pick(&[len, len, 0, 1]);
    let items: Vec<String> = (0..random.below(3))
        .map(|_| format!("{}{}", random.below(4), random.pick(ITEMS)))
        .collect();
    format!("{count};{}", items.join(",")).into()
}

/// Whether a stranger's list claims, in the way that we would, what is not believed.
fn claims_authority(entries: &[Entry]) -> bool {
    sidecar::split(entries).is_some_and(|(before, marks)| {
        let mut properties = marks
            .iter()
            .filter(|mark| mark.role == parts::Role::Property);
        properties.any(|mark| {
            let field = before
                .get(mark.position)
                .and_then(|(name, _)| Field::named(name));
            field.is_some_and(|field| !field.is_believed())
        })
    })
}

fn empty() -> Message {
    let terms = Terms::accepted(crate::Timestamp(1), crate::Promise::Durable);
    Message::new(
        crate::Address::shared(crate::Path::EMPTY),
        Bytes::new(),
        terms,
    )
}

#[test]
fn a_strangers_list_comes_back_byte_for_byte_and_through_the_other_kind_of_list() {
    for_each_seed(CASES, |random| {
        let text = strangers_list(Cells::Text, random);
        if !claims_authority(&text) {
            let message = read(&TextList, empty(), &text).message;
            assert_eq!(write(&TextList, &message).entries, text);
            let through = there_and_back(&BytesList, &message);
            assert_eq!(write(&TextList, &through).entries, text, "through bytes");
        }
        let bytes = strangers_list(Cells::Bytes, random);
        if !claims_authority(&bytes) {
            let message = read(&BytesList, empty(), &bytes).message;
            assert_eq!(write(&BytesList, &message).entries, bytes);
            let through = there_and_back(&TextList, &message);
            assert_eq!(write(&BytesList, &through).entries, bytes, "through text");
        }
    });
}

fn entry(name: &'static str, value: &'static str) -> Entry {
    let value = Bytes::from_static(value.as_bytes());
    (Bytes::from_static(name.as_bytes()), Some(value))
}

#[test]
fn the_example_of_the_mapping_is_written_as_it_stands_there() {
    let mut message = empty();
    message.properties_mut().message_id = Some(Value::Text(Text::from_static("m-1")));
    message.properties_mut().content_type = Some(Text::from_static("text/plain"));
    let mut headers = HeadersBuilder::default();
    headers.push(b"retries", &Value::I32(3));
    headers.push(b"raw", &Value::Bytes(Bytes::from_static(b"\xff")));
    message.headers = headers.build().unwrap();

    let mut raw = entry("raw", "");
    raw.1 = Some(Bytes::from_static(b"\xff"));
    assert_eq!(
        write(&BytesList, &message).entries,
        [
            entry("content-type", "text/plain"),
            entry("message-id", "m-1"),
            entry("retries", "3"),
            raw,
            entry("fl-t", "4;0p,1p,2i"),
        ]
    );
    assert_eq!(
        write(&TextList, &message).entries,
        [
            entry("message-id", "m-1"),
            entry("retries", "3"),
            entry("raw", "/w=="),
            entry("fl-t", "3;0p,1i,2x*"),
        ]
    );
}

#[test]
fn a_strangers_plain_header_becomes_the_property_of_its_name() {
    let list = [entry("content-type", "a"), entry("content-type", "b")];
    let read = read(&BytesList, empty(), &list);
    let said = read.message.properties.as_ref().unwrap();
    assert_eq!(said.content_type.as_deref(), Some("b"));
    assert_eq!(read.loss, Loss::NONE);
}

#[test]
fn a_list_that_was_changed_on_the_way_keeps_its_text_and_loses_its_types() {
    let list = [entry("n", "3"), entry("fl-t", "1;0i"), entry("added", "x")];
    let swapped = [entry("added", "x"), entry("n", "3"), entry("fl-t", "1;0i")];
    for (list, is_counted) in [(list, false), (swapped, true)] {
        let read = read(&BytesList, empty(), &list);
        let values: Vec<Value> = read.message.headers.iter().map(|h| h.value).collect();
        assert!(values.iter().all(|value| matches!(value, Value::Text(_))));
        assert_eq!(read.loss.has(LossCode::HdrType), is_counted);
    }
}

#[test]
fn nobody_becomes_a_user_by_a_header() {
    for list in [
        vec![entry("user-id", "root")],
        vec![entry("user-id", "root"), entry("fl-t", "1;0p")],
    ] {
        let message = read(&BytesList, empty(), &list).message;
        assert_eq!(message.properties, None);
        let name = message.headers.get(b"user-id");
        assert_eq!(name, Some(Value::Text(Text::from_static("root"))));
    }
}

#[test]
fn a_body_is_not_taken_away_by_a_header() {
    let mut base = empty();
    base.body = Some(Bytes::from_static(b"kept"));
    let list = [entry("fl-null", "1"), entry("fl-t", "1;0p")];
    for list in [&list[..1], &list[..]] {
        let message = read(&BytesList, base.clone(), list).message;
        assert_eq!(message.body.as_deref(), Some(&b"kept"[..]));
    }
}

#[test]
fn a_name_or_value_above_65535_bytes_is_left_out_of_text_and_counted() {
    let fits = Text::from("v".repeat(65_535));
    let over = Text::from("v".repeat(65_536));
    for (text, code) in [(fits, None), (over, Some(LossCode::HdrSize))] {
        let mut headers = HeadersBuilder::default();
        headers.push(b"n", &Value::Text(text));
        let mut message = empty();
        message.headers = headers.build().unwrap();
        let carried = write(&TextList, &message);
        assert_eq!(carried.loss.codes().next(), code);
        assert_eq!(carried.entries.len(), usize::from(code.is_none()));
    }
}

#[test]
fn a_thousand_forged_sidecars_are_read_without_a_thousand_levels() {
    let list: Vec<Entry> = (0..100_000)
        .map(|n| {
            (
                Bytes::from_static(b"fl-t"),
                Some(Bytes::from(format!("{n};"))),
            )
        })
        .collect();
    let read = read(&TextList, empty(), &list);
    assert!(read.loss.has(LossCode::HdrType));
    assert_eq!(write(&TextList, &read.message).entries, list);
}

fn dying() -> Message {
    let address = Address::shared(Path::EMPTY);
    let terms = Terms::accepted(Timestamp(1), Promise::Durable);
    Message::new(address, Bytes::from_static(b"x"), terms)
}

fn death(stream: &str, reason: DeadReason) -> Death {
    Death {
        stream: Text::from(stream.to_owned()),
        reason,
        count: 1,
        first_at: Timestamp(1_500),
        last_at: Timestamp(1_500),
        realm: Text::from_static("orders"),
        path: Path::from_segments([&b"e\"u"[..], b"\xff"]).unwrap(),
        life_ms: Some(500),
        is_first: false,
    }
}

fn said(list: &Carried, name: &str) -> Vec<String> {
    let named = list.entries.iter().filter(|(known, _)| known == name);
    let value = |value: &Option<Bytes>| String::from_utf8(value.clone().unwrap().into()).unwrap();
    named.map(|(_, found)| value(found)).collect()
}

#[test]
fn where_a_message_died_is_told_in_the_place_of_what_its_publisher_said_of_it() {
    let mut message = dying();
    let mut headers = HeadersBuilder::default();
    // A number, which needs a mark, and a history that nobody believes.
    headers.push(b"n", &Value::I32(7));
    headers.push(b"fl-deaths", &Value::Text(Text::from_static("[]")));
    message.headers = headers.build().unwrap();
    let before = write(&TextList, &message);
    assert_eq!(said(&before, "fl-deaths"), ["[]"]);

    let deaths = &mut message.properties_mut().deaths;
    deaths.record(death("q", DeadReason::Expired));
    deaths.record(death("=q2", DeadReason::Rejected));
    let list = write(&TextList, &message);
    assert!(list.loss.is_none());
    let rest = r#""count":1,"first_at":1500,"last_at":1500,"realm":"orders","path":["e\"u",{"base64":"/w=="}],"life_ms":500}"#;
    let history = format!(
        r#"[{{"stream":"=q2","reason":"rejected",{rest},{{"stream":"q","reason":"expired",{rest}]"#
    );
    assert_eq!(said(&list, "fl-deaths"), [history]);
    assert_eq!(said(&list, "x-first-death-queue"), ["q"]);
    assert_eq!(said(&list, "x-first-death-exchange"), ["orders"]);
    assert_eq!(said(&list, "x-last-death-reason"), ["rejected"]);

    // The types of its own headers are still believed; the history is a header like any other.
    let back = read(&TextList, dying(), &list.entries);
    assert!(back.loss.is_none() && !back.message.has_died());
    let mut headers = back.message.headers.iter();
    assert_eq!(
        headers.next().map(|header| header.value),
        Some(Value::I32(7))
    );
    assert_eq!(headers.count(), 7);
}

#[test]
fn a_history_that_is_longer_than_a_value_may_be_is_lost_and_counted() {
    let mut message = dying();
    let name = "q".repeat(usize::from(u16::MAX));
    message
        .properties_mut()
        .deaths
        .record(death(&name, DeadReason::MaxLen));
    let list = write(&TextList, &message);
    assert_eq!(list.loss.codes().collect::<Vec<_>>(), [LossCode::Deaths]);
    assert_eq!(list.entries, []);
    // A list of bytes has room for it.
    let list = write(&BytesList, &message);
    assert!(list.loss.is_none() && list.entries.len() == 7);
}
