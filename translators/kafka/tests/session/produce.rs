//! Produce.

use bytes::{Bytes, BytesMut};
use fairlead_kernel::ClosedReason;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{MetadataRequest, ProduceRequest};

use crate::fetch::fetch;
use crate::peer::{Mesh, Peer, batch, seal, stamped, text};
use crate::topics::topic;

const V: i16 = 9;

/// A produce of one batch to one partition.
pub(crate) fn to(name: &str, partition: i32, records: Bytes) -> ProduceRequest {
    let part = PartitionProduceData::default()
        .with_index(partition)
        .with_records(Some(records));
    let topic = TopicProduceData::default()
        .with_name(text(name).into())
        .with_partition_data(vec![part]);
    ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(1_000)
        .with_topic_data(vec![topic])
}

pub(crate) async fn produce(
    peer: &mut Peer,
    version: i16,
    request: ProduceRequest,
) -> PartitionProduceResponse {
    let mut answer = peer.ask(version, request).await;
    answer.responses.remove(0).partition_responses.remove(0)
}

//= Produce.kept
#[tokio::test(start_paused = true)]
async fn a_batch_is_kept_byte_for_byte_but_for_its_place() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    topic(&mut peer, "t", 1).await;
    let sent = batch(&["a", "b"]);
    for (version, base) in (3..=11).zip((0..).step_by(2)) {
        let answer = produce(&mut peer, version, to("t", 0, sent.clone())).await;
        assert_eq!(
            (answer.error_code, answer.base_offset),
            (0, base),
            "version {version}"
        );
    }
    let fetched = fetch(&mut peer, "t", 2).await.records.unwrap();
    assert_eq!(fetched[..8], 2_i64.to_be_bytes());
    assert_eq!(fetched[8..12], sent[8..12]);
    assert_eq!(fetched[16..sent.len()], sent[16..]);
}

//= Produce.acks-0
#[tokio::test(start_paused = true)]
async fn a_produce_without_acknowledgement_is_kept_and_not_answered() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    topic(&mut peer, "t", 1).await;
    peer.say(V, &to("t", 0, batch(&["a"])).with_acks(0)).await;
    let answer = produce(&mut peer, V, to("t", 0, batch(&["b"]))).await;
    assert_eq!(answer.base_offset, 1);
}

//= Produce.acks-0
#[tokio::test(start_paused = true)]
async fn a_produce_without_acknowledgement_that_fails_ends_the_connection() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    peer.say(V, &to("none", 0, batch(&["a"])).with_acks(0))
        .await;
    assert_eq!(peer.closed().await.reason, ClosedReason::Failed);
}

//= Produce.pipelined
#[tokio::test(start_paused = true)]
async fn pipelined_requests_are_answered_in_order() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    topic(&mut peer, "t", 1).await;
    let mut asked = Vec::new();
    for _ in 0..100 {
        asked.push(peer.say(V, &to("t", 0, batch(&["a"]))).await);
    }
    let metadata = peer.say(4, &MetadataRequest::default()).await;
    let last = peer.say(V, &to("t", 0, batch(&["a"]))).await;
    for (base, correlation) in (0..).zip(asked) {
        let answer = peer.hear::<ProduceRequest>(V, correlation).await;
        assert_eq!(answer.responses[0].partition_responses[0].base_offset, base);
    }
    peer.hear::<MetadataRequest>(4, metadata).await;
    peer.hear::<ProduceRequest>(V, last).await;
}

#[tokio::test(start_paused = true)]
async fn more_refusals_than_may_be_in_flight_are_answered_without_another_request() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    let (mut wire, mut asked) = (BytesMut::new(), Vec::new());
    for _ in 0..200 {
        asked.push(peer.add_to(&mut wire, V, &to("none", 0, batch(&["a"]))));
    }
    peer.say_bytes(&wire).await;
    for correlation in asked {
        let answer = peer.hear::<ProduceRequest>(V, correlation).await;
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 3);
    }
}

//= Produce.idempotent
#[tokio::test(start_paused = true)]
async fn a_repeated_batch_is_kept_once_and_a_gap_is_refused() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    topic(&mut peer, "t", 1).await;
    let two = batch(&["a", "b"]);
    for (epoch, sequence, code, base) in [
        (0, 0, 0, 0),
        (0, 2, 0, 2),
        (0, 2, 0, 2),
        (0, 6, 45, -1),
        (1, 0, 0, 4),
        (0, 4, 47, -1),
    ] {
        let answer = produce(&mut peer, V, to("t", 0, stamped(&two, 7, epoch, sequence))).await;
        let said = (answer.error_code, answer.base_offset);
        assert_eq!(said, (code, base), "epoch {epoch} sequence {sequence}");
    }
}

//= Produce.refused
#[tokio::test(start_paused = true)]
async fn what_cannot_be_kept_is_refused_by_its_own_code() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    topic(&mut peer, "t", 1).await;
    let good = batch(&["a"]);
    let mut damaged = good.to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    let mut marker = stamped(&good, 7, 0, 0).to_vec();
    marker[22] |= 0x30;
    seal(&mut marker);
    let large = "x".repeat(fairlead_canon::limits::BODY_BYTES_MAX);
    for (request, code) in [
        (to("t", 0, damaged.into()), 2),
        (to("t", 0, good.slice(..30)), 2),
        (to("t", 0, Bytes::new()), 2),
        (to("none", 0, good.clone()), 3),
        (to("t", 1, good.clone()), 3),
        (to("t", -1, good.clone()), 3),
        (to("t", 0, batch(&[&large])), 10),
        (to("no/name", 0, good.clone()), 17),
        (to("t", 0, good.clone()).with_acks(2), 21),
        (to("t", 0, marker.into()), 87),
    ] {
        assert_eq!(produce(&mut peer, V, request).await.error_code, code);
    }
    assert_eq!(
        produce(&mut peer, V, to("t", 0, good)).await.base_offset,
        0,
        "nothing was kept"
    );
}
