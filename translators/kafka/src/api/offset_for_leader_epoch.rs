//! OffsetForLeaderEpoch: where an epoch of the leader ended. There is one epoch and it goes on.

use std::ops::RangeInclusive;

use fairlead_canon::shape::{Field, Layout, Shape};
use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use super::Handler;
use super::metadata::LEADER_EPOCH;
use crate::desk::Desk;
use crate::errors::{self, Code};
use crate::fault::Fault;
use crate::text::ours;
use crate::topics;

#[derive(Debug)]
pub(super) struct OffsetForLeaderEpoch;

impl Handler for OffsetForLeaderEpoch {
    type Request = OffsetForLeaderEpochRequest;
    const VERSIONS: RangeInclusive<i16> = 2..=4;
    const LAYOUT: Layout = Layout {
        compact_since: 4,
        fields: &[
            Field::new("replica id", Shape::Fixed(4)).since(3),
            Field::new(
                "topics",
                Shape::Records(&[
                    Field::new("topic", Shape::Text),
                    Field::new(
                        "partitions",
                        Shape::Records(&[
                            Field::new("partition", Shape::Fixed(4)),
                            Field::new("current leader epoch", Shape::Fixed(4)),
                            Field::new("leader epoch", Shape::Fixed(4)),
                        ]),
                    ),
                ]),
            ),
        ],
    };

    async fn answer(
        desk: &mut Desk,
        _: i16,
        request: OffsetForLeaderEpochRequest,
    ) -> Result<OffsetForLeaderEpochResponse, Fault> {
        let caller = desk.caller()?;
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            let stream = topics::find(caller, &ours(topic.topic.0.clone()));
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for asked in topic.partitions {
                let answer = EpochEndOffset::default().with_partition(asked.partition);
                let entity = stream
                    .as_ref()
                    .and_then(|s| topics::lane(s, asked.partition));
                let end = match (entity, check(&asked)) {
                    (None, _) => Err(errors::UNKNOWN_TOPIC_OR_PARTITION),
                    (_, Err(code)) => Err(code),
                    (Some(entity), Ok(())) => match caller.marks(entity).await {
                        Ok(marks) => Ok(i64::try_from(marks.end.0).unwrap_or(i64::MAX)),
                        Err(error) => Err(errors::of_topic(error.reason)),
                    },
                };
                partitions.push(match end {
                    Ok(end) if asked.leader_epoch == LEADER_EPOCH => {
                        answer.with_leader_epoch(LEADER_EPOCH).with_end_offset(end)
                    }
                    // An epoch that never was: its end is not known.
                    Ok(_) => answer,
                    Err(code) => answer.with_error_code(code),
                });
            }
            topics.push(
                OffsetForLeaderTopicResult::default()
                    .with_topic(topic.topic)
                    .with_partitions(partitions),
            );
        }
        Ok(OffsetForLeaderEpochResponse::default().with_topics(topics))
    }
}

/// What a client takes for the present epoch must be it; -1 is no opinion.
fn check(asked: &OffsetForLeaderPartition) -> Result<(), Code> {
    match asked.current_leader_epoch {
        epoch if epoch > LEADER_EPOCH => Err(errors::UNKNOWN_LEADER_EPOCH),
        _ => Ok(()),
    }
}
