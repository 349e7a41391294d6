//! ApiVersions: which requests and versions there are.

use std::ops::RangeInclusive;

use fairlead_canon::shape::{Field, Layout, Shape};
use fairlead_kernel::BoxFuture;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiKey, ApiVersionsResponse};

use super::{APIS, Api, Call, encode};
use crate::answer::{Answer, Reply};
use crate::desk::Desk;
use crate::errors::{self, Code};
use crate::fault::Fault;
use crate::guard;

#[derive(Debug)]
pub(super) struct ApiVersions;

const LAYOUT: Layout = Layout {
    compact_since: 3,
    fields: &[
        Field::new("client software name", Shape::Text).since(3),
        Field::new("client software version", Shape::Text).since(3),
    ],
};

impl Api for ApiVersions {
    fn key(&self) -> ApiKey {
        ApiKey::ApiVersions
    }

    fn versions(&self) -> RangeInclusive<i16> {
        0..=4
    }

    fn compact_since(&self) -> i16 {
        LAYOUT.compact_since
    }

    fn is_greeting(&self) -> bool {
        true
    }

    fn unsupported(&self, correlation: i32) -> Result<Option<Answer>, Fault> {
        encode(&response(errors::UNSUPPORTED_VERSION), 0, correlation).map(Some)
    }

    fn serve<'a>(&'a self, _: &'a mut Desk, call: Call) -> BoxFuture<'a, Result<Reply, Fault>> {
        // What the client calls its software is checked and not needed.
        let answer = guard::check(&LAYOUT, call.version, &call.body)
            .map_err(Fault::from)
            .and_then(|()| encode(&response(errors::NONE), call.version, call.correlation));
        Box::pin(std::future::ready(answer.map(Reply::Answer)))
    }
}

fn response(error: Code) -> ApiVersionsResponse {
    let keys = APIS.iter().map(|api| {
        let versions = api.versions();
        ApiVersion::default()
            .with_api_key(api.key() as i16)
            .with_min_version(*versions.start())
            .with_max_version(*versions.end())
    });
    ApiVersionsResponse::default()
        .with_error_code(error)
        .with_api_keys(keys.collect())
}
