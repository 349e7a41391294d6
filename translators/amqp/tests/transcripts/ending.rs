use fairlead_amqp::codec::{BasicProperties, Payload, channel, connection};
use fairlead_kernel::ClosedReason;
use tokio::io::AsyncWriteExt;

use crate::{Mesh, Peer, hear, short, to};

async fn with_heartbeat(mesh: &Mesh, seconds: u16) -> Peer {
    let mut peer = mesh.dial();
    peer.greet("a", "secret").await;
    peer.tune(131_072, seconds).await;
    peer.open("/").await;
    hear!(peer, 0, ConnectionOpenOk);
    peer
}

//= connection.heartbeat
#[tokio::test(start_paused = true)]
async fn a_silent_client_hears_heartbeats_and_is_given_up_after_two_intervals() {
    let mesh = Mesh::new().await;
    let mut peer = with_heartbeat(&mesh, 4).await;
    let start = tokio::time::Instant::now();
    assert!(matches!(peer.frame().await.payload, Payload::Heartbeat));
    assert!(start.elapsed().as_secs() <= 4);
    assert_eq!(peer.served.await.unwrap().reason, ClosedReason::Silent);
    assert!((8..=12).contains(&start.elapsed().as_secs()));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_heartbeats_stays() {
    let mesh = Mesh::new().await;
    let mut peer = with_heartbeat(&mesh, 2).await;
    for _ in 0..10 {
        assert!(matches!(peer.frame().await.payload, Payload::Heartbeat));
        peer.io
            .write_all(&[8, 0, 0, 0, 0, 0, 0, 0xce])
            .await
            .unwrap();
    }
    assert!(!peer.served.is_finished());
}

//= connection.close
#[tokio::test]
async fn a_client_that_closes_is_answered_and_what_it_published_is_kept() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    peer.declare("jobs").await;
    peer.put(to("", "jobs"), BasicProperties::default(), b"last");
    peer.send(0, connection::Close::default()).await;
    hear!(peer, 0, ConnectionCloseOk);
    assert_eq!(peer.served.await.unwrap().reason, ClosedReason::Goodbye);
    let mut other = mesh.connect().await;
    assert_eq!(other.get("jobs").await.as_deref(), Some(&b"last"[..]));
}

//= connection.close.forced
#[tokio::test]
async fn a_drained_client_gets_its_confirms_and_then_320() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    peer.declare("jobs").await;
    peer.confirms().await;
    peer.publish("", "jobs", b"one").await;
    assert_eq!(hear!(peer, 1, BasicAck).delivery_tag, 1);
    mesh.drain.send(true).unwrap();
    let text = peer.closes_connection(320).await;
    assert!(text.starts_with("CONNECTION_FORCED"), "{text}");
    assert_eq!(peer.served.await.unwrap().reason, ClosedReason::Drained);
}

//= connection.close.forced
#[tokio::test]
async fn a_drained_client_that_overhears_320_sees_the_stream_end() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    mesh.drain.send(true).unwrap();
    hear!(peer, 0, ConnectionClose);
    assert_eq!(peer.read().await, 0, "the stream ends before it is agreed");
    drop(peer.io);
    assert_eq!(peer.served.await.unwrap().reason, ClosedReason::Drained);
}

//= connection.close.forced
#[tokio::test(start_paused = true)]
async fn a_drained_client_that_stays_is_closed_after_two_seconds() {
    let mesh = Mesh::new().await;
    let peer = mesh.connect().await;
    let start = tokio::time::Instant::now();
    mesh.drain.send(true).unwrap();
    assert_eq!(peer.served.await.unwrap().reason, ClosedReason::Drained);
    assert_eq!(start.elapsed().as_secs(), 2);
}

//= channel.open
#[tokio::test]
async fn channels_are_opened_once_and_used_only_when_open() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    peer.send(1, channel::Open::default()).await;
    peer.closes_connection(504).await;
    let mut peer = mesh.connect().await;
    peer.publish("", "q", b"").await;
    peer.send(9, channel::Flow { active: true }).await;
    peer.closes_connection(504).await;
    let mut peer = mesh.connect().await;
    peer.send(2047, channel::Open::default()).await;
    hear!(peer, 2047, ChannelOpenOk);
    peer.send(2048, channel::Open::default()).await;
    peer.closes_connection(530).await;
}

//= channel.flow
#[tokio::test]
async fn a_channel_is_not_paused() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    peer.send(1, channel::Flow { active: true }).await;
    assert!(hear!(peer, 1, ChannelFlowOk).active);
    peer.send(1, channel::Flow { active: false }).await;
    peer.closes_connection(540).await;
}

//= connection.frame
#[tokio::test]
async fn bytes_that_are_no_frame_end_the_connection_with_501() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    peer.io.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    peer.closes_connection(501).await;
    assert_eq!(peer.served.await.unwrap().reason, ClosedReason::Malformed);
}

#[tokio::test]
async fn a_client_that_vanishes_is_lost_and_nobody_else_minds() {
    let mesh = Mesh::new().await;
    let peer = mesh.connect().await;
    drop(peer.io);
    assert_eq!(peer.served.await.unwrap().reason, ClosedReason::Lost);
    mesh.connect().await.declare("jobs").await;
}

//= connection.update-secret
#[tokio::test]
async fn a_new_secret_is_taken_note_of() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    let update = connection::UpdateSecret {
        new_secret: fairlead_amqp::codec::LongStr(bytes::Bytes::from_static(b"new")),
        reason: short("it was time"),
    };
    peer.send(0, update).await;
    hear!(peer, 0, ConnectionUpdateSecretOk);
    assert_eq!(peer.declare("still-there").await.message_count, 0);
}
