//! TxnOffsetCommit: a group's positions, which count once the transaction does.

use std::ops::RangeInclusive;

use fairlead_canon::ProducerId;
use fairlead_canon::shape::{Field, Layout, Shape};
use fairlead_kernel::{Holder, Position, Who};
use kafka_protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequestPartition;
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};

use super::Handler;
use super::offset_commit::position;
use crate::desk::Desk;
use crate::errors::{self, Code};
use crate::fault::Fault;
use crate::text::ours;
use crate::topics;

#[derive(Debug)]
pub(super) struct TxnOffsetCommit;

impl Handler for TxnOffsetCommit {
    type Request = TxnOffsetCommitRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=4;
    const LAYOUT: Layout = Layout {
        compact_since: 3,
        fields: &[
            Field::new("transactional id", Shape::Text),
            Field::new("group id", Shape::Text),
            Field::new("producer id", Shape::Fixed(8)),
            Field::new("producer epoch", Shape::Fixed(2)),
            Field::new("generation id", Shape::Fixed(4)).since(3),
            Field::new("member id", Shape::Text).since(3),
            Field::new("group instance id", Shape::Text).since(3),
            Field::new(
                "topics",
                Shape::Records(&[
                    Field::new("name", Shape::Text),
                    Field::new(
                        "partitions",
                        Shape::Records(&[
                            Field::new("partition index", Shape::Fixed(4)),
                            Field::new("committed offset", Shape::Fixed(8)),
                            Field::new("committed leader epoch", Shape::Fixed(4)).since(2),
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
        request: TxnOffsetCommitRequest,
    ) -> Result<TxnOffsetCommitResponse, Fault> {
        let caller = desk.caller()?;
        let holder = Holder {
            name: ours(request.transactional_id.0),
            producer: ProducerId(request.producer_id.0),
            epoch: request.producer_epoch,
        };
        let group = ours(request.group_id.0);
        let who = Who {
            member: ours(request.member_id),
            place: request.group_instance_id.map(ours),
            generation: request.generation_id,
        };
        // Who names no member is no member, and may commit all the same: the producer is known.
        let is_member = !who.member.is_empty() || who.generation >= 0;
        let allowed = match is_member {
            true => caller.may_commit(&group, &who),
            false => Ok(()),
        };
        let mut positions: Vec<Position> = Vec::new();
        let mut codes: Vec<Code> = Vec::new();
        for topic in &request.topics {
            let stream = topics::find(caller, &ours(topic.name.0.clone()));
            for partition in &topic.partitions {
                let lane = stream
                    .as_ref()
                    .and_then(|s| topics::lane(s, partition.partition_index));
                let read = match (&allowed, lane) {
                    (Err(error), _) => Err(errors::of_group(error)),
                    (Ok(()), None) => Err(errors::UNKNOWN_TOPIC_OR_PARTITION),
                    (Ok(()), Some(entity)) => position(entity, &said(partition)),
                };
                codes.push(read.as_ref().err().copied().unwrap_or(errors::NONE));
                positions.extend(read);
            }
        }
        if !positions.is_empty()
            && let Err(error) = caller.add_positions(&holder, &group, positions).await
        {
            // There is no word of its own for a holder that is gone in any version.
            let failed = errors::of_txn(&error, false);
            codes
                .iter_mut()
                .filter(|code| **code == errors::NONE)
                .for_each(|code| *code = failed);
        }
        let mut codes = codes.into_iter();
        let topics = request.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().zip(&mut codes);
            let partitions = partitions.map(|(partition, code)| {
                TxnOffsetCommitResponsePartition::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(code)
            });
            let partitions = partitions.collect();
            TxnOffsetCommitResponseTopic::default()
                .with_name(topic.name)
                .with_partitions(partitions)
        });
        Ok(TxnOffsetCommitResponse::default().with_topics(topics.collect()))
    }
}

/// The same partition, as an OffsetCommit says it.
fn said(partition: &TxnOffsetCommitRequestPartition) -> super::offset_commit::Said {
    super::offset_commit::Said {
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: partition.committed_metadata.clone(),
    }
}
