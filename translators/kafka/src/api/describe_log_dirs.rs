//! DescribeLogDirs: how many bytes each partition takes. There is one store and no directory to name.

use std::ops::RangeInclusive;

use fairlead_canon::shape::{Field, Layout, Shape};
use fairlead_kernel::{Caller, Stream};
use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse};

use super::Handler;
use crate::desk::Desk;
use crate::fault::Fault;
use crate::text::{ours, said, theirs};
use crate::topics;

#[derive(Debug)]
pub(super) struct DescribeLogDirs;

/// What the store is called where a path is expected.
const STORE: &str = "/fairlead";

impl Handler for DescribeLogDirs {
    type Request = DescribeLogDirsRequest;
    const VERSIONS: RangeInclusive<i16> = 1..=4;
    const LAYOUT: Layout = Layout {
        compact_since: 2,
        fields: &[Field::new(
            "topics",
            Shape::Records(&[
                Field::new("topic", Shape::Text),
                Field::new("partitions", Shape::Numbers(4)),
            ]),
        )],
    };

    async fn answer(
        desk: &mut Desk,
        _: i16,
        request: DescribeLogDirsRequest,
    ) -> Result<DescribeLogDirsResponse, Fault> {
        let caller = desk.caller()?;
        let mut topics = Vec::new();
        match request.topics {
            None => {
                for stream in topics::all(caller) {
                    topics.push(sizes(caller, &stream, |_| true).await);
                }
            }
            Some(asked) => {
                for topic in asked {
                    if let Some(stream) = topics::find(caller, &ours(topic.topic.0)) {
                        let wants = |index: i32| topic.partitions.contains(&index);
                        topics.push(sizes(caller, &stream, wants).await);
                    }
                }
            }
        }
        let store = DescribeLogDirsResult::default()
            .with_log_dir(said(STORE))
            .with_topics(topics);
        Ok(DescribeLogDirsResponse::default().with_results(vec![store]))
    }
}

async fn sizes(
    caller: &Caller,
    stream: &Stream,
    wants: impl Fn(i32) -> bool,
) -> DescribeLogDirsTopic {
    let mut partitions = Vec::new();
    for (index, lane) in (0..).zip(&stream.lanes) {
        // A topic that is removed meanwhile is not shown.
        if wants(index)
            && let Ok(marks) = caller.marks(*lane).await
        {
            let size = i64::try_from(marks.bytes).unwrap_or(i64::MAX);
            partitions.push(
                DescribeLogDirsPartition::default()
                    .with_partition_index(index)
                    .with_partition_size(size),
            );
        }
    }
    DescribeLogDirsTopic::default()
        .with_name(theirs(&stream.key.name).into())
        .with_partitions(partitions)
}
