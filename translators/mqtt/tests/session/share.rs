use std::collections::BTreeSet;

use fairlead_mqtt::codec::{
    Delivery, Packet, Properties, Property, Publish, Qos, ReasonCode, Subscribe, Subscription,
    Version,
};

use crate::peer::{
    Mesh, Peer, hello, id, kept, message, puback, pubcomp, pubrec, pubrel, qos0, qos1, qos2, with,
};

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
async fn a_member_of_a_group_is_not_sent_what_is_retained() {
    let mesh = Mesh::start().await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    let retained = Publish {
        retain: true,
        ..message("jobs/1", Delivery::AtLeastOnce(id(1)), b"kept")
    };
    writer.send(Packet::Publish(retained)).await;
    let nobody = ReasonCode::NO_MATCHING_SUBSCRIBERS;
    writer.expect(puback(1, nobody)).await;
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce] {
        let mut member = mesh.client(Version::V5, "member").await;
        member.subscribe("$share/g/jobs/+", qos).await;
        member.expect_nothing().await;
        member.goodbye().await;
    }
}

#[tokio::test]
async fn in_a_sticky_group_one_member_has_all_until_it_leaves_and_another_group_takes_turns() {
    let mesh = Mesh::set(&[("sticky_groups", "g\nh")]).await;
    let mut first = member(&mesh, "first", "$share/g/jobs/+").await;
    let mut second = member(&mesh, "second", "$share/g/jobs/+").await;
    let mut third = member(&mesh, "third", "$share/other/jobs/+").await;
    let mut fourth = member(&mesh, "fourth", "$share/other/jobs/+").await;
    let mut writer = mesh.client(Version::V311, "writer").await;
    publish_all(&mut writer, 10).await;
    let all: Vec<u8> = (1..=10).collect();
    assert_eq!(taken(&mut first).await, all);
    assert!(taken(&mut second).await.is_empty());
    assert!(!taken(&mut third).await.is_empty() && !taken(&mut fourth).await.is_empty());
    first.vanish().await;
    publish_all(&mut writer, 10).await;
    assert_eq!(taken(&mut second).await, all);
}

#[tokio::test]
async fn a_group_whose_members_come_and_go_is_there_for_each_of_them() {
    let mesh = Mesh::start().await;
    let mut writer = mesh.client(Version::V311, "writer").await;
    let mut before = member(&mesh, "0", "$share/g/jobs/+").await;
    for number in 1..100 {
        let (next, _) = tokio::join!(
            member(
                &mesh,
                if number % 2 == 0 { "0" } else { "1" },
                "$share/g/jobs/+"
            ),
            before.vanish(),
        );
        before = next;
        publish_all(&mut writer, 1).await;
        assert_eq!(taken(&mut before).await, [1]);
    }
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
async fn a_share_is_granted_the_qos_that_was_asked_for() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.client(Version::V5, "peer").await;
    peer.subscribe("$share/g/most", Qos::ExactlyOnce).await;
    peer.subscribe("$share/g/least", Qos::AtMostOnce).await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    writer.send(qos2(1, "most", b"x")).await;
    peer.expect(qos2(1, "most", b"x")).await;
    peer.send(pubrec(1, ReasonCode::SUCCESS)).await;
    peer.expect(pubrel(1)).await;
    peer.send(pubcomp(1)).await;
    writer.send(qos1(2, "most", b"z")).await;
    peer.expect(qos1(65_535, "most", b"z")).await;
    writer.send(qos2(3, "least", b"y")).await;
    peer.expect(qos0("least", b"y")).await;
}

//= MQTT-4.8.2-4
#[tokio::test]
async fn qos_2_is_completed_by_the_member_it_began_with() {
    let mesh = Mesh::start().await;
    let mut chosen = mesh.accepted(kept(Version::V5, "chosen")).await.0;
    chosen.subscribe("$share/g/t", Qos::ExactlyOnce).await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    writer.send(qos2(1, "t", b"x")).await;
    let first = chosen.next_publish().await;
    assert!(matches!(first.delivery, Delivery::ExactlyOnce(_)) && !first.dup);
    let mut other = mesh.client(Version::V5, "other").await;
    other.subscribe("$share/g/t", Qos::ExactlyOnce).await;
    chosen.vanish().await;
    other.expect_nothing().await;
    let mut chosen = mesh.accepted(kept(Version::V5, "chosen")).await.0;
    let again = chosen.next_publish().await;
    assert_eq!((again.delivery, again.dup), (first.delivery, true));
}

//= MQTT-4.8.2-5
#[tokio::test]
async fn qos_2_of_a_session_that_ended_goes_to_nobody_else() {
    let mesh = Mesh::start().await;
    let mut chosen = mesh.client(Version::V5, "chosen").await;
    chosen.subscribe("$share/g/t", Qos::ExactlyOnce).await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    writer.send(qos2(1, "t", b"x")).await;
    chosen.next_publish().await;
    let mut other = mesh.client(Version::V5, "other").await;
    other.subscribe("$share/g/t", Qos::ExactlyOnce).await;
    chosen.vanish().await;
    other.expect_nothing().await;
}

#[tokio::test]
async fn a_member_holds_no_more_of_qos_2_than_it_takes() {
    let mesh = Mesh::start().await;
    let mut narrow = hello(Version::V5, "narrow");
    narrow.properties = with([Property::ReceiveMaximum(2.try_into().unwrap())]);
    let mut narrow = mesh.accepted(narrow).await.0;
    narrow.subscribe("$share/g/t", Qos::ExactlyOnce).await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    for number in 1..=6 {
        writer.send(qos2(number, "t", &[1])).await;
        writer.expect(pubrec(number, ReasonCode::SUCCESS)).await;
    }
    for _ in 0..2 {
        narrow.next_publish().await;
    }
    narrow.expect_nothing().await;
    // What it never got is there for whoever comes.
    let mut other = mesh.client(Version::V5, "other").await;
    other.subscribe("$share/g/t", Qos::ExactlyOnce).await;
    narrow.vanish().await;
    let mut completed = 0;
    while completed < 4 {
        match other.next().await {
            Packet::Publish(publish) => {
                let number = publish.delivery.packet_id().unwrap().get();
                other.send(pubrec(number, ReasonCode::SUCCESS)).await;
            }
            Packet::PubRel(ack) => {
                other.send(pubcomp(ack.packet_id.get())).await;
                completed += 1;
            }
            unexpected => panic!("{unexpected:?}"),
        }
    }
    other.expect_nothing().await;
}

#[tokio::test]
async fn an_exclusive_subscription_belongs_to_one_client_at_a_time() {
    let mesh = Mesh::start().await;
    let mut owner = member(&mesh, "owner", "$exclusive/jobs/1").await;
    let mut other = mesh.client(Version::V5, "other").await;
    let wanted = Subscription::new("$exclusive/jobs/1", Qos::AtLeastOnce);
    let refused = other.try_subscribe(wanted.clone(), Properties::NONE).await;
    assert_eq!(refused, ReasonCode::QUOTA_EXCEEDED);
    let mut writer = mesh.client(Version::V5, "writer").await;
    publish_all(&mut writer, 2).await;
    assert_eq!(taken(&mut owner).await, [1, 2]);
    other.expect_nothing().await;
    owner.goodbye().await;
    let granted = other.try_subscribe(wanted, Properties::NONE).await;
    assert_eq!(granted, ReasonCode(1));
    publish_all(&mut writer, 1).await;
    assert_eq!(taken(&mut other).await, [1]);
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
        "$exclusive/",
        "$exclusive/a#",
        "$share/g+/a",
        "$share/g#/a",
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
