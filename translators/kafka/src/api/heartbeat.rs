//! Heartbeat: a member lives.

use std::ops::RangeInclusive;

use fairlead_canon::shape::{Field, Layout, Shape};
use fairlead_kernel::Who;
use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use super::Handler;
use crate::desk::Desk;
use crate::errors;
use crate::fault::Fault;
use crate::text::ours;

#[derive(Debug)]
pub(super) struct Heartbeat;

impl Handler for Heartbeat {
    type Request = HeartbeatRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=4;
    const LAYOUT: Layout = Layout {
        compact_since: 4,
        fields: &[
            Field::new("group id", Shape::Text),
            Field::new("generation id", Shape::Fixed(4)),
            Field::new("member id", Shape::Text),
            Field::new("group instance id", Shape::Text).since(3),
        ],
    };

    async fn answer(
        desk: &mut Desk,
        _: i16,
        request: HeartbeatRequest,
    ) -> Result<HeartbeatResponse, Fault> {
        let who = Who {
            member: ours(request.member_id),
            place: request.group_instance_id.map(ours),
            generation: request.generation_id,
        };
        let beat = desk.caller()?.beat_group(&ours(request.group_id.0), &who);
        let code = beat.map_or_else(|error| errors::of_group(&error), |()| errors::NONE);
        Ok(HeartbeatResponse::default().with_error_code(code))
    }
}
