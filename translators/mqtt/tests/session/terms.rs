//! What is agreed at CONNECT, and what a listener's settings make of it.

use std::time::Duration;

use fairlead_canon::Text;
use fairlead_kernel::ClosedReason;
use fairlead_mqtt::codec::{
    Ack, ConnAck, Connect, Delivery, Packet, Properties, Property, Publish, Qos, ReasonCode,
    SubAck, Subscribe, Subscription, UnsubAck, Unsubscribe, Version,
};
use tokio::time::Instant;

use crate::peer::{
    Mesh, Peer, hello, id, kept, message, puback, pubrec, pubrel, qos0, qos1, qos2, with,
};

fn has(answer: &ConnAck, wanted: &Property) -> bool {
    answer.properties.iter().any(|one| one == *wanted)
}

/// The DISCONNECT of the server, with its properties.
async fn last_word(peer: &mut Peer) -> (ReasonCode, Vec<Property>) {
    match peer.next().await {
        Packet::Disconnect(end) => (end.reason, end.properties.iter().collect()),
        other => panic!("a last word, not {other:?}"),
    }
}

/// The server has no other words, and none of the application's kind.
fn is_reason(word: &Property) -> bool {
    matches!(word, Property::ReasonString(_))
}

async fn reader(mesh: &Mesh, aliases: u16, size_max: u32) -> Peer {
    let properties = with([
        Property::TopicAliasMaximum(aliases),
        Property::MaximumPacketSize(size_max.try_into().unwrap()),
    ]);
    let connect = Connect {
        properties,
        ..hello(Version::V5, "reader")
    };
    let mut reader = mesh.accepted(connect).await.0;
    reader.subscribe("#", Qos::AtMostOnce).await;
    reader
}

async fn heard(reader: &mut Peer) -> (Text, Option<u16>) {
    let Publish {
        topic, properties, ..
    } = reader.next_publish().await;
    (topic, properties.topic_alias())
}

//= MQTT-3.1.2-26
//= MQTT-3.1.2-27
//= MQTT-3.3.2-11
#[tokio::test]
async fn a_topic_is_named_once_to_a_client_that_takes_aliases() {
    let mesh = Mesh::start().await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    let mut reader = self::reader(&mesh, 1, 1000).await;
    for topic in ["plant/7", "plant/8", "plant/7", "plant/8"] {
        writer.send(qos0(topic, b"x")).await;
    }
    let (full, none) = (|text: &'static str| Text::from_static(text), Text::new());
    assert_eq!(heard(&mut reader).await, (full("plant/7"), Some(1)));
    assert_eq!(heard(&mut reader).await, (full("plant/8"), None));
    assert_eq!(heard(&mut reader).await, (none, Some(1)));
    assert_eq!(heard(&mut reader).await, (full("plant/8"), None));
    reader.goodbye().await;
    let mut plain = mesh.client(Version::V5, "plain").await;
    plain.subscribe("#", Qos::AtMostOnce).await;
    for _ in 0..2 {
        writer.send(qos0("plant/7", b"x")).await;
        assert_eq!(heard(&mut plain).await, (full("plant/7"), None));
    }
}

#[tokio::test]
async fn an_alias_that_was_never_told_is_not_used() {
    let mesh = Mesh::start().await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    let mut reader = self::reader(&mesh, 10, 30).await;
    writer.send(qos0("plant/7", &[0; 30])).await;
    writer.send(qos0("plant/7", b"x")).await;
    let told = (Text::from_static("plant/7"), Some(1));
    assert_eq!(heard(&mut reader).await, told);
}

//= MQTT-4.3.3-7
//= MQTT-4.3.3-13
#[tokio::test]
async fn a_message_that_was_sent_does_not_expire_while_its_reader_is_away() {
    let mesh = Mesh::start().await;
    let mut reader = mesh.accepted(kept(Version::V5, "reader")).await.0;
    reader.subscribe("t", Qos::ExactlyOnce).await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    let properties = with([Property::MessageExpiry(5)]);
    let mut publish = Publish {
        properties,
        ..message("t", Delivery::AtLeastOnce(crate::peer::id(1)), b"sent")
    };
    writer.send(Packet::Publish(publish.clone())).await;
    assert_eq!(reader.next_publish().await.payload, "sent");
    reader.vanish().await;
    publish.payload = "not sent".into();
    publish.delivery = Delivery::AtLeastOnce(crate::peer::id(2));
    writer.send(Packet::Publish(publish)).await;
    writer.next().await;
    writer.next().await;
    mesh.clock.advance(6_000);
    let mut reader = mesh.accepted(kept(Version::V5, "reader")).await.0;
    let again = reader.next_publish().await;
    assert!(again.dup && again.payload == "sent");
    reader.expect_nothing().await;
}

#[tokio::test]
async fn clients_are_told_where_to_go_when_the_process_goes_away() {
    let mesh = Mesh::set(&[("server_reference", "b.example:1883")]).await;
    let mut peer = mesh.client(Version::V5, "c").await;
    mesh.drain();
    let reference = Property::ServerReference(Text::from_static("b.example:1883"));
    let told = (ReasonCode::USE_ANOTHER_SERVER, vec![reference]);
    assert_eq!(last_word(&mut peer).await, told);
}

#[tokio::test]
async fn clients_of_a_listener_that_has_moved_are_told_where_for_good() {
    let mesh = Mesh::set(&[("moved_to", "c.example:1883")]).await;
    let reference = Property::ServerReference(Text::from_static("c.example:1883"));
    for (version, code, words) in [
        (Version::V5, ReasonCode::SERVER_MOVED, vec![reference]),
        (Version::V311, ReasonCode(3), Vec::new()),
    ] {
        let mut peer = mesh.dial(version);
        let connect = Packet::Connect(Box::new(hello(version, "c")));
        peer.send(connect).await;
        let Packet::ConnAck(answer) = peer.next().await else {
            panic!("CONNACK")
        };
        let told: Vec<Property> = answer.properties.iter().collect();
        assert_eq!((answer.code, told), (code, words));
        assert_eq!(peer.expect_end(None).await.reason, ClosedReason::Refused);
    }
}

//= MQTT-3.14.2-2
//= MQTT-3.14.2-3
//= MQTT-3.14.2-4
//= MQTT-3.2.2-19
//= MQTT-3.2.2-20
#[tokio::test]
async fn what_a_client_did_wrong_is_told_where_it_fits() {
    let mesh = Mesh::start().await;
    for (size_max, is_told) in [(200, true), (30, false)] {
        let mut peer = reader(&mesh, 0, size_max).await;
        peer.send(Packet::PingResp).await;
        let (reason, words) = last_word(&mut peer).await;
        assert_eq!(reason, ReasonCode::PROTOCOL_ERROR);
        assert_eq!(!words.is_empty(), is_told, "{words:?}");
        assert!(words.iter().all(is_reason), "{words:?}");
        let connect = Connect {
            properties: with([
                Property::MaximumPacketSize(size_max.try_into().unwrap()),
                Property::AuthData("x".into()),
            ]),
            ..hello(Version::V5, "c")
        };
        let mut peer = mesh.dial(Version::V5);
        peer.send(Packet::Connect(Box::new(connect))).await;
        let Packet::ConnAck(refusal) = peer.next().await else {
            panic!("CONNACK")
        };
        assert_eq!(!refusal.properties.is_empty(), is_told, "{refusal:?}");
        let words: Vec<Property> = refusal.properties.iter().collect();
        assert!(words.iter().all(is_reason), "{words:?}");
    }
}

//= MQTT-3.1.2-29
//= MQTT-3.4.2-2
//= MQTT-3.4.2-3
//= MQTT-3.5.2-2
//= MQTT-3.5.2-3
//= MQTT-3.6.2-2
//= MQTT-3.6.2-3
//= MQTT-3.7.2-2
//= MQTT-3.7.2-3
//= MQTT-3.9.2-1
//= MQTT-3.9.2-2
//= MQTT-3.11.2-1
//= MQTT-3.11.2-2
/// A code is all that an acknowledgement says where nothing more fits, or to who wants no words.
#[tokio::test]
async fn acknowledgements_have_no_words_where_none_are_wanted_or_fit() {
    let mesh = Mesh::start().await;
    let wordless = Property::RequestProblemInfo(false);
    let small = Property::MaximumPacketSize(40.try_into().unwrap());
    for terms in [wordless, small] {
        let connect = Connect {
            properties: with([terms]),
            ..hello(Version::V5, "c")
        };
        let mut peer = mesh.accepted(connect).await.0;
        let no = ReasonCode::TOPIC_NAME_INVALID;
        peer.send(qos1(1, "$SYS/x", b"x")).await;
        peer.expect(puback(1, no)).await;
        peer.send(qos2(2, "$SYS/x", b"x")).await;
        peer.expect(pubrec(2, no)).await;
        let unknown = |packet_id| Ack {
            packet_id,
            reason: ReasonCode::PACKET_ID_NOT_FOUND,
            properties: Properties::NONE,
        };
        peer.send(pubrec(3, ReasonCode::SUCCESS)).await;
        peer.expect(Packet::PubRel(unknown(id(3)))).await;
        peer.send(pubrel(4)).await;
        peer.expect(Packet::PubComp(unknown(id(4)))).await;
        let filter = Text::from_static("$reply/x");
        let subscriptions = vec![Subscription::new(filter.clone(), Qos::AtMostOnce)];
        peer.send(Packet::Subscribe(Subscribe {
            packet_id: id(5),
            properties: Properties::NONE,
            subscriptions,
        }))
        .await;
        peer.expect(Packet::SubAck(SubAck {
            packet_id: id(5),
            properties: Properties::NONE,
            codes: vec![ReasonCode::TOPIC_FILTER_INVALID],
        }))
        .await;
        peer.send(Packet::Unsubscribe(Unsubscribe {
            packet_id: id(6),
            properties: Properties::NONE,
            filters: vec![filter],
        }))
        .await;
        peer.expect(Packet::UnsubAck(UnsubAck {
            packet_id: id(6),
            properties: Properties::NONE,
            codes: vec![ReasonCode::NO_SUBSCRIPTION_EXISTED],
        }))
        .await;
        peer.goodbye().await;
    }
}

#[tokio::test]
async fn a_client_is_told_in_words_why_what_it_asked_for_is_refused() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.accepted(hello(Version::V5, "c")).await.0;
    let says = |why| with([Property::ReasonString(Text::from_static(why))]);

    peer.send(qos1(1, "$SYS/x", b"x")).await;
    peer.expect(Packet::PubAck(Ack {
        packet_id: id(1),
        reason: ReasonCode::TOPIC_NAME_INVALID,
        properties: says("nobody publishes to this topic"),
    }))
    .await;
    let filters = ["t", "$reply/x", "$reply/y"];
    let asked = filters.map(|filter| Subscription::new(Text::from_static(filter), Qos::AtMostOnce));
    peer.send(Packet::Subscribe(Subscribe {
        packet_id: id(2),
        properties: Properties::NONE,
        subscriptions: asked.to_vec(),
    }))
    .await;
    let no = ReasonCode::TOPIC_FILTER_INVALID;
    peer.expect(Packet::SubAck(SubAck {
        packet_id: id(2),
        properties: says("$reply/x: not a topic filter, or one that nobody subscribes to"),
        codes: vec![ReasonCode::SUCCESS, no, no],
    }))
    .await;
    peer.goodbye().await;
}

//= MQTT-3.1.2-24
#[tokio::test]
async fn what_could_not_be_answered_in_what_the_client_accepts_is_not_done() {
    let mesh = Mesh::start().await;
    let connect = Connect {
        properties: with([Property::MaximumPacketSize(40.try_into().unwrap())]),
        ..hello(Version::V5, "c")
    };
    let mut peer = mesh.accepted(connect).await.0;
    let filters = |count: u16| {
        (0..count).map(|n| Subscription::new(Text::from(format!("t/{n}")), Qos::AtMostOnce))
    };
    let ask = |packet_id, subscriptions: Vec<_>| {
        Packet::Subscribe(Subscribe {
            packet_id,
            properties: Properties::NONE,
            subscriptions,
        })
    };
    peer.send(ask(id(1), filters(35).collect())).await;
    peer.expect(Packet::SubAck(SubAck {
        packet_id: id(1),
        properties: Properties::NONE,
        codes: vec![ReasonCode::SUCCESS; 35],
    }))
    .await;
    peer.send(ask(id(2), filters(36).collect())).await;
    let Packet::Disconnect(told) = peer.next().await else {
        panic!("DISCONNECT")
    };
    assert_eq!(told.reason, ReasonCode::PACKET_TOO_LARGE);
}

//= MQTT-3.1.2-28
#[tokio::test]
async fn a_client_that_asks_is_told_where_to_expect_answers() {
    let mesh = Mesh::set(&[("response_topics", "replies")]).await;
    let asks = |wants| Connect {
        properties: with([Property::RequestResponseInfo(wants)]),
        ..hello(Version::V5, "c")
    };
    let told = Property::ResponseInfo(Text::from_static("replies/c"));
    assert!(has(&mesh.accepted(asks(true)).await.1, &told));
    assert!(!has(&mesh.accepted(asks(false)).await.1, &told));
}

#[tokio::test(start_paused = true)]
async fn a_listener_limits_keep_alive_expiry_and_what_may_be_unanswered() {
    let mesh = Mesh::set(&[
        ("keep_alive_max", "60"),
        ("session_expiry_max", "600"),
        ("receive_maximum", "10"),
        ("packet_bytes_max", "1024"),
    ])
    .await;
    let (mut peer, answer) = mesh.accepted(kept(Version::V5, "c")).await;
    assert!(has(&answer, &Property::ServerKeepAlive(60)));
    assert!(has(&answer, &Property::SessionExpiry(600)));
    assert!(has(
        &answer,
        &Property::ReceiveMaximum(10.try_into().unwrap())
    ));
    let size = Property::MaximumPacketSize(1024.try_into().unwrap());
    assert!(has(&answer, &size));
    let started = Instant::now();
    assert_eq!(last_word(&mut peer).await.0, ReasonCode::KEEP_ALIVE_TIMEOUT);
    assert_eq!(started.elapsed(), Duration::from_secs(90));

    let mut old = mesh.dial(Version::V311);
    let connect = hello(Version::V311, "c");
    old.send(Packet::Connect(Box::new(connect))).await;
    assert!(matches!(old.next().await, Packet::ConnAck(answer) if answer.code.0 == 2));
    let modest = Connect {
        keep_alive: 60,
        ..hello(Version::V311, "c")
    };
    let mut old = mesh.accepted(modest).await.0;
    old.send(qos0("t", &[0; 1024])).await;
    assert_eq!(old.expect_end(None).await.reason, ClosedReason::Malformed);
}

#[tokio::test]
async fn a_client_is_sent_no_more_than_its_listener_lets_be_unanswered() {
    let mesh = Mesh::set(&[("receive_maximum", "2")]).await;
    for version in [Version::V311, Version::V5] {
        let mut reader = mesh.client(version, "reader").await;
        reader.subscribe("t", Qos::AtLeastOnce).await;
        let mut writer = mesh.client(version, "writer").await;
        for number in 1..=3 {
            writer.send(qos1(number, "t", b"x")).await;
            writer.expect(puback(number, ReasonCode::SUCCESS)).await;
        }
        for number in 1..=2 {
            reader.expect(qos1(number, "t", b"x")).await;
        }
        reader.expect_nothing().await;
        reader.send(puback(1, ReasonCode::SUCCESS)).await;
        reader.expect(qos1(3, "t", b"x")).await;
    }
}

#[tokio::test]
async fn what_may_be_unanswered_is_counted_anew_on_each_connection() {
    let mesh = Mesh::set(&[("receive_maximum", "3")]).await;
    for first in [1, 11] {
        let mut writer = mesh.accepted(kept(Version::V5, "writer")).await.0;
        for number in first..first + 3 {
            writer.send(qos2(number, "t", b"x")).await;
            let fine = pubrec(number, ReasonCode::NO_MATCHING_SUBSCRIBERS);
            writer.expect(fine).await;
        }
        if first == 11 {
            writer.send(qos2(21, "t", b"x")).await;
            let (reason, _) = last_word(&mut writer).await;
            assert_eq!(reason, ReasonCode::RECEIVE_MAXIMUM_EXCEEDED);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_publishes_too_fast_is_slowed_and_loses_nothing() {
    let mesh = Mesh::set(&[("publish_rate", "10")]).await;
    let mut reader = mesh.client(Version::V5, "reader").await;
    reader.subscribe("t", Qos::AtMostOnce).await;
    let patient = Connect {
        keep_alive: 1,
        ..hello(Version::V5, "writer")
    };
    let mut writer = mesh.accepted(patient).await.0;
    let started = Instant::now();
    for number in 1..=40 {
        writer.send(qos1(number, "t", b"x")).await;
        writer.next().await;
        reader.next_publish().await;
    }
    let took = started.elapsed();
    assert!((2_900..=3_100).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test]
async fn text_that_is_none_is_refused_where_that_was_asked_for() {
    let properties = with([Property::PayloadFormat(true)]);
    for (settings, code) in [
        (&[][..], ReasonCode::NO_MATCHING_SUBSCRIBERS),
        (
            &[("checks_payload", "true")],
            ReasonCode::PAYLOAD_FORMAT_INVALID,
        ),
    ] {
        let mesh = Mesh::set(settings).await;
        let mut writer = mesh.client(Version::V5, "writer").await;
        let publish = |payload: &[u8]| {
            let delivery = Delivery::AtLeastOnce(crate::peer::id(1));
            Packet::Publish(Publish {
                properties: properties.clone(),
                ..message("t", delivery, payload)
            })
        };
        writer.send(publish(b"\xff")).await;
        assert_eq!(writer.code_of(1).await, code);
        writer.send(publish("ü".as_bytes())).await;
        let fine = puback(1, ReasonCode::NO_MATCHING_SUBSCRIBERS);
        writer.expect(fine).await;
    }
}

#[tokio::test]
async fn the_oldest_make_room_when_a_queue_is_full() {
    let mesh = Mesh::set(&[("queue_messages_max", "2")]).await;
    let mut reader = mesh.accepted(kept(Version::V5, "reader")).await.0;
    let wanted = Subscription::new("t", Qos::AtLeastOnce);
    reader.subscribe_as(wanted, with([])).await;
    reader.vanish().await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    for number in 1..=4 {
        writer.send(qos1(number, "t", &number.to_be_bytes())).await;
        writer.next().await;
    }
    let mut reader = mesh.accepted(kept(Version::V5, "reader")).await.0;
    for number in [3_u16, 4] {
        let came = reader.next_publish().await.payload;
        assert_eq!(came, number.to_be_bytes().to_vec());
    }
    reader.expect_nothing().await;
}

#[tokio::test]
async fn a_client_that_connects_too_often_is_banned_until_the_operator_pardons_it() {
    let mesh = Mesh::set(&[("connects_max", "3"), ("ban_seconds", "100")]).await;
    for _ in 0..3 {
        mesh.client(Version::V5, "flapper").await.goodbye().await;
    }
    for (version, code) in [
        (Version::V5, ReasonCode::BANNED),
        (Version::V311, ReasonCode(5)),
    ] {
        let mut flapper = mesh.dial(version);
        let connect = Packet::Connect(Box::new(hello(version, "flapper")));
        flapper.send(connect).await;
        match flapper.next().await {
            Packet::ConnAck(refused) => assert_eq!(refused.code, code),
            other => panic!("{other:?}"),
        }
        mesh.client(version, "calm").await.goodbye().await;
    }
    let banned = mesh.kernel.banned();
    assert_eq!(banned.len(), 1);
    assert_eq!(&*banned[0].client, "flapper");
    let page = mesh.kernel.metrics_page();
    let counted = "fairlead_clients_banned_total{listener=\"test\",protocol=\"mqtt\"} 2";
    assert!(page.contains(counted), "{page}");
    assert!(mesh.kernel.pardon("flapper") && !mesh.kernel.pardon("flapper"));
    mesh.client(Version::V5, "flapper").await.goodbye().await;
}
