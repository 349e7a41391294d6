//! SUBACK: one code per filter.

use bytes::BytesMut;
use fairlead_wire::{Reader, WireError};

use super::field::packet_id;
use super::header::{Kind, VarInt, frame};
use super::property::Place;
use super::reason::{OF_SUBACK, OF_SUBACK_31, OF_SUBACK_311};
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

/// Bytes of a SUBACK or UNSUBACK of MQTT 5 that has so many codes and says nothing besides.
pub(crate) fn codes_size(codes: usize) -> usize {
    let remaining = 2 + Properties::NONE.size() + codes;
    1 + VarInt::new(remaining).as_slice().len() + remaining
}

impl SubAck {
    pub(super) fn decode(r: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let packet_id = packet_id(r)?;
        let (properties, codes) = match version {
            Version::V31 => (Properties::NONE, OF_SUBACK_31),
            Version::V311 => (Properties::NONE, OF_SUBACK_311),
            Version::V5 => (Properties::decode(r, Place::ACK)?, OF_SUBACK),
        };
        Ok(Self {
            packet_id,
            properties,
            //= MQTT-3.9.3-2: the reason codes are those of SUBACK.
            codes: ReasonCode::read_rest(r, codes)?,
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
