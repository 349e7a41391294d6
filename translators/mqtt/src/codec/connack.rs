//! CONNACK: the answer to CONNECT.

use bytes::BytesMut;
use fairlead_wire::{Reader, WireError};

use super::header::{Kind, VarInt, frame};
use super::property::Place;
use super::reason::{OF_CONNACK, OF_OLD_CONNACK};
use super::{DecodeError, Properties, ReasonCode, Version};

/// Whether there is a session, and on which terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnAck {
    /// The server goes on with a session that it had kept.
    pub session_present: bool,
    /// Success or why not. In 3.1.1 one of its six return codes.
    pub code: ReasonCode,
    /// Empty in 3.1.1.
    pub properties: Properties,
}

impl ConnAck {
    pub(super) fn decode(r: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let flags = r.u8("acknowledge flags")?;
        //= MQTT-3.2.2-1: bits 7 to 1 are 0.
        if flags > 1 {
            return Err(DecodeError::Malformed("reserved acknowledge flags"));
        }
        //= MQTT-3.2.2-8: the reason codes are those of CONNACK.
        let (code, properties) = match version {
            Version::V31 | Version::V311 => {
                (ReasonCode::read(r, OF_OLD_CONNACK)?, Properties::NONE)
            }
            Version::V5 => (
                ReasonCode::read(r, OF_CONNACK)?,
                Properties::decode(r, Place::CONNACK)?,
            ),
        };
        Ok(Self {
            session_present: flags == 1 && version != Version::V31,
            code,
            properties,
        })
    }

    /// Bytes of the whole packet.
    pub fn size(&self, version: Version) -> usize {
        let properties = match version {
            Version::V31 | Version::V311 => 0,
            Version::V5 => self.properties.size(),
        };
        let remaining = 2 + properties;
        1 + VarInt::new(remaining).as_slice().len() + remaining
    }

    pub(super) fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), WireError> {
        frame(out, Kind::ConnAck, |w| {
            // 3.1 has no word for it.
            w.u8(u8::from(self.session_present && version != Version::V31));
            w.u8(self.code.0);
            if version == Version::V5 {
                self.properties.encode(w);
            }
            Ok(())
        })
    }
}
