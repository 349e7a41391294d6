//! Clients whose login ceases to hold while they are connected.

use std::sync::Arc;

use bytes::Bytes;
use fairlead_authn::{Anonymous, User};
use fairlead_canon::Text;
use fairlead_kernel::testing::CountingEntropy;
use fairlead_kernel::{Change, ClosedReason};
use fairlead_mqtt::codec::{Connect, Packet, Qos, ReasonCode, Version};
use fairlead_policy::Rules;

use crate::peer::{Mesh, Peer, hello, last_words};

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

async fn mesh() -> Mesh {
    let entropy = Arc::new(CountingEntropy::default());
    let rules = Rules::start(Anonymous::Loopback, entropy, None).unwrap();
    Mesh::under(|directory| rules.over(directory)).await
}

/// Gives a user a password, or (`None`) removes it.
async fn set_user(mesh: &Mesh, name: &'static str, password: Option<&str>) {
    let value = password.map(|password| {
        let user = User::with_password(password, &CountingEntropy::default()).unwrap();
        Bytes::from(user.to_json().unwrap())
    });
    let change = Change::PutEntry {
        namespace: Text::from_static("users"),
        key: Bytes::from_static(name.as_bytes()),
        value,
    };
    let mut operator = mesh.kernel.operator().unwrap();
    operator.declare(vec![change]).await.unwrap();
}

fn login(version: Version, name: &'static str) -> Connect {
    Connect {
        user_name: Some(Text::from_static(name)),
        password: Some(Bytes::from_static(b"pencil")),
        ..hello(version, &format!("{name} {version:?}"))
    }
}

async fn expect_refusal(peer: Peer) {
    let word = (peer.version() == Version::V5).then_some(ReasonCode::NOT_AUTHORIZED);
    let closed = peer.expect_end(word).await;
    assert_eq!(closed.reason, ClosedReason::Refused);
}

#[tokio::test]
async fn a_client_is_sent_away_when_its_user_is_removed_or_has_another_password() {
    let mesh = mesh().await;
    for change in [None, Some("pen")] {
        set_user(&mesh, "ada", Some("pencil")).await;
        set_user(&mesh, "bob", Some("pencil")).await;
        let mut others = mesh.accepted(login(Version::V5, "bob")).await.0;
        others.subscribe("wills/1", Qos::AtMostOnce).await;
        let mut peers = Vec::new();
        for version in VERSIONS {
            let connect = Connect {
                will: Some(last_words(Qos::AtLeastOnce)),
                ..login(version, "ada")
            };
            peers.push(mesh.accepted(connect).await.0);
        }
        set_user(&mesh, "ada", change).await;
        for peer in peers {
            expect_refusal(peer).await;
            assert_eq!(others.next_publish().await.payload, "gone");
        }
        others.expect_nothing().await;
        let mut again = mesh.dial(Version::V5);
        again
            .send(Packet::Connect(Box::new(login(Version::V5, "ada"))))
            .await;
        let Packet::ConnAck(answer) = again.next().await else {
            panic!("CONNACK")
        };
        assert_eq!(answer.code, ReasonCode::BAD_CREDENTIALS);
    }
}

#[tokio::test]
async fn the_first_user_sends_everybody_away_who_has_shown_nothing() {
    let mesh = mesh().await;
    let mut peers = Vec::new();
    for version in VERSIONS {
        peers.push(mesh.client(version, &format!("{version:?}")).await);
    }
    set_user(&mesh, "ada", Some("pencil")).await;
    for peer in peers {
        expect_refusal(peer).await;
    }
}
