//! InitProducerId: a number for an idempotent producer; for a transactional one also its id, which it
//! then holds alone.

use std::ops::RangeInclusive;

use fairlead_canon::ProducerId;
use fairlead_canon::shape::{Field, Layout, Shape};
use fairlead_kernel::{Hold, Kernel};
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};

use super::Handler;
use crate::desk::Desk;
use crate::errors;
use crate::fault::Fault;
use crate::text::ours;

#[derive(Debug)]
pub(super) struct InitProducerId;

impl Handler for InitProducerId {
    type Request = InitProducerIdRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=5;
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
        version: i16,
        request: InitProducerIdRequest,
    ) -> Result<InitProducerIdResponse, Fault> {
        let response = InitProducerIdResponse::default();
        let Some(id) = request.transactional_id else {
            // A producer that lost its place begins anew under another number.
            return Ok(response
                .with_producer_id(fresh(&desk.kernel).into())
                .with_producer_epoch(0));
        };
        let known = Some((ProducerId(request.producer_id.0), request.producer_epoch));
        let held = match u32::try_from(request.transaction_timeout_ms) {
            _ if id.0.is_empty() => Err(errors::INVALID_REQUEST),
            Ok(timeout_ms) if (1..=Hold::TIMEOUT_MS_MAX).contains(&timeout_ms) => {
                let known = known.filter(|(producer, _)| producer.0 >= 0);
                let hold = Hold { timeout_ms, known };
                let held = desk.caller()?.hold_name(&ours(id.0), hold).await;
                held.map_err(|error| errors::of_txn(&error, version >= FENCED_SINCE))
            }
            Ok(_) | Err(_) => Err(errors::INVALID_TRANSACTION_TIMEOUT),
        };
        Ok(match held {
            Ok(holder) => response
                .with_producer_id(holder.producer.0.into())
                .with_producer_epoch(holder.epoch),
            Err(code) => response
                .with_error_code(code)
                .with_producer_id((-1).into())
                .with_producer_epoch(-1),
        })
    }
}

/// From here on a holder that is gone is told so in words of its own.
const FENCED_SINCE: i16 = 4;

/// A number that nobody has: 62 random bits, so that nothing has to be kept or agreed upon. Two of a
/// million producers meet with a chance of one in ten million.
fn fresh(kernel: &Kernel) -> i64 {
    let mut bits = [0; 8];
    kernel.entropy().fill(&mut bits);
    i64::from_be_bytes(bits) & (i64::MAX >> 1)
}
