//! Consumer groups and their positions.

use bytes::Bytes;
use fairlead_kernel::ClosedReason;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, FindCoordinatorRequest, HeartbeatRequest,
    JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, ListGroupsRequest, OffsetCommitRequest,
    OffsetFetchRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::StrBytes;

use crate::peer::{Mesh, Peer, text};
use crate::topics::topic;

fn join(member: &StrBytes) -> JoinGroupRequest {
    let way = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(Bytes::from_static(b"wish"));
    JoinGroupRequest::default()
        .with_group_id(text("g").into())
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(60_000)
        .with_member_id(member.clone())
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![way])
}

/// Joins as clients do: asks for a name, then comes again with it.
async fn enter(peer: &mut Peer) -> JoinGroupResponse {
    let told = peer.ask(9, join(&text(""))).await;
    assert_eq!(told.error_code, 79);
    peer.ask(9, join(&told.member_id)).await
}

fn sync(joined: &JoinGroupResponse, plan: &[(&StrBytes, &'static str)]) -> SyncGroupRequest {
    let part = |(member, part): &(&StrBytes, &'static str)| {
        SyncGroupRequestAssignment::default()
            .with_member_id((*member).clone())
            .with_assignment(Bytes::from_static(part.as_bytes()))
    };
    SyncGroupRequest::default()
        .with_group_id(text("g").into())
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
        .with_protocol_type(Some(text("consumer")))
        .with_protocol_name(Some(text("range")))
        .with_assignments(plan.iter().map(part).collect())
}

async fn beat(peer: &mut Peer, joined: &JoinGroupResponse) -> i16 {
    let request = HeartbeatRequest::default()
        .with_group_id(text("g").into())
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone());
    peer.ask(4, request).await.error_code
}

async fn leave(peer: &mut Peer, joined: &JoinGroupResponse) -> i16 {
    let member = MemberIdentity::default().with_member_id(joined.member_id.clone());
    let request = LeaveGroupRequest::default()
        .with_group_id(text("g").into())
        .with_members(vec![member]);
    peer.ask(5, request).await.members[0].error_code
}

pub(crate) fn commit(offset: i64, note: &str) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition::default()
        .with_committed_offset(offset)
        .with_committed_leader_epoch(0)
        .with_committed_metadata(Some(text(note)));
    let topic = OffsetCommitRequestTopic::default()
        .with_name(text("t").into())
        .with_partitions(vec![partition]);
    OffsetCommitRequest::default()
        .with_group_id(text("g").into())
        .with_topics(vec![topic])
}

pub(crate) async fn committed(peer: &mut Peer, request: OffsetCommitRequest) -> i16 {
    peer.ask(8, request).await.topics[0].partitions[0].error_code
}

/// Where group `g` has come to in the first partition of `t`, and the code of the answer.
pub(crate) async fn position(peer: &mut Peer, must_be_stable: bool) -> (i16, i64) {
    let topic = OffsetFetchRequestTopic::default()
        .with_name(text("t").into())
        .with_partition_indexes(vec![0]);
    let request = OffsetFetchRequest::default()
        .with_group_id(text("g").into())
        .with_require_stable(must_be_stable)
        .with_topics(Some(vec![topic]));
    let part = peer
        .ask(7, request)
        .await
        .topics
        .remove(0)
        .partitions
        .remove(0);
    (part.error_code, part.committed_offset)
}

//= JoinGroup.round
//= SyncGroup.plan
//= Heartbeat.rebalance
//= LeaveGroup.left
#[tokio::test(start_paused = true)]
async fn members_divide_a_topic_and_divide_it_again_when_one_leaves() {
    let mesh = Mesh::start().await;
    let (mut a, mut b) = (mesh.dial(), mesh.dial());
    let (one, two) = tokio::join!(enter(&mut a), enter(&mut b));
    assert_eq!((one.generation_id, two.generation_id), (1, 1));
    let (lead, follow) = if one.leader == one.member_id {
        (&one, &two)
    } else {
        (&two, &one)
    };
    assert_eq!((lead.members.len(), follow.members.len()), (2, 0));
    let plan = [(&one.member_id, "part one"), (&two.member_id, "part two")];
    let (first, second) = tokio::join!(a.ask(5, sync(&one, &plan)), b.ask(5, sync(&two, &plan)));
    assert_eq!(first.assignment, "part one");
    assert_eq!(second.assignment, "part two");
    assert_eq!(beat(&mut a, &one).await, 0);
    assert_eq!(leave(&mut b, &two).await, 0);
    assert_eq!(beat(&mut a, &one).await, 27);
    let again = a.ask(9, join(&one.member_id)).await;
    assert_eq!((again.generation_id, again.members.len()), (2, 1));
    assert_eq!(beat(&mut b, &two).await, 25);
}

//= JoinGroup.member-id-required
//= JoinGroup.refused
#[tokio::test(start_paused = true)]
async fn a_join_that_cannot_be_is_refused_by_its_own_code() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    for (request, code) in [
        (join(&text("")).with_group_id(text("").into()), 24),
        (join(&text("")).with_session_timeout_ms(999), 26),
        (join(&text("")).with_protocols(Vec::new()), 23),
        (join(&text("nobody")), 25),
        (join(&text("")), 79),
    ] {
        assert_eq!(peer.ask(9, request).await.error_code, code);
    }
    // Clients from before names were asked for are let in at once.
    assert_eq!(peer.ask(3, join(&text(""))).await.error_code, 0);
}

//= JoinGroup.session-timeout
#[tokio::test(start_paused = true)]
async fn a_member_whose_connection_is_gone_is_out_after_its_session() {
    let mesh = Mesh::start().await;
    let (mut a, mut b) = (mesh.dial(), mesh.dial());
    let (one, two) = tokio::join!(enter(&mut a), enter(&mut b));
    let plan = [];
    tokio::join!(a.ask(5, sync(&one, &plan)), b.ask(5, sync(&two, &plan)));
    assert_eq!(b.hang_up().await.reason, ClosedReason::Goodbye);
    for _ in 0..4 {
        assert_eq!(beat(&mut a, &one).await, 0);
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    }
    assert_eq!(beat(&mut a, &one).await, 27);
}

//= OffsetCommit.kept
//= OffsetFetch.read
#[tokio::test(start_paused = true)]
async fn committed_positions_are_read_back_in_every_version() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    topic(&mut peer, "t", 2).await;
    assert_eq!(committed(&mut peer, commit(7, "note")).await, 0);
    let indexes = vec![0, 1];
    for version in 1..=7 {
        let topic = OffsetFetchRequestTopic::default()
            .with_name(text("t").into())
            .with_partition_indexes(indexes.clone());
        let request = OffsetFetchRequest::default()
            .with_group_id(text("g").into())
            .with_topics(Some(vec![topic]));
        let answer = peer.ask(version, request).await;
        let parts = &answer.topics[0].partitions;
        let said: Vec<_> = parts.iter().map(|part| part.committed_offset).collect();
        assert_eq!(said, [7, -1], "version {version}");
        assert_eq!(parts[0].metadata, Some(text("note")));
    }
    let topic = OffsetFetchRequestTopics::default()
        .with_name(text("t").into())
        .with_partition_indexes(indexes);
    for topics in [Some(vec![topic]), None] {
        let group = OffsetFetchRequestGroup::default()
            .with_group_id(text("g").into())
            .with_topics(topics);
        let answer = peer
            .ask(8, OffsetFetchRequest::default().with_groups(vec![group]))
            .await;
        let part = &answer.groups[0].topics[0].partitions[0];
        assert_eq!((part.committed_offset, part.committed_leader_epoch), (7, 0));
    }
}

//= OffsetCommit.refused
#[tokio::test(start_paused = true)]
async fn positions_are_taken_from_members_of_this_generation_only() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    topic(&mut peer, "t", 1).await;
    let joined = enter(&mut peer).await;
    peer.ask(5, sync(&joined, &[])).await;
    let by = |generation| {
        commit(1, "")
            .with_member_id(joined.member_id.clone())
            .with_generation_id_or_member_epoch(generation)
    };
    let long = "x".repeat(4_097);
    let noted = by(1).with_topics(commit(1, &long).topics);
    let negative = by(1).with_topics(commit(-1, "").topics);
    let mut elsewhere = by(1);
    elsewhere.topics[0].partitions[0].partition_index = 1;
    for (request, code) in [
        (by(1), 0),
        (by(2), 22),
        (commit(1, ""), 25),
        (noted, 12),
        (negative, 1),
        (elsewhere, 3),
    ] {
        assert_eq!(committed(&mut peer, request).await, code);
    }
}

//= DescribeGroups.state
//= ListGroups.listed
//= DeleteGroups.forgotten
#[tokio::test(start_paused = true)]
async fn groups_are_listed_described_and_forgotten() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    topic(&mut peer, "t", 1).await;
    let joined = enter(&mut peer).await;
    peer.ask(5, sync(&joined, &[])).await;
    let by_member = commit(1, "").with_member_id(joined.member_id.clone());
    assert_eq!(
        committed(&mut peer, by_member.with_generation_id_or_member_epoch(1)).await,
        0
    );

    assert_eq!(state(&mut peer, "g").await, ("Stable".to_owned(), 1));
    assert_eq!(state(&mut peer, "none").await, ("Dead".to_owned(), 0));
    assert_eq!(
        listed(&mut peer).await,
        [("g".to_owned(), "Stable".to_owned())]
    );
    assert_eq!(delete(&mut peer, "g").await, 68);
    assert_eq!(leave(&mut peer, &joined).await, 0);
    assert_eq!(state(&mut peer, "g").await, ("Empty".to_owned(), 0));
    assert_eq!(
        listed(&mut peer).await,
        [("g".to_owned(), "Empty".to_owned())]
    );
    assert_eq!(delete(&mut peer, "g").await, 0);
    assert_eq!(delete(&mut peer, "g").await, 69);
    assert_eq!(listed(&mut peer).await, []);
}

async fn state(peer: &mut Peer, group: &str) -> (String, usize) {
    let request = DescribeGroupsRequest::default().with_groups(vec![text(group).into()]);
    let group = peer.ask(5, request).await.groups.remove(0);
    (group.group_state.to_string(), group.members.len())
}

async fn listed(peer: &mut Peer) -> Vec<(String, String)> {
    let groups = peer.ask(5, ListGroupsRequest::default()).await.groups;
    groups
        .into_iter()
        .map(|one| (one.group_id.to_string(), one.group_state.to_string()))
        .collect()
}

async fn delete(peer: &mut Peer, group: &str) -> i16 {
    let request = DeleteGroupsRequest::default().with_groups_names(vec![text(group).into()]);
    peer.ask(2, request).await.results[0].error_code
}

//= FindCoordinator.group
#[tokio::test(start_paused = true)]
async fn the_coordinator_of_every_group_is_the_one_broker() {
    let mesh = Mesh::start().await;
    let mut peer = mesh.dial();
    for version in 0..=3 {
        let answer = peer
            .ask(
                version,
                FindCoordinatorRequest::default().with_key(text("g")),
            )
            .await;
        assert_eq!(
            (answer.error_code, answer.node_id.0),
            (0, 1),
            "version {version}"
        );
    }
    let keys = vec![text("g"), text("h")];
    let request = FindCoordinatorRequest::default().with_coordinator_keys(keys);
    let answer = peer.ask(4, request.clone()).await;
    assert_eq!(
        answer
            .coordinators
            .iter()
            .filter(|one| one.error_code == 0)
            .count(),
        2
    );
    let transactions = peer.ask(4, request.clone().with_key_type(1)).await;
    assert_eq!(transactions.coordinators[0].error_code, 0);
    let unknown = peer.ask(4, request.with_key_type(2)).await;
    assert_eq!(unknown.coordinators[0].error_code, 42);
}
