use fairlead_mqtt::codec::{
    Packet, Properties, Property, Qos, ReasonCode, Subscribe, Subscription, SubscriptionId,
    UnsubAck, Unsubscribe, Version,
};

use fairlead_canon::Text;

use crate::peer::{Mesh, id, kept, puback, pubcomp, pubrec, pubrel, qos0, qos1, qos2, with};

fn subscription_id(number: u32) -> Property {
    Property::SubscriptionId(SubscriptionId::new(number).unwrap())
}

#[tokio::test]
async fn a_session_has_4096_subscriptions_and_not_one_more() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.client(Version::V5, "peer").await;
    let filters = 0..4_096_u16;
    let all = filters.map(|n| Subscription::new(n.to_string(), Qos::AtMostOnce));
    peer.send(Packet::Subscribe(Subscribe {
        packet_id: id(3),
        properties: Properties::NONE,
        subscriptions: all.collect(),
    }))
    .await;
    let Packet::SubAck(answer) = peer.next().await else {
        panic!("SUBACK");
    };
    assert!(answer.codes.iter().all(|code| *code == ReasonCode::SUCCESS));
    let one_more = Subscription::new("one more", Qos::AtMostOnce);
    let code = peer.try_subscribe(one_more, Properties::NONE).await;
    assert_eq!(code, ReasonCode::QUOTA_EXCEEDED);
}

//= MQTT-3.8.4-1
//= MQTT-3.8.4-2
//= MQTT-3.8.4-5
//= MQTT-3.8.4-6
//= MQTT-3.8.4-7
//= MQTT-3.9.3-1
//= MQTT-3.9.3-2
#[tokio::test]
async fn filters_are_answered_one_by_one() {
    let mesh = Mesh::start().await;
    let subscribe = Packet::Subscribe(Subscribe {
        packet_id: id(3),
        properties: Properties::NONE,
        subscriptions: vec![
            Subscription::new("a/#", Qos::AtMostOnce),
            Subscription::new("a/#/b", Qos::AtMostOnce),
            Subscription::new("$share/g", Qos::AtMostOnce),
            Subscription::new("+", Qos::ExactlyOnce),
        ],
    });
    let codes = |version| match version {
        Version::V5 => [0, 0x8f, 0x8f, 2],
        Version::V311 => [0, 0x80, 0x80, 2],
        // It has no word for a refusal.
        Version::V31 => [0, 0, 0, 2],
    };
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut peer = mesh.client(version, "peer").await;
        peer.send(subscribe.clone()).await;
        let Packet::SubAck(answer) = peer.next().await else {
            panic!("SUBACK")
        };
        assert_eq!(answer.packet_id, id(3));
        assert_eq!(answer.codes, codes(version).map(ReasonCode));
        peer.expect_nothing().await;
    }
}

//= MQTT-3.3.4-5
#[tokio::test]
async fn overlapping_subscriptions_that_are_served_apart_tell_their_own_identifiers() {
    let mesh = Mesh::start().await;
    let mut reader = mesh.client(Version::V5, "reader").await;
    for (filter, qos, number) in [("a/#", Qos::AtMostOnce, 1), ("a/b", Qos::AtLeastOnce, 2)] {
        let id = SubscriptionId::new(number).unwrap();
        let wanted = Subscription::new(filter, qos);
        reader
            .subscribe_as(wanted, with([Property::SubscriptionId(id)]))
            .await;
    }
    let mut writer = mesh.client(Version::V5, "writer").await;
    writer.send(qos1(1, "a/b", b"x")).await;
    let mut told = Vec::new();
    for _ in 0..2 {
        let publish = reader.next_publish().await;
        let id = publish.properties.subscription_id().unwrap().get();
        told.push((publish.delivery.qos() as u8, id));
    }
    told.sort_unstable();
    assert_eq!(told, [(0, 1), (1, 2)]);
    reader.expect_nothing().await;
}

#[tokio::test]
async fn no_local_of_one_client_hides_nothing_from_another() {
    let mesh = Mesh::start().await;
    for qos in [Qos::AtMostOnce, Qos::ExactlyOnce] {
        let mut both = Vec::new();
        for name in ["first", "second"] {
            let mut peer = mesh.client(Version::V5, name).await;
            let wanted = Subscription {
                no_local: true,
                ..Subscription::new("t", qos)
            };
            peer.subscribe_as(wanted, Properties::NONE).await;
            both.push(peer);
        }
        both[0].send(qos1(1, "t", b"x")).await;
        assert_eq!(both[1].next_publish().await.payload, "x");
        assert!(matches!(both[0].next().await, Packet::PubAck(_)));
        both[0].expect_nothing().await;
    }
}

//= MQTT-3.10.4-3
#[tokio::test]
async fn a_delivery_that_has_begun_is_completed_after_unsubscribing() {
    let mesh = Mesh::start().await;
    let mut reader = mesh.accepted(kept(Version::V5, "reader")).await.0;
    reader.subscribe("a", Qos::ExactlyOnce).await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    writer.send(qos2(1, "a", b"x")).await;
    let first = reader.next_publish().await;
    reader.send(unsubscribe(9, &["a"])).await;
    assert!(matches!(reader.next().await, Packet::UnsubAck(_)));
    reader.vanish().await;
    let mut reader = mesh.accepted(kept(Version::V5, "reader")).await.0;
    let again = reader.next_publish().await;
    assert_eq!((again.delivery, again.dup), (first.delivery, true));
    let number = again.delivery.packet_id().unwrap().get();
    reader.send(pubrec(number, ReasonCode::SUCCESS)).await;
    reader.expect(pubrel(number)).await;
    reader.send(pubcomp(number)).await;
    reader.expect_nothing().await;
}

pub(crate) fn unsubscribe(number: u16, filters: &[&'static str]) -> Packet {
    Packet::Unsubscribe(Unsubscribe {
        packet_id: id(number),
        properties: Properties::NONE,
        filters: filters.iter().copied().map(Text::from_static).collect(),
    })
}

//= MQTT-2.2.1-6
//= MQTT-3.10.4-1
//= MQTT-3.10.4-2
//= MQTT-3.10.4-4
//= MQTT-3.10.4-5
//= MQTT-3.10.4-6
//= MQTT-3.11.3-1
//= MQTT-3.11.3-2
#[tokio::test]
async fn nothing_comes_after_unsubscribing() {
    let mesh = Mesh::start().await;
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce] {
        let mut peer = mesh.client(Version::V5, "peer").await;
        peer.subscribe("a", qos).await;
        let never = ReasonCode::NO_SUBSCRIPTION_EXISTED;
        for (number, filters, codes) in [
            // Equal is what is the same byte for byte.
            (8, &["A", "a/", "+"][..], vec![never; 3]),
            (9, &["a", "never"], vec![ReasonCode::SUCCESS, never]),
            (10, &["a"], vec![never]),
        ] {
            peer.send(unsubscribe(number, filters)).await;
            peer.expect(Packet::UnsubAck(UnsubAck {
                packet_id: id(number),
                properties: Properties::NONE,
                codes,
            }))
            .await;
        }
        peer.send(qos1(1, "a", b"x")).await;
        let unheard = ReasonCode::NO_MATCHING_SUBSCRIBERS;
        peer.expect(puback(1, unheard)).await;
        peer.expect_nothing().await;
    }
}

//= MQTT-3.3.4-3
//= MQTT-3.3.4-4
#[tokio::test]
async fn a_message_tells_the_identifiers_of_its_subscriptions() {
    let mesh = Mesh::start().await;
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce] {
        let mut peer = mesh.client(Version::V5, "peer").await;
        for (number, filter) in [(1, "a/#"), (2, "a/+"), (3, "b")] {
            let wanted = Subscription::new(filter, qos);
            peer.subscribe_as(wanted, with([subscription_id(number)]))
                .await;
        }
        peer.send(qos0("a/b", b"x")).await;
        let came = peer.next_publish().await;
        assert_eq!(
            came.properties,
            with([subscription_id(1), subscription_id(2)])
        );
        peer.expect_nothing().await;
    }
}

//= MQTT-3.8.3-3
#[tokio::test]
async fn a_subscription_with_no_local_does_not_hear_itself() {
    let mesh = Mesh::start().await;
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce] {
        let mut peer = mesh.client(Version::V5, "peer").await;
        let wanted = Subscription {
            no_local: true,
            ..Subscription::new("a", qos)
        };
        peer.subscribe_as(wanted, Properties::NONE).await;
        peer.send(qos0("a", b"own")).await;
        let mut other = mesh.client(Version::V5, "other").await;
        other.send(qos0("a", b"other")).await;
        assert_eq!(peer.next_publish().await.payload, "other");
    }
}

//= MQTT-3.8.3-3
#[tokio::test]
async fn no_local_outlives_the_connection() {
    let mesh = Mesh::start().await;
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce] {
        let mut peer = mesh.accepted(kept(Version::V5, "peer")).await.0;
        let wanted = Subscription {
            no_local: true,
            ..Subscription::new("a", qos)
        };
        peer.subscribe_as(wanted, Properties::NONE).await;
        peer.goodbye().await;
        let mut peer = mesh.accepted(kept(Version::V5, "peer")).await.0;
        peer.send(qos0("a", b"own")).await;
        peer.expect_nothing().await;
        let mut other = mesh.client(Version::V5, "other").await;
        other.send(qos0("a", b"other")).await;
        assert_eq!(peer.next_publish().await.payload, "other");
    }
}

//= MQTT-3.8.4-3
#[tokio::test]
async fn the_same_filter_again_replaces_the_subscription() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.client(Version::V5, "peer").await;
    for (number, qos) in [
        (1, Qos::AtLeastOnce),
        (2, Qos::AtMostOnce),
        (3, Qos::AtLeastOnce),
    ] {
        peer.subscribe_as(Subscription::new("a", qos), with([subscription_id(number)]))
            .await;
        peer.send(qos0("a", b"x")).await;
        assert_eq!(
            peer.next_publish().await.properties,
            with([subscription_id(number)])
        );
        peer.expect_nothing().await;
    }
}

//= MQTT-3.10.4-1
#[tokio::test]
async fn filters_that_mean_the_same_are_two_subscriptions() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.client(Version::V5, "peer").await;
    peer.subscribe("#", Qos::AtLeastOnce).await;
    peer.subscribe("+/#", Qos::AtLeastOnce).await;
    let filters = vec![fairlead_canon::Text::from_static("#")];
    let (packet_id, properties) = (id(9), Properties::NONE);
    peer.send(Packet::Unsubscribe(Unsubscribe {
        packet_id,
        properties,
        filters,
    }))
    .await;
    assert!(matches!(peer.next().await, Packet::UnsubAck(_)));
    peer.send(qos0("a", b"x")).await;
    peer.expect(qos0("a", b"x")).await;
}

#[tokio::test]
async fn a_level_with_a_star_is_a_letter() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.client(Version::V5, "peer").await;
    peer.subscribe("a/*", Qos::AtMostOnce).await;
    peer.send(qos0("a/b", b"no")).await;
    peer.send(qos0("a/*", b"yes")).await;
    peer.expect(qos0("a/*", b"yes")).await;
}
