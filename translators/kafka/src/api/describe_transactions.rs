//! DescribeTransactions: who holds a transactional id, and where its transaction stands.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use fairlead_canon::shape::{Field, Layout, Shape};
use fairlead_canon::{EntityId, Text};
use fairlead_kernel::{Caller, Decision, TxnPhase, TxnView};
use kafka_protocol::messages::describe_transactions_response::{TopicData, TransactionState};
use kafka_protocol::messages::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, TransactionalId,
};

use super::Handler;
use crate::desk::Desk;
use crate::errors;
use crate::fault::Fault;
use crate::text::{ours, said, theirs};
use crate::topics;

#[derive(Debug)]
pub(super) struct DescribeTransactions;

impl Handler for DescribeTransactions {
    type Request = DescribeTransactionsRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=0;
    const LAYOUT: Layout = Layout {
        compact_since: 0,
        fields: &[Field::new("transactional ids", Shape::Texts)],
    };

    async fn answer(
        desk: &mut Desk,
        _: i16,
        request: DescribeTransactionsRequest,
    ) -> Result<DescribeTransactionsResponse, Fault> {
        let caller = desk.caller()?;
        let mut states = Vec::with_capacity(request.transactional_ids.len());
        for id in request.transactional_ids {
            let view = caller.transaction(&ours(id.0.clone())).await;
            let state = TransactionState::default().with_transactional_id(id);
            states.push(match view {
                Ok(Some(view)) => shown(caller, state, &view),
                Ok(None) => state.with_error_code(errors::TRANSACTIONAL_ID_NOT_FOUND),
                Err(error) => state.with_error_code(errors::of_positions(error.reason)),
            });
        }
        Ok(DescribeTransactionsResponse::default().with_transaction_states(states))
    }
}

fn shown(caller: &Caller, state: TransactionState, view: &TxnView) -> TransactionState {
    let since = i64::try_from(view.since.0).unwrap_or(i64::MAX);
    let is_open = view.phase == TxnPhase::Open;
    state
        .with_transaction_state(said(word(view.phase)))
        .with_transaction_timeout_ms(i32::try_from(view.timeout_ms).unwrap_or(i32::MAX))
        .with_transaction_start_time_ms(if is_open { since } else { -1 })
        .with_producer_id(view.holder.producer.0.into())
        .with_producer_epoch(view.holder.epoch)
        .with_topics(partitions(caller, &view.lanes))
}

/// Lanes as topics and partitions.
fn partitions(caller: &Caller, lanes: &[EntityId]) -> Vec<TopicData> {
    if lanes.is_empty() {
        return Vec::new();
    }
    let mut found: BTreeMap<Text, Vec<i32>> = BTreeMap::new();
    for stream in topics::all(caller) {
        let held = (0..)
            .zip(&stream.lanes)
            .filter(|(_, lane)| lanes.contains(lane));
        let held: Vec<i32> = held.map(|(index, _)| index).collect();
        if !held.is_empty() {
            found.insert(stream.key.name.clone(), held);
        }
    }
    let data = found.into_iter().map(|(name, partitions)| {
        TopicData::default()
            .with_topic(theirs(&name).into())
            .with_partitions(partitions)
    });
    data.collect()
}

/// A phase in the protocol's words.
pub(super) fn word(phase: TxnPhase) -> &'static str {
    match phase {
        TxnPhase::Empty => "Empty",
        TxnPhase::Open => "Ongoing",
        TxnPhase::Ended(Decision::Commit) => "CompleteCommit",
        TxnPhase::Ended(Decision::Abort) => "CompleteAbort",
    }
}

/// An id as it stands in responses.
pub(super) fn id(view: &TxnView) -> TransactionalId {
    theirs(&view.holder.name).into()
}
