//! Topic aliases that a client gives.

use fairlead_mqtt::codec::{Delivery, Packet, Property, Publish, Qos, ReasonCode, Version};

use crate::peer::{Mesh, id, message, qos0, with};

//= MQTT-3.2.2-17
//= MQTT-3.3.2-8
//= MQTT-3.3.2-9
//= MQTT-3.3.2-12
#[tokio::test]
async fn a_topic_alias_stands_for_the_topic_that_it_came_with() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.client(Version::V5, "peer").await;
    peer.subscribe("long/#", Qos::AtMostOnce).await;
    let aliased = |topic, alias| {
        let properties = with([Property::TopicAlias(alias)]);
        Packet::Publish(Publish {
            properties,
            ..message(topic, Delivery::AtMostOnce, b"x")
        })
    };
    peer.send(aliased("long/topic", 64)).await;
    peer.expect(qos0("long/topic", b"x")).await;
    peer.send(aliased("", 64)).await;
    peer.expect(qos0("long/topic", b"x")).await;
    peer.send(aliased("long/other", 64)).await;
    peer.expect(qos0("long/other", b"x")).await;
    peer.send(aliased("", 64)).await;
    peer.expect(qos0("long/other", b"x")).await;
    peer.send(aliased("", 63)).await;
    peer.expect_end(Some(ReasonCode::PROTOCOL_ERROR)).await;
    for alias in [0, 65] {
        let mut peer = mesh.client(Version::V5, "peer").await;
        peer.send(aliased("long/topic", alias)).await;
        peer.expect_end(Some(ReasonCode::TOPIC_ALIAS_INVALID)).await;
    }
}

//= MQTT-4.7.3-1
#[tokio::test]
async fn a_publish_has_a_topic_or_an_alias() {
    let mesh = Mesh::start().await;
    for delivery in [Delivery::AtMostOnce, Delivery::AtLeastOnce(id(1))] {
        let mut peer = mesh.client(Version::V5, "peer").await;
        peer.send(Packet::Publish(message("", delivery, b"x")))
            .await;
        peer.expect_end(Some(ReasonCode::PROTOCOL_ERROR)).await;
    }
}

//= MQTT-3.3.2-7
#[tokio::test]
async fn an_alias_belongs_to_its_connection() {
    let mesh = Mesh::start().await;
    let mut first = mesh.client(Version::V5, "first").await;
    let properties = with([Property::TopicAlias(1)]);
    let aliased = |topic| {
        let properties = properties.clone();
        Packet::Publish(Publish {
            properties,
            ..message(topic, Delivery::AtMostOnce, b"x")
        })
    };
    first.send(aliased("t")).await;
    first.expect_nothing().await;
    first.goodbye().await;
    let mut second = mesh.client(Version::V5, "first").await;
    second.send(aliased("")).await;
    second.expect_end(Some(ReasonCode::PROTOCOL_ERROR)).await;
}
