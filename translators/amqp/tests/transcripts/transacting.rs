use fairlead_amqp::codec::{BasicProperties, basic, confirm, tx};
use fairlead_canon::Value;

use crate::{Mesh, Peer, declare, hear, short, to};

async fn select(peer: &mut Peer) {
    peer.send(1, tx::Select {}).await;
    hear!(peer, 1, TxSelectOk);
}

async fn commit(peer: &mut Peer) {
    peer.send(1, tx::Commit {}).await;
    hear!(peer, 1, TxCommitOk);
}

async fn ready(peer: &mut Peer, queue: &str) -> u32 {
    peer.declare(queue).await.message_count
}

async fn take(peer: &mut Peer, queue: &str) -> u64 {
    let get = basic::Get {
        queue: short(queue),
        ..basic::Get::default()
    };
    peer.send(1, get).await;
    let tag = hear!(peer, 1, BasicGetOk).delivery_tag;
    peer.content().await;
    tag
}

async fn ack(peer: &mut Peer, delivery_tag: u64) {
    let ack = basic::Ack {
        delivery_tag,
        multiple: false,
    };
    peer.send(1, ack).await;
}

//= tx.commit
#[tokio::test]
async fn nothing_of_a_transaction_is_there_before_its_commit_and_everything_after() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    ready(&mut peer, "in").await;
    peer.publish("", "in", b"work").await;
    let tag = take(&mut peer, "in").await;
    select(&mut peer).await;
    peer.publish("", "out", b"1").await;
    ready(&mut peer, "out").await;
    peer.publish("", "out", b"2").await;
    ack(&mut peer, tag).await;
    assert_eq!(ready(&mut peer, "out").await, 0);
    commit(&mut peer).await;
    assert_eq!(ready(&mut peer, "out").await, 2);
    // The second transaction begins where the first one ended.
    peer.publish("", "out", b"3").await;
    drop(peer);
    let mut other = mesh.connect().await;
    assert_eq!(ready(&mut other, "out").await, 2);
    assert_eq!(ready(&mut other, "in").await, 0, "acknowledged for good");
}

//= tx.rollback
#[tokio::test]
async fn a_rollback_forgets_publishes_and_takes_acknowledgements_back() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    ready(&mut peer, "jobs").await;
    peer.publish("", "jobs", b"work").await;
    let tag = take(&mut peer, "jobs").await;
    select(&mut peer).await;
    peer.publish("", "jobs", b"never").await;
    ack(&mut peer, tag).await;
    peer.send(1, tx::Rollback {}).await;
    hear!(peer, 1, TxRollbackOk);
    // The tag is unsettled again, so it can be acknowledged once more.
    ack(&mut peer, tag).await;
    commit(&mut peer).await;
    assert_eq!(ready(&mut peer, "jobs").await, 0);
}

//= tx.rollback
#[tokio::test]
async fn a_channel_that_ends_without_a_commit_leaves_everything_as_it_was() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    ready(&mut peer, "jobs").await;
    peer.publish("", "jobs", b"work").await;
    let tag = take(&mut peer, "jobs").await;
    select(&mut peer).await;
    peer.publish("", "jobs", b"never").await;
    ack(&mut peer, tag).await;
    peer.send(1, fairlead_amqp::codec::channel::Close::default())
        .await;
    hear!(peer, 1, ChannelCloseOk);
    peer.open_channel(1).await;
    assert_eq!(peer.get("jobs").await.as_deref(), Some(&b"work"[..]));
    assert_eq!(peer.get("jobs").await, None);
}

//= tx.commit
#[tokio::test]
async fn a_transaction_that_does_not_fit_a_queue_closes_the_channel_and_leaves_nothing() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    let mut small = declare("small");
    small.arguments.push("x-max-length", Value::I32(1));
    let reject = Value::Text("reject-publish".into());
    small.arguments.push("x-overflow", reject);
    peer.send(1, small).await;
    hear!(peer, 1, QueueDeclareOk);
    ready(&mut peer, "jobs").await;
    peer.publish("", "jobs", b"work").await;
    let tag = take(&mut peer, "jobs").await;
    select(&mut peer).await;
    ack(&mut peer, tag).await;
    for _ in 0..2 {
        peer.publish("", "small", b"x").await;
    }
    peer.send(1, tx::Commit {}).await;
    peer.closes_channel(406).await;
    peer.send(1, fairlead_amqp::codec::channel::CloseOk {})
        .await;
    peer.open_channel(1).await;
    assert_eq!(peer.get("small").await, None);
    assert_eq!(peer.get("jobs").await.as_deref(), Some(&b"work"[..]));
}

//= tx.commit
#[tokio::test]
async fn a_mandatory_message_comes_back_with_its_commit() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    select(&mut peer).await;
    let publish = basic::Publish {
        mandatory: true,
        ..to("", "nowhere")
    };
    peer.put(publish, BasicProperties::default(), b"lost");
    peer.flush().await;
    peer.send(1, tx::Commit {}).await;
    assert_eq!(hear!(peer, 1, BasicReturn).reply_code, 312);
    assert_eq!(peer.content().await.body, b"lost");
    hear!(peer, 1, TxCommitOk);
}

//= tx.select
#[tokio::test]
async fn a_channel_is_transactional_or_confirms_but_not_both() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    select(&mut peer).await;
    select(&mut peer).await;
    peer.send(1, confirm::Select { no_wait: false }).await;
    let text = peer.closes_channel(406).await;
    assert!(
        text.contains("cannot switch from tx to confirm mode"),
        "{text}"
    );
    let mut peer = mesh.connect().await;
    peer.confirms().await;
    peer.send(1, tx::Select {}).await;
    let text = peer.closes_channel(406).await;
    assert!(
        text.contains("cannot switch from confirm to tx mode"),
        "{text}"
    );
}

//= tx.not-transactional
#[tokio::test]
async fn a_commit_or_rollback_without_a_transaction_closes_the_channel() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    peer.send(1, tx::Commit {}).await;
    peer.closes_channel(406).await;
    let mut peer = mesh.connect().await;
    peer.send(1, tx::Rollback {}).await;
    peer.closes_channel(406).await;
}
