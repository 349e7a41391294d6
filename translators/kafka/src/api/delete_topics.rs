//! DeleteTopics.

use std::ops::RangeInclusive;

use fairlead_canon::shape::{Field, Layout, Shape};
use fairlead_kernel::Change;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};

use super::Handler;
use crate::desk::Desk;
use crate::errors;
use crate::fault::Fault;
use crate::text::ours;
use crate::topics;

#[derive(Debug)]
pub(super) struct DeleteTopics;

impl Handler for DeleteTopics {
    type Request = DeleteTopicsRequest;
    const VERSIONS: RangeInclusive<i16> = 1..=6;
    const LAYOUT: Layout = Layout {
        compact_since: 4,
        fields: &[
            Field::new(
                "topics",
                Shape::Records(&[
                    Field::new("name", Shape::Text),
                    Field::new("topic id", Shape::Fixed(16)),
                ]),
            )
            .since(6),
            Field::new("topic names", Shape::Texts).until(5),
            Field::new("timeout ms", Shape::Fixed(4)),
        ],
    };

    async fn answer(
        desk: &mut Desk,
        _: i16,
        request: DeleteTopicsRequest,
    ) -> Result<DeleteTopicsResponse, Fault> {
        let mut results = Vec::new();
        for name in request.topic_names {
            results.push(delete(desk, name).await?);
        }
        for topic in request.topics {
            results.push(match topic.name {
                Some(name) => delete(desk, name).await?,
                None => DeletableTopicResult::default()
                    .with_name(None)
                    .with_topic_id(topic.topic_id)
                    .with_error_code(errors::UNKNOWN_TOPIC_ID),
            });
        }
        Ok(DeleteTopicsResponse::default().with_responses(results))
    }
}

async fn delete(desk: &mut Desk, name: TopicName) -> Result<DeletableTopicResult, Fault> {
    let caller = desk.caller()?;
    let key = topics::key(&ours(name.0.clone()));
    let code = match caller.declare(vec![Change::RemoveStream(key)]).await {
        Ok(_) => errors::NONE,
        Err(error) => {
            caller.meters().failed(&error);
            errors::of_topic(error.reason)
        }
    };
    Ok(DeletableTopicResult::default()
        .with_name(Some(name))
        .with_error_code(code))
}
