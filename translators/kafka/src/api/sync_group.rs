//! SyncGroup: the leader brings the assignment, each member gets its part.

use std::ops::RangeInclusive;

use fairlead_canon::shape::{Field, Layout, Shape};
use fairlead_kernel::{Ask, Who};
use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};

use super::Handler;
use crate::desk::Desk;
use crate::errors;
use crate::fault::Fault;
use crate::text::{ours, theirs};

#[derive(Debug)]
pub(super) struct SyncGroup;

impl Handler for SyncGroup {
    type Request = SyncGroupRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=5;
    const LAYOUT: Layout = Layout {
        compact_since: 4,
        fields: &[
            Field::new("group id", Shape::Text),
            Field::new("generation id", Shape::Fixed(4)),
            Field::new("member id", Shape::Text),
            Field::new("group instance id", Shape::Text).since(3),
            Field::new("protocol type", Shape::Text).since(5),
            Field::new("protocol name", Shape::Text).since(5),
            Field::new(
                "assignments",
                Shape::Records(&[
                    Field::new("member id", Shape::Text),
                    Field::new("assignment", Shape::Blob),
                ]),
            ),
        ],
    };

    async fn answer(
        desk: &mut Desk,
        _: i16,
        request: SyncGroupRequest,
    ) -> Result<SyncGroupResponse, Fault> {
        let plan = request.assignments.into_iter();
        let ask = Ask {
            who: Who {
                member: ours(request.member_id),
                place: request.group_instance_id.map(ours),
                generation: request.generation_id,
            },
            kind: request.protocol_type.map(ours),
            protocol: request.protocol_name.map(ours),
            plan: plan
                .map(|part| (ours(part.member_id), part.assignment))
                .collect(),
        };
        let syncing = desk.caller()?.sync_group(&ours(request.group_id.0), ask);
        Ok(match syncing.await {
            Ok(synced) => SyncGroupResponse::default()
                .with_protocol_type(Some(theirs(&synced.kind)))
                .with_protocol_name(Some(theirs(&synced.protocol)))
                .with_assignment(synced.part),
            Err(error) => SyncGroupResponse::default().with_error_code(errors::of_group(&error)),
        })
    }
}
