//! DeleteRecords: forgets what lies below an offset.

use std::ops::RangeInclusive;

use fairlead_canon::shape::{Field, Layout, Shape};
use fairlead_canon::{EntityId, Offset};
use fairlead_kernel::{Caller, Error, Stream};
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

use super::Handler;
use crate::desk::Desk;
use crate::errors::{self, Code};
use crate::fault::Fault;
use crate::text::ours;
use crate::topics;

#[derive(Debug)]
pub(super) struct DeleteRecords;

/// Everything that there is.
const ALL: i64 = -1;

impl Handler for DeleteRecords {
    type Request = DeleteRecordsRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=2;
    const LAYOUT: Layout = Layout {
        compact_since: 2,
        fields: &[
            Field::new(
                "topics",
                Shape::Records(&[
                    Field::new("name", Shape::Text),
                    Field::new(
                        "partitions",
                        Shape::Records(&[
                            Field::new("partition index", Shape::Fixed(4)),
                            Field::new("offset", Shape::Fixed(8)),
                        ]),
                    ),
                ]),
            ),
            Field::new("timeout ms", Shape::Fixed(4)),
        ],
    };

    async fn answer(
        desk: &mut Desk,
        _: i16,
        request: DeleteRecordsRequest,
    ) -> Result<DeleteRecordsResponse, Fault> {
        let caller = desk.caller()?;
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            let stream = topics::find(caller, &ours(topic.name.0.clone()));
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for asked in topic.partitions {
                let entity = stream
                    .as_ref()
                    .and_then(|s| Some((s, topics::lane(s, asked.partition_index)?)));
                let deleted = match entity {
                    None => Err(errors::UNKNOWN_TOPIC_OR_PARTITION),
                    Some((stream, entity)) => delete(caller, stream, entity, asked.offset).await,
                };
                let result = DeleteRecordsPartitionResult::default()
                    .with_partition_index(asked.partition_index);
                partitions.push(match deleted {
                    Ok(start) => result.with_low_watermark(start),
                    Err(code) => result.with_error_code(code).with_low_watermark(-1),
                });
            }
            topics.push(
                DeleteRecordsTopicResult::default()
                    .with_name(topic.name)
                    .with_partitions(partitions),
            );
        }
        Ok(DeleteRecordsResponse::default().with_topics(topics))
    }
}

/// Forgets what lies below `offset`; where the partition begins from then on.
async fn delete(
    caller: &Caller,
    stream: &Stream,
    entity: EntityId,
    offset: i64,
) -> Result<i64, Code> {
    let policy = crate::config::Config::decode(&stream.document);
    if policy.retention() == Default::default() && policy.compaction().is_some() {
        // A topic that is only compacted keeps the newest of each key, whoever asks.
        return Err(errors::POLICY_VIOLATION);
    }
    let failed = |error: Error| {
        caller.meters().failed(&error);
        errors::of_topic(error.reason)
    };
    let marks = caller.marks(entity).await.map_err(failed)?;
    let to = match u64::try_from(offset) {
        Ok(to) if to <= marks.end.0 => Offset(to),
        Err(_negative) if offset == ALL => marks.end,
        Ok(_) | Err(_) => return Err(errors::OFFSET_OUT_OF_RANGE),
    };
    if to > marks.start {
        caller.trim(&stream.key, entity, to).await.map_err(failed)?;
    }
    Ok(i64::try_from(to.max(marks.start).0).unwrap_or(i64::MAX))
}
