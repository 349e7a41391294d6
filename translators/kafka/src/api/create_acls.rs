//! CreateAcls: grants are in the node's configuration, and not made by clients.

use std::ops::RangeInclusive;

use fairlead_canon::shape::{Field, Layout, Shape};
use kafka_protocol::messages::create_acls_response::AclCreationResult;
use kafka_protocol::messages::{CreateAclsRequest, CreateAclsResponse};

use super::Handler;
use super::describe_acls::NO_GRANTS;
use crate::desk::Desk;
use crate::errors;
use crate::fault::Fault;
use crate::text::said;

#[derive(Debug)]
pub(super) struct CreateAcls;

impl Handler for CreateAcls {
    type Request = CreateAclsRequest;
    const VERSIONS: RangeInclusive<i16> = 1..=3;
    const LAYOUT: Layout = Layout {
        compact_since: 2,
        fields: &[Field::new(
            "creations",
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
        request: CreateAclsRequest,
    ) -> Result<CreateAclsResponse, Fault> {
        desk.caller()?;
        let refused = request.creations.iter().map(|_| {
            AclCreationResult::default()
                .with_error_code(errors::SECURITY_DISABLED)
                .with_error_message(Some(said(NO_GRANTS)))
        });
        Ok(CreateAclsResponse::default().with_results(refused.collect()))
    }
}
