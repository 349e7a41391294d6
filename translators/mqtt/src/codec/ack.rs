//! PUBACK, PUBREC, PUBREL and PUBCOMP: four packets of one shape.

use bytes::{BufMut, BytesMut};
use fairlead_wire::{Reader, WireError};

use super::field::packet_id;
use super::header::{Kind, frame};
use super::property::Place;
use super::{DecodeError, PacketId, Properties, ReasonCode, Version};

/// The answer to a packet identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The identifier that is answered.
    pub packet_id: PacketId,
    /// How it went; always success in 3.1.1.
    pub reason: ReasonCode,
    /// Empty in 3.1.1.
    pub properties: Properties,
}

impl Ack {
    /// An answer without properties.
    pub fn new(packet_id: PacketId, reason: ReasonCode) -> Self {
        Self {
            packet_id,
            reason,
            properties: Properties::NONE,
        }
    }

    pub(super) fn decode(
        r: &mut Reader<'_>,
        version: Version,
        reasons: &[ReasonCode],
    ) -> Result<Self, DecodeError> {
        let mut ack = Self::new(packet_id(r)?, ReasonCode::SUCCESS);
        if version == Version::V5 && !r.is_empty() {
            ack.reason = ReasonCode::read(r, reasons)?;
            ack.properties = Properties::decode_rest(r, Place::ACK)?;
        }
        Ok(ack)
    }

    pub(super) fn encode(
        &self,
        kind: Kind,
        version: Version,
        out: &mut BytesMut,
    ) -> Result<(), WireError> {
        let has_more = !self.properties.is_empty();
        if version != Version::V5 || (!has_more && self.reason == ReasonCode::SUCCESS) {
            // Nearly all of them, and as many as messages: written at once.
            let [high, low] = self.packet_id.get().to_be_bytes();
            out.put_slice(&[kind.first_byte(kind.flags()), 2, high, low]);
            return Ok(());
        }
        frame(out, kind, |w| {
            w.u16(self.packet_id.get());
            w.u8(self.reason.0);
            if has_more {
                self.properties.encode(w);
            }
            Ok(())
        })
    }
}
