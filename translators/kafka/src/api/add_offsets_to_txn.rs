//! AddOffsetsToTxn: a transaction will commit positions of a group. It begins, if none is open.

use std::ops::RangeInclusive;

use fairlead_canon::ProducerId;
use fairlead_canon::shape::{Field, Layout, Shape};
use fairlead_kernel::Holder;
use kafka_protocol::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};

use super::Handler;
use crate::desk::Desk;
use crate::errors;
use crate::fault::Fault;
use crate::text::ours;

#[derive(Debug)]
pub(super) struct AddOffsetsToTxn;

/// From here on a holder that is gone is told so in words of its own.
const FENCED_SINCE: i16 = 2;

impl Handler for AddOffsetsToTxn {
    type Request = AddOffsetsToTxnRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=4;
    const LAYOUT: Layout = Layout {
        compact_since: 3,
        fields: &[
            Field::new("transactional id", Shape::Text),
            Field::new("producer id", Shape::Fixed(8)),
            Field::new("producer epoch", Shape::Fixed(2)),
            Field::new("group id", Shape::Text),
        ],
    };

    async fn answer(
        desk: &mut Desk,
        version: i16,
        request: AddOffsetsToTxnRequest,
    ) -> Result<AddOffsetsToTxnResponse, Fault> {
        let holder = Holder {
            name: ours(request.transactional_id.0),
            producer: ProducerId(request.producer_id.0),
            epoch: request.producer_epoch,
        };
        let group = ours(request.group_id.0);
        let caller = desk.caller()?;
        let code = match caller.add_positions(&holder, &group, Vec::new()).await {
            _ if group.is_empty() => errors::INVALID_GROUP_ID,
            Ok(()) => errors::NONE,
            Err(error) => errors::of_txn(&error, version >= FENCED_SINCE),
        };
        Ok(AddOffsetsToTxnResponse::default().with_error_code(code))
    }
}
