//! CreatePartitions: more lanes for a topic.

use std::ops::RangeInclusive;

use fairlead_canon::shape::{Field, Layout, Shape};
use fairlead_kernel::{Change, NewStream};
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use super::Handler;
use crate::desk::Desk;
use crate::errors::{self, Refusal};
use crate::fault::Fault;
use crate::text::{ours, said};
use crate::topics;

#[derive(Debug)]
pub(super) struct CreatePartitions;

impl Handler for CreatePartitions {
    type Request = CreatePartitionsRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=3;
    const LAYOUT: Layout = Layout {
        compact_since: 2,
        fields: &[
            Field::new(
                "topics",
                Shape::Records(&[
                    Field::new("name", Shape::Text),
                    Field::new("count", Shape::Fixed(4)),
                    Field::new(
                        "assignments",
                        Shape::Records(&[Field::new("broker ids", Shape::Numbers(4))]),
                    ),
                ]),
            ),
            Field::new("timeout ms", Shape::Fixed(4)),
            Field::new("validate only", Shape::Fixed(1)),
        ],
    };

    async fn answer(
        desk: &mut Desk,
        _: i16,
        request: CreatePartitionsRequest,
    ) -> Result<CreatePartitionsResponse, Fault> {
        let mut results = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let result = CreatePartitionsTopicResult::default().with_name(topic.name.clone());
            let change = match plan(desk, topic)? {
                Ok(_) if request.validate_only => Ok(()),
                Ok(change) => add(desk, change).await?,
                Err(refusal) => Err(refusal),
            };
            results.push(match change {
                Ok(()) => result.with_error_message(None),
                Err(refusal) => result
                    .with_error_code(refusal.code)
                    .with_error_message(Some(said(refusal.why))),
            });
        }
        Ok(CreatePartitionsResponse::default().with_results(results))
    }
}

fn plan(desk: &mut Desk, topic: &CreatePartitionsTopic) -> Result<Result<Change, Refusal>, Fault> {
    let refuse = |code, why: &str| Ok(Err(Refusal::new(code, why)));
    let Some(stream) = topics::find(desk.caller()?, &ours(topic.name.0.clone())) else {
        return refuse(errors::UNKNOWN_TOPIC_OR_PARTITION, "there is no such topic");
    };
    let lanes = u32::try_from(topic.count).ok();
    match lanes {
        Some(lanes) if lanes as usize > stream.lanes.len() && lanes <= NewStream::LANES_MAX => {
            Ok(Ok(Change::AddLanes {
                key: stream.key.clone(),
                lanes,
            }))
        }
        _ => refuse(
            errors::INVALID_PARTITIONS,
            "partitions can only be added, within bounds",
        ),
    }
}

async fn add(desk: &mut Desk, change: Change) -> Result<Result<(), Refusal>, Fault> {
    let added = desk.caller()?.declare(vec![change]).await;
    Ok(added.map(drop).map_err(|error| Refusal::of(&error)))
}
