//! Transactions, as a transactional producer and its readers see them.

use bytes::Bytes;
use fairlead_canon::{Address, Class, Kind, Origin, Path};
use fairlead_kernel::{Caller, Change, Family, NewStream, Settling, StreamKey};
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, DescribeTransactionsRequest, EndTxnRequest,
    FetchRequest, InitProducerIdRequest, ListOffsetsRequest, ListTransactionsRequest,
    TxnOffsetCommitRequest,
};

use crate::groups::position;
use crate::peer::{Mesh, Peer, batch, seal, stamped, text, values};
use crate::produce::{produce, to};
use crate::topics::topic;

/// Who produces.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Producer {
    id: i64,
    epoch: i16,
}

const COMMIT: bool = true;
const ABORT: bool = false;

async fn init_as(peer: &mut Peer, id: &str, known: Option<Producer>) -> (i16, Producer) {
    let known = known.unwrap_or(Producer { id: -1, epoch: -1 });
    let request = InitProducerIdRequest::default()
        .with_transactional_id(Some(text(id).into()))
        .with_transaction_timeout_ms(60_000)
        .with_producer_id(known.id.into())
        .with_producer_epoch(known.epoch);
    let answer = peer.ask(5, request).await;
    let producer = Producer {
        id: answer.producer_id.0,
        epoch: answer.producer_epoch,
    };
    (answer.error_code, producer)
}

async fn init(peer: &mut Peer, id: &str) -> Producer {
    let (code, producer) = init_as(peer, id, None).await;
    assert_eq!(code, 0);
    producer
}

async fn add(peer: &mut Peer, version: i16, id: &str, by: Producer, index: i32) -> i16 {
    let topic = AddPartitionsToTxnTopic::default()
        .with_name(text("t").into())
        .with_partitions(vec![index]);
    let request = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(text(id).into())
        .with_v3_and_below_producer_id(by.id.into())
        .with_v3_and_below_producer_epoch(by.epoch)
        .with_v3_and_below_topics(vec![topic]);
    let mut answer = peer.ask(version, request).await;
    let topic = answer.results_by_topic_v3_and_below.remove(0);
    topic.results_by_partition[0].partition_error_code
}

async fn end(peer: &mut Peer, id: &str, by: Producer, committed: bool) -> i16 {
    let request = EndTxnRequest::default()
        .with_transactional_id(text(id).into())
        .with_producer_id(by.id.into())
        .with_producer_epoch(by.epoch)
        .with_committed(committed);
    peer.ask(4, request).await.error_code
}

/// A batch of one record in a transaction.
fn part(value: &str, by: Producer, sequence: i32) -> Bytes {
    let mut bytes = stamped(&batch(&[value]), by.id, by.epoch, sequence).to_vec();
    bytes[22] |= 0x10;
    seal(&mut bytes);
    bytes.into()
}

/// Writes one record of a transaction to the first partition of `t`.
async fn write(peer: &mut Peer, id: &str, (by, sequence): (Producer, i32), value: &str) -> i16 {
    let request = to("t", 0, part(value, by, sequence));
    let request = request.with_transactional_id(Some(text(id).into()));
    produce(peer, 9, request).await.error_code
}

async fn read(peer: &mut Peer, isolation: i8) -> PartitionData {
    let part = FetchPartition::default().with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default()
        .with_topic(text("t").into())
        .with_partitions(vec![part]);
    let request = FetchRequest::default()
        .with_max_bytes(1 << 20)
        .with_isolation_level(isolation)
        .with_topics(vec![topic]);
    let mut answer = peer.ask(12, request).await;
    answer.responses.remove(0).partitions.remove(0)
}

/// What a reader of committed records hands on, as clients compute it: an aborted transaction
/// reaches from its first offset to its producer's next marker.
async fn committed(peer: &mut Peer) -> Vec<String> {
    let part = read(peer, 1).await;
    let mut aborted = part.aborted_transactions.unwrap();
    let mut rest = part.records.unwrap_or_default();
    let mut seen = Vec::new();
    while !rest.is_empty() {
        let len = 12 + u32::from_be_bytes(rest[8..12].try_into().unwrap()) as usize;
        let batch = rest.split_to(len);
        let base = i64::from_be_bytes(batch[..8].try_into().unwrap());
        let producer = i64::from_be_bytes(batch[43..51].try_into().unwrap());
        let begun = |first: i64| first <= base;
        let ours = aborted
            .iter()
            .position(|one| one.producer_id.0 == producer && begun(one.first_offset));
        match (batch[22] & 0x20 != 0, ours) {
            (true, Some(ours)) => drop(aborted.remove(ours)),
            (true, None) | (false, Some(_)) => {}
            (false, None) => seen.extend(values(batch).into_iter().map(|(_, value)| value)),
        }
    }
    seen
}

//= Transactions.committed
//= AddPartitionsToTxn.added
//= EndTxn.ended
//= Fetch.read-committed
#[tokio::test(start_paused = true)]
async fn a_committed_transaction_is_seen_at_its_end_and_not_before() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    topic(&mut peer, "t", 1).await;
    let by = init(&mut peer, "x").await;
    assert_eq!(add(&mut peer, 3, "x", by, 0).await, 0);
    assert_eq!(write(&mut peer, "x", (by, 0), "a").await, 0);
    assert_eq!(write(&mut peer, "x", (by, 1), "b").await, 0);
    assert_eq!(committed(&mut peer).await, [""; 0]);
    let all = read(&mut peer, 0).await;
    assert_eq!((all.high_watermark, all.last_stable_offset), (2, 0));
    assert_eq!(all.aborted_transactions, None, "nobody asked");
    assert_eq!(values(all.records.unwrap()).len(), 2);

    assert_eq!(end(&mut peer, "x", by, COMMIT).await, 0);
    assert_eq!(committed(&mut peer).await, ["a", "b"]);
    let all = read(&mut peer, 1).await;
    assert_eq!((all.high_watermark, all.last_stable_offset), (3, 3));
    let marker = &all.records.unwrap()[2 * part("a", by, 0).len()..];
    assert_eq!(marker[21..23], 0x30_i16.to_be_bytes(), "a marker");
    assert_eq!(marker[43..51], by.id.to_be_bytes());
    assert_eq!(
        end(&mut peer, "x", by, COMMIT).await,
        0,
        "the answer was lost"
    );
    assert_eq!(end(&mut peer, "x", by, ABORT).await, 48);
}

//= ListOffsets.isolation
#[tokio::test(start_paused = true)]
async fn the_end_of_committed_records_is_the_last_stable_offset() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    topic(&mut peer, "t", 1).await;
    produce(&mut peer, 9, to("t", 0, batch(&["plain"]))).await;
    let by = init(&mut peer, "x").await;
    add(&mut peer, 3, "x", by, 0).await;
    write(&mut peer, "x", (by, 0), "a").await;
    for (isolation, end) in [(0, 2), (1, 1)] {
        let partition = ListOffsetsPartition::default().with_timestamp(-1);
        let topic = ListOffsetsTopic::default()
            .with_name(text("t").into())
            .with_partitions(vec![partition]);
        let request = ListOffsetsRequest::default()
            .with_isolation_level(isolation)
            .with_topics(vec![topic]);
        let answer = peer.ask(7, request).await;
        assert_eq!(answer.topics[0].partitions[0].offset, end);
    }
}

//= Transactions.aborted
#[tokio::test(start_paused = true)]
async fn an_aborted_transaction_is_named_to_readers_of_committed_records() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    topic(&mut peer, "t", 1).await;
    let by = init(&mut peer, "x").await;
    add(&mut peer, 3, "x", by, 0).await;
    write(&mut peer, "x", (by, 0), "a").await;
    produce(&mut peer, 9, to("t", 0, batch(&["plain"]))).await;
    assert_eq!(end(&mut peer, "x", by, ABORT).await, 0);
    let part = read(&mut peer, 1).await;
    let aborted = part.aborted_transactions.unwrap();
    assert_eq!(aborted.len(), 1);
    assert_eq!(
        (aborted[0].producer_id.0, aborted[0].first_offset),
        (by.id, 0)
    );
    assert_eq!(committed(&mut peer).await, ["plain"]);
}

//= Transactions.fenced
//= InitProducerId.transactional
#[tokio::test(start_paused = true)]
async fn whoever_takes_an_id_aborts_and_fences_its_holder() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    topic(&mut peer, "t", 1).await;
    let old = init(&mut peer, "x").await;
    add(&mut peer, 3, "x", old, 0).await;
    write(&mut peer, "x", (old, 0), "a").await;
    let new = init(&mut peer, "x").await;
    assert_eq!((new.id, new.epoch), (old.id, old.epoch + 1));
    assert_eq!(
        read(&mut peer, 1).await.last_stable_offset,
        2,
        "it was aborted"
    );
    assert_eq!(write(&mut peer, "x", (old, 1), "b").await, 47);
    assert_eq!(add(&mut peer, 3, "x", old, 0).await, 90);
    assert_eq!(add(&mut peer, 1, "x", old, 0).await, 47, "in older words");
    assert_eq!(end(&mut peer, "x", old, COMMIT).await, 90);
    assert_eq!(init_as(&mut peer, "x", Some(old)).await.0, 90);

    assert_eq!(add(&mut peer, 3, "x", new, 0).await, 0);
    assert_eq!(write(&mut peer, "x", (new, 0), "c").await, 0);
    assert_eq!(end(&mut peer, "x", new, COMMIT).await, 0);
    assert_eq!(committed(&mut peer).await, ["c"]);

    let (code, bumped) = init_as(&mut peer, "x", Some(new)).await;
    assert_eq!((code, bumped.epoch), (0, new.epoch + 1));
    let again = init_as(&mut peer, "x", Some(new)).await;
    assert_eq!(again, (0, bumped), "the answer was lost");
}

//= Transactions.timed-out
#[tokio::test(start_paused = true)]
async fn a_transaction_that_is_open_for_too_long_is_aborted_and_its_holder_fenced() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    topic(&mut peer, "t", 1).await;
    let by = init(&mut peer, "x").await;
    add(&mut peer, 3, "x", by, 0).await;
    write(&mut peer, "x", (by, 0), "a").await;
    mesh.clock.advance(60_000);
    while read(&mut peer, 1).await.last_stable_offset == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    assert_eq!(committed(&mut peer).await, [""; 0]);
    assert_eq!(end(&mut peer, "x", by, COMMIT).await, 90);
    assert_eq!(write(&mut peer, "x", (by, 1), "b").await, 47);
}

//= Produce.transactional
#[tokio::test(start_paused = true)]
async fn a_transactional_batch_needs_an_open_transaction_that_has_its_partition() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    topic(&mut peer, "t", 2).await;
    let by = init(&mut peer, "x").await;
    assert_eq!(
        write(&mut peer, "x", (by, 0), "a").await,
        48,
        "none is open"
    );
    add(&mut peer, 3, "x", by, 1).await;
    assert_eq!(write(&mut peer, "x", (by, 0), "a").await, 48, "not there");
    let bare = to("t", 1, part("a", by, 0));
    assert_eq!(produce(&mut peer, 9, bare).await.error_code, 87);
    assert_eq!(end(&mut peer, "x", by, ABORT).await, 0);
    assert_eq!(
        write(&mut peer, "x", (by, 0), "a").await,
        48,
        "it has ended"
    );
    assert_eq!(read(&mut peer, 0).await.high_watermark, 0);
}

//= AddPartitionsToTxn.refused
#[tokio::test(start_paused = true)]
async fn partitions_are_added_by_the_holder_and_only_those_there_are() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    topic(&mut peer, "t", 1).await;
    let by = init(&mut peer, "x").await;
    let other = Producer {
        id: by.id + 1,
        ..by
    };
    assert_eq!(add(&mut peer, 3, "nobody", by, 0).await, 49);
    assert_eq!(add(&mut peer, 3, "x", other, 0).await, 49);
    assert_eq!(add(&mut peer, 3, "x", by, 7).await, 3);
    assert_eq!(
        end(&mut peer, "x", by, COMMIT).await,
        48,
        "nothing has begun"
    );
    let request = InitProducerIdRequest::default().with_transactional_id(Some(text("x").into()));
    for (timeout_ms, code) in [(0, 50), (900_001, 50), (900_000, 0)] {
        let request = request.clone().with_transaction_timeout_ms(timeout_ms);
        assert_eq!(peer.ask(3, request).await.error_code, code);
    }
}

async fn commit_in(peer: &mut Peer, by: Producer, offset: i64) -> i16 {
    let request = AddOffsetsToTxnRequest::default()
        .with_transactional_id(text("x").into())
        .with_producer_id(by.id.into())
        .with_producer_epoch(by.epoch)
        .with_group_id(text("g").into());
    assert_eq!(peer.ask(3, request).await.error_code, 0);
    let partition = TxnOffsetCommitRequestPartition::default().with_committed_offset(offset);
    let topic = TxnOffsetCommitRequestTopic::default()
        .with_name(text("t").into())
        .with_partitions(vec![partition]);
    let request = TxnOffsetCommitRequest::default()
        .with_transactional_id(text("x").into())
        .with_group_id(text("g").into())
        .with_producer_id(by.id.into())
        .with_producer_epoch(by.epoch)
        .with_topics(vec![topic]);
    peer.ask(3, request).await.topics[0].partitions[0].error_code
}

//= TxnOffsetCommit.counted
//= AddOffsetsToTxn.added
//= OffsetFetch.stable
#[tokio::test(start_paused = true)]
async fn positions_of_a_transaction_count_when_it_is_committed() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    topic(&mut peer, "t", 1).await;
    let by = init(&mut peer, "x").await;
    assert_eq!(commit_in(&mut peer, by, 5).await, 0);
    assert_eq!(position(&mut peer, false).await, (0, -1));
    assert_eq!(position(&mut peer, true).await, (88, -1), "it may change");
    assert_eq!(end(&mut peer, "x", by, ABORT).await, 0);
    assert_eq!(position(&mut peer, true).await, (0, -1));
    assert_eq!(commit_in(&mut peer, by, 6).await, 0);
    assert_eq!(end(&mut peer, "x", by, COMMIT).await, 0);
    assert_eq!(position(&mut peer, true).await, (0, 6));

    let before = Producer { epoch: -1, ..by };
    let request = TxnOffsetCommitRequest::default()
        .with_transactional_id(text("x").into())
        .with_group_id(text("g").into())
        .with_producer_id(before.id.into())
        .with_producer_epoch(before.epoch)
        .with_topics(vec![
            TxnOffsetCommitRequestTopic::default()
                .with_name(text("t").into())
                .with_partitions(vec![TxnOffsetCommitRequestPartition::default()]),
        ]);
    let answer = peer.ask(3, request).await;
    assert_eq!(answer.topics[0].partitions[0].error_code, 47);
}

//= DescribeTransactions.state
//= ListTransactions.listed
#[tokio::test(start_paused = true)]
async fn transactions_are_listed_and_described() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    topic(&mut peer, "t", 1).await;
    let by = init(&mut peer, "x").await;
    init(&mut peer, "y").await;
    add(&mut peer, 3, "x", by, 0).await;
    let ids = vec![text("x").into(), text("none").into()];
    let request = DescribeTransactionsRequest::default().with_transactional_ids(ids);
    let answer = peer.ask(0, request).await;
    let [x, none] = &answer.transaction_states[..] else {
        panic!("two were asked for")
    };
    assert_eq!((&*x.transaction_state, x.producer_id.0), ("Ongoing", by.id));
    assert_eq!(
        (&**x.topics[0].topic, &x.topics[0].partitions[..]),
        ("t", &[0][..])
    );
    assert_eq!(none.error_code, 105);

    let list = |states: &[&str], age_ms| {
        ListTransactionsRequest::default()
            .with_state_filters(states.iter().map(|state| text(state)).collect())
            .with_duration_filter(age_ms)
    };
    for (request, expected) in [
        (list(&[], -1), vec!["x", "y"]),
        (list(&["Ongoing"], -1), vec!["x"]),
        (list(&["Empty", "Wrong"], -1), vec!["y"]),
        (list(&[], 0), vec!["x"]),
        (list(&[], 1), vec![]),
    ] {
        let answer = peer.ask(1, request.clone()).await;
        let ids = answer.transaction_states.iter();
        let ids: Vec<&str> = ids.map(|state| &**state.transactional_id).collect();
        assert_eq!(ids, expected, "{request:?}");
        let is_wrong = request.state_filters.contains(&text("Wrong"));
        assert_eq!(answer.unknown_state_filters.len(), usize::from(is_wrong));
    }
}

//= Transactions.elsewhere
#[tokio::test(start_paused = true)]
async fn readers_of_other_protocols_see_what_was_committed_and_nothing_else() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    topic(&mut peer, "t", 1).await;
    let mut reader = mesh.stranger();
    let queue = bound_queue(&mut reader, "t").await;
    let by = init(&mut peer, "x").await;
    add(&mut peer, 3, "x", by, 0).await;
    write(&mut peer, "x", (by, 0), "never").await;
    assert_eq!(end(&mut peer, "x", by, ABORT).await, 0);
    add(&mut peer, 3, "x", by, 0).await;
    write(&mut peer, "x", (by, 1), "a").await;
    write(&mut peer, "x", (by, 2), "b").await;
    assert_eq!(taken(&mut reader, &queue).await, [""; 0], "not yet");
    assert_eq!(end(&mut peer, "x", by, COMMIT).await, 0);
    assert_eq!(end(&mut peer, "x", by, COMMIT).await, 0, "once");
    assert_eq!(taken(&mut reader, &queue).await, ["a", "b"]);
}

/// A queue that gets what is published to a topic's address.
async fn bound_queue(caller: &mut Caller, topic: &str) -> StreamKey {
    let key = StreamKey::new(Family::Queue, "q");
    let path = Path::from_segments([topic]).unwrap();
    let new = NewStream {
        at: Some(Address::shared(path)),
        ..NewStream::new(key.clone(), Kind::Queue, Class::Local, Origin(200))
    };
    caller
        .declare(vec![Change::CreateStream(new)])
        .await
        .unwrap();
    key
}

async fn taken(caller: &mut Caller, queue: &StreamKey) -> Vec<String> {
    let mut taken = Vec::new();
    while let Some(one) = caller.take(queue, Settling::OnDelivery).await.unwrap() {
        let body = one.delivery.message.body.clone().unwrap();
        taken.push(String::from_utf8(body.to_vec()).unwrap());
    }
    taken
}
