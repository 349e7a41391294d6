//! SASL. Every user's password is `secret`, but for `nobody`, who has none.

use bytes::Bytes;
use fairlead_kernel::ClosedReason;
use kafka_protocol::messages::{
    MetadataRequest, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest,
};

use crate::peer::{Mesh, Peer, text};

async fn name_mechanism(peer: &mut Peer, mechanism: &str) -> i16 {
    let request = SaslHandshakeRequest::default().with_mechanism(text(mechanism));
    let answer = peer.ask(1, request).await;
    assert!(answer.mechanisms.contains(&text("PLAIN")));
    answer.error_code
}

async fn prove(peer: &mut Peer, said: &'static [u8]) -> SaslAuthenticateResponse {
    let request = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from_static(said));
    peer.ask(2, request).await
}

//= SaslAuthenticate.plain
#[tokio::test(start_paused = true)]
async fn a_user_with_a_password_comes_in() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    assert_eq!(name_mechanism(&mut peer, "PLAIN").await, 0);
    assert_eq!(prove(&mut peer, b"\0ann\0secret").await.error_code, 0);
    peer.ask(12, MetadataRequest::default()).await;
    assert_eq!(
        name_mechanism(&mut peer, "PLAIN").await,
        34,
        "who is in need not knock"
    );
}

//= SaslAuthenticate.refused
#[tokio::test(start_paused = true)]
async fn a_wrong_password_is_refused_without_saying_why() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    assert_eq!(name_mechanism(&mut peer, "PLAIN").await, 0);
    let answer = prove(&mut peer, b"\0nobody\0wrong").await;
    assert_eq!(answer.error_code, 58);
    assert_eq!(answer.error_message, Some(text("authentication failed")));
    assert_eq!(
        prove(&mut peer, b"\0ann\0secret").await.error_code,
        34,
        "no mechanism is named"
    );
}

//= SaslHandshake.mechanism
#[tokio::test(start_paused = true)]
async fn an_unknown_mechanism_is_answered_with_those_there_are() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    assert_eq!(name_mechanism(&mut peer, "GSSAPI").await, 33);
}

//= SaslHandshake.first
#[tokio::test(start_paused = true)]
async fn who_asks_for_more_in_the_middle_of_a_login_is_closed() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    assert_eq!(name_mechanism(&mut peer, "PLAIN").await, 0);
    peer.say(12, &MetadataRequest::default()).await;
    assert_eq!(peer.closed().await.reason, ClosedReason::Refused);
}

/// Names PLAIN in the oldest form; bare tokens follow.
async fn name_plain_in_the_oldest_form(peer: &mut Peer) {
    let request = SaslHandshakeRequest::default().with_mechanism(text("PLAIN"));
    assert_eq!(peer.ask(0, request).await.error_code, 0);
}

//= SaslHandshake.v0
#[tokio::test(start_paused = true)]
async fn after_the_oldest_handshake_tokens_travel_bare() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    name_plain_in_the_oldest_form(&mut peer).await;
    peer.say_frame(b"\0ann\0secret").await;
    assert_eq!(peer.hear_frame().await.as_deref(), Some(&b""[..]));
    peer.ask(12, MetadataRequest::default()).await;
    assert_eq!(
        name_mechanism(&mut peer, "PLAIN").await,
        34,
        "who is in need not knock"
    );
}

//= SaslHandshake.v0
#[tokio::test(start_paused = true)]
async fn a_refused_bare_token_ends_the_connection() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    name_plain_in_the_oldest_form(&mut peer).await;
    peer.say_frame(b"\0nobody\0wrong").await;
    let closed = peer.closed().await;
    assert_eq!(closed.reason, ClosedReason::Refused);
    assert_eq!(closed.detail, "authentication failed");
    let mut peer = mesh.dial();
    name_plain_in_the_oldest_form(&mut peer).await;
    peer.say(12, &MetadataRequest::default()).await;
    assert_eq!(
        peer.closed().await.reason,
        ClosedReason::Refused,
        "a request is no token"
    );
}

//= SaslHandshake.v0
#[tokio::test(start_paused = true)]
async fn a_bare_token_may_be_as_long_as_a_greeting() {
    let mesh = Mesh::start().await;
    for (size, reason) in [
        (64 * 1024, ClosedReason::Lost),
        (64 * 1024 + 1, ClosedReason::Malformed),
        (-1, ClosedReason::Malformed),
    ] {
        let mut peer = mesh.dial();
        name_plain_in_the_oldest_form(&mut peer).await;
        peer.say_bytes(&i32::to_be_bytes(size)).await;
        assert_eq!(peer.hang_up().await.reason, reason, "{size} bytes");
    }
}
