use std::time::Duration;

use bytes::Bytes;
use fairlead_canon::Text;
use fairlead_kernel::ClosedReason;
use fairlead_mqtt::codec::{Connect, Packet, Property, Qos, ReasonCode, Version};
use tokio::time::Instant;

use crate::peer::{Mesh, hello, kept, qos0, qos1, with};

async fn refusal(mesh: &Mesh, connect: Connect) -> (ReasonCode, ClosedReason) {
    let mut peer = mesh.dial(connect.version);
    peer.send(Packet::Connect(Box::new(connect))).await;
    let Packet::ConnAck(answer) = peer.next().await else {
        panic!("CONNACK")
    };
    assert!(!answer.session_present);
    (answer.code, peer.expect_end(None).await.reason)
}

fn with_password(version: Version, password: &'static [u8]) -> Connect {
    Connect {
        user_name: Some(Text::from_static("alice")),
        password: Some(Bytes::from_static(password)),
        ..hello(version, "c")
    }
}

//= MQTT-3.1.4-2
//= MQTT-3.2.2-6
//= MQTT-3.2.2-7
//= MQTT-3.2.2-8
//= MQTT-3.14.0-1
#[tokio::test]
async fn a_right_password_lets_in_and_a_wrong_one_does_not() {
    let mesh = Mesh::start().await;
    mesh.accepted(with_password(Version::V5, b"secret")).await;
    let wrong = refusal(&mesh, with_password(Version::V5, b"guess")).await;
    assert_eq!(wrong, (ReasonCode::BAD_CREDENTIALS, ClosedReason::Refused));
    let wrong = refusal(&mesh, with_password(Version::V311, b"guess")).await;
    assert_eq!(wrong, (ReasonCode(4), ClosedReason::Refused));
}

//= MQTT-3.1.4-5
//= MQTT-4.12.0-6
#[tokio::test]
async fn the_terms_of_the_server_are_told() {
    let mesh = Mesh::start().await;
    let (mut peer, answer) = mesh.accepted(hello(Version::V5, "c")).await;
    peer.expect_nothing().await;
    let has = |wanted: &Property| answer.properties.iter().any(|property| property == *wanted);
    assert!(has(&Property::ReceiveMaximum(1024.try_into().unwrap())));
    assert!(has(&Property::TopicAliasMaximum(64)));
    let (_, answer) = mesh.accepted(hello(Version::V311, "d")).await;
    assert!(answer.properties.is_empty());
}

//= MQTT-3.2.2-22
#[tokio::test(start_paused = true)]
async fn a_keep_alive_within_the_limit_of_the_listener_holds() {
    let mesh = Mesh::set(&[("keep_alive_max", "60")]).await;
    let modest = Connect {
        keep_alive: 10,
        ..hello(Version::V5, "c")
    };
    let (peer, answer) = mesh.accepted(modest).await;
    let is_told = |one: Property| matches!(one, Property::ServerKeepAlive(_));
    assert!(!answer.properties.iter().any(is_told));
    let started = Instant::now();
    peer.expect_end(Some(ReasonCode::KEEP_ALIVE_TIMEOUT)).await;
    assert_eq!(started.elapsed(), Duration::from_secs(15));
}

//= MQTT-3.1.3-5
#[tokio::test]
async fn letters_and_digits_are_an_identifier() {
    let mesh = Mesh::start().await;
    for version in [Version::V31, Version::V311, Version::V5] {
        for client in [
            "0123456789abcdefghijklm",
            "nopqrstuvwxyzABCDEFGHIJ",
            "KLMNOPQRSTUVWXYZ",
            "7",
        ] {
            mesh.client(version, client).await.goodbye().await;
        }
    }
}

//= MQTT-3.1.3-6
//= MQTT-3.1.3-7
//= MQTT-3.1.3-8
//= MQTT311-3.1.3-7
//= MQTT311-3.1.3-8
//= MQTT-3.2.2-16
#[tokio::test]
async fn a_client_without_an_identifier_is_given_one() {
    let mesh = Mesh::start().await;
    let (_, first) = mesh.accepted(hello(Version::V5, "")).await;
    let (_, second) = mesh.accepted(hello(Version::V5, "")).await;
    let assigned = |answer: &fairlead_mqtt::codec::ConnAck| {
        answer
            .properties
            .iter()
            .find_map(|property| match property {
                Property::AssignedClientId(id) => Some(id),
                _ => None,
            })
    };
    assert!(assigned(&first).is_some() && assigned(&first) != assigned(&second));
    mesh.accepted(hello(Version::V311, "")).await;
    let unclean = Connect {
        clean_start: false,
        ..hello(Version::V311, "")
    };
    assert_eq!(refusal(&mesh, unclean).await.0, ReasonCode(2));
    let long = hello(Version::V5, &"c".repeat(513));
    assert_eq!(
        refusal(&mesh, long).await.0,
        ReasonCode::CLIENT_ID_NOT_VALID
    );
    mesh.accepted(hello(Version::V5, &"c".repeat(512))).await;
}

#[tokio::test]
async fn a_client_of_3_1_needs_an_identifier_and_is_served() {
    let mesh = Mesh::start().await;
    let refused = refusal(&mesh, hello(Version::V31, "")).await;
    assert_eq!(refused.0, ReasonCode(2));
    let mut peer = mesh.accepted(kept(Version::V31, "old")).await.0;
    peer.subscribe("a", Qos::AtLeastOnce).await;
    peer.goodbye().await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    writer.send(qos1(1, "a", b"x")).await;
    writer.next().await;
    let (mut peer, answer) = mesh.accepted(kept(Version::V31, "old")).await;
    assert!(!answer.session_present, "3.1 has no word for it");
    assert_eq!(peer.next_publish().await.payload, "x");
}

//= MQTT-3.1.2-2
#[tokio::test]
async fn an_unknown_protocol_is_told_in_its_own_words() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial(Version::V311);
    peer.send_bytes(b"\x10\x0e\x00\x06MQIsdp\x02\x02\x00\x3c\x00\x00")
        .await;
    let Packet::ConnAck(answer) = peer.next().await else {
        panic!("CONNACK")
    };
    assert_eq!(answer.code, ReasonCode(1));
    assert_eq!(peer.expect_end(None).await.reason, ClosedReason::Malformed);
}

//= MQTT-3.1.0-1
//= MQTT-3.1.2-1
//= MQTT-3.1.4-1
//= MQTT-3.14.0-1
#[tokio::test]
async fn what_is_not_connect_is_closed_without_a_word() {
    let mesh = Mesh::start().await;
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\xc0\x00",
        b"\x10\xff\xff\xff\x7f",
        b"\x10\x0c\x00\x04MQTX\x04\x02\x00\x3c\x00\x00",
        b"\x00\x00",
    ] {
        let mut peer = mesh.dial(Version::V5);
        peer.send_bytes(bytes).await;
        assert_eq!(peer.expect_end(None).await.reason, ClosedReason::Malformed);
    }
}

//= MQTT-3.1.2-24
#[tokio::test]
async fn a_client_that_accepts_no_connack_is_refused_in_what_it_accepts() {
    let mesh = Mesh::start().await;
    let tiny = |size_max: u32| Connect {
        properties: with([Property::MaximumPacketSize(size_max.try_into().unwrap())]),
        ..hello(Version::V5, "tiny")
    };
    // CONNACK takes 16 bytes with our terms, and 5 without.
    mesh.accepted(tiny(16)).await;
    for size_max in [5, 15] {
        let refused = refusal(&mesh, tiny(size_max)).await;
        assert_eq!(
            refused,
            (ReasonCode::PACKET_TOO_LARGE, ClosedReason::Refused)
        );
    }
    let mut mute = mesh.dial(Version::V5);
    mute.send(Packet::Connect(Box::new(tiny(4)))).await;
    assert_eq!(mute.expect_end(None).await.reason, ClosedReason::Refused);
}

//= MQTT-3.1.0-2
//= MQTT-3.2.0-2
//= MQTT-4.13.1-1
#[tokio::test]
async fn a_second_connect_is_a_protocol_error() {
    let mesh = Mesh::start().await;
    for version in [Version::V5, Version::V311] {
        let mut peer = mesh.client(version, "c").await;
        let again = Packet::Connect(Box::new(hello(version, "c")));
        peer.send(again).await;
        let word = (version == Version::V5).then_some(ReasonCode::PROTOCOL_ERROR);
        peer.expect_end(word).await;
    }
}

//= MQTT-3.14.2-1
#[tokio::test]
async fn a_second_connect_of_a_level_that_is_not_served_is_a_protocol_error_too() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.client(Version::V5, "c").await;
    peer.send_bytes(b"\x10\x0d\x00\x04MQTT\x06\x02\x00\x3c\x00\x01c")
        .await;
    peer.expect_end(Some(ReasonCode::PROTOCOL_ERROR)).await;
}

//= MQTT311-2.2.2-2
//= MQTT-4.13.1-1
#[tokio::test]
async fn reserved_flags_of_another_value_end_the_connection() {
    let mesh = Mesh::start().await;
    for version in [Version::V5, Version::V311] {
        let mut peer = mesh.client(version, "c").await;
        peer.send_bytes(b"\xc1\x00").await;
        let word = (version == Version::V5).then_some(ReasonCode::MALFORMED_PACKET);
        let closed = peer.expect_end(word).await;
        assert_eq!(closed.reason, ClosedReason::Malformed);
    }
}

//= MQTT-4.13.1-1
#[tokio::test]
async fn a_packet_that_breaks_a_rule_ends_the_connection_with_its_reason() {
    let mesh = Mesh::start().await;
    for (bytes, reason) in [
        // SUBSCRIBE without a filter, a property twice, and a topic name with a wildcard.
        (&b"\x82\x03\x00\x01\x00"[..], ReasonCode::PROTOCOL_ERROR),
        (
            b"\x30\x08\x00\x01a\x04\x01\x01\x01\x01",
            ReasonCode::PROTOCOL_ERROR,
        ),
        (b"\x30\x04\x00\x01#\x00", ReasonCode::TOPIC_NAME_INVALID),
    ] {
        let mut peer = mesh.client(Version::V5, "c").await;
        peer.send_bytes(bytes).await;
        peer.expect_end(Some(reason)).await;
    }
}

#[tokio::test]
async fn a_client_that_is_thrown_out_may_finish_its_sentence() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.client(Version::V5, "c").await;
    peer.send(Packet::PingResp).await;
    // More than the pipe holds: a server that had closed would have broken it.
    peer.send_bytes(&vec![0; 2 << 20]).await;
    peer.expect_end(Some(ReasonCode::PROTOCOL_ERROR)).await;
}

//= MQTT-4.13.2-1
#[tokio::test]
async fn a_packet_of_the_server_is_a_protocol_error() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.client(Version::V5, "c").await;
    peer.send(Packet::PingResp).await;
    peer.expect_end(Some(ReasonCode::PROTOCOL_ERROR)).await;
}

//= MQTT-3.2.2-15
//= MQTT-4.13.1-1
#[tokio::test]
async fn an_announced_packet_above_the_maximum_is_refused_before_it_comes() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.client(Version::V5, "c").await;
    peer.send_bytes(b"\x30\xff\xff\xff\x7f").await;
    peer.expect_end(Some(ReasonCode::PACKET_TOO_LARGE)).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_says_nothing_is_closed_after_ten_seconds() {
    let mesh = Mesh::start().await;
    let peer = mesh.dial(Version::V5);
    let started = tokio::time::Instant::now();
    assert_eq!(peer.expect_end(None).await.reason, ClosedReason::Silent);
    assert_eq!(started.elapsed(), Duration::from_secs(10));
}

#[tokio::test]
async fn what_is_sent_behind_connect_without_waiting_is_answered() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial(Version::V311);
    // CONNECT as client "w" and PINGREQ, in one write.
    peer.send_bytes(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01w\xc0\x00")
        .await;
    let Packet::ConnAck(_) = peer.next().await else {
        panic!("CONNACK")
    };
    peer.expect(Packet::PingResp).await;
}

//= MQTT-3.1.4-6
#[tokio::test]
async fn what_follows_a_refused_connect_is_not_read() {
    let mesh = Mesh::start().await;
    let mut watcher = mesh.client(Version::V5, "watcher").await;
    watcher.subscribe("t", Qos::AtMostOnce).await;
    let mut peer = mesh.dial(Version::V5);
    let mut bytes = bytes::BytesMut::new();
    let connect = Packet::Connect(Box::new(with_password(Version::V5, b"guess")));
    connect.encode(Version::V5, &mut bytes).unwrap();
    qos0("t", b"x").encode(Version::V5, &mut bytes).unwrap();
    peer.send_bytes(&bytes).await;
    assert!(matches!(peer.next().await, Packet::ConnAck(_)));
    peer.expect_end(None).await;
    watcher.expect_nothing().await;
}
