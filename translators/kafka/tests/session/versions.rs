//! Every version that is announced is answered in its own form.

use fairlead_kernel::ClosedReason;
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, AlterConfigsRequest, ApiVersionsRequest,
    CreateAclsRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteAclsRequest,
    DeleteGroupsRequest, DeleteRecordsRequest, DeleteTopicsRequest, DescribeAclsRequest,
    DescribeClusterRequest, DescribeConfigsRequest, DescribeGroupsRequest, DescribeLogDirsRequest,
    DescribeTopicPartitionsRequest, DescribeTransactionsRequest, EndTxnRequest, FetchRequest,
    FindCoordinatorRequest, HeartbeatRequest, IncrementalAlterConfigsRequest,
    InitProducerIdRequest, JoinGroupRequest, LeaveGroupRequest, ListGroupsRequest,
    ListOffsetsRequest, ListTransactionsRequest, MetadataRequest, OffsetCommitRequest,
    OffsetDeleteRequest, OffsetFetchRequest, OffsetForLeaderEpochRequest, ProduceRequest,
    SaslAuthenticateRequest, SaslHandshakeRequest, SyncGroupRequest, TxnOffsetCommitRequest,
};

use kafka_protocol::protocol::Request;

use crate::peer::{Ask, Mesh};

/// Asks the emptiest request of a kind in each version that is announced, and one above.
async fn ask_all<R: Ask + Default>(mesh: &Mesh, announced: &mut Vec<(i16, i16, i16)>) {
    let index = announced
        .iter()
        .position(|(key, _, _)| *key == R::KEY)
        .unwrap();
    let (_, min, max) = announced.swap_remove(index);
    for version in min..=max {
        // The answer is decoded by another codec and has to be used up.
        mesh.dial().ask(version, R::default()).await;
    }
    if max < R::VERSIONS.max && R::KEY != ApiVersionsRequest::KEY {
        let mut peer = mesh.dial();
        peer.say(max + 1, &R::default()).await;
        assert_eq!(
            peer.closed().await.reason,
            ClosedReason::Malformed,
            "key {}",
            R::KEY
        );
    }
}

//= ApiVersions.answered
#[tokio::test(start_paused = true)]
async fn every_announced_version_of_every_request_is_answered_and_no_other() {
    let mesh = Mesh::start().await;
    let answer = mesh.dial().ask(3, ApiVersionsRequest::default()).await;
    let announced = answer.api_keys.iter();
    let mut announced: Vec<(i16, i16, i16)> = announced
        .map(|api| (api.api_key, api.min_version, api.max_version))
        .collect();
    let left = &mut announced;
    // The emptiest produce wants no answer; `produce.rs` asks in each version.
    left.retain(|(key, _, _)| *key != ProduceRequest::KEY);
    ask_all::<FetchRequest>(&mesh, left).await;
    ask_all::<ListOffsetsRequest>(&mesh, left).await;
    ask_all::<MetadataRequest>(&mesh, left).await;
    ask_all::<OffsetCommitRequest>(&mesh, left).await;
    ask_all::<OffsetFetchRequest>(&mesh, left).await;
    ask_all::<FindCoordinatorRequest>(&mesh, left).await;
    ask_all::<JoinGroupRequest>(&mesh, left).await;
    ask_all::<HeartbeatRequest>(&mesh, left).await;
    ask_all::<LeaveGroupRequest>(&mesh, left).await;
    ask_all::<SyncGroupRequest>(&mesh, left).await;
    ask_all::<DescribeGroupsRequest>(&mesh, left).await;
    ask_all::<ListGroupsRequest>(&mesh, left).await;
    ask_all::<SaslHandshakeRequest>(&mesh, left).await;
    ask_all::<ApiVersionsRequest>(&mesh, left).await;
    ask_all::<CreateTopicsRequest>(&mesh, left).await;
    ask_all::<DeleteTopicsRequest>(&mesh, left).await;
    ask_all::<InitProducerIdRequest>(&mesh, left).await;
    ask_all::<DescribeConfigsRequest>(&mesh, left).await;
    ask_all::<SaslAuthenticateRequest>(&mesh, left).await;
    ask_all::<CreatePartitionsRequest>(&mesh, left).await;
    ask_all::<DeleteGroupsRequest>(&mesh, left).await;
    ask_all::<AlterConfigsRequest>(&mesh, left).await;
    ask_all::<DeleteRecordsRequest>(&mesh, left).await;
    ask_all::<DescribeClusterRequest>(&mesh, left).await;
    ask_all::<DescribeLogDirsRequest>(&mesh, left).await;
    ask_all::<IncrementalAlterConfigsRequest>(&mesh, left).await;
    ask_all::<OffsetDeleteRequest>(&mesh, left).await;
    ask_all::<OffsetForLeaderEpochRequest>(&mesh, left).await;
    ask_all::<AddOffsetsToTxnRequest>(&mesh, left).await;
    ask_all::<AddPartitionsToTxnRequest>(&mesh, left).await;
    ask_all::<DescribeTransactionsRequest>(&mesh, left).await;
    ask_all::<EndTxnRequest>(&mesh, left).await;
    ask_all::<ListTransactionsRequest>(&mesh, left).await;
    ask_all::<TxnOffsetCommitRequest>(&mesh, left).await;
    ask_all::<CreateAclsRequest>(&mesh, left).await;
    ask_all::<DeleteAclsRequest>(&mesh, left).await;
    ask_all::<DescribeAclsRequest>(&mesh, left).await;
    ask_all::<DescribeTopicPartitionsRequest>(&mesh, left).await;
    assert_eq!(announced, [], "announced and not asked here");
}
