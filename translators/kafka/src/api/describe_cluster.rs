//! DescribeCluster: one broker, which is its own controller.

use std::ops::RangeInclusive;

use fairlead_canon::shape::{Field, Layout, Shape};
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{DescribeClusterRequest, DescribeClusterResponse};

use super::Handler;
use super::metadata::{CLUSTER, NODE};
use crate::desk::Desk;
use crate::errors;
use crate::fault::Fault;
use crate::text::{said, theirs};

#[derive(Debug)]
pub(super) struct DescribeCluster;

/// The endpoints that clients connect to; the other kind is that of controllers.
const BROKERS: i8 = 1;

impl Handler for DescribeCluster {
    type Request = DescribeClusterRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=2;
    const LAYOUT: Layout = Layout {
        compact_since: 0,
        fields: &[
            Field::new("include cluster authorized operations", Shape::Fixed(1)),
            Field::new("endpoint type", Shape::Fixed(1)).since(1),
            Field::new("include fenced brokers", Shape::Fixed(1)).since(2),
        ],
    };

    async fn answer(
        desk: &mut Desk,
        version: i16,
        request: DescribeClusterRequest,
    ) -> Result<DescribeClusterResponse, Fault> {
        desk.caller()?;
        if version >= 1 && request.endpoint_type != BROKERS {
            let why = said("this is no endpoint of a controller");
            return Ok(DescribeClusterResponse::default()
                .with_error_code(errors::MISMATCHED_ENDPOINT_TYPE)
                .with_error_message(Some(why))
                .with_endpoint_type(BROKERS));
        }
        let (host, port) = desk.advertised();
        let broker = DescribeClusterBroker::default()
            .with_broker_id(NODE.into())
            .with_host(theirs(&host))
            .with_port(port);
        Ok(DescribeClusterResponse::default()
            .with_error_message(None)
            .with_endpoint_type(BROKERS)
            .with_cluster_id(said(CLUSTER))
            .with_controller_id(NODE.into())
            .with_brokers(vec![broker]))
    }
}
