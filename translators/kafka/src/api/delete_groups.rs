//! DeleteGroups: forgets the positions of groups without members.

use std::ops::RangeInclusive;

use fairlead_canon::Text;
use fairlead_canon::shape::{Field, Layout, Shape};
use fairlead_kernel::Caller;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse};

use super::Handler;
use crate::desk::Desk;
use crate::errors::{self, Code};
use crate::fault::Fault;
use crate::text::ours;

#[derive(Debug)]
pub(super) struct DeleteGroups;

impl Handler for DeleteGroups {
    type Request = DeleteGroupsRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=2;
    const LAYOUT: Layout = Layout {
        compact_since: 2,
        fields: &[Field::new("groups names", Shape::Texts)],
    };

    async fn answer(
        desk: &mut Desk,
        _: i16,
        request: DeleteGroupsRequest,
    ) -> Result<DeleteGroupsResponse, Fault> {
        let mut results = Vec::with_capacity(request.groups_names.len());
        for name in request.groups_names {
            let code = delete(desk.caller()?, &ours(name.0.clone())).await;
            results.push(
                DeletableGroupResult::default()
                    .with_group_id(name)
                    .with_error_code(code),
            );
        }
        Ok(DeleteGroupsResponse::default().with_results(results))
    }
}

async fn delete(caller: &Caller, group: &Text) -> Code {
    if caller.group(group).is_some() {
        return errors::NON_EMPTY_GROUP;
    }
    match caller.positions(group).await {
        Ok(positions) if positions.is_empty() => errors::GROUP_ID_NOT_FOUND,
        Ok(_) => match caller.forget_positions(group).await {
            Ok(()) => errors::NONE,
            Err(error) => errors::of_positions(error.reason),
        },
        Err(error) => errors::of_positions(error.reason),
    }
}
