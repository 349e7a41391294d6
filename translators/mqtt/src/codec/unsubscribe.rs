//! UNSUBSCRIBE: filters that are no longer wanted.

use bytes::BytesMut;
use fairlead_canon::Text;
use fairlead_wire::{Reader, WireError};

use super::field::{FILTERS_MAX, packet_id, text};
use super::header::{Kind, frame};
use super::property::Place;
use super::{DecodeError, PacketId, Properties, Version};

/// The end of subscriptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe {
    /// Answered by UNSUBACK.
    pub packet_id: PacketId,
    /// Empty in 3.1.1.
    pub properties: Properties,
    /// At least one; compared byte by byte with those of SUBSCRIBE.
    pub filters: Vec<Text>,
}

impl Unsubscribe {
    pub(super) fn decode(r: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let packet_id = packet_id(r)?;
        let properties = match version {
            Version::V31 | Version::V311 => Properties::NONE,
            Version::V5 => Properties::decode(r, Place::UNSUBSCRIBE)?,
        };
        let mut filters = Vec::new();
        while !r.is_empty() {
            if filters.len() == FILTERS_MAX {
                return Err(DecodeError::Protocol("too many filters in one packet"));
            }
            filters.push(text(r, "topic filter")?);
        }
        //= MQTT-3.10.3-2: at least one filter.
        if filters.is_empty() {
            return Err(DecodeError::Protocol("UNSUBSCRIBE without a filter"));
        }
        Ok(Self {
            packet_id,
            properties,
            filters,
        })
    }

    pub(super) fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), WireError> {
        frame(out, Kind::Unsubscribe, |w| {
            w.u16(self.packet_id.get());
            if version == Version::V5 {
                self.properties.encode(w);
            }
            for filter in &self.filters {
                w.bytes16("topic filter", filter.as_bytes())?;
            }
            Ok(())
        })
    }
}
