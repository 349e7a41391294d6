//! Fetch and ListOffsets.

use std::time::Duration;

use bytes::Bytes;
use fairlead_canon::{Address, Message, Path, Promise, Terms, Text, Value};
use fairlead_kernel::{Content, Publish, To};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{FetchRequest, ListOffsetsRequest, MetadataRequest};
use tokio::time::Instant;

use crate::peer::{Mesh, Peer, batch, text, values};
use crate::produce::to;
use crate::topics::topic;

const V: i16 = 12;

/// A fetch of partition 0 that waits for nothing.
pub(crate) fn from(name: &str, offset: i64) -> FetchRequest {
    let partition = FetchPartition::default()
        .with_partition(0)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default()
        .with_topic(text(name).into())
        .with_partitions(vec![partition]);
    FetchRequest::default()
        .with_max_bytes(1 << 20)
        .with_topics(vec![topic])
}

/// What partition 0 gives.
pub(crate) async fn fetch(peer: &mut Peer, name: &str, offset: i64) -> PartitionData {
    let mut answer = peer.ask(V, from(name, offset)).await;
    answer.responses.remove(0).partitions.remove(0)
}

async fn produce(peer: &mut Peer, name: &str, some: &[&str]) {
    let answer = peer.ask(9, to(name, 0, batch(some))).await;
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
}

//= Fetch.read
#[tokio::test(start_paused = true)]
async fn records_are_read_from_any_offset_in_every_version() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    topic(&mut peer, "t", 1).await;
    produce(&mut peer, "t", &["a", "b"]).await;
    produce(&mut peer, "t", &["c"]).await;
    for version in 4..=12 {
        let mut answer = peer.ask(version, from("t", 1)).await;
        let part = answer.responses.remove(0).partitions.remove(0);
        assert_eq!(
            (part.error_code, part.high_watermark),
            (0, 3),
            "version {version}"
        );
        assert_eq!(part.last_stable_offset, 3);
        let found = values(part.records.unwrap());
        let want = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(
            found,
            (0..).zip(want).collect::<Vec<_>>(),
            "version {version}"
        );
    }
    let end = fetch(&mut peer, "t", 3).await;
    assert_eq!(
        (end.error_code, end.records.unwrap_or_default().len()),
        (0, 0)
    );
}

//= Fetch.errors
#[tokio::test(start_paused = true)]
async fn an_offset_out_of_range_and_an_unknown_partition_are_told_at_once() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    topic(&mut peer, "t", 1).await;
    let begun = Instant::now();
    for (name, offset, code) in [("t", 1, 1), ("t", -1, 1), ("none", 0, 3)] {
        let request = from(name, offset).with_max_wait_ms(5_000).with_min_bytes(1);
        let answer = peer.ask(V, request).await;
        assert_eq!(
            answer.responses[0].partitions[0].error_code, code,
            "{name} {offset}"
        );
    }
    assert!(begun.elapsed() < Duration::from_secs(1));
}

//= Fetch.long-poll
#[tokio::test(start_paused = true)]
async fn a_fetch_waits_for_data_and_is_woken_by_it() {
    let mesh = Mesh::start().await;
    let (mut reader, mut writer) = (mesh.dial(), mesh.dial());
    topic(&mut writer, "t", 1).await;
    let request = from("t", 0).with_max_wait_ms(60_000).with_min_bytes(1);
    let begun = Instant::now();
    let asked = reader.say(V, &request).await;
    // Another connection is served while this one waits.
    writer.ask(4, MetadataRequest::default()).await;
    produce(&mut writer, "t", &["a"]).await;
    let mut answer = reader.hear::<FetchRequest>(V, asked).await;
    let records = answer.responses.remove(0).partitions.remove(0).records;
    assert_eq!(values(records.unwrap()), [(0, "a".to_owned())]);
    assert!(begun.elapsed() < Duration::from_secs(60));
}

//= Fetch.long-poll
#[tokio::test(start_paused = true)]
async fn a_fetch_without_data_is_answered_when_its_time_is_up() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    topic(&mut peer, "t", 1).await;
    produce(&mut peer, "t", &["a"]).await;
    let begun = Instant::now();
    let request = from("t", 0).with_max_wait_ms(500).with_min_bytes(100_000);
    let mut answer = peer.ask(V, request).await;
    assert_eq!(
        begun.elapsed().as_millis() / 10,
        50,
        "neither sooner nor later"
    );
    let records = answer.responses.remove(0).partitions.remove(0).records;
    assert_eq!(values(records.unwrap()), [(0, "a".to_owned())]);
}

//= Fetch.long-poll
#[tokio::test(start_paused = true)]
async fn a_client_that_hangs_up_while_it_waits_is_noticed() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    topic(&mut peer, "t", 1).await;
    let begun = Instant::now();
    peer.say(V, &from("t", 0).with_max_wait_ms(60_000).with_min_bytes(1))
        .await;
    peer.hang_up().await;
    assert!(begun.elapsed() < Duration::from_secs(1));
}

//= Fetch.limits
#[tokio::test(start_paused = true)]
async fn a_batch_above_the_limit_comes_alone() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    topic(&mut peer, "t", 1).await;
    for _ in 0..3 {
        produce(&mut peer, "t", &["a"]).await;
    }
    let mut answer = peer.ask(V, from("t", 0).with_max_bytes(1)).await;
    let records = answer.responses.remove(0).partitions.remove(0).records;
    assert_eq!(values(records.unwrap()).len(), 1);
}

//= Fetch.session
#[tokio::test(start_paused = true)]
async fn fetch_sessions_are_declined() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    topic(&mut peer, "t", 1).await;
    let wanted = peer.ask(V, from("t", 0).with_session_epoch(0)).await;
    assert_eq!((wanted.error_code, wanted.session_id), (0, 0));
    let invented = peer
        .ask(V, from("t", 0).with_session_id(7).with_session_epoch(1))
        .await;
    assert_eq!(invented.error_code, 70);
}

//= Fetch.foreign
#[tokio::test(start_paused = true)]
async fn messages_of_other_protocols_are_records_with_dense_offsets() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    topic(&mut peer, "a.b", 1).await;
    produce(&mut peer, "a.b", &["0"]).await;
    let mut stranger = mesh.stranger();
    let address = Address::shared(Path::from_segments(["a", "b"]).unwrap());
    for body in ["1", "2"] {
        let terms = Terms::accepted(mesh.kernel.clock().wall(), Promise::Durable);
        let mut message = Message::new(address.clone(), Bytes::from(body), terms);
        message.key = Some(Bytes::from_static(b"k"));
        message.properties_mut().content_type = Some(Text::from_static("text/plain"));
        let mut headers = fairlead_canon::HeadersBuilder::default();
        headers.push(b"n", &Value::I32(3));
        message.headers = headers.build().unwrap();
        let publish = Publish {
            to: To::Address(&address),
            content: Content::Message(message),
            promise: Promise::Durable,
            with: Vec::new(),
            own_mailbox: None,
        };
        stranger.publish(publish).unwrap();
        stranger.flush();
        stranger.event().await;
    }
    produce(&mut peer, "a.b", &["3"]).await;
    let records = fetch(&mut peer, "a.b", 0).await.records.unwrap();
    let want = ["0", "1", "2", "3"].map(str::to_owned);
    assert_eq!(values(records.clone()), (0..).zip(want).collect::<Vec<_>>());
    // As plain bytes: readable without any knowledge of ours.
    for word in ["content-type", "text/plain", "fl-ts"] {
        let found = records
            .windows(word.len())
            .filter(|window| *window == word.as_bytes());
        assert_eq!(found.count(), 2, "{word}");
    }
}

//= ListOffsets.bounds
#[tokio::test(start_paused = true)]
async fn offsets_are_found_at_both_ends_and_by_time() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    topic(&mut peer, "t", 1).await;
    produce(&mut peer, "t", &["a", "b"]).await;
    // Every record of the batch is of second 1.
    for (timestamp, found) in [
        (-1, 2),
        (-2, 0),
        (-3, 0),
        (-4, 0),
        (-5, -1),
        (0, 0),
        (1_000, 0),
        (1_001, -1),
    ] {
        for version in 1..=10 {
            let partition = ListOffsetsPartition::default().with_timestamp(timestamp);
            let topic = ListOffsetsTopic::default()
                .with_name(text("t").into())
                .with_partitions(vec![partition]);
            let request = ListOffsetsRequest::default().with_topics(vec![topic]);
            let answer = peer.ask(version, request).await;
            let part = &answer.topics[0].partitions[0];
            assert_eq!(
                (part.error_code, part.offset),
                (0, found),
                "{timestamp} v{version}"
            );
        }
    }
}
