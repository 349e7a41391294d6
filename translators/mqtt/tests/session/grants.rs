//! Who may publish and subscribe where, by the node's own rules.

use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::Text;
use fairlead_kernel::testing::CountingEntropy;
use fairlead_kernel::{Change, ClosedReason};
use fairlead_mqtt::codec::{
    Connect, Delivery, Packet, Properties, Property, Qos, ReasonCode, SubAck, Subscribe,
    Subscription, SubscriptionId, Version, Will,
};
use fairlead_policy::{Anonymous, Rules};

use crate::peer::{
    Mesh, Peer, hello, id, kept, last_words, puback, pubcomp, pubrel, qos0, qos1, qos2, with,
};

pub(crate) async fn mesh(grants: &'static str) -> Mesh {
    let entropy = Arc::new(CountingEntropy::default());
    let rules = Rules::start(Anonymous::Loopback, entropy, None).unwrap();
    let mesh = Mesh::under(|directory| rules.over(directory)).await;
    grant(&mesh, grants).await;
    mesh
}

pub(crate) async fn grant(mesh: &Mesh, grants: &'static str) {
    grant_to(mesh, "*", grants).await;
}

pub(crate) async fn grant_to(mesh: &Mesh, name: &'static str, grants: &'static str) {
    let change = Change::PutEntry {
        namespace: Text::from_static("grants"),
        key: Bytes::from_static(name.as_bytes()),
        value: Some(Bytes::from_static(grants.as_bytes())),
    };
    let mut operator = mesh.kernel.operator().unwrap();
    operator.declare(vec![change]).await.unwrap();
}

/// Somebody with a certificate.
async fn known(mesh: &Mesh, name: &str) -> Peer {
    let mut peer = mesh.dial_as(Version::V5, Some(name));
    let connect = hello(Version::V5, name);
    peer.send(Packet::Connect(Box::new(connect))).await;
    assert!(matches!(peer.next().await, Packet::ConnAck(_)));
    peer
}

/// Somebody who may hear everything, and does.
async fn watcher(mesh: &Mesh) -> Peer {
    grant_to(mesh, "watcher", ALL).await;
    let mut watcher = known(mesh, "watcher").await;
    watcher.subscribe("#", Qos::AtMostOnce).await;
    watcher
}

const OWN: &str = r##"{"rules":[{"deny":"subscribe","is":"open/no"},
    {"allow":"both","at":"own/%c/#"},{"allow":"subscribe","at":"open/#"}]}"##;

#[tokio::test]
async fn filters_are_granted_one_by_one() {
    let mesh = mesh(OWN).await;
    for (version, no) in [(Version::V5, 0x87), (Version::V311, 0x80)] {
        for qos in [Qos::AtMostOnce, Qos::AtLeastOnce] {
            let mut peer = mesh.client(version, "c").await;
            let filters = ["own/c/+", "own/d/+", "open/no", "open/#", "#", "$share/g/#"];
            let subscriptions = filters.map(|filter| Subscription::new(filter, qos)).into();
            let (packet_id, properties) = (id(1), Properties::NONE);
            peer.send(Packet::Subscribe(Subscribe {
                packet_id,
                properties,
                subscriptions,
            }))
            .await;
            let Packet::SubAck(SubAck { codes, .. }) = peer.next().await else {
                panic!("SUBACK")
            };
            let yes = qos as u8;
            assert_eq!(codes, [yes, no, no, yes, yes, no].map(ReasonCode));
        }
    }
}

//= MQTT311-3.3.5-2
#[tokio::test]
async fn a_publish_that_is_not_granted_reaches_nobody_and_is_told() {
    let mesh = mesh(OWN).await;
    let mut watcher = watcher(&mesh).await;
    let mut writer = mesh.client(Version::V5, "c").await;
    writer.send(qos0("open/1", b"x")).await;
    writer.send(qos1(1, "open/1", b"x")).await;
    writer.expect(puback(1, ReasonCode::NOT_AUTHORIZED)).await;
    writer.send(qos1(2, "own/c/1", b"y")).await;
    writer.expect(puback(2, ReasonCode::SUCCESS)).await;
    assert_eq!(watcher.next_publish().await.payload, "y");
    // 3.1.1 has no answer that says no.
    let mut old = mesh.client(Version::V311, "old").await;
    old.send(qos1(1, "open/1", b"x")).await;
    assert_eq!(old.expect_end(None).await.reason, ClosedReason::Refused);
}

#[tokio::test]
async fn a_will_is_published_where_its_client_may_publish() {
    let mesh = mesh(OWN).await;
    let mut watcher = watcher(&mesh).await;
    for topic in ["wills/c", "own/c/will"] {
        let will = Will {
            topic: Text::from_static(topic),
            ..last_words(Qos::AtLeastOnce)
        };
        let mortal = Connect {
            will: Some(will),
            ..hello(Version::V5, "c")
        };
        mesh.accepted(mortal).await.0.vanish().await;
    }
    assert_eq!(watcher.next_publish().await.topic, "own/c/will");
}

#[tokio::test]
async fn a_grant_that_is_taken_back_counts_for_the_next_publish_to_the_same_topic() {
    let mesh = mesh(OWN).await;
    let mut writer = mesh.client(Version::V5, "c").await;
    for round in 0..2 {
        grant(&mesh, OWN).await;
        for (packet_id, payload) in [(1, b"x"), (2, b"y")] {
            writer.send(qos1(packet_id, "own/c/1", payload)).await;
            let heard_by_nobody = puback(packet_id, ReasonCode::NO_MATCHING_SUBSCRIBERS);
            writer.expect(heard_by_nobody).await;
        }
        grant(&mesh, r##"{"rules":[{"allow":"subscribe","at":"#"}]}"##).await;
        writer.send(qos1(3, "own/c/1", b"z")).await;
        let refused = puback(3, ReasonCode::NOT_AUTHORIZED);
        assert_eq!(writer.next().await, refused, "round {round}");
    }
}

const ALL: &str = r##"{"rules":[{"allow":"both","at":"#"}]}"##;

/// Everybody may publish, and hear what is open.
const OPEN: &str =
    r##"{"rules":[{"allow":"publish","at":"#"},{"allow":"subscribe","at":"open/#"}]}"##;

/// The same, and never a word by this filter.
const OPEN_ONLY: &str = r##"{"rules":[{"allow":"publish","at":"#"},{"deny":"subscribe","is":"#"},
    {"allow":"subscribe","at":"open/#"}]}"##;

/// One filter for each way on which messages reach a client, and where a message for it goes.
const WAYS: [(&str, Qos, &str); 6] = [
    ("secret/0/#", Qos::AtMostOnce, "secret/0/x"),
    ("secret/1/+", Qos::AtLeastOnce, "secret/1/x"),
    ("secret/2", Qos::ExactlyOnce, "secret/2"),
    ("$share/g/secret/3", Qos::AtLeastOnce, "secret/3"),
    ("$share/g/secret/4", Qos::ExactlyOnce, "secret/4"),
    ("$exclusive/secret/5", Qos::AtMostOnce, "secret/5"),
];

/// What is open, and all those.
fn topics() -> Vec<&'static str> {
    let open = ["open/1"].into_iter();
    open.chain(WAYS.map(|(_, _, topic)| topic)).collect()
}

async fn subscribe_to_all(reader: &mut Peer) {
    for (filter, qos, _) in WAYS {
        reader.subscribe(filter, qos).await;
    }
    reader.subscribe("open/#", Qos::AtLeastOnce).await;
}

/// Publishes to all topics; the reader hears these of them and nothing else.
async fn expect_heard(reader: &mut Peer, writer: &mut Peer, wanted: &[&str]) {
    for (packet_id, topic) in (1..).zip(topics()) {
        writer.send(qos2(packet_id, topic, b"x")).await;
        writer.code_of(packet_id).await;
        writer.send(pubrel(packet_id)).await;
        writer.expect(pubcomp(packet_id)).await;
    }
    assert_eq!(reader.hear(wanted.len()).await, wanted);
    reader.expect_nothing().await;
}

#[tokio::test]
async fn what_is_granted_no_more_is_not_heard_and_with_its_grant_it_goes_on() {
    for version in [Version::V311, Version::V5] {
        let mesh = mesh(ALL).await;
        let mut reader = mesh.client(version, "c").await;
        let mut writer = mesh.client(Version::V5, "writer").await;
        subscribe_to_all(&mut reader).await;
        for _ in 0..2 {
            expect_heard(&mut reader, &mut writer, &topics()).await;
            grant(&mesh, OPEN).await;
            expect_heard(&mut reader, &mut writer, &["open/1"]).await;
            grant(&mesh, ALL).await;
            reader.expect_nothing().await;
        }
        let page = mesh.kernel.metrics_page();
        let is_it = |line: &&str| line.contains("\"mqtt\"") && line.contains("\"not_granted\"");
        let count = page.lines().find(is_it);
        // Of those for the mailbox; nobody sent the others to this client.
        assert_eq!(count.unwrap().split(' ').next_back(), Some("4"));
    }
}

#[tokio::test]
async fn a_message_that_waits_is_not_sent_once_its_grant_is_gone() {
    let mesh = mesh(ALL).await;
    let connect = Connect {
        properties: with([Property::ReceiveMaximum(1.try_into().unwrap())]),
        ..hello(Version::V5, "c")
    };
    let mut reader = mesh.accepted(connect).await.0;
    reader.subscribe("#", Qos::AtLeastOnce).await;
    reader.subscribe("open/#", Qos::AtLeastOnce).await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    for (packet_id, topic) in [(1, "a"), (2, "b"), (3, "open/1")] {
        writer.send(qos1(packet_id, topic, b"x")).await;
        writer.expect(puback(packet_id, ReasonCode::SUCCESS)).await;
    }
    let first = reader.next_publish().await;
    assert_eq!(first.topic, "a");
    grant(&mesh, OPEN).await;
    let Delivery::AtLeastOnce(packet_id) = first.delivery else {
        panic!("QoS 1");
    };
    reader
        .send(puback(packet_id.get(), ReasonCode::SUCCESS))
        .await;
    assert_eq!(reader.next_publish().await.topic, "open/1");
}

#[tokio::test]
async fn a_message_is_heard_by_the_subscriptions_that_are_left() {
    let mesh = mesh(ALL).await;
    let mut reader = mesh.client(Version::V5, "c").await;
    for (filter, number) in [("#", 1), ("open/+", 2)] {
        let wanted = Subscription::new(filter, Qos::AtLeastOnce);
        let number = SubscriptionId::new(number).unwrap();
        reader
            .subscribe_as(wanted, with([Property::SubscriptionId(number)]))
            .await;
    }
    grant(&mesh, OPEN_ONLY).await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    writer.send(qos1(1, "open/1", b"x")).await;
    let heard = reader.next_publish().await;
    let number = SubscriptionId::new(2).unwrap();
    assert_eq!(heard.properties, with([Property::SubscriptionId(number)]));
}

/// A member of a group.
async fn member(mesh: &Mesh, name: &str) -> Peer {
    let mut member = known(mesh, name).await;
    member.subscribe("$share/g/a", Qos::AtLeastOnce).await;
    member
}

#[tokio::test]
async fn what_a_member_of_a_group_may_not_have_any_more_goes_to_the_others() {
    let mesh = mesh(ALL).await;
    let mut ada = member(&mesh, "ada").await;
    let mut bob = member(&mesh, "bob").await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    for packet_id in 1..=4 {
        writer.send(qos1(packet_id, "a", b"x")).await;
        writer.expect(puback(packet_id, ReasonCode::SUCCESS)).await;
    }
    for member in [&mut ada, &mut bob] {
        for _ in 0..2 {
            member.next_publish().await;
        }
    }
    grant_to(&mesh, "ada", r#"{"rules":[{"deny":"both","at":"a"}]}"#).await;
    writer.send(qos1(5, "a", b"y")).await;
    writer.expect(puback(5, ReasonCode::SUCCESS)).await;
    let mut heard = Vec::new();
    while heard.len() < 3 {
        heard.push(bob.next_publish().await.payload);
    }
    heard.sort();
    assert_eq!(heard, ["x", "x", "y"]);
    ada.expect_nothing().await;
    bob.expect_nothing().await;
}

#[tokio::test]
async fn a_session_that_comes_back_hears_only_what_it_is_granted_then() {
    let mesh = mesh(ALL).await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    let mut reader = mesh.accepted(kept(Version::V5, "c")).await.0;
    subscribe_to_all(&mut reader).await;
    reader.vanish().await;
    let (all, open) = (topics(), ["open/1"]);
    for (grants, granted) in [(OPEN, &open[..]), (OPEN, &open), (ALL, &all)] {
        grant(&mesh, grants).await;
        let (mut reader, answer) = mesh.accepted(kept(Version::V5, "c")).await;
        assert!(answer.session_present);
        expect_heard(&mut reader, &mut writer, granted).await;
        reader.goodbye().await;
    }
}

#[tokio::test]
async fn what_is_kept_for_a_client_that_is_away_is_its_own_only_if_it_is_granted_when_it_is_back() {
    let mesh = mesh(ALL).await;
    let mut reader = mesh.accepted(kept(Version::V5, "c")).await.0;
    subscribe_to_all(&mut reader).await;
    reader.vanish().await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    for (packet_id, topic) in [(1, "secret/1/x"), (2, "open/1")] {
        writer.send(qos1(packet_id, topic, b"x")).await;
        writer.expect(puback(packet_id, ReasonCode::SUCCESS)).await;
    }
    grant(&mesh, OPEN).await;
    let mut reader = mesh.accepted(kept(Version::V5, "c")).await.0;
    assert_eq!(reader.next_publish().await.topic, "open/1");
    reader.expect_nothing().await;
}
