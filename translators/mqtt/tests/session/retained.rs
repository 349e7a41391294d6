use fairlead_mqtt::codec::{
    Delivery, Packet, Properties, Publish, Qos, ReasonCode, RetainHandling, Subscription, Version,
};

use crate::peer::{Mesh, id, message, puback};

fn retained(topic: &str, payload: &[u8]) -> Packet {
    let delivery = Delivery::AtLeastOnce(id(1));
    Packet::Publish(Publish {
        retain: true,
        ..message(topic, delivery, payload)
    })
}

async fn mesh_with_retained() -> Mesh {
    let mesh = Mesh::start().await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    for (topic, payload) in [("state/a", "1"), ("state/b", "2"), ("other", "3")] {
        writer.send(retained(topic, payload.as_bytes())).await;
        writer
            .expect(puback(1, ReasonCode::NO_MATCHING_SUBSCRIBERS))
            .await;
    }
    mesh
}

//= MQTT-3.3.1-5
#[tokio::test]
async fn a_retained_message_replaces_the_one_before_whatever_its_qos() {
    let mesh = mesh_with_retained().await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    let at_most_once = Publish {
        retain: true,
        ..message("other", Delivery::AtMostOnce, b"4")
    };
    for (replacement, payload) in [
        (Packet::Publish(at_most_once), "4"),
        (retained("other", b"5"), "5"),
    ] {
        writer.send(replacement).await;
        let mut reader = mesh.client(Version::V311, "reader").await;
        writer.send(Packet::PingReq).await;
        while writer.next().await != Packet::PingResp {}
        reader.subscribe("other", Qos::AtLeastOnce).await;
        assert_eq!(reader.next_publish().await.payload, payload);
        reader.expect_nothing().await;
        reader.goodbye().await;
    }
}

//= MQTT-3.3.1-9
#[tokio::test]
async fn a_new_subscription_gets_what_is_retained() {
    let mesh = mesh_with_retained().await;
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce] {
        let mut reader = mesh.client(Version::V311, "reader").await;
        reader.subscribe("state/+", qos).await;
        for (topic, payload) in [("state/a", "1"), ("state/b", "2")] {
            let came = reader.next_publish().await;
            assert_eq!(
                (&*came.topic, &came.payload[..]),
                (topic, payload.as_bytes())
            );
            assert!(came.retain);
            assert_eq!(came.delivery.qos(), qos);
        }
        reader.expect_nothing().await;
    }
}

//= MQTT-3.3.1-6
//= MQTT-3.3.1-7
#[tokio::test]
async fn an_empty_message_clears_what_was_retained() {
    let mesh = mesh_with_retained().await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    writer.send(retained("state/a", b"")).await;
    writer
        .expect(puback(1, ReasonCode::NO_MATCHING_SUBSCRIBERS))
        .await;
    writer.subscribe("state/#", Qos::AtMostOnce).await;
    assert_eq!(&*writer.next_publish().await.topic, "state/b");
    writer.expect_nothing().await;
}

//= MQTT-3.3.1-9
//= MQTT-3.3.1-10
//= MQTT-3.3.1-11
//= MQTT-3.8.4-4
#[tokio::test]
async fn retain_handling_says_when_retained_messages_are_sent() {
    let mesh = mesh_with_retained().await;
    let mut reader = mesh.client(Version::V5, "reader").await;
    let wanted = |retain_handling| Subscription {
        retain_handling,
        ..Subscription::new("other", Qos::AtMostOnce)
    };
    reader
        .subscribe_as(wanted(RetainHandling::Never), Properties::NONE)
        .await;
    reader.expect_nothing().await;
    reader
        .subscribe_as(wanted(RetainHandling::IfNew), Properties::NONE)
        .await;
    reader.expect_nothing().await;
    reader
        .subscribe_as(wanted(RetainHandling::Always), Properties::NONE)
        .await;
    assert_eq!(reader.next_publish().await.payload, "3");
    reader.expect_nothing().await;
    let if_new = Subscription {
        retain_handling: RetainHandling::IfNew,
        ..Subscription::new("state/a", Qos::AtMostOnce)
    };
    reader.subscribe_as(if_new.clone(), Properties::NONE).await;
    assert_eq!(reader.next_publish().await.payload, "1");
    reader.subscribe_as(if_new, Properties::NONE).await;
    reader.expect_nothing().await;
}

//= MQTT-3.3.1-12
//= MQTT-3.3.1-13
#[tokio::test]
async fn the_retain_flag_of_a_fresh_message_is_kept_only_where_that_was_asked_for() {
    let mesh = Mesh::start().await;
    for (qos, keeps) in [
        (Qos::AtMostOnce, false),
        (Qos::AtMostOnce, true),
        (Qos::AtLeastOnce, false),
        (Qos::AtLeastOnce, true),
    ] {
        let mut reader = mesh.client(Version::V5, "reader").await;
        let wanted = Subscription {
            retain_as_published: keeps,
            retain_handling: RetainHandling::Never,
            ..Subscription::new("t", qos)
        };
        reader.subscribe_as(wanted, Properties::NONE).await;
        // What two are told in the same words is written once.
        let mut other = mesh.client(Version::V5, "other").await;
        let plain = Subscription {
            retain_handling: RetainHandling::Never,
            ..Subscription::new("t", qos)
        };
        other.subscribe_as(plain, Properties::NONE).await;
        let mut writer = mesh.client(Version::V5, "writer").await;
        for retain in [true, false] {
            let publish = message("t", Delivery::AtMostOnce, b"x");
            writer
                .send(Packet::Publish(Publish { retain, ..publish }))
                .await;
            assert_eq!(reader.next_publish().await.retain, keeps && retain);
            assert!(!other.next_publish().await.retain);
        }
    }
}

//= MQTT311-3.1.2-7
#[tokio::test]
async fn what_a_session_retained_outlives_it() {
    let mesh = Mesh::start().await;
    let mut writer = mesh.client(Version::V311, "writer").await;
    let retained = Publish {
        retain: true,
        ..message("kept", Delivery::AtLeastOnce(id(1)), b"x")
    };
    writer.send(Packet::Publish(retained)).await;
    writer.next().await;
    writer.goodbye().await;
    let mut reader = mesh.client(Version::V311, "reader").await;
    reader.subscribe("kept", Qos::AtMostOnce).await;
    assert_eq!(reader.next_publish().await.payload, "x");
}

//= MQTT-3.3.1-8
#[tokio::test]
async fn a_message_without_the_flag_leaves_what_is_retained() {
    let mesh = mesh_with_retained().await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    writer.send(crate::peer::qos0("state/a", b"fresh")).await;
    writer.send(crate::peer::qos0("state/c", b"fresh")).await;
    writer.subscribe("state/#", Qos::AtMostOnce).await;
    assert_eq!(writer.next_publish().await.payload, "1");
    assert_eq!(writer.next_publish().await.payload, "2");
    writer.expect_nothing().await;
}
