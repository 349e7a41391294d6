//! SUBSCRIBE: filters with their options.

use bytes::BytesMut;
use fairlead_canon::Text;
use fairlead_wire::{Reader, WireError};

use super::field::{FILTERS_MAX, packet_id, text};
use super::header::{Kind, frame};
use super::property::Place;
use super::{DecodeError, PacketId, Properties, Qos, Version};

/// A request for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// Answered by SUBACK.
    pub packet_id: PacketId,
    /// Empty in 3.1.1.
    pub properties: Properties,
    /// At least one.
    pub subscriptions: Vec<Subscription>,
}

/// One filter and its options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// What is wanted.
    pub filter: Text,
    /// With at most this QoS.
    pub qos: Qos,
    /// Not what this connection publishes itself.
    pub no_local: bool,
    /// Keep the retain flag as it was published.
    pub retain_as_published: bool,
    /// Whether retained messages are sent.
    pub retain_handling: RetainHandling,
}

/// When a subscription is answered with retained messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetainHandling {
    /// Each time it is made.
    Always = 0,
    /// When it did not exist before.
    IfNew = 1,
    /// Not at all.
    Never = 2,
}

const NO_LOCAL: u8 = 1 << 2;
const RETAIN_AS_PUBLISHED: u8 = 1 << 3;

impl Subscribe {
    pub(super) fn decode(r: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let packet_id = packet_id(r)?;
        let properties = match version {
            Version::V31 | Version::V311 => Properties::NONE,
            Version::V5 => Properties::decode(r, Place::SUBSCRIBE)?,
        };
        let mut subscriptions = Vec::new();
        while !r.is_empty() {
            if subscriptions.len() == FILTERS_MAX {
                return Err(DecodeError::Protocol("too many filters in one packet"));
            }
            subscriptions.push(Subscription::decode(r, version)?);
        }
        //= MQTT-3.8.3-2: at least one filter.
        if subscriptions.is_empty() {
            return Err(DecodeError::Protocol("SUBSCRIBE without a filter"));
        }
        Ok(Self {
            packet_id,
            properties,
            subscriptions,
        })
    }

    pub(super) fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), WireError> {
        frame(out, Kind::Subscribe, |w| {
            w.u16(self.packet_id.get());
            if version == Version::V5 {
                self.properties.encode(w);
            }
            for subscription in &self.subscriptions {
                w.bytes16("topic filter", subscription.filter.as_bytes())?;
                w.u8(subscription.options());
            }
            Ok(())
        })
    }
}

impl Subscription {
    /// A filter without options.
    pub fn new(filter: impl Into<Text>, qos: Qos) -> Self {
        Self {
            filter: filter.into(),
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Always,
        }
    }

    fn decode(r: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        let filter = text(r, "topic filter")?;
        let mut options = r.u8("subscription options")?;
        //= MQTT-3.8.3-5: reserved option bits are 0.
        let reserved = match version {
            // 3.1 calls them unused.
            Version::V31 => {
                options &= 3;
                0
            }
            Version::V311 => 0b1111_1100,
            Version::V5 => 0b1100_0000,
        };
        if options & reserved != 0 {
            return Err(DecodeError::Malformed("reserved subscription options"));
        }
        Ok(Self {
            filter,
            qos: Qos::from_bits(options & 3)?,
            no_local: options & NO_LOCAL != 0,
            retain_as_published: options & RETAIN_AS_PUBLISHED != 0,
            retain_handling: match options >> 4 {
                0 => RetainHandling::Always,
                1 => RetainHandling::IfNew,
                2 => RetainHandling::Never,
                _ => return Err(DecodeError::Protocol("retain handling 3")),
            },
        })
    }

    fn options(&self) -> u8 {
        let bit = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        (self.qos as u8)
            | bit(self.no_local, NO_LOCAL)
            | bit(self.retain_as_published, RETAIN_AS_PUBLISHED)
            | ((self.retain_handling as u8) << 4)
    }
}
