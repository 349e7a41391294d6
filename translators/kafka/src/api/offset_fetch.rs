//! OffsetFetch: where a group has come to.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use fairlead_canon::shape::{Field, Layout, Shape};
use fairlead_canon::{EntityId, Text};
use fairlead_kernel::{Caller, Position};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse};
use kafka_protocol::protocol::StrBytes;

use super::Handler;
use crate::desk::Desk;
use crate::errors::{self, Code};
use crate::fault::Fault;
use crate::text::{ours, theirs};
use crate::topics;

#[derive(Debug)]
pub(super) struct OffsetFetch;

impl Handler for OffsetFetch {
    type Request = OffsetFetchRequest;
    const VERSIONS: RangeInclusive<i16> = 1..=8;
    const LAYOUT: Layout = Layout {
        compact_since: 6,
        fields: &[
            Field::new("group id", Shape::Text).until(7),
            Field::new("topics", TOPICS).until(7),
            Field::new(
                "groups",
                Shape::Records(&[
                    Field::new("group id", Shape::Text),
                    Field::new("topics", TOPICS),
                ]),
            )
            .since(8),
            Field::new("require stable", Shape::Fixed(1)).since(7),
        ],
    };

    async fn answer(
        desk: &mut Desk,
        version: i16,
        request: OffsetFetchRequest,
    ) -> Result<OffsetFetchResponse, Fault> {
        let caller = desk.caller()?;
        if version < 8 {
            let asked = request.topics.map(|topics| {
                let pair = |t: TopicV1| (ours(t.name.0), t.partition_indexes);
                topics.into_iter().map(pair).collect()
            });
            return Ok(match read(caller, &ours(request.group_id.0), asked).await {
                Ok(found) => one_group(version, found),
                Err(code) => OffsetFetchResponse::default().with_error_code(code),
            });
        }
        let mut groups = Vec::with_capacity(request.groups.len());
        for group in request.groups {
            let asked = group.topics.map(|topics| {
                let pair = |t: TopicV8| (ours(t.name.0), t.partition_indexes);
                topics.into_iter().map(pair).collect()
            });
            let found = read(caller, &ours(group.group_id.0.clone()), asked).await;
            groups.push(of_group(found).with_group_id(group.group_id));
        }
        Ok(OffsetFetchResponse::default().with_groups(groups))
    }
}

use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestTopic as TopicV1, OffsetFetchRequestTopics as TopicV8,
};

const TOPICS: Shape = Shape::Records(&[
    Field::new("name", Shape::Text),
    Field::new("partition indexes", Shape::Numbers(4)),
]);

/// A topic and, per partition asked for, where the group has come to.
type Found = Vec<(Text, Vec<(i32, Option<Position>)>)>;

/// Reads positions; without a list of topics, all that there are.
async fn read(
    caller: &Caller,
    group: &Text,
    asked: Option<Vec<(Text, Vec<i32>)>>,
) -> Result<Found, Code> {
    let positions = caller.positions(group).await;
    let positions = positions.map_err(|error| errors::of_positions(error.reason))?;
    let mut positions: BTreeMap<EntityId, Position> = positions
        .into_iter()
        .map(|position| (position.entity, position))
        .collect();
    let Some(asked) = asked else {
        return Ok(all(caller, &mut positions));
    };
    let found = asked.into_iter().map(|(name, partitions)| {
        let stream = topics::find(caller, &name);
        let partitions = partitions.into_iter().map(|partition| {
            let entity = stream
                .as_ref()
                .and_then(|stream| topics::lane(stream, partition));
            (
                partition,
                entity.and_then(|entity| positions.get(&entity).cloned()),
            )
        });
        (name, partitions.collect())
    });
    Ok(found.collect())
}

fn all(caller: &Caller, positions: &mut BTreeMap<EntityId, Position>) -> Found {
    let mut found = Vec::new();
    for stream in topics::all(caller) {
        let lanes = (0..).zip(&stream.lanes);
        let known = lanes.filter_map(|(index, lane)| Some((index, Some(positions.remove(lane)?))));
        let known: Vec<_> = known.collect();
        if !known.is_empty() {
            found.push((stream.key.name.clone(), known));
        }
    }
    found
}

/// Offset, leader epoch and note of a position, or those of none.
fn parts(position: Option<Position>) -> (i64, i32, StrBytes) {
    let Some(position) = position else {
        return (-1, -1, StrBytes::new());
    };
    let note = StrBytes::from_utf8(position.metadata).unwrap_or_default();
    (
        i64::try_from(position.offset).unwrap_or(i64::MAX),
        position.leader_epoch,
        note,
    )
}

fn one_group(version: i16, found: Found) -> OffsetFetchResponse {
    let topics = found.into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(index, position)| {
            let (offset, leader_epoch, note) = parts(position);
            OffsetFetchResponsePartition::default()
                .with_partition_index(index)
                .with_committed_offset(offset)
                .with_committed_leader_epoch(if version >= 5 { leader_epoch } else { -1 })
                .with_metadata(Some(note))
        });
        OffsetFetchResponseTopic::default()
            .with_name(theirs(&name).into())
            .with_partitions(partitions.collect())
    });
    OffsetFetchResponse::default().with_topics(topics.collect())
}

fn of_group(found: Result<Found, Code>) -> OffsetFetchResponseGroup {
    let found = match found {
        Ok(found) => found,
        Err(code) => return OffsetFetchResponseGroup::default().with_error_code(code),
    };
    let topics = found.into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(index, position)| {
            let (offset, leader_epoch, note) = parts(position);
            OffsetFetchResponsePartitions::default()
                .with_partition_index(index)
                .with_committed_offset(offset)
                .with_committed_leader_epoch(leader_epoch)
                .with_metadata(Some(note))
        });
        OffsetFetchResponseTopics::default()
            .with_name(theirs(&name).into())
            .with_partitions(partitions.collect())
    });
    OffsetFetchResponseGroup::default().with_topics(topics.collect())
}
