//! AlterConfigs: all settings of topics; those that are not named have their default again.

use std::ops::RangeInclusive;

use fairlead_canon::shape::{Field, Layout, Shape};
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};

use super::Handler;
use super::incremental_alter_configs::{Target, alter};
use crate::config::Config;
use crate::desk::Desk;
use crate::fault::Fault;
use crate::text::said;

#[derive(Debug)]
pub(super) struct AlterConfigs;

impl Handler for AlterConfigs {
    type Request = AlterConfigsRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=2;
    const LAYOUT: Layout = Layout {
        compact_since: 2,
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
        request: AlterConfigsRequest,
    ) -> Result<AlterConfigsResponse, Fault> {
        let mut responses = Vec::with_capacity(request.resources.len());
        for resource in request.resources {
            let target = Target {
                kind: resource.resource_type,
                name: &resource.resource_name,
                is_trial: request.validate_only,
            };
            let wanted = &resource.configs;
            let altered = alter(desk, &target, |_replaced| {
                let mut config = Config::default();
                for set in wanted {
                    config.set(&set.name, set.value.as_deref())?;
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
        Ok(AlterConfigsResponse::default().with_responses(responses))
    }
}
