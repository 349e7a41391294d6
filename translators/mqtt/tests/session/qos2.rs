use fairlead_mqtt::codec::{
    Ack, Connect, Delivery, Packet, Property, Publish, Qos, ReasonCode, Version,
};

use crate::peer::{
    Mesh, id, kept, message, puback, pubcomp, pubrec, pubrel, qos0, qos1, qos2, with,
};

/// A reader with a kept session that takes one unacknowledged message.
fn one_at_a_time() -> Connect {
    Connect {
        properties: with([
            Property::SessionExpiry(3600),
            Property::ReceiveMaximum(1.try_into().unwrap()),
        ]),
        ..kept(Version::V5, "reader")
    }
}

//= MQTT-2.2.1-5
//= MQTT-3.3.4-1
//= MQTT-4.3.3-1
//= MQTT-4.3.3-2
//= MQTT-4.3.3-4
//= MQTT-4.3.3-11
#[tokio::test]
async fn a_message_of_qos_2_goes_through_its_four_steps_on_both_sides() {
    let mesh = Mesh::start().await;
    for version in [Version::V311, Version::V5] {
        let mut reader = mesh.client(version, "reader").await;
        reader.subscribe("t", Qos::ExactlyOnce).await;
        let mut writer = mesh.client(version, "writer").await;
        for (number, payload) in [(5, b"x"), (6, b"y")] {
            writer.send(qos2(number, "t", payload)).await;
            writer.expect(pubrec(number, ReasonCode::SUCCESS)).await;
            writer.send(pubrel(number)).await;
            writer.expect(pubcomp(number)).await;
        }
        for (number, payload) in [(1, b"x"), (2, b"y")] {
            reader.expect(qos2(number, "t", payload)).await;
        }
        for number in [1, 2] {
            reader.send(pubrec(number, ReasonCode::SUCCESS)).await;
            reader.expect(pubrel(number)).await;
            reader.send(pubcomp(number)).await;
        }
        reader.expect_nothing().await;
    }
}

#[tokio::test]
async fn a_puback_answers_no_message_of_qos_2() {
    let mesh = Mesh::start().await;
    let mut reader = mesh.client(Version::V5, "reader").await;
    reader.subscribe("t", Qos::ExactlyOnce).await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    writer.send(qos2(5, "t", b"x")).await;
    writer.expect(pubrec(5, ReasonCode::SUCCESS)).await;
    reader.expect(qos2(1, "t", b"x")).await;
    reader.send(puback(1, ReasonCode::SUCCESS)).await;
    reader.send(pubrec(1, ReasonCode::SUCCESS)).await;
    reader.expect(pubrel(1)).await;
}

//= MQTT-4.3.3-10
//= MQTT-4.3.3-12
#[tokio::test]
async fn a_repeated_message_is_answered_again_and_published_once() {
    let mesh = Mesh::start().await;
    let mut reader = mesh.client(Version::V5, "reader").await;
    // A reader of QoS 0 would be served before anything is kept.
    reader.subscribe("t", Qos::ExactlyOnce).await;
    let mut writer = mesh.accepted(kept(Version::V5, "writer")).await.0;
    writer.send(qos2(5, "t", b"x")).await;
    writer.expect(pubrec(5, ReasonCode::SUCCESS)).await;
    writer.vanish().await;
    let (mut writer, answer) = mesh.accepted(kept(Version::V5, "writer")).await;
    assert!(answer.session_present);
    let again = Publish {
        dup: true,
        ..message("t", Delivery::ExactlyOnce(id(5)), b"x")
    };
    writer.send(Packet::Publish(again)).await;
    writer.expect(pubrec(5, ReasonCode::SUCCESS)).await;
    writer.send(pubrel(5)).await;
    writer.expect(pubcomp(5)).await;
    // The identifier is free for another message.
    writer.send(qos2(5, "t", b"y")).await;
    writer.expect(pubrec(5, ReasonCode::SUCCESS)).await;
    assert_eq!(reader.next_publish().await.payload, "x");
    assert_eq!(reader.next_publish().await.payload, "y");
}

//= MQTT-4.3.3-10
#[tokio::test]
async fn until_it_is_released_an_identifier_is_one_message_whatever_its_dup() {
    let mesh = Mesh::start().await;
    let mut reader = mesh.client(Version::V5, "reader").await;
    reader.subscribe("t", Qos::AtMostOnce).await;
    for version in [Version::V311, Version::V5] {
        let mut writer = mesh.client(version, "writer").await;
        for dup in [false, false, true] {
            let publish = Publish {
                dup,
                ..message("t", Delivery::ExactlyOnce(id(5)), b"x")
            };
            writer.send(Packet::Publish(publish)).await;
            writer.expect(pubrec(5, ReasonCode::SUCCESS)).await;
        }
        reader.expect(qos0("t", b"x")).await;
        reader.expect_nothing().await;
    }
}

//= MQTT-4.3.3-5
//= MQTT-4.3.3-6
//= MQTT-4.4.0-1
//= MQTT-3.2.0-1
#[tokio::test]
async fn a_released_identifier_is_released_again_on_the_next_connection() {
    let mesh = Mesh::start().await;
    let mut reader = mesh.accepted(kept(Version::V5, "reader")).await.0;
    reader.subscribe("t", Qos::ExactlyOnce).await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    writer.send(qos2(1, "t", b"x")).await;
    reader.expect(qos2(1, "t", b"x")).await;
    reader.send(pubrec(1, ReasonCode::SUCCESS)).await;
    reader.expect(pubrel(1)).await;
    reader.vanish().await;
    let mut reader = mesh.accepted(kept(Version::V5, "reader")).await.0;
    reader.expect(pubrel(1)).await;
    reader.send(pubcomp(1)).await;
    reader.expect_nothing().await;
    reader.vanish().await;
    let mut reader = mesh.accepted(kept(Version::V5, "reader")).await.0;
    reader.expect_nothing().await;
}

//= MQTT-3.3.1-1
//= MQTT-4.3.3-3
#[tokio::test]
async fn an_unanswered_message_comes_again_with_its_identifier_and_dup() {
    let mesh = Mesh::start().await;
    let mut reader = mesh.accepted(kept(Version::V311, "reader")).await.0;
    reader.subscribe("t", Qos::ExactlyOnce).await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    writer.send(qos2(1, "t", b"x")).await;
    reader.expect(qos2(1, "t", b"x")).await;
    reader.vanish().await;
    let mut reader = mesh.accepted(kept(Version::V311, "reader")).await.0;
    let again = Publish {
        dup: true,
        ..message("t", Delivery::ExactlyOnce(id(1)), b"x")
    };
    reader.expect(Packet::Publish(again)).await;
}

//= MQTT-4.3.3-6
//= MQTT-4.3.3-10
#[tokio::test]
async fn an_exchange_goes_on_on_the_connection_that_takes_over() {
    let mesh = Mesh::start().await;
    let mut reader = mesh.accepted(kept(Version::V5, "reader")).await.0;
    reader.subscribe("t", Qos::ExactlyOnce).await;
    let mut writer = mesh.accepted(kept(Version::V311, "writer")).await.0;
    for (number, payload) in [(1, b"x"), (2, b"y")] {
        writer.send(qos2(number, "t", payload)).await;
        writer.expect(pubrec(number, ReasonCode::SUCCESS)).await;
        reader.expect(qos2(number, "t", payload)).await;
    }
    reader.send(pubrec(1, ReasonCode::SUCCESS)).await;
    reader.expect(pubrel(1)).await;

    let taken = writer;
    let mut writer = mesh.accepted(kept(Version::V311, "writer")).await.0;
    taken.expect_end(None).await;
    let again = Publish {
        dup: true,
        ..message("t", Delivery::ExactlyOnce(id(2)), b"y")
    };
    writer.send(pubrel(1)).await;
    writer.expect(pubcomp(1)).await;
    writer.send(Packet::Publish(again.clone())).await;
    writer.expect(pubrec(2, ReasonCode::SUCCESS)).await;

    let taken = reader;
    let mut reader = mesh.accepted(kept(Version::V5, "reader")).await.0;
    taken.expect_end(Some(ReasonCode::SESSION_TAKEN_OVER)).await;
    reader.expect(pubrel(1)).await;
    reader.expect(Packet::Publish(again)).await;
    reader.expect_nothing().await;
    // What was released on this connection is free for another message.
    writer.send(qos2(1, "t", b"z")).await;
    writer.expect(pubrec(1, ReasonCode::SUCCESS)).await;
    reader.expect(qos2(3, "t", b"z")).await;
}

//= MQTT-3.6.2-1
//= MQTT-3.7.2-1
#[tokio::test]
async fn unknown_identifiers_are_said_to_be_unknown() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.client(Version::V5, "peer").await;
    let unknown = |number| Ack::new(id(number), ReasonCode::PACKET_ID_NOT_FOUND);
    peer.send(pubrel(9)).await;
    peer.expect(Packet::PubComp(unknown(9))).await;
    peer.send(pubrec(8, ReasonCode::SUCCESS)).await;
    peer.expect(Packet::PubRel(unknown(8))).await;
}

//= MQTT-4.4.0-2
#[tokio::test]
async fn a_pubrec_that_says_no_ends_the_delivery() {
    let mesh = Mesh::start().await;
    let mut reader = mesh.accepted(one_at_a_time()).await.0;
    reader.subscribe("t", Qos::ExactlyOnce).await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    for (number, payload) in [(1, b"x"), (2, b"y")] {
        writer.send(qos2(number, "t", payload)).await;
        writer.expect(pubrec(number, ReasonCode::SUCCESS)).await;
    }
    // There is room for the second when the first is refused.
    for (number, payload) in [(1, b"x"), (2, b"y")] {
        reader.expect(qos2(number, "t", payload)).await;
        reader.expect_nothing().await;
        reader.send(pubrec(number, ReasonCode::UNSPECIFIED)).await;
    }
    reader.expect_nothing().await;
    reader.vanish().await;
    let mut reader = mesh.accepted(one_at_a_time()).await.0;
    reader.expect_nothing().await;
}

//= MQTT-4.4.0-2
#[tokio::test]
async fn a_puback_that_says_no_ends_the_delivery() {
    let mesh = Mesh::start().await;
    let mut reader = mesh.accepted(one_at_a_time()).await.0;
    reader.subscribe("t", Qos::AtLeastOnce).await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    for (number, payload) in [(1, b"x"), (2, b"y")] {
        writer.send(qos1(number, "t", payload)).await;
        writer.expect(puback(number, ReasonCode::SUCCESS)).await;
    }
    for (number, payload) in [(1, b"x"), (2, b"y")] {
        reader.expect(qos1(number, "t", payload)).await;
        reader.expect_nothing().await;
        reader.send(puback(number, ReasonCode::UNSPECIFIED)).await;
    }
    reader.expect_nothing().await;
    reader.vanish().await;
    let mut reader = mesh.accepted(one_at_a_time()).await.0;
    reader.expect_nothing().await;
}

//= MQTT-4.3.3-13
#[tokio::test]
async fn an_exchange_that_has_begun_goes_on_past_the_expiry() {
    let mesh = Mesh::start().await;
    let mut reader = mesh.client(Version::V5, "reader").await;
    reader.subscribe("t", Qos::ExactlyOnce).await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    let properties = crate::peer::with([Property::MessageExpiry(1)]);
    let sent = Publish {
        properties,
        ..message("t", Delivery::ExactlyOnce(id(5)), b"x")
    };
    writer.send(Packet::Publish(sent)).await;
    writer.expect(pubrec(5, ReasonCode::SUCCESS)).await;
    reader.next_publish().await;
    mesh.clock.advance(2_000);
    reader.send(pubrec(1, ReasonCode::SUCCESS)).await;
    reader.expect(pubrel(1)).await;
    reader.send(pubcomp(1)).await;
    writer.send(pubrel(5)).await;
    writer.expect(pubcomp(5)).await;
}

//= MQTT-4.6.0-3
//= MQTT-4.6.0-4
#[tokio::test]
async fn answers_leave_in_the_order_of_what_they_answer() {
    let mesh = Mesh::start().await;
    let mut reader = mesh.client(Version::V5, "reader").await;
    reader.subscribe("t", Qos::ExactlyOnce).await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    for number in [9, 3, 6] {
        writer.send(qos2(number, "t", b"x")).await;
    }
    for number in [9, 3, 6] {
        writer.expect(pubrec(number, ReasonCode::SUCCESS)).await;
    }
    for number in 1..=3 {
        reader.expect(qos2(number, "t", b"x")).await;
    }
    for number in [2, 1, 3] {
        reader.send(pubrec(number, ReasonCode::SUCCESS)).await;
    }
    for number in [2, 1, 3] {
        reader.expect(pubrel(number)).await;
    }
}

//= MQTT-4.6.0-3
#[tokio::test]
async fn a_repeated_pubrec_waits_for_those_before_it() {
    let (mesh, store) = Mesh::held().await;
    let mut reader = mesh.client(Version::V5, "reader").await;
    reader.subscribe("t", Qos::ExactlyOnce).await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    writer.send(qos2(5, "t", b"x")).await;
    writer.expect(pubrec(5, ReasonCode::SUCCESS)).await;
    store.manner.commits.send_replace(true);
    writer.send(qos2(6, "t", b"y")).await;
    writer.send(qos2(5, "t", b"x")).await;
    writer.expect_nothing().await;
    store.manner.commits.send_replace(false);
    for number in [6, 5] {
        writer.expect(pubrec(number, ReasonCode::SUCCESS)).await;
    }
}

//= MQTT-4.6.0-4
#[tokio::test]
async fn a_repeated_pubrel_waits_for_those_before_it() {
    let (mesh, store) = Mesh::held().await;
    let mut reader = mesh.accepted(kept(Version::V5, "reader")).await.0;
    reader.subscribe("t", Qos::ExactlyOnce).await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    for number in [1, 2] {
        writer.send(qos2(number, "t", b"x")).await;
        reader.expect(qos2(number, "t", b"x")).await;
    }
    reader.send(pubrec(1, ReasonCode::SUCCESS)).await;
    reader.expect(pubrel(1)).await;
    store.manner.commits.send_replace(true);
    reader.send(pubrec(2, ReasonCode::SUCCESS)).await;
    reader.send(pubrec(1, ReasonCode::SUCCESS)).await;
    reader.expect_nothing().await;
    store.manner.commits.send_replace(false);
    for number in [2, 1] {
        reader.expect(pubrel(number)).await;
    }
}

//= MQTT-3.5.2-1
//= MQTT-4.3.3-9
#[tokio::test]
async fn a_refused_identifier_is_free_again() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.client(Version::V5, "peer").await;
    peer.subscribe("t", Qos::AtMostOnce).await;
    peer.send(qos2(1, "$SYS/x", b"x")).await;
    assert_eq!(peer.code_of(1).await, ReasonCode::TOPIC_NAME_INVALID);
    peer.send(qos2(1, "t", b"x")).await;
    let mut came = Vec::new();
    while came.len() < 2 {
        came.push(peer.next().await);
    }
    assert!(came.contains(&pubrec(1, ReasonCode::SUCCESS)));
}
