//! What nobody should send, and what time and the end of the process do.

use std::time::Duration;

use fairlead_kernel::ClosedReason;
use kafka_protocol::messages::{ApiVersionsRequest, MetadataRequest, ProduceRequest};

use crate::fetch::from;
use crate::peer::{Mesh, batch, text};
use crate::produce::to;
use crate::topics::topic;

//= Metadata.guard
#[tokio::test(start_paused = true)]
async fn a_metadata_request_of_21_bytes_for_two_billion_topics_is_refused() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    let frame = b"\0\x03\0\x04\0\0\0\x07\0\x02me\x7f\xff\xff\xff\0\x01a\x01";
    peer.say_frame(&frame[..]).await;
    let closed = peer.closed().await;
    assert_eq!(closed.reason, ClosedReason::Malformed);
    assert!(closed.detail.contains("topics"), "{}", closed.detail);
}

//= ApiVersions.frame
#[tokio::test(start_paused = true)]
async fn a_size_above_the_limit_is_refused_before_anything_is_reserved() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    peer.say_bytes(&i32::MAX.to_be_bytes()).await;
    assert_eq!(peer.closed().await.reason, ClosedReason::Malformed);
    let mut peer = mesh.dial();
    peer.say_bytes(&(-1_i32).to_be_bytes()).await;
    assert_eq!(peer.closed().await.reason, ClosedReason::Malformed);
}

//= ApiVersions.frame
#[tokio::test(start_paused = true)]
async fn only_a_produce_may_be_large() {
    let mesh = Mesh::start().await;
    let announce = |key: i16, size: i32| [&size.to_be_bytes()[..], &key.to_be_bytes()].concat();
    for (key, size, reason) in [
        (0, 33 << 20, ClosedReason::Malformed),
        (0, 32 << 20, ClosedReason::Lost),
        (3, (4 << 20) + 1, ClosedReason::Malformed),
        (3, 4 << 20, ClosedReason::Lost),
    ] {
        let mut peer = mesh.dial();
        peer.ask(4, MetadataRequest::default()).await;
        peer.say_bytes(&announce(key, size)).await;
        assert_eq!(
            peer.hang_up().await.reason,
            reason,
            "key {key}, {size} bytes"
        );
    }
}

//= Fetch.guard
#[tokio::test(start_paused = true)]
async fn more_items_than_anybody_asks_for_are_refused() {
    let mesh = Mesh::start().await;
    let topics = |count| {
        let one = from("t", 0).topics.remove(0).with_partitions(Vec::new());
        from("t", 0).with_topics(vec![one; count])
    };
    let mut peer = mesh.dial();
    peer.ask(12, topics(65_536)).await;
    peer.say(12, &topics(65_537)).await;
    assert_eq!(peer.closed().await.reason, ClosedReason::Malformed);
}

//= ApiVersions.frame
#[tokio::test(start_paused = true)]
async fn half_a_request_is_lost_and_no_request_is_a_goodbye() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    peer.say_bytes(b"\0\0\0\x10half").await;
    assert_eq!(peer.hang_up().await.reason, ClosedReason::Lost);
    assert_eq!(mesh.dial().hang_up().await.reason, ClosedReason::Goodbye);
}

//= ApiVersions.unknown
#[tokio::test(start_paused = true)]
async fn a_request_that_was_not_announced_ends_the_connection() {
    let mesh = Mesh::start().await;
    for frame in [
        &b"\0\x63\0\0\0\0\0\x01\0\0"[..],
        b"\0\x03\0\x63\0\0\0\x01\0\0",
        b"\0\x03",
    ] {
        let mut peer = mesh.dial();
        peer.say_frame(frame).await;
        assert_eq!(peer.closed().await.reason, ClosedReason::Malformed);
    }
}

//= ApiVersions.silence
#[tokio::test(start_paused = true)]
async fn a_client_that_never_speaks_is_closed_after_ten_seconds_and_another_after_ten_minutes() {
    let mesh = Mesh::start().await;
    let begun = tokio::time::Instant::now();
    assert_eq!(mesh.dial().closed().await.reason, ClosedReason::Silent);
    assert_eq!(begun.elapsed().as_secs(), 10);
    let mut peer = mesh.dial();
    peer.ask(4, MetadataRequest::default()).await;
    assert_eq!(peer.closed().await.reason, ClosedReason::Silent);
    assert_eq!(begun.elapsed().as_secs(), 610);
}

//= ApiVersions.silence
#[tokio::test(start_paused = true)]
async fn a_client_that_takes_no_answer_is_closed() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    topic(&mut peer, "t", 1).await;
    peer.ask(9, to("t", 0, batch(&[&"x".repeat(2 << 20)])))
        .await;
    // The pipe holds half of the answer.
    peer.say(12, &from("t", 0)).await;
    let begun = tokio::time::Instant::now();
    assert_eq!(peer.ended().await.reason, ClosedReason::Silent);
    assert_eq!(begun.elapsed().as_secs(), 600);
}

//= ApiVersions.drain
#[tokio::test(start_paused = true)]
async fn a_drain_answers_what_was_produced_and_ends_what_waits() {
    let mesh = Mesh::start().await;
    let (mut writer, mut reader) = (mesh.dial(), mesh.dial());
    topic(&mut writer, "t", 1).await;
    let waiting = from("none-yet", 0)
        .with_max_wait_ms(60_000)
        .with_min_bytes(1);
    topic(&mut reader, "none-yet", 1).await;
    reader.say(12, &waiting).await;
    let asked = writer.say(9, &to("t", 0, batch(&["a"]))).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    mesh.drain();
    let answer = writer.hear::<ProduceRequest>(9, asked).await;
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    assert_eq!(writer.closed().await.reason, ClosedReason::Drained);
    assert_eq!(reader.closed().await.reason, ClosedReason::Drained);
}

//= ApiVersions.unsupported
#[tokio::test(start_paused = true)]
async fn a_version_of_api_versions_that_is_too_new_is_answered_in_the_oldest_form() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    // Version 5, as apache/kafka 4.4 sends it first.
    peer.say_frame(b"\0\x12\0\x05\0\0\0\x01\0\x02me\0\x05java\x044.4\0\0\0")
        .await;
    let answer = peer.hear::<ApiVersionsRequest>(0, 1).await;
    assert_eq!(answer.error_code, 35);
    assert!(
        answer
            .api_keys
            .iter()
            .any(|api| (api.api_key, api.max_version) == (18, 4))
    );
    // And the connection goes on.
    let asked = ApiVersionsRequest::default()
        .with_client_software_name(text("java"))
        .with_client_software_version(text("4.4"));
    peer.say(3, &asked).await;
    assert_eq!(peer.hear::<ApiVersionsRequest>(3, 1).await.error_code, 0);
}
