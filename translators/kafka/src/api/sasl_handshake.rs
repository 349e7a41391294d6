//! SaslHandshake: the client names a login mechanism.

use std::ops::RangeInclusive;

use fairlead_canon::shape::{Field, Layout, Shape};
use kafka_protocol::messages::{SaslHandshakeRequest, SaslHandshakeResponse};

use super::Handler;
use crate::desk::{Access, Desk};
use crate::errors;
use crate::fault::Fault;
use crate::text::said;

#[derive(Debug)]
pub(super) struct SaslHandshake;

impl Handler for SaslHandshake {
    type Request = SaslHandshakeRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=1;
    const LAYOUT: Layout = Layout {
        compact_since: i16::MAX,
        fields: &[Field::new("mechanism", Shape::Text)],
    };
    const IS_GREETING: bool = true;

    async fn answer(
        desk: &mut Desk,
        version: i16,
        request: SaslHandshakeRequest,
    ) -> Result<SaslHandshakeResponse, Fault> {
        let offered = desk.kernel.mechanisms(&desk.info);
        let response = SaslHandshakeResponse::default()
            .with_mechanisms(offered.iter().map(|mechanism| said(*mechanism)).collect());
        if let Access::In(_) = desk.access {
            return Ok(response.with_error_code(errors::ILLEGAL_SASL_STATE));
        }
        Ok(match desk.kernel.greet(&desk.info, &request.mechanism) {
            Ok(login) => {
                // Version 0 goes on with bare tokens outside of any request.
                desk.access = match version {
                    0 => Access::Bare(login),
                    _ => Access::Greeting(login),
                };
                response
            }
            Err(_) => response.with_error_code(errors::UNSUPPORTED_SASL_MECHANISM),
        })
    }
}
