//! ListOffsets: the first offset, the next one, or where a time begins.

use std::ops::RangeInclusive;
use std::time::Duration;

use fairlead_canon::shape::{Field, Layout, Shape};
use fairlead_canon::{EntityId, EventTime, Timestamp};
use fairlead_kernel::{By, Caller, Error, FetchAt, FetchLimits, View};
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::Handler;
use super::metadata::LEADER_EPOCH;
use crate::desk::Desk;
use crate::errors;
use crate::fault::Fault;
use crate::text::ours;
use crate::topics::{self, Topic};

#[derive(Debug)]
pub(super) struct ListOffsets;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

impl Handler for ListOffsets {
    type Request = ListOffsetsRequest;
    const VERSIONS: RangeInclusive<i16> = 1..=6;
    const LAYOUT: Layout = Layout {
        compact_since: 6,
        fields: &[
            Field::new("replica id", Shape::Fixed(4)),
            Field::new("isolation level", Shape::Fixed(1)).since(2),
            Field::new(
                "topics",
                Shape::Records(&[
                    Field::new("name", Shape::Text),
                    Field::new(
                        "partitions",
                        Shape::Records(&[
                            Field::new("partition index", Shape::Fixed(4)),
                            Field::new("current leader epoch", Shape::Fixed(4)).since(4),
                            Field::new("timestamp", Shape::Fixed(8)),
                        ]),
                    ),
                ]),
            ),
        ],
    };

    async fn answer(
        desk: &mut Desk,
        version: i16,
        request: ListOffsetsRequest,
    ) -> Result<ListOffsetsResponse, Fault> {
        let mut answered = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            let name = ours(topic.name.0.clone());
            let known = desk.topics.get(&name).ok();
            let caller = desk.caller()?;
            let stream = topics::find(caller, &name);
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for asked in topic.partitions {
                let entity = stream
                    .as_ref()
                    .and_then(|s| topics::lane(s, asked.partition_index));
                let found = match (entity, &known) {
                    (Some(entity), Some(topic)) => find(caller, topic, entity, asked.timestamp)
                        .await
                        .map_err(|error| errors::of_topic(error.reason)),
                    _ => Err(errors::UNKNOWN_TOPIC_OR_PARTITION),
                };
                let answer = ListOffsetsPartitionResponse::default()
                    .with_partition_index(asked.partition_index);
                partitions.push(match found {
                    Ok((offset, timestamp)) => answer
                        .with_offset(offset)
                        .with_timestamp(timestamp)
                        .with_leader_epoch(if version >= 4 { LEADER_EPOCH } else { -1 }),
                    Err(code) => answer
                        .with_error_code(code)
                        .with_offset(-1)
                        .with_timestamp(-1),
                });
            }
            answered.push(
                ListOffsetsTopicResponse::default()
                    .with_name(topic.name)
                    .with_partitions(partitions),
            );
        }
        Ok(ListOffsetsResponse::default().with_topics(answered))
    }
}

/// Offset and time of the first record at or after a time; -1 and -1 when there is none.
async fn find(
    caller: &Caller,
    topic: &Topic,
    entity: EntityId,
    timestamp: i64,
) -> Result<(i64, i64), Error> {
    match timestamp {
        LATEST => return Ok((signed(caller.marks(entity).await?.end.0), -1)),
        EARLIEST => return Ok((signed(caller.marks(entity).await?.start.0), -1)),
        _ => {}
    }
    let wanted = Timestamp(u64::try_from(timestamp).unwrap_or(0));
    let Some(from) = caller.find(entity, By::Time(wanted)).await? else {
        return Ok((-1, -1));
    };
    // The store knows times of whole batches; the record is found in the batch.
    let limits = FetchLimits {
        bytes_min: 0,
        bytes_max: 1,
        wait_max: Duration::ZERO,
        view: View::All,
    };
    let read = caller
        .fetch(
            vec![FetchAt {
                entity,
                from,
                bytes_max: 1,
            }],
            limits,
        )
        .await;
    for fetched in read {
        for stored in fetched.result?.batches {
            for opened in stored.batch.open(&topic.place)? {
                let terms = &opened.message.terms;
                let accepted_at = signed(terms.accepted_at.0);
                let time = terms.event_at.map_or(accepted_at, EventTime::as_millis);
                if time >= timestamp {
                    return Ok((signed(stored.base.0 + u64::from(opened.delta)), time));
                }
            }
        }
    }
    Ok((-1, -1))
}

fn signed(offset: u64) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}
