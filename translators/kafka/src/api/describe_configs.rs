//! DescribeConfigs: the settings of topics, and the few facts about this broker.

use std::ops::RangeInclusive;

use fairlead_canon::shape::{Field, Layout, Shape};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

use super::Handler;
use super::metadata::NODE;
use crate::config::{Config, DEFAULT, SET_ON_TOPIC, SETTINGS, Setting};
use crate::desk::Desk;
use crate::errors;
use crate::fault::Fault;
use crate::text::{ours, said};
use crate::topics;

#[derive(Debug)]
pub(super) struct DescribeConfigs;

/// Settings of a topic.
pub(super) const TOPIC: i8 = 2;
const BROKER: i8 = 4;

const BOOLEAN: i8 = 1;
const INT: i8 = 3;

impl Handler for DescribeConfigs {
    type Request = DescribeConfigsRequest;
    const VERSIONS: RangeInclusive<i16> = 1..=4;
    const LAYOUT: Layout = Layout {
        compact_since: 4,
        fields: &[
            Field::new(
                "resources",
                Shape::Records(&[
                    Field::new("resource type", Shape::Fixed(1)),
                    Field::new("resource name", Shape::Text),
                    Field::new("configuration keys", Shape::Texts),
                ]),
            ),
            Field::new("include synonyms", Shape::Fixed(1)),
            Field::new("include documentation", Shape::Fixed(1)).since(3),
        ],
    };

    async fn answer(
        desk: &mut Desk,
        _: i16,
        request: DescribeConfigsRequest,
    ) -> Result<DescribeConfigsResponse, Fault> {
        let mut results = Vec::with_capacity(request.resources.len());
        for resource in request.resources {
            let mut result = DescribeConfigsResult::default()
                .with_error_message(None)
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name.clone());
            match describe(desk, &resource)? {
                Some(configs) => {
                    let keys = resource.configuration_keys.as_ref();
                    result.configs = configs;
                    result
                        .configs
                        .retain(|config| keys.is_none_or(|keys| keys.contains(&config.name)));
                    if !request.include_synonyms {
                        result.configs.iter_mut().for_each(|c| c.synonyms.clear());
                    }
                }
                None if resource.resource_type == TOPIC => {
                    result.error_code = errors::UNKNOWN_TOPIC_OR_PARTITION;
                }
                None => result.error_code = errors::INVALID_REQUEST,
            }
            results.push(result);
        }
        Ok(DescribeConfigsResponse::default().with_results(results))
    }
}

fn describe(
    desk: &mut Desk,
    resource: &DescribeConfigsResource,
) -> Result<Option<Vec<DescribeConfigsResourceResult>>, Fault> {
    let caller = desk.caller()?;
    Ok(match resource.resource_type {
        TOPIC => {
            let stream = topics::find(caller, &ours(resource.resource_name.clone()));
            stream.map(|stream| of_topic(&Config::decode(&stream.document)))
        }
        BROKER if *resource.resource_name == *NODE.to_string() => Some(vec![
            fact(
                "auto.create.topics.enable",
                desk.settings.creates_topics.to_string(),
                BOOLEAN,
            ),
            fact("broker.id", NODE.to_string(), INT),
            fact("num.partitions", desk.settings.partitions.to_string(), INT),
        ]),
        _ => None,
    })
}

fn of_topic(config: &Config) -> Vec<DescribeConfigsResourceResult> {
    let shown = SETTINGS.iter().map(|setting| {
        DescribeConfigsResourceResult::default()
            .with_name(said(setting.name))
            .with_value(Some(said(config.value(setting))))
            .with_config_source(config.source(setting))
            .with_config_type(setting.type_code)
            .with_documentation(None)
            .with_synonyms(synonyms(config, setting))
    });
    shown.collect()
}

/// The value in force and those that it hides, strongest first.
fn synonyms(config: &Config, setting: &Setting) -> Vec<DescribeConfigsSynonym> {
    let set = config.get(setting).map(|value| (value, SET_ON_TOPIC));
    let values = set.into_iter().chain([(setting.default, DEFAULT)]);
    let shown = values.map(|(value, source)| {
        DescribeConfigsSynonym::default()
            .with_name(said(setting.name))
            .with_value(Some(said(value)))
            .with_source(source)
    });
    shown.collect()
}

fn fact(name: &'static str, value: String, type_code: i8) -> DescribeConfigsResourceResult {
    DescribeConfigsResourceResult::default()
        .with_name(said(name))
        .with_value(Some(said(value)))
        .with_read_only(true)
        .with_config_source(DEFAULT)
        .with_config_type(type_code)
        .with_documentation(None)
}
