//! AddPartitionsToTxn: a transaction may write to these partitions; all of a request or none.

use std::ops::RangeInclusive;

use fairlead_canon::shape::{Field, Layout, Shape};
use fairlead_canon::{EntityId, ProducerId};
use fairlead_kernel::Holder;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse};

use super::Handler;
use crate::desk::Desk;
use crate::errors::{self, Code};
use crate::fault::Fault;
use crate::text::ours;
use crate::topics;

#[derive(Debug)]
pub(super) struct AddPartitionsToTxn;

/// From here on a holder that is gone is told so in words of its own.
const FENCED_SINCE: i16 = 2;

impl Handler for AddPartitionsToTxn {
    type Request = AddPartitionsToTxnRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=3;
    const LAYOUT: Layout = Layout {
        compact_since: 3,
        fields: &[
            Field::new("transactional id", Shape::Text),
            Field::new("producer id", Shape::Fixed(8)),
            Field::new("producer epoch", Shape::Fixed(2)),
            Field::new(
                "topics",
                Shape::Records(&[
                    Field::new("name", Shape::Text),
                    Field::new("partitions", Shape::Numbers(4)),
                ]),
            ),
        ],
    };

    async fn answer(
        desk: &mut Desk,
        version: i16,
        request: AddPartitionsToTxnRequest,
    ) -> Result<AddPartitionsToTxnResponse, Fault> {
        let caller = desk.caller()?;
        let holder = Holder {
            name: ours(request.v3_and_below_transactional_id.0),
            producer: ProducerId(request.v3_and_below_producer_id.0),
            epoch: request.v3_and_below_producer_epoch,
        };
        let mut lanes = Vec::new();
        let mut found = Vec::with_capacity(request.v3_and_below_topics.len());
        for topic in request.v3_and_below_topics {
            let stream = topics::find(caller, &ours(topic.name.0.clone()));
            let lane = |index: &i32| {
                let lane = stream.as_ref().and_then(|s| topics::lane(s, *index));
                (*index, lane)
            };
            let partitions: Vec<(i32, Option<EntityId>)> =
                topic.partitions.iter().map(lane).collect();
            lanes.extend(partitions.iter().filter_map(|(_, lane)| *lane));
            found.push((topic.name, partitions));
        }
        let is_whole = found.iter().flat_map(|(_, p)| p).all(|(_, l)| l.is_some());
        let code = match is_whole {
            false => errors::OPERATION_NOT_ATTEMPTED,
            true => match caller.add_lanes(&holder, lanes).await {
                Ok(()) => errors::NONE,
                Err(error) => errors::of_txn(&error, version >= FENCED_SINCE),
            },
        };
        let results = found.into_iter().map(|(name, partitions)| {
            let result = |(index, lane): (i32, Option<EntityId>)| {
                let code: Code = lane.map_or(errors::UNKNOWN_TOPIC_OR_PARTITION, |_| code);
                AddPartitionsToTxnPartitionResult::default()
                    .with_partition_index(index)
                    .with_partition_error_code(code)
            };
            AddPartitionsToTxnTopicResult::default()
                .with_name(name)
                .with_results_by_partition(partitions.into_iter().map(result).collect())
        });
        Ok(AddPartitionsToTxnResponse::default()
            .with_results_by_topic_v3_and_below(results.collect()))
    }
}
