//! DISCONNECT: the last packet of either side.

use bytes::BytesMut;
use fairlead_wire::{Reader, WireError};

use super::header::{Kind, frame};
use super::property::Place;
use super::reason::OF_DISCONNECT;
use super::{DecodeError, Properties, ReasonCode, Version};

/// The end of a connection, with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnect {
    /// Why; always success in 3.1.1.
    pub reason: ReasonCode,
    /// Empty in 3.1.1.
    pub properties: Properties,
}

impl Disconnect {
    /// Without properties.
    pub fn new(reason: ReasonCode) -> Self {
        Self {
            reason,
            properties: Properties::NONE,
        }
    }

    pub(super) fn decode(r: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let mut disconnect = Self::new(ReasonCode::SUCCESS);
        if version == Version::V5 && !r.is_empty() {
            disconnect.reason = ReasonCode::read(r, OF_DISCONNECT)?;
            disconnect.properties = Properties::decode_rest(r, Place::DISCONNECT)?;
        }
        Ok(disconnect)
    }

    pub(super) fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), WireError> {
        frame(out, Kind::Disconnect, |w| {
            let has_more = !self.properties.is_empty();
            if version == Version::V5 && (has_more || self.reason != ReasonCode::SUCCESS) {
                w.u8(self.reason.0);
                if has_more {
                    self.properties.encode(w);
                }
            }
            Ok(())
        })
    }
}
