//! AUTH: one step of a login that takes several.

use bytes::BytesMut;
use fairlead_wire::{Reader, WireError};

use super::header::{Kind, frame};
use super::property::Place;
use super::reason::OF_AUTH;
use super::{DecodeError, Properties, ReasonCode};

/// What either side says next. MQTT 5 only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// Success, continue or re-authenticate.
    pub reason: ReasonCode,
    /// The method and its data.
    pub properties: Properties,
}

impl Auth {
    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if r.is_empty() {
            return Ok(Self {
                reason: ReasonCode::SUCCESS,
                properties: Properties::NONE,
            });
        }
        //= MQTT-3.15.2-1: the reason code is one of three.
        let reason = ReasonCode::read(r, OF_AUTH)?;
        let properties = Properties::decode_rest(r, Place::AUTH)?;
        Ok(Self { reason, properties })
    }

    pub(super) fn encode(&self, out: &mut BytesMut) -> Result<(), WireError> {
        frame(out, Kind::Auth, |w| {
            w.u8(self.reason.0);
            self.properties.encode(w);
            Ok(())
        })
    }
}
