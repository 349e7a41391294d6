//! SaslAuthenticate: one step of a login conversation.

use std::ops::RangeInclusive;

use bytes::Bytes;
use fairlead_canon::shape::{Field, Layout, Shape};
use fairlead_kernel::{Error, Reason, Step};
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
        Ok(match step {
            Step::Continue(challenge) => said_back(challenge),
            Step::Done(who, last_word) => {
                desk.enter(who)?;
                said_back(last_word)
            }
            Step::Refused(why) => {
                // The client is told that it failed, never why; the next mechanism may be named.
                let meters = desk.kernel.meters(crate::NAME);
                if let Ok(meters) = meters {
                    meters.logins_refused.inc();
                    meters.failed(&Error::peer(Reason::NotAuthenticated, why));
                }
                tracing::warn!(peer = %desk.info.peer, why, "login refused");
                desk.access = Access::Unknown;
                refused(errors::SASL_AUTHENTICATION_FAILED, "authentication failed")
            }
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
