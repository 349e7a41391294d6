use std::time::Duration;

use fairlead_kernel::ClosedReason;
use fairlead_mqtt::codec::{
    Connect, Delivery, Disconnect, Packet, Property, Publish, Qos, ReasonCode, Version,
};

use crate::peer::{
    Mesh, hello, id, kept, message, puback, pubcomp, pubrec, pubrel, qos0, qos1, qos2, with,
};

//= MQTT-3.1.2-5
//= MQTT-3.1.2-6
//= MQTT311-3.1.2-5
//= MQTT-3.1.3-2
//= MQTT-3.2.0-1
//= MQTT-3.2.2-3
//= MQTT-4.5.0-1
#[tokio::test]
async fn messages_wait_for_a_session_that_is_away() {
    let mesh = Mesh::start().await;
    for version in [Version::V311, Version::V5] {
        let mut reader = mesh.accepted(kept(version, "reader")).await.0;
        reader.subscribe("t/#", Qos::AtLeastOnce).await;
        reader.goodbye().await;
        let mut writer = mesh.client(version, "writer").await;
        writer.send(qos1(1, "t/1", b"x")).await;
        writer.expect(puback(1, ReasonCode::SUCCESS)).await;
        let (mut reader, answer) = mesh.accepted(kept(version, "reader")).await;
        assert!(answer.session_present);
        let came = reader.next_publish().await;
        assert_eq!((&*came.topic, &came.payload[..]), ("t/1", &b"x"[..]));
        let Delivery::AtLeastOnce(number) = came.delivery else {
            panic!("QoS 1")
        };
        reader.send(puback(number.get(), ReasonCode::SUCCESS)).await;
        reader.expect_nothing().await;
        mesh.accepted(hello(version, "reader"))
            .await
            .0
            .goodbye()
            .await;
    }
}

//= MQTT-3.1.2-5
//= MQTT-3.2.2-3
#[tokio::test]
async fn who_comes_back_without_an_expiry_gets_what_waits_and_ends_the_session() {
    let mesh = Mesh::start().await;
    let mut reader = mesh.accepted(kept(Version::V5, "reader")).await.0;
    reader.subscribe("t", Qos::AtLeastOnce).await;
    reader.goodbye().await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    writer.send(qos1(1, "t", b"x")).await;
    writer.expect(puback(1, ReasonCode::SUCCESS)).await;

    let once_more = || Connect {
        clean_start: false,
        ..hello(Version::V5, "reader")
    };
    let (mut reader, answer) = mesh.accepted(once_more()).await;
    assert!(answer.session_present);
    assert_eq!(&reader.next_publish().await.payload[..], b"x");
    reader.goodbye().await;
    let (_reader, answer) = mesh.accepted(once_more()).await;
    assert!(!answer.session_present);
}

//= MQTT311-2.3.1-4
//= MQTT-3.3.1-1
//= MQTT-4.3.2-3
//= MQTT-4.4.0-1
#[tokio::test]
async fn an_unacknowledged_message_comes_again_with_its_identifier_and_dup() {
    let mesh = Mesh::start().await;
    let mut reader = mesh.accepted(kept(Version::V5, "reader")).await.0;
    reader.subscribe("t", Qos::AtLeastOnce).await;
    reader.send(qos1(1, "t", b"x")).await;
    reader.send(qos1(2, "t", b"y")).await;
    let mut came = Vec::new();
    while came.len() < 2 {
        if let Packet::Publish(publish) = reader.next().await {
            came.push(publish);
        }
    }
    reader.send(puback(2, ReasonCode::SUCCESS)).await;
    reader.expect_nothing().await;
    reader.vanish().await;
    let mut reader = mesh.accepted(kept(Version::V5, "reader")).await.0;
    let again = Publish {
        dup: true,
        ..message("t", Delivery::AtLeastOnce(id(1)), b"x")
    };
    reader.expect(Packet::Publish(again)).await;
    reader.expect_nothing().await;
}

//= MQTT-3.1.2-23
//= MQTT-3.1.2-5
#[tokio::test]
async fn subscriptions_of_both_kinds_survive_the_connection() {
    let mesh = Mesh::start().await;
    let mut reader = mesh.accepted(kept(Version::V5, "reader")).await.0;
    reader.subscribe("live", Qos::AtMostOnce).await;
    reader.subscribe("kept", Qos::AtLeastOnce).await;
    reader.vanish().await;
    let mut reader = mesh.accepted(kept(Version::V5, "reader")).await.0;
    reader.send(qos0("live", b"1")).await;
    reader.expect(qos0("live", b"1")).await;
    reader.send(qos0("kept", b"2")).await;
    reader.expect(qos0("kept", b"2")).await;
}

//= MQTT-3.1.2-4
//= MQTT-3.1.4-4
//= MQTT-3.2.2-2
#[tokio::test]
async fn a_clean_start_ends_the_session_before_it() {
    let mesh = Mesh::start().await;
    let mut reader = mesh.accepted(kept(Version::V5, "reader")).await.0;
    reader.subscribe("t", Qos::AtLeastOnce).await;
    let unheard = ReasonCode::NO_MATCHING_SUBSCRIBERS;
    reader.send(qos2(7, "u", b"x")).await;
    assert_eq!(reader.code_of(7).await, unheard);
    reader.vanish().await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    writer.send(qos1(1, "t", b"x")).await;
    writer.expect(puback(1, ReasonCode::SUCCESS)).await;
    let (mut reader, answer) = mesh.accepted(hello(Version::V5, "reader")).await;
    assert!(!answer.session_present);
    reader.expect_nothing().await;
    reader.send(qos2(7, "u", b"x")).await;
    assert_eq!(reader.code_of(7).await, unheard, "it is another message");
    writer.send(qos1(2, "t", b"x")).await;
    writer
        .expect(puback(2, ReasonCode::NO_MATCHING_SUBSCRIBERS))
        .await;
}

//= MQTT-3.14.4-1
//= MQTT-3.14.4-2
#[tokio::test]
async fn a_goodbye_ends_the_connection() {
    let mesh = Mesh::start().await;
    for version in [Version::V311, Version::V5] {
        let mut peer = mesh.client(version, "c").await;
        let goodbye = Packet::Disconnect(Disconnect::new(ReasonCode::SUCCESS));
        peer.send(goodbye).await;
        let closed = peer.expect_end(None).await;
        assert_eq!(closed.reason, ClosedReason::Goodbye);
    }
}

#[tokio::test]
async fn a_clean_session_ends_with_its_connection() {
    let mesh = Mesh::start().await;
    let mut reader = mesh.client(Version::V311, "reader").await;
    reader.subscribe("t", Qos::AtLeastOnce).await;
    reader.goodbye().await;
    let (_, answer) = mesh.accepted(kept(Version::V311, "reader")).await;
    assert!(!answer.session_present);
}

//= MQTT-4.1.0-2
//= MQTT-3.1.2-23
#[tokio::test(start_paused = true)]
async fn a_session_ends_when_its_expiry_is_over() {
    let mesh = Mesh::start().await;
    let mut reader = mesh.accepted(kept(Version::V5, "reader")).await.0;
    reader.subscribe("t", Qos::AtLeastOnce).await;
    reader.vanish().await;
    tokio::time::sleep(Duration::from_secs(3_599)).await;
    let (reader, answer) = mesh.accepted(kept(Version::V5, "reader")).await;
    assert!(answer.session_present);
    reader.vanish().await;
    tokio::time::sleep(Duration::from_secs(3_599)).await;
    let (reader, answer) = mesh.accepted(kept(Version::V5, "reader")).await;
    assert!(answer.session_present, "each absence is counted for itself");
    reader.vanish().await;
    tokio::time::sleep(Duration::from_secs(3_601)).await;
    let (_, answer) = mesh.accepted(kept(Version::V5, "reader")).await;
    assert!(!answer.session_present);
}

//= MQTT-4.1.0-2
#[tokio::test]
async fn a_goodbye_may_shorten_the_session_and_not_prolong_it() {
    let mesh = Mesh::start().await;
    let goodbye = |seconds| {
        Packet::Disconnect(Disconnect {
            reason: ReasonCode::SUCCESS,
            properties: with([Property::SessionExpiry(seconds)]),
        })
    };
    let mut peer = mesh.accepted(hello(Version::V5, "peer")).await.0;
    peer.send(goodbye(60)).await;
    peer.expect_end(Some(ReasonCode::PROTOCOL_ERROR)).await;
    let mut peer = mesh.accepted(kept(Version::V5, "peer")).await.0;
    peer.send(goodbye(0)).await;
    peer.expect_end(None).await;
    let (_, answer) = mesh.accepted(kept(Version::V5, "peer")).await;
    assert!(!answer.session_present);
}

//= MQTT-3.1.4-3
//= MQTT-4.1.0-1
#[tokio::test]
async fn the_same_client_again_ends_the_connection_before_it() {
    let mesh = Mesh::start().await;
    for version in [Version::V311, Version::V5] {
        let mut first = mesh.accepted(kept(version, "twin")).await.0;
        first.subscribe("t", Qos::AtLeastOnce).await;
        let (mut second, answer) = mesh.accepted(kept(version, "twin")).await;
        assert!(answer.session_present);
        let word = (version == Version::V5).then_some(ReasonCode::SESSION_TAKEN_OVER);
        assert_eq!(first.expect_end(word).await.reason, ClosedReason::TakenOver);
        second.send(qos0("t", b"x")).await;
        second.expect(qos0("t", b"x")).await;
        mesh.accepted(hello(version, "twin"))
            .await
            .0
            .goodbye()
            .await;
    }
}

//= MQTT-3.1.4-2
#[tokio::test]
async fn a_session_belongs_to_the_user_who_made_it() {
    let mesh = Mesh::start().await;
    let as_user = |name: &'static str| {
        let mut connect = kept(Version::V5, "shared-id");
        connect.user_name = Some(fairlead_canon::Text::from_static(name));
        connect.password = Some(bytes::Bytes::from_static(b"secret"));
        connect
    };
    mesh.accepted(as_user("alice")).await.0.vanish().await;
    let mut peer = mesh.dial(Version::V5);
    peer.send(Packet::Connect(Box::new(as_user("mallory"))))
        .await;
    let Packet::ConnAck(answer) = peer.next().await else {
        panic!("CONNACK")
    };
    assert_eq!(answer.code, ReasonCode::NOT_AUTHORIZED);
    assert!(mesh.accepted(as_user("alice")).await.1.session_present);
}

//= MQTT-3.14.2-1
//= MQTT-3.14.4-1
//= MQTT-3.14.4-2
#[tokio::test]
async fn a_drain_is_told_and_ends_every_connection() {
    let mesh = Mesh::start().await;
    let young = mesh.client(Version::V5, "young").await;
    let old = mesh.client(Version::V311, "old").await;
    let silent = mesh.dial(Version::V5);
    mesh.drain();
    let end = young
        .expect_end(Some(ReasonCode::SERVER_SHUTTING_DOWN))
        .await;
    assert_eq!(end.reason, ClosedReason::Drained);
    assert_eq!(old.expect_end(None).await.reason, ClosedReason::Drained);
    assert_eq!(silent.expect_end(None).await.reason, ClosedReason::Drained);
}

#[tokio::test(start_paused = true)]
async fn a_goodbye_may_prolong_a_session() {
    let mesh = Mesh::start().await;
    let short = || Connect {
        properties: with([Property::SessionExpiry(1)]),
        ..kept(Version::V5, "c")
    };
    let (mut peer, _) = mesh.accepted(short()).await;
    peer.send(Packet::Disconnect(Disconnect {
        reason: ReasonCode::SUCCESS,
        properties: with([Property::SessionExpiry(5)]),
    }))
    .await;
    peer.expect_end(None).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (peer, answer) = mesh.accepted(short()).await;
    assert!(answer.session_present);
    peer.goodbye().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (_, answer) = mesh.accepted(short()).await;
    assert!(!answer.session_present);
}

#[tokio::test]
async fn what_was_published_before_a_goodbye_in_the_same_write_is_kept() {
    let mesh = Mesh::start().await;
    let mut reader = mesh.accepted(kept(Version::V5, "reader")).await.0;
    reader.subscribe("t", Qos::AtLeastOnce).await;
    reader.vanish().await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    let mut bytes = bytes::BytesMut::new();
    qos1(1, "t", b"x").encode(Version::V5, &mut bytes).unwrap();
    let goodbye = Packet::Disconnect(Disconnect::new(ReasonCode::SUCCESS));
    goodbye.encode(Version::V5, &mut bytes).unwrap();
    writer.send_bytes(&bytes).await;
    let mut reader = mesh.accepted(kept(Version::V5, "reader")).await.0;
    assert_eq!(reader.next_publish().await.payload, "x");
}

#[tokio::test]
async fn what_was_acknowledged_before_a_goodbye_in_the_same_write_is_settled() {
    let mesh = Mesh::start().await;
    let mut reader = mesh.accepted(kept(Version::V5, "reader")).await.0;
    reader.subscribe("t", Qos::AtLeastOnce).await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    writer.send(qos1(1, "t", b"x")).await;
    reader.next_publish().await;
    let mut bytes = bytes::BytesMut::new();
    puback(1, ReasonCode::SUCCESS)
        .encode(Version::V5, &mut bytes)
        .unwrap();
    let goodbye = Packet::Disconnect(Disconnect::new(ReasonCode::SUCCESS));
    goodbye.encode(Version::V5, &mut bytes).unwrap();
    reader.send_bytes(&bytes).await;
    let mut reader = mesh.accepted(kept(Version::V5, "reader")).await.0;
    reader.expect_nothing().await;
}

//= MQTT311-2.3.1-4
//= MQTT-3.3.4-9
//= MQTT-3.3.4-10
//= MQTT-4.9.0-1
//= MQTT-4.9.0-2
//= MQTT-4.9.0-3
#[tokio::test]
async fn the_window_of_the_client_is_not_exceeded() {
    let mesh = Mesh::start().await;
    let mut hello = hello(Version::V5, "narrow");
    hello.properties = with([Property::ReceiveMaximum(2.try_into().unwrap())]);
    let mut reader = mesh.accepted(hello).await.0;
    reader.subscribe("t", Qos::AtLeastOnce).await;
    reader.subscribe("live", Qos::AtMostOnce).await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    for number in 1..=4 {
        writer.send(qos1(number, "t", &[0])).await;
        writer.expect(puback(number, ReasonCode::SUCCESS)).await;
    }
    let number_of = |publish: Publish| publish.delivery.packet_id().unwrap().get();
    let first = number_of(reader.next_publish().await);
    let second = number_of(reader.next_publish().await);
    assert_ne!(first, second);
    reader.expect_nothing().await;
    writer.send(qos0("live", b"x")).await;
    reader.expect(qos0("live", b"x")).await;
    reader.send(puback(first, ReasonCode::SUCCESS)).await;
    assert_ne!(number_of(reader.next_publish().await), second);
    reader.expect_nothing().await;
}

//= MQTT-3.3.4-9
//= MQTT-4.9.0-2
//= MQTT-4.9.0-1
#[tokio::test]
async fn a_message_of_qos_2_takes_its_place_until_it_is_completed() {
    let mesh = Mesh::start().await;
    let mut hello = hello(Version::V5, "narrow");
    hello.properties = with([Property::ReceiveMaximum(1.try_into().unwrap())]);
    let mut reader = mesh.accepted(hello).await.0;
    reader.subscribe("t", Qos::ExactlyOnce).await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    for number in 1..=2 {
        writer.send(qos2(number, "t", b"x")).await;
        writer.expect(pubrec(number, ReasonCode::SUCCESS)).await;
    }
    for number in 1..=2 {
        reader.expect(qos2(number, "t", b"x")).await;
        reader.send(pubrec(number, ReasonCode::SUCCESS)).await;
        reader.expect(pubrel(number)).await;
        reader.expect_nothing().await;
        reader.send(pubcomp(number)).await;
    }
    reader.expect_nothing().await;
}

//= MQTT-3.12.4-1
#[tokio::test]
async fn a_ping_is_answered() {
    let mesh = Mesh::start().await;
    for version in [Version::V311, Version::V5] {
        let mut peer = mesh.client(version, "peer").await;
        peer.send(Packet::PingReq).await;
        peer.expect(Packet::PingResp).await;
    }
}

//= MQTT-4.6.0-1
#[tokio::test]
async fn unacknowledged_messages_come_again_in_their_order() {
    let mesh = Mesh::start().await;
    let mut reader = mesh.accepted(kept(Version::V5, "reader")).await.0;
    reader.subscribe("t", Qos::AtLeastOnce).await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    for number in 1..=5 {
        writer.send(qos1(number, "t", &number.to_be_bytes())).await;
        reader.next_publish().await;
    }
    reader.vanish().await;
    let mut reader = mesh.accepted(kept(Version::V5, "reader")).await.0;
    for number in 1..=5_u16 {
        let came = reader.next_publish().await;
        assert_eq!(
            (came.dup, &came.payload[..]),
            (true, &number.to_be_bytes()[..])
        );
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_displaced_all_the_same() {
    let mesh = Mesh::start().await;
    let mut deaf = mesh.accepted(kept(Version::V5, "twin")).await.0;
    deaf.subscribe("t", Qos::AtMostOnce).await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    for _ in 0..30 {
        writer.send(qos0("t", &[7; 100_000])).await;
        writer.expect_nothing().await;
    }
    let (second, answer) = mesh.accepted(kept(Version::V5, "twin")).await;
    assert!(answer.session_present);
    drop((deaf, second));
}

#[tokio::test]
async fn a_client_that_the_operator_sends_away_is_told_so_and_may_come_back() {
    let mesh = Mesh::start().await;
    for version in [Version::V5, Version::V311] {
        let kicked = mesh.accepted(kept(version, "pump")).await.0;
        assert!(mesh.kernel.displace(b"pump"));
        let word = (version == Version::V5).then_some(ReasonCode::ADMINISTRATIVE_ACTION);
        let closed = kicked.expect_end(word).await;
        assert_eq!(closed.reason, ClosedReason::Refused);
        assert!(!mesh.kernel.displace(b"pump"));
        let (back, answer) = mesh.accepted(kept(version, "pump")).await;
        assert!(answer.session_present);
        back.goodbye().await;
    }
}
