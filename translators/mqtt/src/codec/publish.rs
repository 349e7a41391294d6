//! PUBLISH: one message.

use bytes::{BufMut, Bytes, BytesMut};
use fairlead_canon::Text;
use fairlead_wire::{Reader, WireError, Writer};

use super::field::{packet_id, topic};
use super::header::{Kind, VarInt};
use super::property::Place;
use super::{DecodeError, PacketId, Properties, Qos, Version};

/// One message on its way, in either direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Sent before.
    pub dup: bool,
    /// QoS, and the identifier that goes with it.
    pub delivery: Delivery,
    /// To be kept as the topic's latest message, or being one.
    pub retain: bool,
    /// Where it goes. Empty when a topic alias says it.
    pub topic: Text,
    /// Empty in 3.1.1.
    pub properties: Properties,
    /// What it says.
    pub payload: Bytes,
}

/// The promise of one PUBLISH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// QoS 0.
    AtMostOnce,
    /// QoS 1.
    AtLeastOnce(PacketId),
    /// QoS 2.
    ExactlyOnce(PacketId),
}

impl Delivery {
    /// Its QoS.
    pub fn qos(self) -> Qos {
        match self {
            Self::AtMostOnce => Qos::AtMostOnce,
            Self::AtLeastOnce(_) => Qos::AtLeastOnce,
            Self::ExactlyOnce(_) => Qos::ExactlyOnce,
        }
    }

    /// Its packet identifier.
    pub fn packet_id(self) -> Option<PacketId> {
        match self {
            Self::AtMostOnce => None,
            Self::AtLeastOnce(id) | Self::ExactlyOnce(id) => Some(id),
        }
    }
}

const RETAIN: u8 = 1;
const DUP: u8 = 1 << 3;

impl Publish {
    pub(super) fn decode(
        r: &mut Reader<'_>,
        flags: u8,
        version: Version,
    ) -> Result<Self, DecodeError> {
        let dup = flags & DUP != 0;
        let qos = Qos::from_bits((flags >> 1) & 3)?;
        //= MQTT-3.3.1-2: DUP is 0 on every QoS 0 message.
        if dup && qos == Qos::AtMostOnce && version != Version::V31 {
            return Err(DecodeError::Malformed("DUP on QoS 0"));
        }
        let topic = topic(r, "topic name")?;
        // An empty topic is legal in MQTT 5 with an alias, which only the session can resolve.
        //= MQTT-4.7.3-1: otherwise a topic name has at least one character.
        if topic.is_empty() && version != Version::V5 {
            return Err(DecodeError::TopicName("an empty text"));
        }
        let delivery = match qos {
            Qos::AtMostOnce => Delivery::AtMostOnce,
            Qos::AtLeastOnce => Delivery::AtLeastOnce(packet_id(r)?),
            Qos::ExactlyOnce => Delivery::ExactlyOnce(packet_id(r)?),
        };
        let properties = match version {
            Version::V31 | Version::V311 => Properties::NONE,
            Version::V5 => Properties::decode(r, Place::PUBLISH)?,
        };
        Ok(Self {
            dup,
            delivery,
            retain: flags & RETAIN != 0,
            topic,
            properties,
            payload: r.rest(),
        })
    }

    pub(super) fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), WireError> {
        self.encode_head(version, out)?;
        out.put_slice(&self.payload);
        Ok(())
    }

    /// Appends everything but the payload, which must follow.
    pub fn encode_head(&self, version: Version, out: &mut BytesMut) -> Result<(), WireError> {
        let qos = self.delivery.qos();
        let mut flags = (qos as u8) << 1;
        if self.dup {
            flags |= DUP;
        }
        if self.retain {
            flags |= RETAIN;
        }
        let remaining = self.remaining(version);
        // One growth for a whole small packet; a large payload is not written here.
        out.reserve(remaining - self.payload.len() + 5);
        VarInt::new(remaining).put_behind(Kind::Publish.first_byte(flags), out);
        let mut w = Writer::new(out);
        w.bytes16("topic name", self.topic.as_bytes())?;
        if let Some(packet_id) = self.delivery.packet_id() {
            w.u16(packet_id.get());
        }
        if version == Version::V5 {
            self.properties.encode(&mut w);
        }
        Ok(())
    }

    /// Bytes of the whole packet.
    pub fn size(&self, version: Version) -> usize {
        let remaining = self.remaining(version);
        1 + VarInt::new(remaining).as_slice().len() + remaining
    }

    fn remaining(&self, version: Version) -> usize {
        let packet_id = match self.delivery {
            Delivery::AtMostOnce => 0,
            Delivery::AtLeastOnce(_) | Delivery::ExactlyOnce(_) => 2,
        };
        let properties = match version {
            Version::V31 | Version::V311 => 0,
            Version::V5 => self.properties.size(),
        };
        2 + self.topic.len() + packet_id + properties + self.payload.len()
    }
}
