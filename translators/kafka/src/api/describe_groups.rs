//! DescribeGroups: state and members of groups.

use std::ops::RangeInclusive;

use fairlead_canon::shape::{Field, Layout, Shape};
use fairlead_kernel::{GroupView, Phase};
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse, GroupId};

use super::Handler;
use crate::desk::Desk;
use crate::errors;
use crate::fault::Fault;
use crate::text::{ours, said, theirs};

#[derive(Debug)]
pub(super) struct DescribeGroups;

/// What a group without members and positions is called.
const GONE: &str = "Dead";

impl Handler for DescribeGroups {
    type Request = DescribeGroupsRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=5;
    const LAYOUT: Layout = Layout {
        compact_since: 5,
        fields: &[
            Field::new("groups", Shape::Texts),
            Field::new("include authorized operations", Shape::Fixed(1)).since(3),
        ],
    };

    async fn answer(
        desk: &mut Desk,
        _: i16,
        request: DescribeGroupsRequest,
    ) -> Result<DescribeGroupsResponse, Fault> {
        let mut groups = Vec::with_capacity(request.groups.len());
        for name in request.groups {
            groups.push(describe(desk, name).await?);
        }
        Ok(DescribeGroupsResponse::default().with_groups(groups))
    }
}

async fn describe(desk: &mut Desk, name: GroupId) -> Result<DescribedGroup, Fault> {
    let group = ours(name.0.clone());
    let caller = desk.caller()?;
    let described = DescribedGroup::default().with_group_id(name);
    if let Some(view) = caller.group(&group) {
        return Ok(shown(described, view));
    }
    Ok(match caller.positions(&group).await {
        Ok(positions) if positions.is_empty() => described.with_group_state(said(GONE)),
        Ok(_) => described.with_group_state(said(state(Phase::Empty))),
        Err(error) => described.with_error_code(errors::of_positions(error.reason)),
    })
}

fn shown(described: DescribedGroup, view: GroupView) -> DescribedGroup {
    let members = view.members.into_iter().map(|member| {
        DescribedGroupMember::default()
            .with_member_id(theirs(&member.member))
            .with_group_instance_id(member.place.as_ref().map(theirs))
            .with_client_id(theirs(&member.client))
            .with_client_host(theirs(&member.host))
            .with_member_metadata(member.wish)
            .with_member_assignment(member.part)
    });
    described
        .with_group_state(said(state(view.phase)))
        .with_protocol_type(theirs(&view.kind))
        .with_protocol_data(theirs(&view.protocol))
        .with_members(members.collect())
}

/// A phase in the protocol's words.
pub(super) fn state(phase: Phase) -> &'static str {
    match phase {
        Phase::Empty => "Empty",
        Phase::Gathering => "PreparingRebalance",
        Phase::Dividing => "CompletingRebalance",
        Phase::Steady => "Stable",
    }
}
