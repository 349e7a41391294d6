//! What somebody retained who may no longer publish there.

use std::sync::Arc;

use fairlead_canon::Text;
use fairlead_kernel::testing::CountingEntropy;
use fairlead_mqtt::codec::{Connect, Delivery, Packet, Publish, Qos, Version, Will};
use fairlead_policy::{Anonymous, Rules};

use crate::grants::grant_to;
use crate::peer::{Mesh, Peer, hello, id, last_words, message};

const PLANT: &str = r##"{"rules":[{"allow":"publish","at":"plant/#"}]}"##;
/// As long as the client calls itself `pump`, what it has published is what it may publish.
const OWN: &str = r##"{"rules":[{"allow":"publish","at":"plant/%c/#"}]}"##;
const NOTHING: &str = r#"{"rules":[]}"#;

async fn mesh(settings: &[(&str, &str)]) -> Mesh {
    let entropy = Arc::new(CountingEntropy::default());
    let rules = Rules::start(Anonymous::Loopback, entropy, None).unwrap();
    let mesh = Mesh::under(|directory| rules.over(directory)).await;
    let mesh = mesh.with(settings);
    grant_to(
        &mesh,
        "reader",
        r##"{"rules":[{"allow":"both","at":"#"}]}"##,
    )
    .await;
    grant_to(&mesh, "bob", PLANT).await;
    mesh
}

/// A client of this name's certificate.
async fn known(mesh: &Mesh, name: &str, connect: Connect) -> Peer {
    let mut peer = mesh.dial_as(Version::V5, Some(name));
    peer.send(Packet::Connect(Box::new(connect))).await;
    assert!(matches!(peer.next().await, Packet::ConnAck(_)));
    peer
}

/// Retained at every QoS, and as a will.
async fn retain_all(mesh: &Mesh) {
    let will = Will {
        topic: Text::from_static("plant/pump/will"),
        retain: true,
        ..last_words(Qos::AtLeastOnce)
    };
    let connect = Connect {
        will: Some(will),
        ..hello(Version::V5, "pump")
    };
    let mut bob = known(mesh, "bob", connect).await;
    let retained = |topic, delivery| {
        Packet::Publish(Publish {
            retain: true,
            ..message(topic, delivery, b"on")
        })
    };
    bob.send(retained("plant/pump/0", Delivery::AtMostOnce))
        .await;
    bob.send(retained("plant/pump/1", Delivery::AtLeastOnce(id(1))))
        .await;
    bob.next().await;
    bob.send(retained("plant/pump/2", Delivery::ExactlyOnce(id(2))))
        .await;
    bob.next().await;
    bob.vanish().await;
    let operator = hello(Version::V5, "reader");
    let mut operator = known(mesh, "reader", operator).await;
    operator
        .send(retained("plant/operator", Delivery::AtMostOnce))
        .await;
    operator.expect_nothing().await;
}

/// What a new subscription hears at once.
async fn heard(mesh: &Mesh, qos: Qos, count: usize) -> Vec<Text> {
    let mut reader = known(mesh, "reader", hello(Version::V5, "reader")).await;
    reader.subscribe("plant/#", qos).await;
    let heard = reader.hear(count).await;
    reader.expect_nothing().await;
    reader.goodbye().await;
    heard
}

const ALL: [&str; 5] = [
    "plant/operator",
    "plant/pump/0",
    "plant/pump/1",
    "plant/pump/2",
    "plant/pump/will",
];

#[tokio::test]
async fn what_is_retained_is_held_back_while_who_published_it_may_not() {
    let mesh = mesh(&[]).await;
    retain_all(&mesh).await;
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce] {
        assert_eq!(heard(&mesh, qos, 5).await, ALL);
        grant_to(&mesh, "bob", NOTHING).await;
        assert_eq!(heard(&mesh, qos, 1).await, ["plant/operator"]);
        grant_to(&mesh, "bob", OWN).await;
        assert_eq!(heard(&mesh, qos, 5).await, ALL, "under the name it had");
    }
}

#[tokio::test]
async fn a_listener_may_deliver_what_is_retained_whoever_published_it() {
    let mesh = mesh(&[("checks_retain_source", "false")]).await;
    retain_all(&mesh).await;
    grant_to(&mesh, "bob", NOTHING).await;
    assert_eq!(heard(&mesh, Qos::AtMostOnce, 5).await, ALL);
}
