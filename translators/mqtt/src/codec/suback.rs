//! SUBACK: one code per filter.

use bytes::BytesMut;
use fairlead_wire::{Reader, WireError};

use super::field::packet_id;
use super::header::{Kind, frame};
use super::property::Place;
use super::{DecodeError, PacketId, Properties, ReasonCode, Version};

/// The answer to SUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubAck {
    /// The identifier that is answered.
    pub packet_id: PacketId,
    /// Empty in 3.1.1.
    pub properties: Properties,
    /// Granted QoS or failure, in the order of the filters.
    pub codes: Vec<ReasonCode>,
}

impl SubAck {
    pub(super) fn decode(r: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        Ok(Self {
            packet_id: packet_id(r)?,
            properties: match version {
                Version::V31 | Version::V311 => Properties::NONE,
                Version::V5 => Properties::decode(r, Place::ACK)?,
            },
            codes: r.rest().iter().copied().map(ReasonCode).collect(),
        })
    }

    pub(super) fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), WireError> {
        frame(out, Kind::SubAck, |w| {
            w.u16(self.packet_id.get());
            if version == Version::V5 {
                self.properties.encode(w);
            }
            for code in &self.codes {
                w.u8(code.0);
            }
            Ok(())
        })
    }
}
