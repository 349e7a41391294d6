//! ListTransactions: every transactional id, by state, producer and age.

use std::ops::RangeInclusive;

use fairlead_canon::shape::{Field, Layout, Shape};
use fairlead_kernel::{TxnPhase, TxnView};
use kafka_protocol::messages::list_transactions_response::TransactionState;
use kafka_protocol::messages::{ListTransactionsRequest, ListTransactionsResponse};
use kafka_protocol::protocol::StrBytes;

use super::Handler;
use super::describe_transactions::{id, word};
use crate::desk::Desk;
use crate::errors;
use crate::fault::Fault;
use crate::text::said;

#[derive(Debug)]
pub(super) struct ListTransactions;

/// States that a filter may name. Those between the beginning and the end of an ending are never
/// seen here: it is one step.
const STATES: [&str; 7] = [
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "PrepareEpochFence",
];

impl Handler for ListTransactions {
    type Request = ListTransactionsRequest;
    // The next version filters by regular expressions.
    const VERSIONS: RangeInclusive<i16> = 0..=1;
    const LAYOUT: Layout = Layout {
        compact_since: 0,
        fields: &[
            Field::new("state filters", Shape::Texts),
            Field::new("producer id filters", Shape::Numbers(8)),
            Field::new("duration filter", Shape::Fixed(8)).since(1),
        ],
    };

    async fn answer(
        desk: &mut Desk,
        _: i16,
        request: ListTransactionsRequest,
    ) -> Result<ListTransactionsResponse, Fault> {
        let now = desk.kernel.clock().wall();
        let views = match desk.caller()?.transactions().await {
            Ok(views) => views,
            Err(error) => {
                let code = errors::of_positions(error.reason);
                return Ok(ListTransactionsResponse::default().with_error_code(code));
            }
        };
        let (states, producers) = (&request.state_filters, &request.producer_id_filters);
        // Below zero: of any age, and those that are not open too.
        let age_min = u64::try_from(request.duration_filter).ok();
        let is_old = |view: &TxnView| {
            let age_ms = now.0.saturating_sub(view.since.0);
            age_min.is_none_or(|least| view.phase == TxnPhase::Open && age_ms >= least)
        };
        let wanted = views.into_iter().filter(|view| {
            (states.is_empty() || states.iter().any(|state| **state == *word(view.phase)))
                && (producers.is_empty() || producers.iter().any(|p| p.0 == view.holder.producer.0))
                && is_old(view)
        });
        let listed = wanted.map(|view| {
            TransactionState::default()
                .with_transactional_id(id(&view))
                .with_producer_id(view.holder.producer.0.into())
                .with_transaction_state(said(word(view.phase)))
        });
        let listed = listed.collect();
        let unknown = |state: &&StrBytes| !STATES.contains(&&***state);
        Ok(ListTransactionsResponse::default()
            .with_unknown_state_filters(states.iter().filter(unknown).cloned().collect())
            .with_transaction_states(listed))
    }
}
