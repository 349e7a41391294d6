//! Questions of administrators.

use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{
    CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest, DescribeClusterRequest,
    DescribeLogDirsRequest, DescribeTopicPartitionsRequest, OffsetDeleteRequest,
    OffsetForLeaderEpochRequest,
};

use crate::groups::{commit, committed, position};
use crate::peer::{Mesh, batch, text};
use crate::produce::{produce, to};
use crate::topics::topic;

//= DescribeCluster.one
#[tokio::test(start_paused = true)]
async fn the_cluster_is_one_broker_and_no_controller_is_asked_here() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    let ask = |kind| DescribeClusterRequest::default().with_endpoint_type(kind);
    let answer = peer.ask(2, ask(1)).await;
    assert_eq!((answer.error_code, answer.brokers.len()), (0, 1));
    assert_eq!(answer.controller_id, answer.brokers[0].broker_id);
    assert_eq!(peer.ask(1, ask(2)).await.error_code, 114);
}

//= DescribeLogDirs.sizes
#[tokio::test(start_paused = true)]
async fn the_size_of_each_partition_is_told() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    topic(&mut peer, "t", 2).await;
    let sent = batch(&["a"]);
    produce(&mut peer, 9, to("t", 1, sent.clone())).await;
    let one = DescribableLogDirTopic::default()
        .with_topic(text("t").into())
        .with_partitions(vec![1]);
    for (asked, count) in [(None, 2), (Some(vec![one]), 1)] {
        let request = DescribeLogDirsRequest::default().with_topics(asked);
        let answer = peer.ask(4, request).await;
        let partitions = &answer.results[0].topics[0].partitions;
        assert_eq!(partitions.len(), count);
        let last = partitions.last().unwrap();
        assert_eq!(last.partition_index, 1);
        assert_eq!(last.partition_size, i64::try_from(sent.len()).unwrap());
    }
}

//= OffsetForLeaderEpoch.end
#[tokio::test(start_paused = true)]
async fn the_one_epoch_ends_where_the_log_does() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    topic(&mut peer, "t", 1).await;
    produce(&mut peer, 9, to("t", 0, batch(&["a", "b"]))).await;
    for (partition, current, epoch, expected) in [
        (0, -1, 0, (0, 0, 2)),
        (0, 0, 5, (0, -1, -1)),
        (0, 1, 0, (76, -1, -1)),
        (9, -1, 0, (3, -1, -1)),
    ] {
        let part = OffsetForLeaderPartition::default()
            .with_partition(partition)
            .with_current_leader_epoch(current)
            .with_leader_epoch(epoch);
        let topic = OffsetForLeaderTopic::default()
            .with_topic(text("t").into())
            .with_partitions(vec![part]);
        let request = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
        let answer = peer
            .ask(4, request)
            .await
            .topics
            .remove(0)
            .partitions
            .remove(0);
        let said = (answer.error_code, answer.leader_epoch, answer.end_offset);
        assert_eq!(said, expected, "partition {partition} epoch {epoch}");
    }
}

//= OffsetDelete.forgotten
#[tokio::test(start_paused = true)]
async fn positions_of_some_partitions_are_forgotten() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    topic(&mut peer, "t", 1).await;
    let delete = |group: &str, partition| {
        let partition = OffsetDeleteRequestPartition::default().with_partition_index(partition);
        let topic = OffsetDeleteRequestTopic::default()
            .with_name(text("t").into())
            .with_partitions(vec![partition]);
        OffsetDeleteRequest::default()
            .with_group_id(text(group).into())
            .with_topics(vec![topic])
    };
    assert_eq!(peer.ask(0, delete("g", 0)).await.error_code, 69);
    assert_eq!(committed(&mut peer, commit(5, "")).await, 0);
    let answer = peer.ask(0, delete("g", 9)).await;
    assert_eq!(answer.topics[0].partitions[0].error_code, 3);
    let answer = peer.ask(0, delete("g", 0)).await;
    assert_eq!(
        (answer.error_code, answer.topics[0].partitions[0].error_code),
        (0, 0)
    );
    assert_eq!(position(&mut peer, false).await, (0, -1));
}

//= DescribeTopicPartitions.paged
#[tokio::test(start_paused = true)]
async fn topics_are_described_a_page_at_a_time() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    topic(&mut peer, "a", 2).await;
    topic(&mut peer, "b", 3).await;
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let request = DescribeTopicPartitionsRequest::default()
            .with_response_partition_limit(2)
            .with_cursor(cursor);
        let answer = peer.ask(0, request).await;
        for topic in answer.topics {
            let name = topic.name.unwrap().to_string();
            let indexes = topic.partitions.iter().map(|part| part.partition_index);
            seen.extend(indexes.map(|index| format!("{name}{index}")));
        }
        let Some(next) = answer.next_cursor else {
            break;
        };
        cursor = Some(
            Cursor::default()
                .with_topic_name(next.topic_name)
                .with_partition_index(next.partition_index),
        );
    }
    assert_eq!(seen, ["a0", "a1", "b0", "b1", "b2"]);
    let named = TopicRequest::default().with_name(text("none").into());
    let request = DescribeTopicPartitionsRequest::default()
        .with_topics(vec![named])
        .with_response_partition_limit(2)
        .with_cursor(None);
    assert_eq!(peer.ask(0, request).await.topics[0].error_code, 3);
}

//= Acls
#[tokio::test(start_paused = true)]
async fn grants_are_not_served_to_clients() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    assert_eq!(
        peer.ask(3, DescribeAclsRequest::default()).await.error_code,
        54
    );
    let request = CreateAclsRequest::default().with_creations(vec![AclCreation::default()]);
    assert_eq!(peer.ask(3, request).await.results[0].error_code, 54);
    let request = DeleteAclsRequest::default().with_filters(vec![DeleteAclsFilter::default()]);
    assert_eq!(peer.ask(3, request).await.filter_results[0].error_code, 54);
}
