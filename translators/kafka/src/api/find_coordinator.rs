//! FindCoordinator: we are, of every group and every transaction.

use std::ops::RangeInclusive;

use fairlead_canon::shape::{Field, Layout, Shape};
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};

use super::Handler;
use super::metadata::NODE;
use crate::desk::Desk;
use crate::errors;
use crate::fault::Fault;
use crate::text::{said, theirs};

#[derive(Debug)]
pub(super) struct FindCoordinator;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

impl Handler for FindCoordinator {
    type Request = FindCoordinatorRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=5;
    const LAYOUT: Layout = Layout {
        compact_since: 3,
        fields: &[
            Field::new("key", Shape::Text).until(3),
            Field::new("key type", Shape::Fixed(1)).since(1),
            Field::new("coordinator keys", Shape::Texts).since(4),
        ],
    };

    async fn answer(
        desk: &mut Desk,
        version: i16,
        request: FindCoordinatorRequest,
    ) -> Result<FindCoordinatorResponse, Fault> {
        let (code, why) = match request.key_type {
            GROUP | TRANSACTION => (errors::NONE, None),
            _ => (errors::INVALID_REQUEST, Some(said("unknown type of key"))),
        };
        let (host, port) = desk.advertised();
        if version < 4 {
            return Ok(FindCoordinatorResponse::default()
                .with_error_code(code)
                .with_error_message(why)
                .with_node_id(NODE.into())
                .with_host(theirs(&host))
                .with_port(port));
        }
        let coordinators = request.coordinator_keys.into_iter().map(|key| {
            Coordinator::default()
                .with_key(key)
                .with_node_id(NODE.into())
                .with_host(theirs(&host))
                .with_port(port)
                .with_error_code(code)
                .with_error_message(why.clone())
        });
        Ok(FindCoordinatorResponse::default().with_coordinators(coordinators.collect()))
    }
}
