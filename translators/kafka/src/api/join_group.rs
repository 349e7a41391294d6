//! JoinGroup: a consumer takes part in the next round of its group.

use std::ops::RangeInclusive;

use fairlead_canon::Text;
use fairlead_canon::shape::{Field, Layout, Shape};
use fairlead_kernel::{GroupError, Joined, Wish};
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};

use super::Handler;
use crate::desk::Desk;
use crate::errors::{self, Code};
use crate::fault::Fault;
use crate::text::{ours, said, theirs};

#[derive(Debug)]
pub(super) struct JoinGroup;

/// Session timeouts in milliseconds, as apache/kafka bounds them by default. Its test suites go
/// below 6 s, and nothing here depends on more.
const SESSION_MS: RangeInclusive<i32> = 1_000..=1_800_000;

/// A round waits no longer than this for its slowest member, in milliseconds.
const ROUND_MS_MAX: i32 = 1_800_000;

impl Handler for JoinGroup {
    type Request = JoinGroupRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=9;
    const LAYOUT: Layout = Layout {
        compact_since: 6,
        fields: &[
            Field::new("group id", Shape::Text),
            Field::new("session timeout ms", Shape::Fixed(4)),
            Field::new("rebalance timeout ms", Shape::Fixed(4)).since(1),
            Field::new("member id", Shape::Text),
            Field::new("group instance id", Shape::Text).since(5),
            Field::new("protocol type", Shape::Text),
            Field::new(
                "protocols",
                Shape::Records(&[
                    Field::new("name", Shape::Text),
                    Field::new("metadata", Shape::Blob),
                ]),
            ),
            Field::new("reason", Shape::Text).since(8),
        ],
    };

    async fn answer(
        desk: &mut Desk,
        version: i16,
        request: JoinGroupRequest,
    ) -> Result<JoinGroupResponse, Fault> {
        let member = ours(request.member_id.clone());
        let group = ours(request.group_id.0.clone());
        if group.is_empty() {
            return Ok(refused(errors::INVALID_GROUP_ID, &member));
        }
        let Some(wish) = wish(desk, version, request) else {
            return Ok(refused(errors::INVALID_SESSION_TIMEOUT, &member));
        };
        let joining = desk.caller()?.join_group(&group, wish);
        Ok(match joining.await {
            Ok(result) => joined(result),
            Err(GroupError::NameFirst(name)) => refused(errors::MEMBER_ID_REQUIRED, &name),
            Err(error) => refused(errors::of_group(&error), &member),
        })
    }
}

/// The wish of a request; `None` when its session timeout is out of bounds.
fn wish(desk: &Desk, version: i16, request: JoinGroupRequest) -> Option<Wish> {
    let session_ms = Some(request.session_timeout_ms).filter(|ms| SESSION_MS.contains(ms))?;
    // The oldest version has one timeout for both.
    let round_ms = match version {
        0 => session_ms,
        _ => request.rebalance_timeout_ms.clamp(0, ROUND_MS_MAX),
    };
    let ways = request
        .protocols
        .into_iter()
        .map(|way| (ours(way.name), way.metadata));
    Some(Wish {
        member: ours(request.member_id),
        place: request.group_instance_id.map(ours),
        must_know_name: version >= 4,
        session_ms: u64::try_from(session_ms).ok()?,
        round_ms: u64::try_from(round_ms).ok()?,
        kind: ours(request.protocol_type),
        ways: ways.collect(),
        client: desk.client.clone(),
        host: Text::from(format!("/{}", desk.info.peer.ip().to_canonical())),
    })
}

fn joined(joined: Joined) -> JoinGroupResponse {
    let members = joined.members.into_iter().map(|member| {
        JoinGroupResponseMember::default()
            .with_member_id(theirs(&member.member))
            .with_group_instance_id(member.place.as_ref().map(theirs))
            .with_metadata(member.wish)
    });
    JoinGroupResponse::default()
        .with_generation_id(joined.generation)
        .with_protocol_type(Some(theirs(&joined.kind)))
        .with_protocol_name(Some(theirs(&joined.protocol)))
        .with_leader(theirs(&joined.leader))
        .with_member_id(theirs(&joined.member))
        .with_members(members.collect())
}

fn refused(code: Code, member: &Text) -> JoinGroupResponse {
    JoinGroupResponse::default()
        .with_error_code(code)
        .with_generation_id(-1)
        .with_protocol_name(Some(said("")))
        .with_member_id(theirs(member))
}
