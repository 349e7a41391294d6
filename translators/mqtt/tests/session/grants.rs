//! Who may publish and subscribe where, by the node's own rules.

use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::Text;
use fairlead_kernel::testing::CountingEntropy;
use fairlead_kernel::{Change, ClosedReason};
use fairlead_mqtt::codec::{
    Connect, Packet, Properties, Qos, ReasonCode, SubAck, Subscribe, Subscription, Version, Will,
};
use fairlead_policy::{Anonymous, Rules};

use crate::peer::{Mesh, hello, id, kept, last_words, puback, qos0, qos1};

async fn mesh(grants: &'static str) -> Mesh {
    let entropy = Arc::new(CountingEntropy::default());
    let rules = Rules::start(Anonymous::Loopback, entropy, None).unwrap();
    let mesh = Mesh::under(|directory| rules.over(directory)).await;
    grant(&mesh, grants).await;
    mesh
}

async fn grant(mesh: &Mesh, grants: &'static str) {
    let change = Change::PutEntry {
        namespace: Text::from_static("grants"),
        key: Bytes::from_static(b"*"),
        value: Some(Bytes::from_static(grants.as_bytes())),
    };
    let mut operator = mesh.kernel.operator().unwrap();
    operator.declare(vec![change]).await.unwrap();
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
            assert_eq!(codes, [yes, no, no, yes, no, no].map(ReasonCode));
        }
    }
}

//= MQTT311-3.3.5-2
#[tokio::test]
async fn a_publish_that_is_not_granted_reaches_nobody_and_is_told() {
    let mesh = mesh(r##"{"rules":[{"allow":"both","at":"#"}]}"##).await;
    let mut watcher = mesh.client(Version::V5, "watcher").await;
    watcher.subscribe("#", Qos::AtMostOnce).await;
    grant(&mesh, OWN).await;
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
    let mesh = mesh(r##"{"rules":[{"allow":"both","at":"#"}]}"##).await;
    let mut watcher = mesh.client(Version::V5, "watcher").await;
    watcher.subscribe("#", Qos::AtMostOnce).await;
    grant(&mesh, OWN).await;
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

#[tokio::test]
async fn a_session_that_comes_back_hears_only_what_it_is_still_granted() {
    let mesh = mesh(r##"{"rules":[{"allow":"both","at":"#"}]}"##).await;
    let mut reader = mesh.accepted(kept(Version::V5, "c")).await.0;
    for (filter, qos) in [
        ("secret/0", Qos::AtMostOnce),
        ("secret/1", Qos::AtLeastOnce),
        ("$share/g/secret/2", Qos::AtLeastOnce),
        ("open/#", Qos::AtLeastOnce),
    ] {
        reader.subscribe(filter, qos).await;
    }
    reader.vanish().await;
    let open = r##"{"rules":[{"allow":"publish","at":"#"},{"allow":"subscribe","at":"open/#"}]}"##;
    grant(&mesh, open).await;
    for _ in 0..2 {
        let (mut reader, answer) = mesh.accepted(kept(Version::V5, "c")).await;
        assert!(answer.session_present);
        let mut writer = mesh.client(Version::V5, "writer").await;
        for (packet_id, topic) in [(1, "secret/0"), (2, "secret/1"), (3, "secret/2")] {
            writer.send(qos1(packet_id, topic, b"x")).await;
            let unheard = ReasonCode::NO_MATCHING_SUBSCRIBERS;
            writer.expect(puback(packet_id, unheard)).await;
        }
        writer.send(qos1(4, "open/1", b"y")).await;
        writer.expect(puback(4, ReasonCode::SUCCESS)).await;
        assert_eq!(reader.next_publish().await.topic, "open/1");
        reader.goodbye().await;
        // What was given up does not come back with its grant.
        grant(&mesh, r##"{"rules":[{"allow":"both","at":"#"}]}"##).await;
    }
}
