//! OffsetCommit: a group's positions, all of a request or none.

use std::ops::RangeInclusive;

use fairlead_canon::EntityId;
use fairlead_canon::shape::{Field, Layout, Shape};
use fairlead_kernel::{Position, Who};
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};
use kafka_protocol::protocol::StrBytes;

use super::Handler;
use crate::desk::Desk;
use crate::errors::{self, Code};
use crate::fault::Fault;
use crate::text::ours;
use crate::topics;

#[derive(Debug)]
pub(super) struct OffsetCommit;

/// The longest note beside a position, in bytes, as apache/kafka has it by default.
const METADATA_BYTES_MAX: usize = 4_096;

impl Handler for OffsetCommit {
    type Request = OffsetCommitRequest;
    const VERSIONS: RangeInclusive<i16> = 2..=8;
    const LAYOUT: Layout = Layout {
        compact_since: 8,
        fields: &[
            Field::new("group id", Shape::Text),
            Field::new("generation id", Shape::Fixed(4)),
            Field::new("member id", Shape::Text),
            Field::new("group instance id", Shape::Text).since(7),
            Field::new("retention time ms", Shape::Fixed(8)).until(4),
            Field::new(
                "topics",
                Shape::Records(&[
                    Field::new("name", Shape::Text),
                    Field::new(
                        "partitions",
                        Shape::Records(&[
                            Field::new("partition index", Shape::Fixed(4)),
                            Field::new("committed offset", Shape::Fixed(8)),
                            Field::new("committed leader epoch", Shape::Fixed(4)).since(6),
                            Field::new("committed metadata", Shape::Text),
                        ]),
                    ),
                ]),
            ),
        ],
    };

    async fn answer(
        desk: &mut Desk,
        _: i16,
        request: OffsetCommitRequest,
    ) -> Result<OffsetCommitResponse, Fault> {
        let caller = desk.caller()?;
        let group = ours(request.group_id.0);
        let who = Who {
            member: ours(request.member_id),
            place: request.group_instance_id.map(ours),
            generation: request.generation_id_or_member_epoch,
        };
        let allowed = caller.may_commit(&group, &who);
        let mut positions = Vec::new();
        let mut codes: Vec<Code> = Vec::new();
        for topic in &request.topics {
            let stream = topics::find(caller, &ours(topic.name.0.clone()));
            for partition in &topic.partitions {
                let lane = stream
                    .as_ref()
                    .and_then(|s| topics::lane(s, partition.partition_index));
                codes.push(match (&allowed, lane) {
                    (Err(error), _) => errors::of_group(error),
                    (Ok(()), None) => errors::UNKNOWN_TOPIC_OR_PARTITION,
                    (Ok(()), Some(entity)) => match position(entity, &said(partition)) {
                        Ok(position) => {
                            positions.push(position);
                            errors::NONE
                        }
                        Err(code) => code,
                    },
                });
            }
        }
        if let Err(error) = caller.commit(&group, &positions).await {
            caller.meters().failed(&error);
            let failed = errors::of_positions(error.reason);
            codes
                .iter_mut()
                .filter(|code| **code == errors::NONE)
                .for_each(|code| *code = failed);
        }
        let mut codes = codes.into_iter();
        let topics = request.topics.into_iter().map(|topic| {
            let partitions = topic
                .partitions
                .iter()
                .zip(&mut codes)
                .map(|(partition, code)| {
                    OffsetCommitResponsePartition::default()
                        .with_partition_index(partition.partition_index)
                        .with_error_code(code)
                });
            let partitions = partitions.collect();
            OffsetCommitResponseTopic::default()
                .with_name(topic.name)
                .with_partitions(partitions)
        });
        Ok(OffsetCommitResponse::default().with_topics(topics.collect()))
    }
}

/// What a request says of a partition.
pub(super) struct Said {
    pub(super) offset: i64,
    pub(super) leader_epoch: i32,
    pub(super) metadata: Option<StrBytes>,
}

/// The position that a request says.
pub(super) fn position(entity: EntityId, said: &Said) -> Result<Position, Code> {
    let metadata = said.metadata.clone().unwrap_or_default();
    if metadata.len() > METADATA_BYTES_MAX {
        return Err(errors::OFFSET_METADATA_TOO_LARGE);
    }
    let offset = u64::try_from(said.offset);
    Ok(Position {
        entity,
        offset: offset.map_err(|_negative| errors::OFFSET_OUT_OF_RANGE)?,
        leader_epoch: said.leader_epoch,
        metadata: metadata.into_bytes(),
    })
}

fn said(partition: &OffsetCommitRequestPartition) -> Said {
    Said {
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: partition.committed_metadata.clone(),
    }
}
