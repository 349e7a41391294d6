//! UNSUBACK: one code per filter, which 3.1.1 leaves out.

use bytes::BytesMut;
use fairlead_wire::{Reader, WireError};

use super::field::packet_id;
use super::header::{Kind, frame};
use super::property::Place;
use super::reason::OF_UNSUBACK;
use super::{DecodeError, PacketId, Properties, ReasonCode, Version};

/// The answer to UNSUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsubAck {
    /// The identifier that is answered.
    pub packet_id: PacketId,
    /// Empty in 3.1.1.
    pub properties: Properties,
    /// In the order of the filters. Not sent in 3.1.1.
    pub codes: Vec<ReasonCode>,
}

impl UnsubAck {
    pub(super) fn decode(r: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let packet_id = packet_id(r)?;
        let (properties, codes) = match version {
            Version::V31 | Version::V311 => (Properties::NONE, Vec::new()),
            Version::V5 => (
                Properties::decode(r, Place::ACK)?,
                //= MQTT-3.11.3-2: the reason codes are those of UNSUBACK.
                ReasonCode::read_rest(r, OF_UNSUBACK)?,
            ),
        };
        Ok(Self {
            packet_id,
            properties,
            codes,
        })
    }

    pub(super) fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), WireError> {
        frame(out, Kind::UnsubAck, |w| {
            w.u16(self.packet_id.get());
            if version == Version::V5 {
                self.properties.encode(w);
                for code in &self.codes {
                    w.u8(code.0);
                }
            }
            Ok(())
        })
    }
}
