//! InitProducerId: a number for an idempotent producer.

use std::ops::RangeInclusive;

use fairlead_canon::shape::{Field, Layout, Shape};
use fairlead_kernel::Kernel;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};

use super::Handler;
use crate::desk::Desk;
use crate::errors;
use crate::fault::Fault;

#[derive(Debug)]
pub(super) struct InitProducerId;

impl Handler for InitProducerId {
    type Request = InitProducerIdRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=4;
    const LAYOUT: Layout = Layout {
        compact_since: 2,
        fields: &[
            Field::new("transactional id", Shape::Text),
            Field::new("transaction timeout ms", Shape::Fixed(4)),
            Field::new("producer id", Shape::Fixed(8)).since(3),
            Field::new("producer epoch", Shape::Fixed(2)).since(3),
        ],
    };

    async fn answer(
        desk: &mut Desk,
        _: i16,
        request: InitProducerIdRequest,
    ) -> Result<InitProducerIdResponse, Fault> {
        let response = InitProducerIdResponse::default();
        if request.transactional_id.is_some() {
            return Ok(response
                .with_error_code(errors::TRANSACTIONAL_ID_DENIED)
                .with_producer_id((-1).into())
                .with_producer_epoch(-1));
        }
        // A producer that lost its place begins anew under another number.
        Ok(response
            .with_producer_id(fresh(&desk.kernel).into())
            .with_producer_epoch(0))
    }
}

/// A number that nobody has: 62 random bits, so that nothing has to be kept or agreed upon. Two of a
/// million producers meet with a chance of one in ten million.
fn fresh(kernel: &Kernel) -> i64 {
    let mut bits = [0; 8];
    kernel.entropy().fill(&mut bits);
    i64::from_be_bytes(bits) & (i64::MAX >> 1)
}
