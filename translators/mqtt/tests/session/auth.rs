//! Logins that take several packets, over the node's own rule and its users.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use fairlead_authn::{Anonymous, Authn, NAMESPACE, TokenRules, User, Verifier};
use fairlead_canon::Text;
use fairlead_kernel::testing::{CountingEntropy, ManualClock};
use fairlead_kernel::{Change, ClosedReason};
use fairlead_mqtt::codec::{
    Auth, ConnAck, Connect, Disconnect, Packet, Properties, Property, ReasonCode, Version,
};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use crate::peer::{Mesh, Peer, hello, kept, with};

const SCRAM: &str = "SCRAM-SHA-256";
const FIRST: &str = "n=ada,r=fyko";

/// A mesh with one user, `ada`, whose password is `pencil`.
async fn mesh() -> Mesh {
    let mesh = Mesh::under(|directory| {
        let entropy = Arc::new(CountingEntropy::default());
        let verifier = Verifier::start(&*entropy, None).unwrap();
        Arc::new(Authn::new(
            Anonymous::Loopback,
            directory,
            entropy,
            verifier,
        ))
    })
    .await;
    for name in ["ada", "bob"] {
        let user = User::with_password("pencil", &CountingEntropy::default()).unwrap();
        let change = Change::PutEntry {
            namespace: Text::from_static(NAMESPACE),
            key: Bytes::copy_from_slice(name.as_bytes()),
            value: Some(user.to_json().unwrap().into()),
        };
        let mut operator = mesh.kernel.operator().unwrap();
        operator.declare(vec![change]).await.unwrap();
    }
    mesh
}

fn words(method: &'static str, data: &str) -> Properties {
    let data = Bytes::copy_from_slice(data.as_bytes());
    with([
        Property::AuthMethod(Text::from_static(method)),
        Property::AuthData(data),
    ])
}

fn auth(reason: ReasonCode, data: &str) -> Packet {
    let properties = words(SCRAM, data);
    Packet::Auth(Auth { reason, properties })
}

fn asks(method: &'static str, first: &str) -> Connect {
    Connect {
        properties: words(method, first),
        ..hello(Version::V5, "c")
    }
}

/// The data of the server's next AUTH, which has this reason and names the method.
async fn challenge(peer: &mut Peer, reason: ReasonCode) -> String {
    let Packet::Auth(auth) = peer.next().await else {
        panic!("AUTH")
    };
    assert_eq!(auth.reason, reason);
    assert_eq!(
        auth.properties.iter().count(),
        2,
        "method and data: {auth:?}"
    );
    data(&auth.properties)
}

fn data(properties: &Properties) -> String {
    assert_eq!(properties.auth_method().as_deref(), Some(SCRAM));
    let data = properties.auth_data().unwrap_or_default();
    String::from_utf8(data.into()).unwrap()
}

fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().into()
}

/// The client's last message, and the server's that must follow it (RFC 5802, section 3).
fn proof(first: &str, challenge: &str, password: &str) -> (String, String) {
    let field = |name: &str| {
        let mut fields = challenge.split(',');
        fields.find_map(|field| field.strip_prefix(name)).unwrap()
    };
    let salt = STANDARD.decode(field("s=")).unwrap();
    let rounds = field("i=").parse().unwrap();
    let salted = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password.as_bytes(), &salt, rounds);
    let without_proof = format!("c=biws,r={}", field("r="));
    let conversation = format!("{first},{challenge},{without_proof}");
    let client_key = hmac(&salted, b"Client Key");
    let mut proof = hmac(&Sha256::digest(client_key), conversation.as_bytes());
    proof.iter_mut().zip(client_key).for_each(|(a, b)| *a ^= b);
    let signature = hmac(&hmac(&salted, b"Server Key"), conversation.as_bytes());
    (
        format!("{without_proof},p={}", STANDARD.encode(proof)),
        format!("v={}", STANDARD.encode(signature)),
    )
}

async fn logged_in(mesh: &Mesh) -> Peer {
    let mut peer = mesh.dial(Version::V5);
    let connect = asks(SCRAM, &format!("n,,{FIRST}"));
    peer.send(Packet::Connect(Box::new(connect))).await;
    let asked = challenge(&mut peer, ReasonCode::CONTINUE_AUTHENTICATION).await;
    let (last, signature) = proof(FIRST, &asked, "pencil");
    peer.send(auth(ReasonCode::CONTINUE_AUTHENTICATION, &last))
        .await;
    let Packet::ConnAck(ConnAck {
        code, properties, ..
    }) = peer.next().await
    else {
        panic!("CONNACK")
    };
    assert_eq!(code, ReasonCode::SUCCESS);
    assert_eq!(data(&properties), signature);
    peer
}

async fn refusal(mut peer: Peer) -> (ReasonCode, ClosedReason) {
    let Packet::ConnAck(answer) = peer.next().await else {
        panic!("CONNACK")
    };
    (answer.code, peer.expect_end(None).await.reason)
}

//= MQTT-4.12.0-2
//= MQTT-4.12.0-3
//= MQTT-4.12.0-5
//= MQTT-4.12.1-1
//= MQTT-3.15.2-2
//= MQTT-3.15.2-3
#[tokio::test]
async fn both_sides_prove_themselves_and_may_do_it_again() {
    let mut peer = logged_in(&mesh().await).await;
    let first = format!("n,,{FIRST}");
    peer.send(auth(ReasonCode::REAUTHENTICATE, &first)).await;
    let asked = challenge(&mut peer, ReasonCode::CONTINUE_AUTHENTICATION).await;
    peer.expect_nothing().await;
    let (last, signature) = proof(FIRST, &asked, "pencil");
    peer.send(auth(ReasonCode::CONTINUE_AUTHENTICATION, &last))
        .await;
    let last = challenge(&mut peer, ReasonCode::SUCCESS).await;
    assert_eq!(last, signature);
    peer.expect_nothing().await;
}

//= MQTT-4.12.0-4
#[tokio::test]
async fn a_wrong_proof_is_refused() {
    let mesh = mesh().await;
    let mut peer = mesh.dial(Version::V5);
    let connect = asks(SCRAM, &format!("n,,{FIRST}"));
    peer.send(Packet::Connect(Box::new(connect))).await;
    let asked = challenge(&mut peer, ReasonCode::CONTINUE_AUTHENTICATION).await;
    let (last, _) = proof(FIRST, &asked, "pen");
    peer.send(auth(ReasonCode::CONTINUE_AUTHENTICATION, &last))
        .await;
    let refused = (ReasonCode::NOT_AUTHORIZED, ClosedReason::Refused);
    assert_eq!(refusal(peer).await, refused);
}

//= MQTT-4.12.1-2
#[tokio::test]
async fn a_second_proof_that_is_wrong_or_of_another_ends_the_connection() {
    let mesh = mesh().await;
    for (first, password) in [(FIRST, "pen"), ("n=bob,r=fyko", "pencil")] {
        let mut peer = logged_in(&mesh).await;
        let begin = auth(ReasonCode::REAUTHENTICATE, &format!("n,,{first}"));
        peer.send(begin).await;
        let asked = challenge(&mut peer, ReasonCode::CONTINUE_AUTHENTICATION).await;
        let (last, _) = proof(first, &asked, password);
        peer.send(auth(ReasonCode::CONTINUE_AUTHENTICATION, &last))
            .await;
        peer.expect_end(Some(ReasonCode::NOT_AUTHORIZED)).await;
    }
}

//= MQTT-4.12.0-1
#[tokio::test]
async fn a_method_that_is_not_known_is_refused() {
    let mesh = mesh().await;
    let mut peer = mesh.dial(Version::V5);
    let connect = asks("KERBEROS", "");
    peer.send(Packet::Connect(Box::new(connect))).await;
    let refused = (ReasonCode::BAD_AUTH_METHOD, ClosedReason::Refused);
    assert_eq!(refusal(peer).await, refused);
    let mut peer = mesh.dial(Version::V5);
    let connect = Connect {
        properties: with([Property::AuthData(Bytes::from_static(b"x"))]),
        ..hello(Version::V5, "c")
    };
    peer.send(Packet::Connect(Box::new(connect))).await;
    assert_eq!(refusal(peer).await.0, ReasonCode::PROTOCOL_ERROR);
}

//= MQTT-3.1.2-30
//= MQTT-4.12.0-3
#[tokio::test]
async fn nothing_but_auth_and_disconnect_is_heard_in_the_middle_of_a_login() {
    let mesh = mesh().await;
    let foreign = Packet::Auth(Auth {
        reason: ReasonCode::CONTINUE_AUTHENTICATION,
        properties: words("PLAIN", "x"),
    });
    for (said, code) in [
        (Packet::PingReq, Some(ReasonCode::PROTOCOL_ERROR)),
        (
            auth(ReasonCode::REAUTHENTICATE, ""),
            Some(ReasonCode::PROTOCOL_ERROR),
        ),
        (foreign, Some(ReasonCode::BAD_AUTH_METHOD)),
        (
            Packet::Disconnect(Disconnect::new(ReasonCode::SUCCESS)),
            None,
        ),
    ] {
        let mut peer = mesh.dial(Version::V5);
        let connect = asks(SCRAM, &format!("n,,{FIRST}"));
        peer.send(Packet::Connect(Box::new(connect))).await;
        challenge(&mut peer, ReasonCode::CONTINUE_AUTHENTICATION).await;
        peer.send(said).await;
        match code {
            Some(code) => assert_eq!(refusal(peer).await.0, code),
            None => assert_eq!(peer.expect_end(None).await.reason, ClosedReason::Lost),
        }
    }
}

//= MQTT-4.12.0-3
//= MQTT-4.12.0-5
//= MQTT-4.12.1-1
#[tokio::test]
async fn auth_that_was_not_agreed_ends_the_connection() {
    let mesh = mesh().await;
    let mut peer = logged_in(&mesh).await;
    peer.send(auth(ReasonCode::CONTINUE_AUTHENTICATION, "x"))
        .await;
    peer.expect_end(Some(ReasonCode::PROTOCOL_ERROR)).await;
    let properties = words("PLAIN", "\0ada\0pencil");
    for properties in [properties, Properties::NONE] {
        let mut peer = logged_in(&mesh).await;
        let reason = ReasonCode::REAUTHENTICATE;
        peer.send(Packet::Auth(Auth { reason, properties })).await;
        peer.expect_end(Some(ReasonCode::BAD_AUTH_METHOD)).await;
    }
}

#[tokio::test]
async fn a_certificate_is_a_login() {
    let mesh = mesh().await;
    let mut owner = mesh.dial_as(Version::V311, Some("pump-7"));
    let connect = kept(Version::V311, "c");
    owner.send(Packet::Connect(Box::new(connect.clone()))).await;
    assert!(matches!(owner.next().await, Packet::ConnAck(answer) if answer.code.0 == 0));
    let mut other = mesh.dial_as(Version::V311, Some("pump-8"));
    other.send(Packet::Connect(Box::new(connect))).await;
    assert_eq!(
        refusal(other).await.0,
        ReasonCode(5),
        "the session is pump-7's"
    );
    let mut nobody = mesh.dial(Version::V311);
    let connect = hello(Version::V311, "d");
    nobody.send(Packet::Connect(Box::new(connect))).await;
    assert_eq!(refusal(nobody).await.0, ReasonCode(4), "users exist");
}

/// A mesh that believes tokens, at a time when the one of user `ada` counts for 1,000 more seconds.
async fn mesh_of_tokens() -> Mesh {
    let golden = "../../policy/authn/src/token/golden/jwks.json";
    let keys = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(golden);
    let rules = TokenRules {
        keys: Some(keys),
        secret: None,
        user: "sub".to_owned(),
        client: Some("sub".to_owned()),
        acl: None,
        issuer: None,
        audience: None,
        disconnects: true,
    };
    Mesh::under(|directory| {
        let entropy = Arc::new(CountingEntropy::default());
        let clock = Arc::new(ManualClock::at(1_000_000));
        let verifier = Verifier::start(&*entropy, Some((rules, clock))).unwrap();
        Arc::new(Authn::new(
            Anonymous::Loopback,
            directory,
            entropy,
            verifier,
        ))
    })
    .await
}

fn with_token(version: Version, client_id: &str) -> Connect {
    let token = include_bytes!("../../../../policy/authn/src/token/golden/rs256.jwt");
    Connect {
        user_name: Some(Text::from_static("ada")),
        password: Some(Bytes::from_static(token)),
        ..hello(version, client_id)
    }
}

#[tokio::test]
async fn a_token_lets_its_user_in_under_the_name_that_it_says_until_it_is_over() {
    let mesh = mesh_of_tokens().await;
    // A minute before it is over.
    mesh.clock.advance(940_000);
    let (peer, _) = mesh.accepted(with_token(Version::V5, "ada")).await;
    let mut other = mesh.dial(Version::V5);
    other
        .send(Packet::Connect(Box::new(with_token(Version::V5, "bob"))))
        .await;
    let Packet::ConnAck(refused) = other.next().await else {
        panic!("an answer was expected");
    };
    assert_eq!(refused.code, ReasonCode::NOT_AUTHORIZED);
    tokio::time::pause();
    mesh.clock.advance(60_000);
    let closed = peer
        .expect_end(Some(ReasonCode::MAXIMUM_CONNECT_TIME))
        .await;
    assert_eq!(closed.reason, ClosedReason::Refused);
}
