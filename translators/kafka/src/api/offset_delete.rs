//! OffsetDelete: forgets some positions of a group.

use std::ops::RangeInclusive;

use fairlead_canon::shape::{Field, Layout, Shape};
use fairlead_kernel::GroupView;
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

use super::Handler;
use crate::desk::Desk;
use crate::errors::{self, Code};
use crate::fault::Fault;
use crate::text::ours;
use crate::topics;

#[derive(Debug)]
pub(super) struct OffsetDelete;

/// The kind of group whose members tell what they subscribe to.
const CONSUMER: &str = "consumer";

impl Handler for OffsetDelete {
    type Request = OffsetDeleteRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=0;
    const LAYOUT: Layout = Layout {
        compact_since: i16::MAX,
        fields: &[
            Field::new("group id", Shape::Text),
            Field::new(
                "topics",
                Shape::Records(&[
                    Field::new("name", Shape::Text),
                    Field::new(
                        "partitions",
                        Shape::Records(&[Field::new("partition index", Shape::Fixed(4))]),
                    ),
                ]),
            ),
        ],
    };

    async fn answer(
        desk: &mut Desk,
        _: i16,
        request: OffsetDeleteRequest,
    ) -> Result<OffsetDeleteResponse, Fault> {
        let caller = desk.caller()?;
        let group = ours(request.group_id.0);
        let refused = |code| Ok(OffsetDeleteResponse::default().with_error_code(code));
        let view = caller.group(&group);
        if view.as_ref().is_some_and(|view| *view.kind != *CONSUMER) {
            return refused(errors::NON_EMPTY_GROUP);
        }
        match caller.positions(&group).await {
            Ok(positions) if positions.is_empty() && view.is_none() => {
                return refused(errors::GROUP_ID_NOT_FOUND);
            }
            Ok(_) => {}
            Err(error) => return refused(errors::of_positions(error.reason)),
        }
        let mut forgotten = Vec::new();
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            let name = ours(topic.name.0.clone());
            let is_read = view.as_ref().is_some_and(|view| reads(view, &name));
            let stream = topics::find(caller, &name);
            let partitions = topic.partitions.iter().map(|partition| {
                let index = partition.partition_index;
                let lane = stream.as_ref().and_then(|s| topics::lane(s, index));
                let code: Code = match lane {
                    None => errors::UNKNOWN_TOPIC_OR_PARTITION,
                    Some(_) if is_read => errors::GROUP_SUBSCRIBED_TO_TOPIC,
                    Some(lane) => {
                        forgotten.push(lane);
                        errors::NONE
                    }
                };
                OffsetDeleteResponsePartition::default()
                    .with_partition_index(index)
                    .with_error_code(code)
            });
            let partitions = partitions.collect();
            topics.push(
                OffsetDeleteResponseTopic::default()
                    .with_name(topic.name)
                    .with_partitions(partitions),
            );
        }
        if let Err(error) = caller.forget_positions_in(&group, &forgotten).await {
            return refused(errors::of_positions(error.reason));
        }
        Ok(OffsetDeleteResponse::default().with_topics(topics))
    }
}

/// Whether a member subscribes to a topic: its wish begins with a version and its topics.
fn reads(view: &GroupView, topic: &str) -> bool {
    view.members
        .iter()
        .any(|member| match subscribed(&member.wish) {
            Some(mut topics) => topics.any(|name| name == topic.as_bytes()),
            // A wish that says nothing of topics may be about any.
            None => true,
        })
}

/// `version i16 · count i32 · count × (length i16 · name) · …`
fn subscribed(wish: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let (_, rest) = wish.split_first_chunk::<2>()?;
    let (count, mut rest) = rest.split_first_chunk::<4>()?;
    let count = usize::try_from(i32::from_be_bytes(*count)).ok()?;
    let mut names = Vec::new();
    for _ in 0..count {
        let (len, after) = rest.split_first_chunk::<2>()?;
        let len = usize::try_from(i16::from_be_bytes(*len)).ok()?;
        let (name, after) = after.split_at_checked(len)?;
        names.push(name);
        rest = after;
    }
    Some(names.into_iter())
}
