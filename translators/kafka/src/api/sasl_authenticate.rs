//! SaslAuthenticate: one step of a login conversation.

use std::ops::RangeInclusive;

use bytes::Bytes;
use fairlead_canon::shape::{Field, Layout, Shape};
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslAuthenticateResponse};

use super::Handler;
use crate::desk::{Access, Desk};
use crate::errors::{self, Code};
use crate::fault::Fault;
use crate::text::said;

#[derive(Debug)]
pub(super) struct SaslAuthenticate;

impl Handler for SaslAuthenticate {
    type Request = SaslAuthenticateRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=2;
    const LAYOUT: Layout = Layout {
        compact_since: 2,
        fields: &[Field::new("auth bytes", Shape::Blob)],
    };
    const IS_GREETING: bool = true;

    async fn answer(
        desk: &mut Desk,
        _: i16,
        request: SaslAuthenticateRequest,
    ) -> Result<SaslAuthenticateResponse, Fault> {
        let Access::Greeting(login) = &mut desk.access else {
            return Ok(refused(
                errors::ILLEGAL_SASL_STATE,
                "no mechanism has been named",
            ));
        };
        let step = login.step(&request.auth_bytes).await;
        Ok(match desk.conclude(step)? {
            Some(bytes) => said_back(bytes),
            // The next mechanism may be named.
            None => refused(errors::SASL_AUTHENTICATION_FAILED, "authentication failed"),
        })
    }
}

fn said_back(bytes: Bytes) -> SaslAuthenticateResponse {
    SaslAuthenticateResponse::default()
        .with_error_message(None)
        .with_auth_bytes(bytes)
}

fn refused(code: Code, why: &'static str) -> SaslAuthenticateResponse {
    SaslAuthenticateResponse::default()
        .with_error_code(code)
        .with_error_message(Some(said(why)))
}
