use bytes::{Bytes, BytesMut};

use super::{envelope, records};
use crate::arbitrary::{Random, for_each_seed};
use crate::carry::Field;
use crate::{
    Address, Batch, Codec, EventTime, HeadersBuilder, Home, Kind, LossCode, Message, Origin, Path,
    Promise, Properties, RealmId, ReplyTo, Text, Value,
};

fn open_one(batch: &Batch, place: &Address) -> Message {
    let mut opened = batch.open(place).unwrap();
    assert_eq!(opened.len(), 1);
    opened.remove(0).message
}

fn nowhere() -> Address {
    Address::new(RealmId(99), Path::EMPTY)
}

#[test]
fn an_envelope_gives_back_every_field() {
    for_each_seed(40_000, |random| {
        let mut message = random.message();
        message.home = random.one_in(2).then(|| Home {
            origin: Origin(7),
            revision: 1,
            bytes: random.bytes(9),
        });
        message.origin = message.home.as_ref().map_or(Origin(9), |home| home.origin);
        if random.one_in(4) {
            let deaths = &mut message.properties_mut().deaths;
            (0..3).for_each(|_| drop(deaths.record(random.death())));
            message.properties_mut().also_at = (0..3).map(|_| random.path()).collect();
        }
        if let Some(at) = message.terms.event_at.filter(|_| random.one_in(2)) {
            message.terms.event_at = Some(EventTime::Seconds(at.as_millis()));
        }
        let batch = envelope::seal(&message);
        assert_eq!(batch.weight(Kind::Queue) as usize, message.body_len());
        assert_eq!(batch.weight(Kind::Log) as usize, batch.bytes.len());
        assert_eq!(batch.time, message.terms.accepted_at);
        assert_eq!(batch.deadline, message.terms.deadline);
        assert_eq!(open_one(&batch, &nowhere()), message);
    });
}

#[test]
fn an_envelope_lends_its_body() {
    let message = Random(1).message();
    let body = Bytes::from_static(b"not copied");
    let batch = envelope::seal(&Message {
        body: Some(body),
        ..message
    });
    let opened = open_one(&batch, &nowhere());
    assert!(
        batch
            .bytes
            .as_ptr_range()
            .contains(&opened.body.unwrap().as_ptr())
    );
}

#[test]
fn several_envelopes_make_a_batch() {
    let messages: Vec<Message> = (0..3).map(|seed| Random(seed).message()).collect();
    let mut bytes = BytesMut::new();
    for message in &messages {
        bytes.extend_from_slice(&envelope::seal(message).bytes);
    }
    let batch = Batch {
        bytes: bytes.freeze(),
        count: 3,
        span: 3,
        ..envelope::seal(&messages[0])
    };
    let opened = batch.open(&nowhere()).unwrap();
    for (n, (opened, message)) in opened.iter().zip(&messages).enumerate() {
        assert_eq!(usize::try_from(opened.delta).unwrap(), n);
        assert_eq!(opened.message, *message);
    }
    let short = Batch { count: 2, ..batch };
    assert!(short.open(&nowhere()).is_err());
}

#[test]
fn a_damaged_envelope_is_refused_or_read_and_never_panics() {
    for_each_seed(40_000, |random| {
        let mut batch = envelope::seal(&random.message());
        let mut bytes = batch.bytes.to_vec();
        for _ in 0..=random.below(2) {
            let at = random.below(bytes.len());
            bytes[at] = random.pick(&[0, 1, 0x7f, 0x80, 0xff]);
        }
        if random.one_in(4) {
            bytes.truncate(random.below(bytes.len()));
        }
        batch.bytes = bytes.into();
        if let Ok(opened) = batch.open(&nowhere()) {
            assert_eq!(opened.len(), 1);
        }
    });
}

/// What a record can show of a message to a reader of `place`.
fn shown(message: &Message, place: &Address) -> Message {
    let mut shown = message.clone();
    let mut headers = HeadersBuilder::default();
    if let Some(user) = Field::User.get(message) {
        headers.push(b"user-id", &user);
        Field::User.clear(&mut shown);
    }
    if message.address != *place {
        let name = records::name::name_of(&message.address.path);
        let name = Text::try_from(name).unwrap();
        headers.push(b"fl-address", &Value::Text(name));
    }
    if let Some(deadline) = Field::Deadline.get(message) {
        headers.push(b"fl-deadline", &deadline);
        shown.terms.deadline = None;
    }
    for header in &message.headers {
        headers.push(&header.name, &header.value);
    }
    shown.headers = headers.build().unwrap();
    shown.address = place.clone();
    shown.terms.promise = Promise::Durable;
    if shown.properties.as_deref() == Some(&Properties::default()) {
        shown.properties = None;
    }
    shown
}

#[test]
fn a_message_comes_back_from_a_record() {
    for_each_seed(40_000, |random| {
        let message = random.message();
        let place = match random.below(2) {
            0 => message.address.clone(),
            _ => Address::shared(random.path()),
        };
        let (record, loss) = records::record(&message, &place, 0);
        assert!(loss.is_none(), "{loss:?}");
        let batch = records::accept(records::build(5, &[record])).unwrap();
        assert_eq!(batch.codec, Codec::RecordsV2);
        let mut opened = open_one(&batch, &place);
        opened.terms.accepted_at = message.terms.accepted_at;
        assert_eq!(opened, shown(&message, &place));
    });
}

#[test]
fn a_reply_address_that_no_reader_can_use_is_counted() {
    let elsewhere = Address::new(RealmId(7), Path::EMPTY);
    let queue = Address::new(RealmId::QUEUES, Path::from_segments(["q"]).unwrap());
    for (reply_to, is_lost) in [
        (ReplyTo::Opaque(Bytes::from_static(b"?")), true),
        (ReplyTo::Address(elsewhere), true),
        (ReplyTo::Entity(Text::from_static("q")), false),
        (ReplyTo::Address(queue), false),
    ] {
        let mut message = Random(3).message();
        message.properties_mut().reply_to = Some(reply_to);
        let (_, loss) = records::record(&message, &nowhere(), 0);
        assert_eq!(loss.has(LossCode::ReplyTo), is_lost);
    }
}

#[test]
fn a_queue_for_replies_is_shown_under_the_reply_root() {
    let mut message = Random(3).message();
    message.headers = crate::Headers::default();
    message.properties_mut().reply_to = Some(ReplyTo::Entity(Text::from_static("q1")));
    let (record, _) = records::record(&message, &nowhere(), 0);
    let named = |(name, _): &&crate::carry::Entry| *name == b"reply-to"[..];
    let (_, value) = record.headers.iter().find(named).unwrap();
    assert_eq!(value.as_deref(), Some(&b"-_24reply.q.q1"[..]));
}

#[test]
fn values_nest_sixteen_deep_and_no_deeper() {
    let nested = |depth: usize| (0..depth).fold(Value::Null, |v, _| Value::List(vec![v]));
    for (depth, fits) in [(16, true), (17, false)] {
        let mut headers = HeadersBuilder::default();
        headers.push(b"n", &nested(depth));
        assert_eq!(headers.build().is_ok(), fits);
    }
    let mut message = Random(0).message();
    let mut headers = HeadersBuilder::default();
    headers.push(b"n", &nested(16));
    message.headers = headers.build().unwrap();
    assert_eq!(open_one(&envelope::seal(&message), &nowhere()), message);
}
