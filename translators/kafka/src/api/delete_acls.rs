//! DeleteAcls: grants are in the node's configuration, and not taken away by clients.

use std::ops::RangeInclusive;

use fairlead_canon::shape::{Field, Layout, Shape};
use kafka_protocol::messages::delete_acls_response::DeleteAclsFilterResult;
use kafka_protocol::messages::{DeleteAclsRequest, DeleteAclsResponse};

use super::Handler;
use super::describe_acls::NO_GRANTS;
use crate::desk::Desk;
use crate::errors;
use crate::fault::Fault;
use crate::text::said;

#[derive(Debug)]
pub(super) struct DeleteAcls;

impl Handler for DeleteAcls {
    type Request = DeleteAclsRequest;
    const VERSIONS: RangeInclusive<i16> = 1..=3;
    const LAYOUT: Layout = Layout {
        compact_since: 2,
        fields: &[Field::new(
            "filters",
            Shape::Records(&[
                Field::new("resource type", Shape::Fixed(1)),
                Field::new("resource name", Shape::Text),
                Field::new("pattern type", Shape::Fixed(1)),
                Field::new("principal", Shape::Text),
                Field::new("host", Shape::Text),
                Field::new("operation", Shape::Fixed(1)),
                Field::new("permission type", Shape::Fixed(1)),
            ]),
        )],
    };

    async fn answer(
        desk: &mut Desk,
        _: i16,
        request: DeleteAclsRequest,
    ) -> Result<DeleteAclsResponse, Fault> {
        desk.caller()?;
        let refused = request.filters.iter().map(|_| {
            DeleteAclsFilterResult::default()
                .with_error_code(errors::SECURITY_DISABLED)
                .with_error_message(Some(said(NO_GRANTS)))
        });
        Ok(DeleteAclsResponse::default().with_filter_results(refused.collect()))
    }
}
