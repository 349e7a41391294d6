//! CreateTopics.

use std::ops::RangeInclusive;

use fairlead_canon::shape::{Field, Layout, Shape};
use fairlead_kernel::{Change, Error, NewStream, Reason};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};

use super::Handler;
use crate::config::{Config, SETTINGS};
use crate::desk::Desk;
use crate::errors::{self, Code, Refusal};
use crate::fault::Fault;
use crate::text::{ours, said};
use crate::topics;

#[derive(Debug)]
pub(super) struct CreateTopics;

impl Handler for CreateTopics {
    type Request = CreateTopicsRequest;
    const VERSIONS: RangeInclusive<i16> = 2..=7;
    const LAYOUT: Layout = Layout {
        compact_since: 5,
        fields: &[
            Field::new(
                "topics",
                Shape::Records(&[
                    Field::new("name", Shape::Text),
                    Field::new("num partitions", Shape::Fixed(4)),
                    Field::new("replication factor", Shape::Fixed(2)),
                    Field::new(
                        "assignments",
                        Shape::Records(&[
                            Field::new("partition index", Shape::Fixed(4)),
                            Field::new("broker ids", Shape::Numbers(4)),
                        ]),
                    ),
                    Field::new(
                        "configs",
                        Shape::Records(&[
                            Field::new("name", Shape::Text),
                            Field::new("value", Shape::Text),
                        ]),
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
        request: CreateTopicsRequest,
    ) -> Result<CreateTopicsResponse, Fault> {
        let mut results = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            results.push(match plan(desk, topic) {
                Ok(new) if request.validate_only => validated(desk, topic, &new)?,
                Ok(new) => made(desk, topic, new).await?,
                Err(refusal) => refused(topic, refusal),
            });
        }
        Ok(CreateTopicsResponse::default().with_topics(results))
    }
}

/// What is to be made, or why not.
fn plan(desk: &mut Desk, topic: &CreatableTopic) -> Result<NewStream, Refusal> {
    let refuse = |code: Code, why: &str| Err(Refusal::new(code, why));
    let known = desk.topics.get(&ours(topic.name.0.clone()));
    let known = known.map_err(|error| Refusal::of(&error))?;
    if !matches!(topic.replication_factor, -1 | 1) {
        return refuse(errors::INVALID_REPLICATION_FACTOR, "there is one broker");
    }
    if !topic.assignments.is_empty() {
        return refuse(
            errors::INVALID_REPLICA_ASSIGNMENT,
            "there is one broker: nothing to assign",
        );
    }
    let lanes = match topic.num_partitions {
        -1 => Some(desk.settings.partitions),
        count => u32::try_from(count).ok(),
    };
    let Some(lanes) = lanes.filter(|lanes| (1..=NewStream::LANES_MAX).contains(lanes)) else {
        return refuse(
            errors::INVALID_PARTITIONS,
            "the number of partitions is out of bounds",
        );
    };
    let mut config = Config::default();
    for set in &topic.configs {
        config.set(&set.name, set.value.as_deref())?;
    }
    Ok(NewStream {
        document: config.encode(),
        settings: config.settings(),
        ..known.creation(lanes, config.class())
    })
}

async fn made(
    desk: &mut Desk,
    topic: &CreatableTopic,
    new: NewStream,
) -> Result<CreatableTopicResult, Fault> {
    let caller = desk.caller()?;
    let change = Change::CreateStream(new.clone());
    Ok(match caller.declare(vec![change]).await {
        Ok(_) => done(topic, &new),
        Err(error) => {
            caller.meters().failed(&error);
            refused(topic, Refusal::of(&error))
        }
    })
}

fn validated(
    desk: &mut Desk,
    topic: &CreatableTopic,
    new: &NewStream,
) -> Result<CreatableTopicResult, Fault> {
    Ok(match topics::find(desk.caller()?, &new.key.name) {
        None => done(topic, new),
        Some(_) => refused(
            topic,
            Refusal::of(&Error::peer(Reason::Exists, "the topic exists")),
        ),
    })
}

fn done(topic: &CreatableTopic, new: &NewStream) -> CreatableTopicResult {
    let config = Config::decode(&new.document);
    let shown = SETTINGS.iter().map(|setting| {
        CreatableTopicConfigs::default()
            .with_name(said(setting.name))
            .with_value(Some(said(config.value(setting))))
            .with_config_source(config.source(setting))
    });
    CreatableTopicResult::default()
        .with_name(topic.name.clone())
        .with_num_partitions(i32::try_from(new.lanes).unwrap_or(i32::MAX))
        .with_replication_factor(1)
        .with_configs(Some(shown.collect()))
}

fn refused(topic: &CreatableTopic, refusal: Refusal) -> CreatableTopicResult {
    CreatableTopicResult::default()
        .with_name(topic.name.clone())
        .with_error_code(refusal.code)
        .with_error_message(Some(said(refusal.why)))
        .with_configs(None)
}
