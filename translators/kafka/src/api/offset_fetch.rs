//! OffsetFetch: where a group has come to.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use fairlead_canon::shape::{Field, Layout, Shape};
use fairlead_canon::{EntityId, Text};
use fairlead_kernel::{Caller, Error, Position};
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
            let name = ours(request.group_id.0);
            let held = Held::read(caller, &name, request.require_stable);
            return Ok(match held.await.map(|held| held.find(caller, asked)) {
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
            let name = ours(group.group_id.0.clone());
            let held = Held::read(caller, &name, request.require_stable);
            let found = held.await.map(|held| held.find(caller, asked));
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
type Found = Vec<(Text, Vec<(i32, Where)>)>;

/// Where a group has come to in a partition.
enum Where {
    Nowhere,
    At(Position),
    /// That depends on the end of a transaction, for which the client wants to wait.
    Unsettled,
}

/// The positions of a group.
struct Held {
    positions: BTreeMap<EntityId, Position>,
    unsettled: BTreeSet<EntityId>,
}

impl Held {
    async fn read(caller: &Caller, group: &Text, must_be_stable: bool) -> Result<Self, Code> {
        let failed = |error: Error| errors::of_positions(error.reason);
        // Asked first: a transaction that ends in between is in the positions.
        let unsettled = match must_be_stable {
            true => caller.pending_positions(group).await.map_err(failed)?,
            false => BTreeSet::new(),
        };
        let positions = caller.positions(group).await.map_err(failed)?;
        let by_entity = |position: Position| (position.entity, position);
        Ok(Self {
            positions: positions.into_iter().map(by_entity).collect(),
            unsettled,
        })
    }

    /// What was asked for; without a list of topics, all that there is.
    fn find(mut self, caller: &Caller, asked: Option<Vec<(Text, Vec<i32>)>>) -> Found {
        let Some(asked) = asked else {
            return self.all(caller);
        };
        let found = asked.into_iter().map(|(name, partitions)| {
            let stream = topics::find(caller, &name);
            let place = |index: i32| {
                let lane = stream.as_ref().and_then(|s| topics::lane(s, index));
                (index, lane.map_or(Where::Nowhere, |lane| self.take(lane)))
            };
            let partitions = partitions.into_iter().map(place).collect();
            (name, partitions)
        });
        found.collect()
    }

    fn all(mut self, caller: &Caller) -> Found {
        let mut found = Vec::new();
        for stream in topics::all(caller) {
            let lanes = (0..).zip(&stream.lanes);
            let places = lanes.map(|(index, lane)| (index, self.take(*lane)));
            let known = places.filter(|(_, place)| !matches!(place, Where::Nowhere));
            let known: Vec<_> = known.collect();
            if !known.is_empty() {
                found.push((stream.key.name.clone(), known));
            }
        }
        found
    }

    fn take(&mut self, lane: EntityId) -> Where {
        if self.unsettled.contains(&lane) {
            return Where::Unsettled;
        }
        self.positions
            .remove(&lane)
            .map_or(Where::Nowhere, Where::At)
    }
}

/// Code, offset, leader epoch and note of a place.
fn parts(place: Where) -> (Code, i64, i32, StrBytes) {
    let position = match place {
        Where::Nowhere => return (errors::NONE, -1, -1, StrBytes::new()),
        Where::Unsettled => return (errors::UNSTABLE_OFFSET_COMMIT, -1, -1, StrBytes::new()),
        Where::At(position) => position,
    };
    let note = StrBytes::from_utf8(position.metadata).unwrap_or_default();
    let offset = i64::try_from(position.offset).unwrap_or(i64::MAX);
    (errors::NONE, offset, position.leader_epoch, note)
}

fn one_group(version: i16, found: Found) -> OffsetFetchResponse {
    let topics = found.into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(index, place)| {
            let (code, offset, leader_epoch, note) = parts(place);
            OffsetFetchResponsePartition::default()
                .with_partition_index(index)
                .with_error_code(code)
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
        let partitions = partitions.into_iter().map(|(index, place)| {
            let (code, offset, leader_epoch, note) = parts(place);
            OffsetFetchResponsePartitions::default()
                .with_partition_index(index)
                .with_error_code(code)
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
