//! The codec against frames of a real client, any bytes, any split, and worst cases.

#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test says what it expects and stops where it is wrong"
)]

use bytes::{BufMut, Bytes, BytesMut};
use fairlead_amqp::codec::{
    ContentHeader, DecodeError, FRAME_MIN_SIZE, Frame, Method, Payload, ShortStr, basic,
    encode_body, encode_content, encode_heartbeat, encode_method, protocol_header,
};
use proptest::prelude::*;

/// Frames written by pika 1.4.4: name of the method, then the frame in hex.
const PIKA: &str = include_str!("data/pika.txt");
const FRAME_MAX: usize = 131_072;

fn golden() -> Vec<(&'static str, Vec<u8>)> {
    let parse = |line: &'static str| {
        let (name, hex) = line.split_once(' ').unwrap();
        let pairs = hex.as_bytes().chunks(2);
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
        (name, pairs.map(|pair| byte(pair).unwrap()).collect())
    };
    PIKA.lines().map(parse).collect()
}

fn encode(frame: &Frame, out: &mut BytesMut) {
    match &frame.payload {
        Payload::Method(method) => encode_method(out, frame.channel, method).unwrap(),
        Payload::Header(header) => {
            encode_content(out, frame.channel, header, b"", FRAME_MAX).unwrap();
        }
        Payload::Body(body) => encode_body(out, frame.channel, body, FRAME_MAX).unwrap(),
        Payload::Heartbeat => encode_heartbeat(out),
    }
}

fn name(frame: &Frame) -> &'static str {
    match &frame.payload {
        Payload::Method(method) => method.name(),
        Payload::Header(_) => "header",
        Payload::Body(_) => "body",
        Payload::Heartbeat => "heartbeat",
    }
}

fn decode_all(input: &mut BytesMut) -> Vec<Frame> {
    std::iter::from_fn(|| Frame::decode(input, FRAME_MAX).unwrap()).collect()
}

#[test]
fn each_frame_of_a_real_client_is_understood_and_written_back_byte_for_byte() {
    let golden = golden();
    assert_eq!(golden.len(), 69);
    for (said, bytes) in golden {
        let mut input = BytesMut::from(&bytes[..]);
        let frame = Frame::decode(&mut input, FRAME_MAX).unwrap().unwrap();
        assert_eq!(name(&frame), said);
        assert!(input.is_empty());
        let mut back = BytesMut::new();
        encode(&frame, &mut back);
        assert_eq!(back, bytes, "{said}");
    }
}

#[test]
fn a_stream_split_anywhere_gives_the_same_frames() {
    let all: Vec<u8> = golden().into_iter().flat_map(|(_, bytes)| bytes).collect();
    let whole: Vec<&str> = decode_all(&mut BytesMut::from(&all[..]))
        .iter()
        .map(name)
        .collect();
    for cut in 0..=all.len() {
        let mut input = BytesMut::from(&all[..cut]);
        let mut frames = decode_all(&mut input);
        input.extend_from_slice(&all[cut..]);
        frames.extend(decode_all(&mut input));
        assert_eq!(frames.iter().map(name).collect::<Vec<_>>(), whole);
    }
}

/// A `queue.declare` frame whose arguments nest `depth` arrays or tables in one value.
fn nested(depth: usize, letter: u8) -> Bytes {
    let mut value = vec![b'V'];
    for _ in 0..depth {
        let inner = match letter {
            b'F' => [b"\x01n", &value[..]].concat(),
            _ => value,
        };
        value = vec![letter];
        value.put_u32(u32::try_from(inner.len()).unwrap());
        value.extend(inner);
    }
    let table = [b"\x01n", &value[..]].concat();
    let mut payload = vec![0, 50, 0, 10, 0, 0, 1, b'q', 0];
    payload.put_u32(u32::try_from(table.len()).unwrap());
    payload.extend(table);
    Bytes::from(payload)
}

#[test]
fn tables_nest_sixteen_deep_and_no_deeper() {
    for letter in [b'A', b'F'] {
        assert!(Method::decode(&nested(16, letter)).is_ok());
        for depth in [17, 10_000] {
            let refused = Method::decode(&nested(depth, letter)).unwrap_err();
            assert_eq!(refused, DecodeError::TooDeep(16));
        }
    }
}

#[test]
fn a_frame_of_the_agreed_size_passes_and_one_byte_more_is_refused_before_it_has_come() {
    let head = |payload: usize| {
        let mut head = BytesMut::from(&[3, 0, 1][..]);
        head.put_u32(u32::try_from(payload).unwrap());
        head
    };
    let mut fits = head(FRAME_MAX - 8);
    assert!(Frame::decode(&mut fits, FRAME_MAX).unwrap().is_none());
    let refused = Frame::decode(&mut head(FRAME_MAX - 7), FRAME_MAX).unwrap_err();
    let (size, max) = (FRAME_MAX + 1, FRAME_MAX);
    assert_eq!(refused, DecodeError::FrameTooLarge { size, max });
}

#[test]
fn frames_of_unknown_type_end_or_method_are_refused_by_name() {
    let refuse = |bytes: &[u8]| Frame::decode(&mut BytesMut::from(bytes), FRAME_MAX).unwrap_err();
    assert_eq!(refuse(&[4, 0, 0, 0, 0, 0, 0]), DecodeError::FrameType(4));
    assert_eq!(
        refuse(&[8, 0, 0, 0, 0, 0, 0, 0xcd]),
        DecodeError::FrameEnd(0xcd)
    );
    assert_eq!(refuse(&[8, 0, 1, 0, 0, 0, 0, 0xce]), DecodeError::Heartbeat);
    let unknown = refuse(&[1, 0, 0, 0, 0, 0, 4, 0, 99, 0, 1, 0xce]);
    let (class, method) = (99, 1);
    assert_eq!(unknown, DecodeError::UnknownMethod { class, method });
    let second_flags = [
        2, 0, 1, 0, 0, 0, 14, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xce,
    ];
    assert_eq!(refuse(&second_flags), DecodeError::PropertyFlags(1));
}

#[test]
fn another_protocol_is_recognised_by_its_first_byte() {
    assert_eq!(protocol_header(&mut BytesMut::from(&b"AMQ"[..])), Ok(false));
    let mut whole = BytesMut::from(&b"AMQP\0\0\x09\x01rest"[..]);
    assert_eq!(protocol_header(&mut whole), Ok(true));
    assert_eq!(&whole[..], b"rest");
    for other in [&b"G"[..], b"AMQP\0\x01\0\0", b"AMQP\x03\x01\0\0"] {
        let refused = protocol_header(&mut BytesMut::from(other));
        assert_eq!(refused, Err(DecodeError::ProtocolHeader));
    }
}

#[test]
fn a_body_is_cut_into_frames_of_the_agreed_size() {
    let mut out = BytesMut::new();
    let body = vec![7; 3 * (FRAME_MIN_SIZE - 8) + 1];
    encode_body(&mut out, 1, &body, FRAME_MIN_SIZE).unwrap();
    let parts: Vec<usize> = decode_all(&mut out)
        .into_iter()
        .map(|frame| match frame.payload {
            Payload::Body(part) => part.len(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(parts, [4088, 4088, 4088, 1]);
}

#[test]
fn a_header_that_does_not_fit_one_frame_is_refused_and_leaves_nothing_behind() {
    let mut header = ContentHeader::default();
    let text = fairlead_canon::Value::Bytes(Bytes::from(vec![0; FRAME_MIN_SIZE]));
    header
        .properties
        .headers
        .get_or_insert_default()
        .push("big", text);
    let mut out = BytesMut::from(&b"before"[..]);
    encode_content(&mut out, 1, &header, b"body", FRAME_MIN_SIZE).unwrap_err();
    assert_eq!(&out[..], b"before");
}

proptest! {
    #[test]
    fn any_bytes_are_frames_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let mut input = BytesMut::from(&bytes[..]);
        while let Ok(Some(_)) = Frame::decode(&mut input, FRAME_MAX) {}
    }

    #[test]
    fn a_damaged_frame_is_understood_or_refused(pick in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let golden = golden();
        let (_, mut bytes) = golden[pick.index(golden.len())].clone();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(Some(frame)) = Frame::decode(&mut BytesMut::from(&bytes[..]), FRAME_MAX) {
            encode(&frame, &mut BytesMut::new());
        }
    }

    #[test]
    fn a_publish_reads_back_as_written(key in proptest::collection::vec(any::<u8>(), 0..=255), mandatory: bool, immediate: bool) {
        let publish = basic::Publish {
            routing_key: ShortStr::new(key.clone()).unwrap(),
            mandatory,
            immediate,
            ..basic::Publish::default()
        };
        let mut out = BytesMut::new();
        encode_method(&mut out, 7, &publish.into()).unwrap();
        let frame = Frame::decode(&mut out, FRAME_MAX).unwrap().unwrap();
        let Payload::Method(Method::BasicPublish(back)) = frame.payload else {
            return Err(TestCaseError::fail("another method"));
        };
        prop_assert_eq!((frame.channel, &back.routing_key.as_bytes()[..]), (7, &key[..]));
        prop_assert_eq!((back.mandatory, back.immediate), (mandatory, immediate));
    }
}
