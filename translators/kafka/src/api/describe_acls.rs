//! DescribeAcls: grants are in the node's configuration, and not told to clients.

use std::ops::RangeInclusive;

use fairlead_canon::shape::{Field, Layout, Shape};
use kafka_protocol::messages::{DescribeAclsRequest, DescribeAclsResponse};

use super::Handler;
use crate::desk::Desk;
use crate::errors;
use crate::fault::Fault;
use crate::text::said;

#[derive(Debug)]
pub(super) struct DescribeAcls;

/// Why no request about grants is served.
pub(super) const NO_GRANTS: &str = "grants stand in the node's configuration";

impl Handler for DescribeAcls {
    type Request = DescribeAclsRequest;
    const VERSIONS: RangeInclusive<i16> = 1..=3;
    const LAYOUT: Layout = Layout {
        compact_since: 2,
        fields: &[
            Field::new("resource type", Shape::Fixed(1)),
            Field::new("resource name", Shape::Text),
            Field::new("pattern type", Shape::Fixed(1)),
            Field::new("principal", Shape::Text),
            Field::new("host", Shape::Text),
            Field::new("operation", Shape::Fixed(1)),
            Field::new("permission type", Shape::Fixed(1)),
        ],
    };

    async fn answer(
        desk: &mut Desk,
        _: i16,
        _: DescribeAclsRequest,
    ) -> Result<DescribeAclsResponse, Fault> {
        desk.caller()?;
        Ok(DescribeAclsResponse::default()
            .with_error_code(errors::SECURITY_DISABLED)
            .with_error_message(Some(said(NO_GRANTS))))
    }
}
