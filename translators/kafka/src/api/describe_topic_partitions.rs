//! DescribeTopicPartitions: topics and their partitions, in order of names, a page at a time.

use std::ops::RangeInclusive;
use std::sync::Arc;

use fairlead_canon::Text;
use fairlead_canon::shape::{Field, Layout, Shape};
use fairlead_kernel::Stream;
use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse};

use super::Handler;
use super::metadata::{LEADER_EPOCH, NODE};
use crate::desk::Desk;
use crate::errors;
use crate::fault::Fault;
use crate::text::{ours, theirs};
use crate::topics;

#[derive(Debug)]
pub(super) struct DescribeTopicPartitions;

/// Most partitions of a page, as apache/kafka has it by default.
const PAGE_MAX: usize = 2_000;

impl Handler for DescribeTopicPartitions {
    type Request = DescribeTopicPartitionsRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=0;
    const LAYOUT: Layout = Layout {
        compact_since: 0,
        fields: &[
            Field::new("topics", Shape::Records(&[Field::new("name", Shape::Text)])),
            Field::new("response partition limit", Shape::Fixed(4)),
            // A record that may be absent is a byte, and then its fields.
            Field::new(
                "cursor",
                Shape::Optional(&[
                    Field::new("topic name", Shape::Text),
                    Field::new("partition index", Shape::Fixed(4)),
                ]),
            ),
        ],
    };

    async fn answer(
        desk: &mut Desk,
        _: i16,
        request: DescribeTopicPartitionsRequest,
    ) -> Result<DescribeTopicPartitionsResponse, Fault> {
        let caller = desk.caller()?;
        let mut asked: Vec<(Text, Option<Arc<Stream>>)> = match request.topics.is_empty() {
            true => {
                let all = topics::all(caller).into_iter();
                all.map(|s| (s.key.name.clone(), Some(s))).collect()
            }
            false => {
                let names = request.topics.into_iter().map(|topic| ours(topic.name.0));
                names
                    .map(|name| (name.clone(), topics::find(caller, &name)))
                    .collect()
            }
        };
        asked.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let from = request
            .cursor
            .map(|c| (ours(c.topic_name.0), c.partition_index));
        let mut left = usize::try_from(request.response_partition_limit)
            .unwrap_or(0)
            .clamp(1, PAGE_MAX);
        let mut response = DescribeTopicPartitionsResponse::default().with_next_cursor(None);
        for (name, stream) in asked {
            let first = match &from {
                Some((topic, _)) if name < *topic => continue,
                Some((topic, partition)) if name == *topic => {
                    usize::try_from(*partition).unwrap_or(0)
                }
                Some(_) | None => 0,
            };
            if left == 0 {
                response.next_cursor = Some(cursor(&name, 0));
                break;
            }
            let Some(stream) = stream else {
                response.topics.push(
                    DescribeTopicPartitionsResponseTopic::default()
                        .with_name(Some(theirs(&name).into()))
                        .with_error_code(errors::UNKNOWN_TOPIC_OR_PARTITION),
                );
                continue;
            };
            let last = stream.lanes.len().min(first.saturating_add(left));
            left -= last.saturating_sub(first);
            response.topics.push(shown(&name, first..last));
            if last < stream.lanes.len() {
                response.next_cursor = Some(cursor(&name, last));
                break;
            }
        }
        Ok(response)
    }
}

fn cursor(topic: &Text, partition: usize) -> Cursor {
    Cursor::default()
        .with_topic_name(theirs(topic).into())
        .with_partition_index(index(partition))
}

fn shown(name: &Text, partitions: std::ops::Range<usize>) -> DescribeTopicPartitionsResponseTopic {
    let partitions = partitions.map(|partition| {
        DescribeTopicPartitionsResponsePartition::default()
            .with_partition_index(index(partition))
            .with_leader_id(NODE.into())
            .with_leader_epoch(LEADER_EPOCH)
            .with_replica_nodes(vec![NODE.into()])
            .with_isr_nodes(vec![NODE.into()])
            .with_eligible_leader_replicas(Some(Vec::new()))
            .with_last_known_elr(Some(Vec::new()))
    });
    DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(theirs(name).into()))
        .with_partitions(partitions.collect())
}

fn index(partition: usize) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}
