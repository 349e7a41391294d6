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
/// Where the record of the largest time is.
const MAX_TIME: i64 = -3;
/// The first that is not only in remote storage: everything is here.
const EARLIEST_LOCAL: i64 = -4;
/// The last that is in remote storage: nothing is.
const LATEST_TIERED: i64 = -5;
/// Below are none that we know.
const SPECIAL_MIN: i64 = LATEST_TIERED;

/// Sees nothing beyond the first open transaction.
const READ_COMMITTED: i8 = 1;

impl Handler for ListOffsets {
    type Request = ListOffsetsRequest;
    const VERSIONS: RangeInclusive<i16> = 1..=10;
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
            Field::new("timeout ms", Shape::Fixed(4)).since(10),
        ],
    };

    async fn answer(
        desk: &mut Desk,
        version: i16,
        request: ListOffsetsRequest,
    ) -> Result<ListOffsetsResponse, Fault> {
        let view = match request.isolation_level {
            READ_COMMITTED => View::Committed,
            _ => View::All,
        };
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
                    _ if asked.timestamp < SPECIAL_MIN => Err(errors::UNSUPPORTED_VERSION),
                    (Some(entity), Some(topic)) => {
                        let log = Log {
                            caller,
                            topic,
                            entity,
                        };
                        let found = log.find(asked.timestamp, view).await;
                        found.map_err(|error| errors::of_topic(error.reason))
                    }
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

/// A partition that is looked through.
struct Log<'a> {
    caller: &'a Caller,
    topic: &'a Topic,
    entity: EntityId,
}

const NOWHERE: (i64, i64) = (-1, -1);

impl Log<'_> {
    /// Offset and time of the first record at or after a time, or of a special place; -1 and -1
    /// when there is none.
    async fn find(&self, timestamp: i64, view: View) -> Result<(i64, i64), Error> {
        let marks = self.caller.marks(self.entity).await?;
        let end = match view {
            View::All => marks.end,
            View::Committed => marks.stable,
        };
        let found = match timestamp {
            LATEST => return Ok((signed(end.0), -1)),
            EARLIEST | EARLIEST_LOCAL => return Ok((signed(marks.start.0), -1)),
            LATEST_TIERED => NOWHERE,
            MAX_TIME => match self.last_time().await? {
                Some(time) => self.at(time).await?,
                None => NOWHERE,
            },
            time => self.at(Timestamp(u64::try_from(time).unwrap_or(0))).await?,
        };
        let is_seen = found.0 < signed(end.0);
        Ok(if is_seen { found } else { NOWHERE })
    }

    /// The largest time that a batch has: the last one that something can be found for.
    async fn last_time(&self) -> Result<Option<Timestamp>, Error> {
        let is_found = async |ms| {
            let found = self.caller.find(self.entity, By::Time(Timestamp(ms))).await;
            Ok::<_, Error>(found?.is_some())
        };
        if !is_found(0).await? {
            return Ok(None);
        }
        // Something is found at `low` and nothing at `high`.
        let (mut low, mut high) = (0, u64::MAX);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match is_found(middle).await? {
                true => low = middle,
                false => high = middle,
            }
        }
        Ok(Some(Timestamp(low)))
    }

    /// The first record at or after a time. The store knows times of whole batches; the record is
    /// found in the batch.
    async fn at(&self, time: Timestamp) -> Result<(i64, i64), Error> {
        let Some(from) = self.caller.find(self.entity, By::Time(time)).await? else {
            return Ok(NOWHERE);
        };
        let at = FetchAt {
            entity: self.entity,
            from,
            bytes_max: 1,
        };
        let limits = FetchLimits {
            bytes_min: 0,
            bytes_max: 1,
            wait_max: Duration::ZERO,
            view: View::All,
        };
        for fetched in self.caller.fetch(vec![at], limits).await {
            for stored in fetched.result?.batches {
                for opened in stored.batch.open(&self.topic.place)? {
                    let terms = &opened.message.terms;
                    let accepted_at = signed(terms.accepted_at.0);
                    let shown = terms.event_at.map_or(accepted_at, EventTime::as_millis);
                    if shown >= signed(time.0) {
                        return Ok((signed(stored.base.0 + u64::from(opened.delta)), shown));
                    }
                }
            }
        }
        Ok(NOWHERE)
    }
}

fn signed(offset: u64) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}
