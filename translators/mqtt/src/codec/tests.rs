use bytes::{Bytes, BytesMut};
use fairlead_canon::Text;
use proptest::prelude::*;

use super::*;

const MIB: usize = 1 << 20;

fn bytes_of(packet: &Packet, version: Version) -> BytesMut {
    let mut out = BytesMut::new();
    packet.encode(version, &mut out).unwrap();
    out
}

fn decode_one(bytes: &[u8], version: Version) -> Result<Option<Packet>, DecodeError> {
    decode(&mut BytesMut::from(bytes), version, MIB)
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// A frame as `text`, and what it says; both ways.
#[track_caller]
fn golden(version: Version, text: &str, packet: Packet) {
    assert_eq!(decode_one(&hex(text), version), Ok(Some(packet.clone())));
    assert_eq!(&bytes_of(&packet, version)[..], hex(text), "encoded form");
}

fn publish(delivery: Delivery, topic: &'static str, payload: &'static [u8]) -> Publish {
    Publish {
        dup: false,
        delivery,
        retain: false,
        topic: Text::from_static(topic),
        properties: Properties::NONE,
        payload: Bytes::from_static(payload),
    }
}

fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

//= MQTT-3.1.2-9
//= MQTT-3.1.2-17
//= MQTT-3.1.2-19
//= MQTT-3.1.3-1
//= MQTT-3.1.3-3
#[test]
fn connect_of_a_3_1_1_client_with_a_will_and_a_user() {
    golden(
        Version::V311,
        "10 24 0004 4d515454 04 ee 003c 0003 646576 0004 77696c6c 0003 627965 0004 75736572 0002 7077",
        Packet::Connect(Box::new(Connect {
            version: Version::V311,
            clean_start: true,
            keep_alive: 60,
            properties: Properties::NONE,
            client_id: Text::from_static("dev"),
            will: Some(Will {
                topic: Text::from_static("will"),
                payload: Bytes::from_static(b"bye"),
                qos: Qos::AtLeastOnce,
                retain: true,
                properties: Properties::NONE,
            }),
            user_name: Some(Text::from_static("user")),
            password: Some(Bytes::from_static(b"pw")),
        })),
    );
}

#[test]
fn connect_of_a_3_1_client() {
    golden(
        Version::V31,
        "10 11 0006 4d5149736470 03 02 003c 0003 646576",
        Packet::Connect(Box::new(Connect {
            version: Version::V31,
            clean_start: true,
            keep_alive: 60,
            properties: Properties::NONE,
            client_id: Text::from_static("dev"),
            will: None,
            user_name: None,
            password: None,
        })),
    );
}

#[test]
fn a_client_of_3_1_may_set_flags_that_3_1_1_forbids() {
    for text in [
        "6a 02 0001",
        "8a 06 0001 0001 61 04",
        "aa 05 0001 0001 61",
        "38 03 0001 61",
        "c8 00",
        "10 11 0006 4d5149736470 03 2b 003c 0003 646576",
    ] {
        let read = decode_one(&hex(text), Version::V31);
        assert!(matches!(read, Ok(Some(_))), "{text}: {read:?}");
        if !text.starts_with("10") {
            assert!(decode_one(&hex(text), Version::V311).is_err(), "{text}");
        }
    }
    // CONNECT is read before its version is known to the connection.
    let connect = hex("1f 11 0006 4d5149736470 03 02 003c 0003 646576");
    for version in [Version::V31, Version::V311, Version::V5] {
        let read = decode_one(&connect, version);
        assert!(matches!(read, Ok(Some(_))), "{version:?}: {read:?}");
    }
}

#[test]
fn auth_with_its_method_and_its_data() {
    let properties = Properties::of([
        Property::AuthMethod(Text::from_static("m")),
        Property::AuthData(Bytes::from_static(b"hi")),
    ]);
    golden(
        Version::V5,
        "f0 0b 18 09 15 0001 6d 16 0002 6869",
        Packet::Auth(Auth {
            reason: ReasonCode::CONTINUE_AUTHENTICATION,
            properties: properties.unwrap(),
        }),
    );
    let bare = decode_one(&hex("f0 00"), Version::V5).unwrap();
    let success = ReasonCode::SUCCESS;
    assert!(matches!(bare, Some(Packet::Auth(auth)) if auth.reason == success));
}

#[test]
fn connect_of_a_5_client_with_properties() {
    let properties = Properties::of([
        Property::SessionExpiry(300),
        Property::ReceiveMaximum(20.try_into().unwrap()),
    ]);
    golden(
        Version::V5,
        "10 17 0004 4d515454 05 00 000a 08 11 0000012c 21 0014 0002 6331",
        Packet::Connect(Box::new(Connect {
            version: Version::V5,
            clean_start: false,
            keep_alive: 10,
            properties: properties.unwrap(),
            client_id: Text::from_static("c1"),
            will: None,
            user_name: None,
            password: None,
        })),
    );
}

//= MQTT-3.1.2-16
//= MQTT-3.1.2-18
#[test]
fn a_user_name_and_a_password_of_5_come_with_their_flags_and_apart() {
    let connect = |user_name: Option<&'static str>, password: Option<&'static [u8]>| {
        Packet::Connect(Box::new(Connect {
            version: Version::V5,
            clean_start: false,
            keep_alive: 0,
            properties: Properties::NONE,
            client_id: Text::from_static("c"),
            will: None,
            user_name: user_name.map(Text::from_static),
            password: password.map(Bytes::from_static),
        }))
    };
    for (text, user_name, password) in [
        ("10 0e 0004 4d515454 05 00 0000 00 0001 63", None, None),
        (
            "10 11 0004 4d515454 05 80 0000 00 0001 63 0001 75",
            Some("u"),
            None,
        ),
        (
            "10 11 0004 4d515454 05 40 0000 00 0001 63 0001 70",
            None,
            Some(&b"p"[..]),
        ),
    ] {
        golden(Version::V5, text, connect(user_name, password));
    }
}

//= MQTT-3.2.2-1
#[test]
fn connack_of_both_versions() {
    let answer = |properties| {
        Packet::ConnAck(ConnAck {
            session_present: true,
            code: ReasonCode::SUCCESS,
            properties,
        })
    };
    golden(Version::V311, "20 02 01 00", answer(Properties::NONE));
    golden(Version::V5, "20 03 01 00 00", answer(Properties::NONE));
    let properties = Properties::of([Property::ServerKeepAlive(30)]).unwrap();
    golden(Version::V5, "20 06 01 00 03 13 001e", answer(properties));
}

//= MQTT-2.2.1-2
//= MQTT-2.2.2-1
#[test]
fn publish_of_both_versions() {
    let qos1 = publish(Delivery::AtLeastOnce(id(1)), "a/b", b"hi");
    golden(
        Version::V311,
        "32 09 0003 612f62 0001 6869",
        Packet::Publish(qos1.clone()),
    );
    let with_correlation = Publish {
        properties: Properties::of([Property::CorrelationData(Bytes::from_static(b"\xff\0"))])
            .unwrap(),
        ..qos1
    };
    golden(
        Version::V5,
        "32 0f 0003 612f62 0001 05 09 0002 ff00 6869",
        Packet::Publish(with_correlation),
    );
    let empty = publish(Delivery::AtMostOnce, "a", b"");
    golden(
        Version::V311,
        "30 03 0001 61",
        Packet::Publish(empty.clone()),
    );
    golden(Version::V5, "30 04 0001 61 00", Packet::Publish(empty));
}

#[test]
fn acknowledgements_are_as_short_as_they_may_be() {
    let ack = |reason| Ack::new(id(7), reason);
    golden(
        Version::V311,
        "40 02 0007",
        Packet::PubAck(ack(ReasonCode::SUCCESS)),
    );
    golden(
        Version::V5,
        "50 02 0007",
        Packet::PubRec(ack(ReasonCode::SUCCESS)),
    );
    golden(
        Version::V5,
        "62 03 0007 92",
        Packet::PubRel(ack(ReasonCode::PACKET_ID_NOT_FOUND)),
    );
    let explained = Ack {
        properties: Properties::of([Property::ReasonString(Text::from_static("no"))]).unwrap(),
        ..ack(ReasonCode::SUCCESS)
    };
    golden(
        Version::V5,
        "70 09 0007 00 05 1f 0002 6e6f",
        Packet::PubComp(explained),
    );
}

//= MQTT-2.2.2-1
#[test]
fn subscribe_and_its_answer() {
    let subscribe = Subscribe {
        packet_id: id(10),
        properties: Properties::NONE,
        subscriptions: vec![Subscription {
            no_local: true,
            retain_as_published: true,
            retain_handling: RetainHandling::Never,
            ..Subscription::new("a/#", Qos::ExactlyOnce)
        }],
    };
    golden(
        Version::V5,
        "82 09 000a 00 0003 612f23 2e",
        Packet::Subscribe(subscribe),
    );
    let plain = Subscribe {
        packet_id: id(10),
        properties: Properties::NONE,
        subscriptions: vec![Subscription::new("a/#", Qos::AtLeastOnce)],
    };
    golden(
        Version::V311,
        "82 08 000a 0003 612f23 01",
        Packet::Subscribe(plain),
    );
    let answer = Packet::SubAck(SubAck {
        packet_id: id(10),
        properties: Properties::NONE,
        codes: vec![ReasonCode(1), ReasonCode::UNSPECIFIED],
    });
    golden(Version::V311, "90 04 000a 01 80", answer.clone());
    golden(Version::V5, "90 05 000a 00 01 80", answer);
}

//= MQTT-2.2.2-1
#[test]
fn unsubscribe_and_its_answer() {
    let unsubscribe = Unsubscribe {
        packet_id: id(11),
        properties: Properties::NONE,
        filters: vec![Text::from_static("a"), Text::from_static("b/+")],
    };
    golden(
        Version::V311,
        "a2 0a 000b 0001 61 0003 622f2b",
        Packet::Unsubscribe(unsubscribe),
    );
    let codes = vec![ReasonCode::SUCCESS, ReasonCode::NO_SUBSCRIPTION_EXISTED];
    let answer = |codes| {
        Packet::UnsubAck(UnsubAck {
            packet_id: id(11),
            properties: Properties::NONE,
            codes,
        })
    };
    golden(Version::V5, "b0 05 000b 00 00 11", answer(codes));
    golden(Version::V311, "b0 02 000b", answer(Vec::new()));
}

//= MQTT-3.2.2-8
//= MQTT-3.9.3-2
//= MQTT-3.11.3-2
#[test]
fn an_answer_with_a_code_of_another_packet_is_refused() {
    for (version, text) in [
        (Version::V31, "20 02 00 06"),
        (Version::V31, "90 03 000a 80"),
        (Version::V311, "20 02 00 80"),
        (Version::V311, "90 04 000a 00 83"),
        (Version::V5, "20 03 00 8b 00"),
        (Version::V5, "90 05 000a 00 00 90"),
        (Version::V5, "b0 05 000b 00 00 97"),
    ] {
        let read = decode_one(&hex(text), version);
        let is_refused = matches!(read, Err(DecodeError::Protocol(_)));
        assert!(is_refused, "{version:?} {text}: {read:?}");
    }
}

#[test]
fn pings_and_disconnects() {
    golden(Version::V311, "c0 00", Packet::PingReq);
    golden(Version::V5, "d0 00", Packet::PingResp);
    golden(
        Version::V5,
        "e0 00",
        Packet::Disconnect(Disconnect::new(ReasonCode::SUCCESS)),
    );
    golden(
        Version::V5,
        "e0 01 8e",
        Packet::Disconnect(Disconnect::new(ReasonCode::SESSION_TAKEN_OVER)),
    );
}

//= MQTT-1.5.5-1
#[test]
fn a_body_of_127_bytes_has_a_length_of_one_byte_and_one_of_128_has_two() {
    for (filter_len, digits) in [(122, 1), (123, 2), (16_378, 2), (16_379, 3)] {
        let subscribe = Packet::Subscribe(Subscribe {
            packet_id: id(1),
            properties: Properties::NONE,
            subscriptions: vec![Subscription::new("f".repeat(filter_len), Qos::AtMostOnce)],
        });
        let mut bytes = bytes_of(&subscribe, Version::V311);
        assert_eq!(bytes.len(), 1 + digits + 5 + filter_len);
        assert_eq!(decode(&mut bytes, Version::V311, MIB), Ok(Some(subscribe)));
    }
}

//= MQTT-3.1.2-1
//= MQTT-3.1.2-3
//= MQTT-3.1.2-11
//= MQTT-3.1.2-12
//= MQTT-3.1.2-13
//= MQTT-3.3.1-2
//= MQTT-3.3.1-4
//= MQTT-3.3.2-2
//= MQTT-3.6.1-1
//= MQTT-3.8.1-1
//= MQTT-3.8.3-2
//= MQTT-3.10.1-1
//= MQTT-3.10.3-2
//= MQTT-3.14.1-1
//= MQTT-4.7.0-1
//= MQTT-4.7.3-1
//= MQTT-3.15.1-1
//= MQTT-3.15.2-1
//= MQTT-1.5.5-1
//= MQTT-3.4.2-1
//= MQTT-3.5.2-1
//= MQTT-3.6.2-1
//= MQTT-3.7.2-1
//= MQTT-3.8.3-5
//= MQTT-3.14.2-1
//= MQTT-4.13.1-1
//= MQTT311-3.1.2-22
#[test]
fn what_is_not_a_packet_is_refused() {
    use DecodeError::{Malformed, Protocol};
    let refusals: &[(Version, &str, DecodeError)] = &[
        (Version::V311, "00 00", Malformed("packet type 0")),
        (Version::V311, "f0 00", Malformed("packet type 15")),
        (
            Version::V311,
            "c0 01 00",
            DecodeError::Wire(WireError::Trailing { at: 0, left: 1 }),
        ),
        // A will whose topic is empty.
        (
            Version::V311,
            "10 11 0004 4d515454 04 06 0000 0001 63 0000 0000",
            DecodeError::TopicName("an empty text"),
        ),
        (
            Version::V5,
            "f1 00",
            Malformed("reserved flags of the fixed header"),
        ),
        (
            Version::V5,
            "f0 02 80 00",
            Protocol("a reason code that is not of this packet"),
        ),
        (
            Version::V5,
            "40 03 0001 92",
            Protocol("a reason code that is not of this packet"),
        ),
        (
            Version::V5,
            "50 03 0001 92",
            Protocol("a reason code that is not of this packet"),
        ),
        (
            Version::V5,
            "70 03 0001 10",
            Protocol("a reason code that is not of this packet"),
        ),
        (
            Version::V5,
            "62 03 0001 10",
            Protocol("a reason code that is not of this packet"),
        ),
        (
            Version::V5,
            "e0 01 18",
            Protocol("a reason code that is not of this packet"),
        ),
        (
            Version::V5,
            "f0 07 18 05 11 00000001",
            Malformed("a property that does not belong to this packet"),
        ),
        (
            Version::V311,
            "c1 00",
            Malformed("reserved flags of the fixed header"),
        ),
        (
            Version::V311,
            "11 0f 0004 4d515454 04 02 003c 0003 646576",
            Malformed("reserved flags of the fixed header"),
        ),
        (
            Version::V5,
            "12 10 0004 4d515454 05 02 003c 00 0003 646576",
            Malformed("reserved flags of the fixed header"),
        ),
        (
            Version::V311,
            "e1 00",
            Malformed("reserved flags of the fixed header"),
        ),
        (
            Version::V311,
            "a0 05 0001 0001 61",
            Malformed("reserved flags of the fixed header"),
        ),
        (
            Version::V311,
            "80 05 0001 0000 00",
            Malformed("reserved flags of the fixed header"),
        ),
        (
            Version::V311,
            "60 02 0001",
            Malformed("reserved flags of the fixed header"),
        ),
        (
            Version::V311,
            "30 ff ff ff ff 01",
            Malformed("remaining length above 4 bytes"),
        ),
        (Version::V311, "38 03 0001 61", Malformed("DUP on QoS 0")),
        (Version::V5, "38 04 0001 61 00", Malformed("DUP on QoS 0")),
        (Version::V311, "36 05 0001 61 0001", Malformed("QoS 3")),
        (Version::V5, "36 06 0001 61 0001 00", Malformed("QoS 3")),
        (
            Version::V311,
            "32 05 0001 61 0000",
            Protocol("packet identifier 0"),
        ),
        (
            Version::V311,
            "30 03 0001 23",
            DecodeError::TopicName("text with a wildcard"),
        ),
        (
            Version::V311,
            "30 03 0001 2b",
            DecodeError::TopicName("text with a wildcard"),
        ),
        (
            Version::V5,
            "30 06 0003 612f2b 00",
            DecodeError::TopicName("text with a wildcard"),
        ),
        (
            Version::V5,
            "30 06 0003 612f23 00",
            DecodeError::TopicName("text with a wildcard"),
        ),
        (
            Version::V311,
            "30 02 0000",
            DecodeError::TopicName("an empty text"),
        ),
        (
            Version::V311,
            "30 03 0001 00",
            Malformed("U+0000 in a string"),
        ),
        (
            Version::V311,
            "82 02 0001",
            Protocol("SUBSCRIBE without a filter"),
        ),
        (
            Version::V5,
            "82 03 0001 00",
            Protocol("SUBSCRIBE without a filter"),
        ),
        (Version::V311, "82 06 0001 0001 61 03", Malformed("QoS 3")),
        (Version::V5, "82 07 0001 00 0001 61 03", Malformed("QoS 3")),
        (
            Version::V311,
            "82 06 0001 0001 61 04",
            Malformed("reserved subscription options"),
        ),
        (
            Version::V5,
            "82 07 0001 00 0001 61 40",
            Malformed("reserved subscription options"),
        ),
        (
            Version::V5,
            "82 07 0001 00 0001 61 30",
            Protocol("retain handling 3"),
        ),
        (
            Version::V311,
            "a2 02 0001",
            Protocol("UNSUBSCRIBE without a filter"),
        ),
        (
            Version::V5,
            "a2 03 0001 00",
            Protocol("UNSUBSCRIBE without a filter"),
        ),
        (
            Version::V311,
            "10 0c 0004 4d515454 03 02 003c 0000",
            DecodeError::UnsupportedVersion(3),
        ),
        (
            Version::V311,
            "10 0e 0006 4d5149736470 04 02 003c 0000",
            DecodeError::UnsupportedVersion(4),
        ),
        (
            Version::V311,
            "10 0c 0004 4d515455 04 02 003c 0000",
            Malformed("protocol name"),
        ),
        (
            Version::V311,
            "10 0c 0004 4d515454 04 03 003c 0000",
            Malformed("reserved connect flag"),
        ),
        (
            Version::V5,
            "10 0d 0004 4d515454 05 03 003c 00 0000",
            Malformed("reserved connect flag"),
        ),
        (
            Version::V311,
            "10 0c 0004 4d515454 04 0a 003c 0000",
            Malformed("will flags without a will"),
        ),
        (
            Version::V311,
            "10 0c 0004 4d515454 04 22 003c 0000",
            Malformed("will flags without a will"),
        ),
        (
            Version::V5,
            "10 0d 0004 4d515454 05 0a 003c 00 0000",
            Malformed("will flags without a will"),
        ),
        (
            Version::V5,
            "10 0d 0004 4d515454 05 22 003c 00 0000",
            Malformed("will flags without a will"),
        ),
        (
            Version::V311,
            "10 11 0004 4d515454 04 1e 003c 0000 0001 61 0000",
            Malformed("QoS 3"),
        ),
        (
            Version::V5,
            "10 13 0004 4d515454 05 1e 003c 00 0000 00 0001 61 0000",
            Malformed("QoS 3"),
        ),
        (
            Version::V311,
            "10 0e 0004 4d515454 04 42 003c 0000 0000",
            Malformed("a password without a user name"),
        ),
        (
            Version::V31,
            "10 12 0006 4d5149736470 03 42 003c 0001 61 0001 62",
            Malformed("a password without a user name"),
        ),
        (
            Version::V5,
            "30 06 0001 61 02 01 02",
            Protocol("a property of one byte is neither 0 nor 1"),
        ),
        (
            Version::V5,
            "30 08 0001 61 04 01 01 01 01",
            Protocol("a property stands twice"),
        ),
        (
            Version::V5,
            "82 0b 0001 04 0b 01 0b 01 0001 70 00",
            Protocol("a property stands twice"),
        ),
        (
            Version::V5,
            "30 07 0001 61 03 21 0001",
            Malformed("a property that does not belong to this packet"),
        ),
        (
            Version::V5,
            "30 07 0001 61 8200 01 00",
            Malformed("a variable byte integer in too many bytes"),
        ),
        (
            Version::V5,
            "30 06 0001 61 02 7f 00",
            Malformed("unknown property"),
        ),
        (
            Version::V5,
            "30 06 0001 61 02 0b 00",
            Protocol("a property is 0 that must not be"),
        ),
    ];
    for (version, text, refusal) in refusals {
        assert_eq!(decode_one(&hex(text), *version), Err(*refusal), "{text}");
    }
}

//= MQTT-2.1.3-1
#[test]
fn every_other_value_of_the_reserved_flags_is_refused() {
    for (version, packet) in [
        (Version::V311, "10 0f 0004 4d515454 04 02 003c 0003 646576"),
        (Version::V311, "40 02 0001"),
        (Version::V311, "50 02 0001"),
        (Version::V311, "62 02 0001"),
        (Version::V311, "70 02 0001"),
        (Version::V311, "82 06 0001 0001 61 00"),
        (Version::V311, "a2 05 0001 0001 61"),
        (Version::V311, "c0 00"),
        (Version::V311, "e0 00"),
        (Version::V5, "f0 00"),
    ] {
        let good = hex(packet);
        for flags in 0..16 {
            let mut frame = good.clone();
            frame[0] = good[0] & 0xf0 | flags;
            let read = decode_one(&frame, version);
            match frame == good {
                true => assert!(matches!(read, Ok(Some(_))), "{packet}: {read:?}"),
                false => {
                    let refusal = DecodeError::Malformed("reserved flags of the fixed header");
                    assert_eq!(read, Err(refusal), "{packet} with flags {flags}");
                }
            }
        }
    }
}

//= MQTT-2.2.1-3
#[test]
fn packet_identifier_0_is_refused_wherever_one_stands() {
    for (version, packet) in [
        (Version::V311, "32 05 0001 61 XX"),
        (Version::V311, "34 05 0001 61 XX"),
        (Version::V311, "40 02 XX"),
        (Version::V311, "50 02 XX"),
        (Version::V311, "62 02 XX"),
        (Version::V311, "70 02 XX"),
        (Version::V311, "82 06 XX 0001 61 00"),
        (Version::V311, "a2 05 XX 0001 61"),
        (Version::V5, "32 06 0001 61 XX 00"),
        (Version::V5, "34 06 0001 61 XX 00"),
        (Version::V5, "40 03 XX 10"),
        (Version::V5, "50 03 XX 10"),
        (Version::V5, "62 03 XX 92"),
        (Version::V5, "70 03 XX 92"),
        (Version::V5, "82 07 XX 00 0001 61 00"),
        (Version::V5, "a2 06 XX 00 0001 61"),
    ] {
        let read = |id| decode_one(&hex(&packet.replace("XX", id)), version);
        assert!(matches!(read("0001"), Ok(Some(_))), "{packet}");
        let refusal = DecodeError::Protocol("packet identifier 0");
        assert_eq!(read("0000"), Err(refusal), "{packet}");
    }
}

//= MQTT-3.8.3-5
#[test]
fn every_reserved_bit_of_the_subscription_options_is_refused() {
    for (version, packet, reserved) in [
        (Version::V311, "82 06 0001 0001 61 XX", 2..8),
        (Version::V5, "82 07 0001 00 0001 61 XX", 6..8),
    ] {
        for bit in reserved {
            let options = format!("{:02x}", 1_u8 << bit);
            let read = decode_one(&hex(&packet.replace("XX", &options)), version);
            let refusal = DecodeError::Malformed("reserved subscription options");
            assert_eq!(read, Err(refusal), "bit {bit} in {version:?}");
        }
    }
}

//= MQTT-1.5.4-1
//= MQTT-1.5.4-2
//= MQTT-1.5.7-1
//= MQTT-3.1.3-4
//= MQTT-3.1.3-11
//= MQTT-3.1.3-12
//= MQTT-3.3.2-1
//= MQTT-3.3.2-13
//= MQTT-3.3.2-19
//= MQTT-3.8.3-1
//= MQTT-3.10.3-1
//= MQTT-4.7.3-2
#[test]
fn text_that_is_not_utf_8_is_refused_wherever_it_stands() {
    for (text, field) in [
        (
            "10 0d 0004 4d515454 04 02 003c 0001 XX",
            "client identifier",
        ),
        (
            "10 12 0004 4d515454 04 06 003c 0001 61 0001 XX 0000",
            "topic of a will",
        ),
        (
            "10 10 0004 4d515454 04 82 003c 0001 61 0001 XX",
            "user name",
        ),
        ("30 03 0001 XX", "topic"),
        ("82 06 0001 0001 XX 00", "filter"),
        ("a2 05 0001 0001 XX", "filter that is left"),
    ] {
        refuses_bad_text(Version::V311, text, field);
    }
    for (text, field) in [
        ("30 08 0001 61 04 08 0001 XX", "response topic"),
        ("30 08 0001 61 04 03 0001 XX", "content type"),
        ("30 0b 0001 61 07 26 0001 XX 0001 61", "name of a pair"),
        ("30 0b 0001 61 07 26 0001 61 0001 XX", "value of a pair"),
        (
            "10 12 0004 4d515454 05 02 003c 04 15 0001 XX 0001 61",
            "authentication method",
        ),
        ("40 08 0001 00 04 1f 0001 XX", "reason string"),
    ] {
        refuses_bad_text(Version::V5, text, field);
    }
    let surrogate = decode_one(&hex("30 05 0003 eda080"), Version::V311);
    assert!(matches!(surrogate, Err(DecodeError::Wire(_))));
}

/// A frame is read with a letter in the place of `XX`, and not with a byte that no text has, or with the null character.
fn refuses_bad_text(version: Version, frame: &str, field: &str) {
    let good = decode_one(&hex(&frame.replace("XX", "7a")), version);
    assert!(matches!(good, Ok(Some(_))), "{field}: {good:?}");
    let bad = decode_one(&hex(&frame.replace("XX", "ff")), version);
    assert!(matches!(bad, Err(DecodeError::Wire(_))), "{field}: {bad:?}");
    let null = decode_one(&hex(&frame.replace("XX", "00")), version);
    let refusal = DecodeError::Malformed("U+0000 in a string");
    assert_eq!(null, Err(refusal), "{field}");
}

//= MQTT-1.5.4-3
#[test]
fn a_byte_order_mark_is_a_character() {
    let marked = publish(Delivery::AtMostOnce, "\u{feff}a\u{feff}", b"");
    golden(
        Version::V311,
        "30 09 0007 efbbbf61efbbbf",
        Packet::Publish(marked),
    );
}

#[test]
fn bytes_after_the_last_field_are_refused() {
    for text in ["40 03 0001 00", "c0 01 00"] {
        let refused = decode_one(&hex(text), Version::V311);
        assert!(
            matches!(refused, Err(DecodeError::Wire(_))),
            "{text}: {refused:?}"
        );
    }
}

#[test]
fn a_packet_above_the_limit_is_refused_by_its_header_alone() {
    let announced = hex("30 ff ff ff 7f");
    let refused = decode(&mut BytesMut::from(&announced[..]), Version::V5, MIB);
    let size = PACKET_BYTES_MAX;
    assert_eq!(refused, Err(DecodeError::TooLarge { size, max: MIB }));
    let mut at_limit = BytesMut::from(&hex("30 03 0001 61")[..]);
    assert!(matches!(
        decode(&mut at_limit, Version::V311, 5),
        Ok(Some(_))
    ));
    let mut above = BytesMut::from(&hex("30 04 0001 61 62")[..]);
    let refused = decode(&mut above, Version::V311, 5);
    assert_eq!(refused, Err(DecodeError::TooLarge { size: 6, max: 5 }));
}

#[test]
fn a_payload_is_a_slice_of_what_arrived() {
    let mut src = BytesMut::from(&hex("30 06 0001 61 686f6c")[..]);
    let place = src[5..].as_ptr();
    let Ok(Some(Packet::Publish(publish))) = decode(&mut src, Version::V311, MIB) else {
        panic!("a publish");
    };
    assert_eq!(publish.payload.as_ptr(), place);
}

#[test]
fn the_size_of_a_publish_is_known_before_it_is_written() {
    for len in [0, 120, 121, 122, 123, 16_376, 16_378] {
        for version in [Version::V311, Version::V5] {
            let packet = Publish {
                payload: vec![7; len].into(),
                properties: Properties::NONE,
                ..publish(Delivery::ExactlyOnce(id(1)), "abc", b"")
            };
            let size = packet.size(version);
            assert_eq!(bytes_of(&Packet::Publish(packet), version).len(), size);
        }
    }
}

fn text() -> impl Strategy<Value = Text> {
    "[a-z/é$%]{0,12}".prop_map(Text::from)
}

fn user_property() -> impl Strategy<Value = Property> {
    (text(), text()).prop_map(|(name, value)| Property::User(UserProperty { name, value }))
}

fn message_properties() -> impl Strategy<Value = Properties> {
    let once = (
        prop::option::of(any::<bool>()),
        prop::option::of(any::<u32>()),
        prop::option::of(text()),
        prop::option::of(prop::collection::vec(any::<u8>(), 0..8)),
    );
    (once, prop::collection::vec(user_property(), 0..3)).prop_map(|(once, users)| {
        let (format, expiry, kind, correlation) = once;
        let list = format
            .map(Property::PayloadFormat)
            .into_iter()
            .chain(expiry.map(Property::MessageExpiry))
            .chain(kind.map(Property::ContentType))
            .chain(correlation.map(|c| Property::CorrelationData(c.into())))
            .chain(users);
        Properties::of(list).unwrap()
    })
}

fn delivery() -> impl Strategy<Value = Delivery> {
    (0..3_u8, 1..=u16::MAX).prop_map(|(qos, number)| match qos {
        0 => Delivery::AtMostOnce,
        1 => Delivery::AtLeastOnce(id(number)),
        _ => Delivery::ExactlyOnce(id(number)),
    })
}

fn any_publish() -> impl Strategy<Value = Packet> {
    let payload = prop::collection::vec(any::<u8>(), 0..300);
    (
        delivery(),
        any::<(bool, bool)>(),
        text(),
        message_properties(),
        payload,
    )
        .prop_map(|(delivery, (dup, retain), topic, properties, payload)| {
            Packet::Publish(Publish {
                dup: dup && delivery.qos() != Qos::AtMostOnce,
                delivery,
                retain,
                topic: Text::from(format!("t{topic}")),
                properties,
                payload: payload.into(),
            })
        })
}

fn any_ack() -> impl Strategy<Value = Packet> {
    (
        0..4,
        1..=u16::MAX,
        any::<prop::sample::Index>(),
        prop::collection::vec(user_property(), 0..2),
    )
        .prop_map(|(kind, number, reason, users)| {
            let ack = Ack {
                packet_id: id(number),
                reason: *reason.get(if kind < 2 { OF_PUBLISH } else { OF_RELEASE }),
                properties: Properties::of(users).unwrap(),
            };
            match kind {
                0 => Packet::PubAck(ack),
                1 => Packet::PubRec(ack),
                2 => Packet::PubRel(ack),
                _ => Packet::PubComp(ack),
            }
        })
}

fn any_subscribe() -> impl Strategy<Value = Packet> {
    let one =
        (text(), 0..3_u8, any::<(bool, bool)>()).prop_map(|(filter, qos, flags)| Subscription {
            no_local: flags.0,
            retain_as_published: flags.1,
            retain_handling: RetainHandling::IfNew,
            ..Subscription::new(filter, Qos::from_bits(qos).unwrap())
        });
    (1..=u16::MAX, prop::collection::vec(one, 1..5)).prop_map(|(number, subscriptions)| {
        Packet::Subscribe(Subscribe {
            packet_id: id(number),
            properties: Properties::of([Property::SubscriptionId(
                SubscriptionId::new(u32::from(number)).unwrap(),
            )])
            .unwrap(),
            subscriptions,
        })
    })
}

fn any_packet() -> impl Strategy<Value = Packet> {
    prop_oneof![
        4 => any_publish(),
        3 => any_ack(),
        1 => any_subscribe(),
        1 => Just(Packet::PingReq),
        1 => prop::sample::select(reason::OF_DISCONNECT)
            .prop_map(|reason| Packet::Disconnect(Disconnect::new(reason))),
    ]
}

proptest! {
    #[test]
    fn packets_split_anywhere_decode_to_what_was_encoded(
        packets in prop::collection::vec(any_packet(), 1..6),
        cuts in prop::collection::vec(1..40_usize, 1..8),
    ) {
        let mut wire = BytesMut::new();
        for packet in &packets {
            packet.encode(Version::V5, &mut wire).unwrap();
        }
        let (mut src, mut read) = (BytesMut::new(), Vec::new());
        for size in cuts.iter().cycle() {
            if wire.is_empty() {
                break;
            }
            src.extend_from_slice(&wire.split_to((*size).min(wire.len())));
            while let Some(packet) = decode(&mut src, Version::V5, MIB).unwrap() {
                read.push(packet);
            }
        }
        prop_assert_eq!(read, packets);
        prop_assert!(src.is_empty());
    }

    #[test]
    fn any_bytes_are_a_packet_or_an_error_and_never_a_panic(
        first in any::<u8>(),
        body in prop::collection::vec(any::<u8>(), 0..120),
        version in prop::sample::select(vec![Version::V31, Version::V311, Version::V5]),
    ) {
        let mut framed = BytesMut::from(&[first, u8::try_from(body.len()).unwrap()][..]);
        framed.extend_from_slice(&body);
        if let Ok(Some(packet)) = decode(&mut framed, version, MIB) {
            let version = if let Packet::Connect(connect) = &packet { connect.version } else { version };
            let mut again = bytes_of(&packet, version);
            prop_assert_eq!(decode(&mut again, version, MIB), Ok(Some(packet)));
        }
        let mut bare = BytesMut::from(&body[..]);
        while let Ok(Some(_)) = decode(&mut bare, version, MIB) {}
    }
}

#[test]
fn as_many_filters_as_a_session_may_have_fit_one_packet_and_one_more_does_not() {
    for (count, is_read) in [(4_096, true), (4_097, false)] {
        let subscriptions = vec![Subscription::new("a", Qos::AtMostOnce); count];
        let (packet_id, properties) = (id(1), Properties::NONE);
        let packet = Packet::Subscribe(Subscribe {
            packet_id,
            properties,
            subscriptions,
        });
        let mut bytes = bytes_of(&packet, Version::V5);
        assert_eq!(decode(&mut bytes, Version::V5, MIB).is_ok(), is_read);
        let filters = vec![Text::from_static("a"); count];
        let properties = Properties::NONE;
        let packet = Packet::Unsubscribe(Unsubscribe {
            packet_id,
            properties,
            filters,
        });
        let mut bytes = bytes_of(&packet, Version::V5);
        assert_eq!(decode(&mut bytes, Version::V5, MIB).is_ok(), is_read);
    }
}

#[test]
fn properties_of_256_kib_are_read_and_longer_ones_refused_by_their_length() {
    for (len, is_read) in [(256 * 1024, true), (256 * 1024 + 1, false)] {
        let fill = |bytes: usize| {
            let value = Text::from("v".repeat(bytes - 6));
            Property::User(UserProperty {
                name: Text::from_static("n"),
                value,
            })
        };
        let list = [65_536, 65_536, 65_536, len - 3 * 65_536].map(fill);
        let packet = Publish {
            properties: Properties::of(list).unwrap(),
            ..publish(Delivery::AtMostOnce, "t", b"")
        };
        let mut bytes = bytes_of(&Packet::Publish(packet), Version::V5);
        assert_eq!(
            decode(&mut bytes, Version::V5, MIB).is_ok(),
            is_read,
            "{len}"
        );
    }
}
