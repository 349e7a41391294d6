use std::time::Duration;

use bytes::Bytes;
use fairlead_canon::Text;
use fairlead_kernel::ClosedReason;
use fairlead_mqtt::codec::{
    Connect, Delivery, Packet, Property, Publish, Qos, ReasonCode, SubscriptionId, UserProperty,
    Version,
};

use crate::peer::{
    Mesh, id, kept, message, puback, pubcomp, pubrec, pubrel, qos0, qos1, qos2, with,
};

//= MQTT-3.3.2-3
//= MQTT-4.3.1-1
//= MQTT-4.5.0-1
#[tokio::test]
async fn a_message_of_qos_0_reaches_a_subscriber_of_the_other_version() {
    let mesh = Mesh::start().await;
    let mut reader = mesh.client(Version::V311, "reader").await;
    reader.subscribe("plant/+/temp", Qos::AtMostOnce).await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    writer.send(qos0("plant/7/temp", b"21.5")).await;
    reader.expect(qos0("plant/7/temp", b"21.5")).await;
}

//= MQTT-3.4.2-1
//= MQTT-3.5.2-1
#[tokio::test]
async fn puback_and_pubrec_say_no_matching_subscribers_when_nothing_is_bound() {
    let mesh = Mesh::start().await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    writer.send(qos1(7, "orders/eu", b"42")).await;
    writer
        .expect(puback(7, ReasonCode::NO_MATCHING_SUBSCRIBERS))
        .await;
    writer.send(qos2(8, "orders/eu", b"42")).await;
    writer
        .expect(pubrec(8, ReasonCode::NO_MATCHING_SUBSCRIBERS))
        .await;
    let mut old = mesh.client(Version::V311, "old").await;
    old.send(qos1(8, "orders/eu", b"42")).await;
    old.expect(puback(8, ReasonCode::SUCCESS)).await;
}

//= MQTT-2.2.1-5
//= MQTT-3.3.4-1
//= MQTT-4.3.2-1
//= MQTT-4.3.2-2
//= MQTT-4.6.0-2
//= MQTT-4.6.0-5
#[tokio::test]
async fn a_message_of_qos_1_is_acknowledged_on_both_sides() {
    let mesh = Mesh::start().await;
    let mut reader = mesh.client(Version::V5, "reader").await;
    reader.subscribe("orders/#", Qos::AtLeastOnce).await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    for number in 1..=3 {
        writer
            .send(qos1(number, "orders/eu", &number.to_be_bytes()))
            .await;
    }
    for number in 1..=3 {
        writer.expect(puback(number, ReasonCode::SUCCESS)).await;
        reader
            .expect(qos1(number, "orders/eu", &number.to_be_bytes()))
            .await;
    }
    for number in 1..=3 {
        reader.send(puback(number, ReasonCode::SUCCESS)).await;
    }
    reader.expect_nothing().await;
}

//= MQTT-4.3.2-4
//= MQTT-4.3.3-8
#[tokio::test]
async fn a_message_is_acknowledged_when_it_is_kept_and_not_before() {
    let (mesh, store) = Mesh::held().await;
    let mut reader = mesh.accepted(kept(Version::V5, "reader")).await.0;
    reader.subscribe("t", Qos::AtLeastOnce).await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    store.manner.commits.send_replace(true);
    writer.send(qos1(1, "t", b"x")).await;
    writer.send(qos2(2, "t", b"y")).await;
    writer.expect_nothing().await;
    store.manner.commits.send_replace(false);
    writer.expect(puback(1, ReasonCode::SUCCESS)).await;
    writer.expect(pubrec(2, ReasonCode::SUCCESS)).await;
}

//= MQTT-4.6.0-2
#[tokio::test]
async fn a_refusal_waits_for_the_answers_before_it() {
    let (mesh, store) = Mesh::held().await;
    let mut reader = mesh.accepted(kept(Version::V5, "reader")).await.0;
    reader.subscribe("t", Qos::AtLeastOnce).await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    store.manner.commits.send_replace(true);
    writer.send(qos1(1, "t", b"x")).await;
    writer.send(qos1(2, "$SYS/x", b"x")).await;
    writer.expect_nothing().await;
    store.manner.commits.send_replace(false);
    writer.expect(puback(1, ReasonCode::SUCCESS)).await;
    assert_eq!(writer.code_of(2).await, ReasonCode::TOPIC_NAME_INVALID);
}

//= MQTT-3.3.1-3
//= MQTT-4.3.2-5
#[tokio::test]
async fn what_follows_an_acknowledgement_is_another_message_whatever_its_dup() {
    let mesh = Mesh::start().await;
    let mut reader = mesh.client(Version::V5, "reader").await;
    reader.subscribe("t", Qos::AtLeastOnce).await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    for (number, payload) in [(1, b"x"), (2, b"y")] {
        let repeated = Publish {
            dup: true,
            ..message("t", Delivery::AtLeastOnce(id(7)), payload)
        };
        writer.send(Packet::Publish(repeated)).await;
        writer.expect(puback(7, ReasonCode::SUCCESS)).await;
        reader.expect(qos1(number, "t", payload)).await;
    }
}

//= MQTT-3.8.4-8
#[tokio::test]
async fn a_delivery_has_the_lower_of_the_granted_and_the_published_qos() {
    let mesh = Mesh::start().await;
    for granted in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
        let mut reader = mesh.client(Version::V5, "reader").await;
        reader.subscribe("a", granted).await;
        let mut writer = mesh.client(Version::V5, "writer").await;
        for publish in [qos0("a", b"x"), qos1(1, "a", b"x"), qos2(2, "a", b"x")] {
            let Packet::Publish(sent) = &publish else {
                panic!("PUBLISH")
            };
            let lower = granted.min(sent.delivery.qos());
            writer.send(publish).await;
            assert_eq!(reader.next_publish().await.delivery.qos(), lower);
        }
        reader.goodbye().await;
        writer.goodbye().await;
    }
}

//= MQTT-3.3.2-4
//= MQTT-3.3.2-15
//= MQTT-3.3.2-16
//= MQTT-3.3.2-17
//= MQTT-3.3.2-18
//= MQTT-3.3.2-20
#[tokio::test]
async fn every_property_of_a_message_comes_home() {
    let mesh = Mesh::start().await;
    let pair = |name, value| {
        Property::User(UserProperty {
            name: Text::from_static(name),
            value: Text::from_static(value),
        })
    };
    let properties = with([
        Property::PayloadFormat(true),
        Property::ContentType(Text::from_static("text/plain")),
        Property::CorrelationData(Bytes::from_static(b"\xff\0")),
        Property::ResponseTopic(Text::from_static("replies/%2F/1")),
        pair("b", "1"),
        pair("a", "2"),
        pair("b", "3"),
        pair("content-type", "not mine"),
    ]);
    let bytes = with([Property::PayloadFormat(false)]);
    for (delivery, properties) in [
        (Delivery::AtMostOnce, &properties),
        (Delivery::AtLeastOnce(id(1)), &properties),
        (Delivery::ExactlyOnce(id(1)), &properties),
        (Delivery::AtMostOnce, &bytes),
    ] {
        let mut peer = mesh.client(Version::V5, "peer").await;
        peer.subscribe("t", delivery.qos()).await;
        let sent = Publish {
            properties: properties.clone(),
            ..message("t", delivery, b"x")
        };
        peer.send(Packet::Publish(sent.clone())).await;
        let came = loop {
            match peer.next().await {
                Packet::Publish(publish) => break publish,
                Packet::PubAck(_) | Packet::PubRec(_) => {}
                other => panic!("{other:?}"),
            }
        };
        let sorted = |publish: &Publish| {
            let (mut own, mut user) = (Vec::new(), Vec::new());
            for property in publish.properties.iter() {
                match property {
                    Property::User(pair) => user.push(pair),
                    other => own.push(format!("{other:?}")),
                }
            }
            own.sort_unstable();
            (own, user)
        };
        assert_eq!(sorted(&came), sorted(&sent));
        assert_eq!((came.topic, came.payload), (sent.topic, sent.payload));
    }
}

async fn publish_for_10_and_2_seconds(mesh: &Mesh) {
    let mut writer = mesh.client(Version::V5, "writer").await;
    for (number, seconds) in [(1, 10), (2, 2)] {
        let sent = Publish {
            properties: with([Property::MessageExpiry(seconds)]),
            ..message("t", Delivery::AtLeastOnce(id(number)), b"x")
        };
        writer.send(Packet::Publish(sent)).await;
        writer.expect(puback(number, ReasonCode::SUCCESS)).await;
    }
}

//= MQTT-3.3.2-5
//= MQTT-3.3.2-6
#[tokio::test]
async fn an_expiry_is_told_with_what_is_left_of_it_and_ends_the_message() {
    let mesh = Mesh::start().await;
    let mut reader = mesh
        .accepted(crate::peer::kept(Version::V5, "reader"))
        .await
        .0;
    reader.subscribe("t", Qos::AtLeastOnce).await;
    reader.vanish().await;
    publish_for_10_and_2_seconds(&mesh).await;
    mesh.clock.advance(2_500);
    let mut reader = mesh
        .accepted(crate::peer::kept(Version::V5, "reader"))
        .await
        .0;
    let came = reader.next_publish().await;
    assert_eq!(came.properties, with([Property::MessageExpiry(8)]));
    reader.expect_nothing().await;
}

#[tokio::test]
async fn an_expiry_goes_on_while_there_is_no_process() {
    let mesh = Mesh::start().await;
    let kept = || crate::peer::kept(Version::V5, "reader");
    let mut reader = mesh.accepted(kept()).await.0;
    reader.subscribe("t", Qos::AtLeastOnce).await;
    reader.vanish().await;
    publish_for_10_and_2_seconds(&mesh).await;
    let mesh = mesh.restarted().await;
    mesh.clock.advance(2_500);
    let mut reader = mesh.accepted(kept()).await.0;
    let came = reader.next_publish().await;
    assert_eq!(came.properties, with([Property::MessageExpiry(8)]));
    reader.expect_nothing().await;
}

#[tokio::test]
async fn nobody_publishes_below_reserved_roots() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.client(Version::V5, "peer").await;
    for topic in ["$SYS/x", "$share/g/x", "$reply"] {
        peer.send(qos1(1, topic, b"")).await;
        assert_eq!(peer.code_of(1).await, ReasonCode::TOPIC_NAME_INVALID);
    }
    let mut old = mesh.client(Version::V311, "old").await;
    old.send(qos1(1, "$SYS/x", b"")).await;
    assert_eq!(old.expect_end(None).await.reason, ClosedReason::Refused);
}

//= MQTT-4.6.0-6
#[tokio::test]
async fn a_body_of_64_kib_and_an_empty_one_arrive_whole_and_in_order() {
    let mesh = Mesh::start().await;
    let mut reader = mesh.client(Version::V5, "reader").await;
    reader.subscribe("t", Qos::AtLeastOnce).await;
    let mut writer = mesh.client(Version::V311, "writer").await;
    let bodies = [
        vec![],
        vec![1; 4096],
        vec![2; 65_536],
        vec![3; 300_000],
        vec![4],
    ];
    for (number, body) in (1..).zip(&bodies) {
        writer.send(qos1(number, "t", body)).await;
    }
    for (number, body) in (1..).zip(&bodies) {
        writer.expect(puback(number, ReasonCode::SUCCESS)).await;
        assert_eq!(reader.next_publish().await.payload, *body);
        reader.send(puback(number, ReasonCode::SUCCESS)).await;
    }
}

//= MQTT-3.3.4-7
//= MQTT-4.6.0-2
#[tokio::test]
async fn more_than_the_receive_maximum_is_refused_in_5_and_read_later_in_3_1_1() {
    let mesh = Mesh::start().await;
    let burst = |version, count: u16| {
        let mut bytes = bytes::BytesMut::new();
        for number in 1..=count {
            qos1(number, "nowhere", b"")
                .encode(version, &mut bytes)
                .unwrap();
        }
        bytes
    };
    let mut old = mesh.client(Version::V311, "old").await;
    old.send_bytes(&burst(Version::V311, 3_000)).await;
    for number in 1..=3_000 {
        old.expect(puback(number, ReasonCode::SUCCESS)).await;
    }
    let mut young = mesh.client(Version::V5, "young").await;
    young.send_bytes(&burst(Version::V5, 1_025)).await;
    young
        .expect_end(Some(ReasonCode::RECEIVE_MAXIMUM_EXCEEDED))
        .await;
}

//= MQTT-3.3.4-7
#[tokio::test]
async fn a_message_of_qos_2_counts_until_it_is_completed() {
    let mesh = Mesh::set(&[("receive_maximum", "2")]).await;
    let mut peer = mesh.client(Version::V5, "peer").await;
    for number in 1..=5 {
        peer.send(qos2(number, "nowhere", b"")).await;
        peer.code_of(number).await;
        if number < 4 {
            peer.send(pubrel(number)).await;
            peer.expect(pubcomp(number)).await;
        }
    }
    peer.send(qos2(6, "nowhere", b"")).await;
    peer.expect_end(Some(ReasonCode::RECEIVE_MAXIMUM_EXCEEDED))
        .await;
}

//= MQTT-3.1.2-24
//= MQTT-3.1.2-25
#[tokio::test]
async fn a_message_larger_than_the_client_accepts_is_left_out() {
    let mesh = Mesh::start().await;
    let accepting = |size_max: u32| Connect {
        properties: with([
            Property::SessionExpiry(3600),
            Property::MaximumPacketSize(size_max.try_into().unwrap()),
        ]),
        ..kept(Version::V5, "reader")
    };
    let mut reader = mesh.accepted(accepting(20)).await.0;
    reader.subscribe("t", Qos::AtLeastOnce).await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    writer.send(qos1(1, "t", &[0; 13])).await;
    writer.send(qos1(2, "t", &[0; 12])).await;
    let fitting = reader.next_publish().await;
    assert_eq!(fitting.payload.len(), 12);
    let packet_id = fitting.delivery.packet_id().unwrap().get();
    reader.send(puback(packet_id, ReasonCode::SUCCESS)).await;
    reader.expect_nothing().await;
    reader.goodbye().await;
    // It counts as delivered, also where it would fit.
    let mut reader = mesh.accepted(accepting(1_000)).await.0;
    reader.expect_nothing().await;
}

//= MQTT-3.1.2-24
#[tokio::test]
async fn what_is_written_once_for_all_is_left_out_for_a_client_that_it_is_too_large_for() {
    let mesh = Mesh::start().await;
    let mut readers = Vec::new();
    for (name, size_max, count) in [("large", 100, 2), ("small", 18, 1), ("alone", 17, 0)] {
        let mut hello = crate::peer::hello(Version::V5, name);
        hello.properties = with([Property::MaximumPacketSize(size_max.try_into().unwrap())]);
        let mut reader = mesh.accepted(hello).await.0;
        reader.subscribe("t", Qos::AtMostOnce).await;
        readers.push((reader, count));
    }
    let mut writer = mesh.client(Version::V5, "writer").await;
    writer.send(qos0("t", &[0; 12])).await;
    writer.send(qos0("t", &[0; 13])).await;
    writer.expect_nothing().await;
    for (mut reader, count) in readers {
        for size in [12, 13].into_iter().take(count) {
            assert_eq!(reader.next_publish().await.payload.len(), size);
        }
        reader.expect_nothing().await;
    }
}

//= MQTT-3.3.2-14
#[tokio::test]
async fn a_response_topic_with_a_wildcard_is_a_protocol_error() {
    let mesh = Mesh::start().await;
    for topic in ["a/#", "+/a"] {
        let mut peer = mesh.client(Version::V5, "peer").await;
        let properties = with([Property::ResponseTopic(Text::from_static(topic))]);
        peer.send(Packet::Publish(Publish {
            properties,
            ..message("t", Delivery::AtMostOnce, b"")
        }))
        .await;
        peer.expect_end(Some(ReasonCode::PROTOCOL_ERROR)).await;
    }
}

//= MQTT-3.3.4-6
#[tokio::test]
async fn a_subscription_identifier_of_a_client_is_a_protocol_error() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.client(Version::V5, "peer").await;
    let properties = with([Property::SubscriptionId(SubscriptionId::new(1).unwrap())]);
    let publish = Publish {
        properties,
        ..message("t", Delivery::AtMostOnce, b"x")
    };
    peer.send(Packet::Publish(publish)).await;
    peer.expect_end(Some(ReasonCode::PROTOCOL_ERROR)).await;
}

#[tokio::test(start_paused = true)]
async fn a_delayed_publish_takes_effect_when_its_time_has_come() {
    let mesh = Mesh::start().await;
    let mut reader = mesh.client(Version::V5, "reader").await;
    reader.subscribe("#", Qos::AtLeastOnce).await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    writer.send(qos1(1, "$delayed/10/a/b", b"late")).await;
    writer.expect(puback(1, ReasonCode::SUCCESS)).await;
    mesh.clock.advance(9_000);
    tokio::time::sleep(Duration::from_secs(9)).await;
    reader.expect_nothing().await;
    mesh.clock.advance(1_000);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let came = reader.next_publish().await;
    assert_eq!((&*came.topic, &came.payload[..]), ("a/b", &b"late"[..]));
    for (number, wrong) in [
        (2, "$delayed/x/a"),
        (3, "$delayed/10/"),
        (4, "$delayed/1/$SYS/a"),
    ] {
        writer.send(qos1(number, wrong, b"")).await;
        let code = writer.code_of(number).await;
        assert_eq!(code, ReasonCode::TOPIC_NAME_INVALID, "{wrong}");
    }
}
