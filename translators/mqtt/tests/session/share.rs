use std::collections::BTreeSet;

use fairlead_mqtt::codec::{
    Delivery, Packet, Properties, Qos, ReasonCode, Subscribe, Subscription, Version,
};

use crate::peer::{Mesh, Peer, id, kept, puback, qos0, qos1, qos2};

async fn member(mesh: &Mesh, client_id: &str, filter: &str) -> Peer {
    let mut member = mesh.client(Version::V5, client_id).await;
    member.subscribe(filter, Qos::AtLeastOnce).await;
    member
}

/// The payloads of messages that have come, each acknowledged.
async fn taken(member: &mut Peer) -> Vec<u8> {
    let mut taken = Vec::new();
    member.send(Packet::PingReq).await;
    loop {
        match member.next().await {
            Packet::PingResp => return taken,
            Packet::Publish(publish) => {
                taken.push(publish.payload[0]);
                if let Delivery::AtLeastOnce(number) = publish.delivery {
                    member.send(puback(number.get(), ReasonCode::SUCCESS)).await;
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

async fn publish_all(writer: &mut Peer, count: u8) {
    for number in 1..=count {
        writer.send(qos1(number.into(), "jobs/1", &[number])).await;
        writer
            .expect(puback(number.into(), ReasonCode::SUCCESS))
            .await;
    }
}

#[tokio::test]
async fn the_members_of_a_group_share_its_messages_and_another_group_gets_all() {
    let mesh = Mesh::start().await;
    let mut first = member(&mesh, "first", "$share/g/jobs/+").await;
    let mut second = member(&mesh, "second", "$share/g/jobs/+").await;
    let mut alone = member(&mesh, "alone", "$share/h/jobs/+").await;
    let mut writer = mesh.client(Version::V311, "writer").await;
    publish_all(&mut writer, 10).await;
    let (one, two) = (taken(&mut first).await, taken(&mut second).await);
    assert!(!one.is_empty() && !two.is_empty(), "{one:?} {two:?}");
    let all: BTreeSet<u8> = one.iter().chain(&two).copied().collect();
    assert_eq!((all.len(), one.len() + two.len()), (10, 10));
    assert_eq!(taken(&mut alone).await, (1..=10).collect::<Vec<u8>>());
}

#[tokio::test]
async fn what_a_member_did_not_acknowledge_goes_to_another_when_it_is_gone() {
    let mesh = Mesh::start().await;
    let mut gone = member(&mesh, "gone", "$share/g/jobs/1").await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    publish_all(&mut writer, 3).await;
    for _ in 0..3 {
        gone.next_publish().await;
    }
    let mut other = member(&mesh, "other", "$share/g/jobs/1").await;
    gone.vanish().await;
    let mut came = BTreeSet::new();
    while came.len() < 3 {
        let publish = other.next_publish().await;
        assert!(publish.dup);
        came.insert(publish.payload[0]);
    }
}

//= MQTT-4.8.2-6
#[tokio::test]
async fn a_refused_delivery_goes_to_nobody_else() {
    let mesh = Mesh::start().await;
    let mut first = member(&mesh, "first", "$share/g/jobs/1").await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    publish_all(&mut writer, 1).await;
    let came = first.next_publish().await;
    let number = came.delivery.packet_id().unwrap().get();
    first.send(puback(number, ReasonCode::UNSPECIFIED)).await;
    first.expect_nothing().await;
    first.goodbye().await;
    let mut second = member(&mesh, "second", "$share/g/jobs/1").await;
    second.expect_nothing().await;
}

//= MQTT-4.8.2-3
#[tokio::test]
async fn a_share_is_granted_at_most_qos_1_and_less_where_less_is_asked() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.client(Version::V5, "peer").await;
    let most = Subscription::new("$share/g/most", Qos::ExactlyOnce);
    assert_eq!(
        peer.try_subscribe(most, Properties::NONE).await,
        ReasonCode(1)
    );
    peer.subscribe("$share/g/least", Qos::AtMostOnce).await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    writer.send(qos2(1, "most", b"x")).await;
    peer.expect(qos1(65_535, "most", b"x")).await;
    writer.send(qos2(2, "least", b"y")).await;
    peer.expect(qos0("least", b"y")).await;
}

//= MQTT-3.8.3-4
//= MQTT-4.8.2-1
//= MQTT-4.8.2-2
#[tokio::test]
async fn a_filter_of_a_share_names_a_group_and_a_filter() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.client(Version::V5, "peer").await;
    for filter in [
        "$share/",
        "$share/g",
        "$share/g/",
        "$share//a",
        "$share/g+/a",
        "$share/g/a#",
    ] {
        let wanted = Subscription::new(filter, Qos::AtLeastOnce);
        let code = peer.try_subscribe(wanted, Properties::NONE).await;
        assert_eq!(code, ReasonCode::TOPIC_FILTER_INVALID, "{filter}");
    }
    let subscriptions = vec![Subscription {
        no_local: true,
        ..Subscription::new("$share/g/a", Qos::AtLeastOnce)
    }];
    let (packet_id, properties) = (id(1), Properties::NONE);
    peer.send(Packet::Subscribe(Subscribe {
        packet_id,
        properties,
        subscriptions,
    }))
    .await;
    peer.expect_end(Some(ReasonCode::PROTOCOL_ERROR)).await;
}

#[tokio::test]
async fn a_member_that_comes_back_is_a_member_again() {
    let mesh = Mesh::start().await;
    let mut stays = member(&mesh, "stays", "$share/g/jobs/1").await;
    let mut returns = mesh.accepted(kept(Version::V5, "returns")).await.0;
    returns.subscribe("$share/g/jobs/1", Qos::AtLeastOnce).await;
    returns.vanish().await;
    let mut returns = mesh.accepted(kept(Version::V5, "returns")).await.0;
    let mut writer = mesh.client(Version::V5, "writer").await;
    publish_all(&mut writer, 4).await;
    let (one, two) = (taken(&mut stays).await, taken(&mut returns).await);
    assert_eq!((one.len(), two.len()), (2, 2));
}
