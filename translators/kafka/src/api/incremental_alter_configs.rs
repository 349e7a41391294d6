//! IncrementalAlterConfigs: some settings of topics, the others stay.

use std::ops::RangeInclusive;

use fairlead_canon::shape::{Field, Layout, Shape};
use fairlead_kernel::{Change, Configure};
use kafka_protocol::messages::incremental_alter_configs_request::AlterableConfig;
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use super::Handler;
use super::describe_configs::TOPIC;
use crate::config::{Config, Edit};
use crate::desk::Desk;
use crate::errors::{self, Refusal};
use crate::fault::Fault;
use crate::text::{ours, said};
use crate::topics;

#[derive(Debug)]
pub(super) struct IncrementalAlterConfigs;

const SET: i8 = 0;
const RESET: i8 = 1;
const ADD: i8 = 2;
const TAKE: i8 = 3;

impl Handler for IncrementalAlterConfigs {
    type Request = IncrementalAlterConfigsRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=1;
    const LAYOUT: Layout = Layout {
        compact_since: 1,
        fields: &[
            Field::new(
                "resources",
                Shape::Records(&[
                    Field::new("resource type", Shape::Fixed(1)),
                    Field::new("resource name", Shape::Text),
                    Field::new(
                        "configs",
                        Shape::Records(&[
                            Field::new("name", Shape::Text),
                            Field::new("config operation", Shape::Fixed(1)),
                            Field::new("value", Shape::Text),
                        ]),
                    ),
                ]),
            ),
            Field::new("validate only", Shape::Fixed(1)),
        ],
    };

    async fn answer(
        desk: &mut Desk,
        _: i16,
        request: IncrementalAlterConfigsRequest,
    ) -> Result<IncrementalAlterConfigsResponse, Fault> {
        let mut responses = Vec::with_capacity(request.resources.len());
        for resource in request.resources {
            let target = Target {
                kind: resource.resource_type,
                name: &resource.resource_name,
                is_trial: request.validate_only,
            };
            let edits = &resource.configs;
            let altered = alter(desk, &target, |mut config| {
                for edit in edits {
                    config.edit(&edit.name, read(edit)?)?;
                }
                Ok(config)
            });
            let response = AlterConfigsResourceResponse::default()
                .with_resource_type(resource.resource_type)
                .with_error_message(None);
            let response = match altered.await? {
                Ok(()) => response,
                Err(refusal) => response
                    .with_error_code(refusal.code)
                    .with_error_message(Some(said(refusal.why))),
            };
            responses.push(response.with_resource_name(resource.resource_name));
        }
        Ok(IncrementalAlterConfigsResponse::default().with_responses(responses))
    }
}

fn read(edit: &AlterableConfig) -> Result<Edit<'_>, Refusal> {
    let value = || {
        let missing = || Refusal::new(errors::INVALID_CONFIG, "a value is missing");
        edit.value.as_deref().ok_or_else(missing)
    };
    Ok(match edit.config_operation {
        SET => Edit::Set(value()?),
        RESET => Edit::Reset,
        ADD => Edit::Add(value()?),
        TAKE => Edit::Take(value()?),
        _ => return Err(Refusal::new(errors::INVALID_REQUEST, "unknown operation")),
    })
}

/// Whose settings are to change.
pub(super) struct Target<'a> {
    pub(super) kind: i8,
    pub(super) name: &'a kafka_protocol::protocol::StrBytes,
    /// Only asked whether it could be done.
    pub(super) is_trial: bool,
}

/// Changes the settings of a topic, all or none.
pub(super) async fn alter(
    desk: &mut Desk,
    target: &Target<'_>,
    change: impl FnOnce(Config) -> Result<Config, Refusal>,
) -> Result<Result<(), Refusal>, Fault> {
    let refuse = |code, why: &str| Ok(Err(Refusal::new(code, why)));
    if target.kind != TOPIC {
        let why = "only topics have settings here; the node's stand in its configuration";
        return refuse(errors::INVALID_REQUEST, why);
    }
    let caller = desk.caller()?;
    let Some(stream) = topics::find(caller, &ours(target.name.clone())) else {
        return refuse(errors::UNKNOWN_TOPIC_OR_PARTITION, "there is no such topic");
    };
    let config = match change(Config::decode(&stream.document)) {
        Ok(config) => config,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if target.is_trial {
        return Ok(Ok(()));
    }
    let configure = Configure {
        key: stream.key.clone(),
        class: config.class(),
        limits: stream.limits(),
        settings: config.settings(),
    };
    let document = Change::AlterStream {
        key: stream.key.clone(),
        document: config.encode(),
        lifetime: stream.lifetime,
    };
    let altered = caller
        .declare(vec![document, Change::Configure(configure)])
        .await;
    Ok(altered.map(drop).map_err(|error| {
        caller.meters().failed(&error);
        Refusal::of(&error)
    }))
}
