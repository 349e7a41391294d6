//! LeaveGroup: members go.

use std::ops::RangeInclusive;

use fairlead_canon::Text;
use fairlead_canon::shape::{Field, Layout, Shape};
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};

use super::Handler;
use crate::desk::Desk;
use crate::errors::{self, Code};
use crate::fault::Fault;
use crate::text::ours;

#[derive(Debug)]
pub(super) struct LeaveGroup;

impl Handler for LeaveGroup {
    type Request = LeaveGroupRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=5;
    const LAYOUT: Layout = Layout {
        compact_since: 4,
        fields: &[
            Field::new("group id", Shape::Text),
            Field::new("member id", Shape::Text).until(2),
            Field::new(
                "members",
                Shape::Records(&[
                    Field::new("member id", Shape::Text),
                    Field::new("group instance id", Shape::Text),
                    Field::new("reason", Shape::Text).since(5),
                ]),
            )
            .since(3),
        ],
    };

    async fn answer(
        desk: &mut Desk,
        version: i16,
        request: LeaveGroupRequest,
    ) -> Result<LeaveGroupResponse, Fault> {
        let group = ours(request.group_id.0);
        if version < 3 {
            let code = leave(desk, &group, &ours(request.member_id), None)?;
            return Ok(LeaveGroupResponse::default().with_error_code(code));
        }
        let mut members = Vec::with_capacity(request.members.len());
        for leaving in request.members {
            let place = leaving.group_instance_id.clone().map(ours);
            let code = leave(
                desk,
                &group,
                &ours(leaving.member_id.clone()),
                place.as_ref(),
            )?;
            members.push(
                MemberResponse::default()
                    .with_member_id(leaving.member_id)
                    .with_group_instance_id(leaving.group_instance_id)
                    .with_error_code(code),
            );
        }
        Ok(LeaveGroupResponse::default().with_members(members))
    }
}

fn leave(
    desk: &mut Desk,
    group: &Text,
    member: &Text,
    place: Option<&Text>,
) -> Result<Code, Fault> {
    let left = desk.caller()?.leave_group(group, member, place);
    Ok(left.map_or_else(|error| errors::of_group(&error), |()| errors::NONE))
}
