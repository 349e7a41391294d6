//! EndTxn: a transaction counts, or never was.

use std::ops::RangeInclusive;

use fairlead_canon::ProducerId;
use fairlead_canon::shape::{Field, Layout, Shape};
use fairlead_kernel::{Decision, Holder, Stream};
use kafka_protocol::messages::{EndTxnRequest, EndTxnResponse};

use super::Handler;
use crate::desk::Desk;
use crate::errors;
use crate::fault::Fault;
use crate::text::ours;
use crate::topics::Topic;

#[derive(Debug)]
pub(super) struct EndTxn;

/// From here on a holder that is gone is told so in words of its own.
const FENCED_SINCE: i16 = 2;

impl Handler for EndTxn {
    type Request = EndTxnRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=4;
    const LAYOUT: Layout = Layout {
        compact_since: 3,
        fields: &[
            Field::new("transactional id", Shape::Text),
            Field::new("producer id", Shape::Fixed(8)),
            Field::new("producer epoch", Shape::Fixed(2)),
            Field::new("committed", Shape::Fixed(1)),
        ],
    };

    async fn answer(
        desk: &mut Desk,
        version: i16,
        request: EndTxnRequest,
    ) -> Result<EndTxnResponse, Fault> {
        let holder = Holder {
            name: ours(request.transactional_id.0),
            producer: ProducerId(request.producer_id.0),
            epoch: request.producer_epoch,
        };
        let decision = match request.committed {
            true => Decision::Commit,
            false => Decision::Abort,
        };
        let address_of = |stream: &Stream| Topic::named(&stream.key.name).ok()?.address;
        let ending = desk.caller()?.conclude(&holder, decision, address_of);
        let code = match ending.await {
            Ok(()) => errors::NONE,
            Err(error) => errors::of_txn(&error, version >= FENCED_SINCE),
        };
        Ok(EndTxnResponse::default().with_error_code(code))
    }
}
