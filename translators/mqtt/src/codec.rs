//! The wire form of MQTT 3.1, 3.1.1 and 5, pure and synchronous.
//!
//! One file per packet, each with a struct, `decode` and `encode`. Begin with [`decode`]; the fixed
//! header is in `header.rs`, the table of properties in `property.rs`.

mod ack;
mod auth;
mod connack;
mod connect;
mod disconnect;
mod field;
mod header;
mod property;
mod publish;
mod reason;
mod suback;
mod subscribe;
#[cfg(test)]
mod tests;
mod unsuback;
mod unsubscribe;

use bytes::{Buf, Bytes, BytesMut};
use fairlead_wire::{Reader, WireError};
use thiserror::Error;

pub use ack::Ack;
pub use auth::Auth;
pub use connack::ConnAck;
pub use connect::{Connect, Will};
pub use disconnect::Disconnect;
pub use header::PACKET_BYTES_MAX;
pub use property::{Properties, Property, SubscriptionId, UserProperty};
pub use publish::{Delivery, Publish};
pub use reason::ReasonCode;
pub(crate) use reason::{OF_CONNACK, OF_DISCONNECT, OF_SUBACK};
pub use suback::SubAck;
pub(crate) use suback::codes_size;
pub use subscribe::{RetainHandling, Subscribe, Subscription};
pub use unsuback::UnsubAck;
pub use unsubscribe::Unsubscribe;

use header::{Header, Kind};
use reason::{OF_PUBLISH, OF_RELEASE};

/// A revision of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// MQTT 3.1, protocol level 3: what 3.1.1 forbids it calls unused, and it has no word for a
    /// session that was there or a subscription that is refused.
    V31,
    /// MQTT 3.1.1, protocol level 4.
    V311,
    /// MQTT 5.0, protocol level 5.
    V5,
}

/// Quality of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Qos {
    /// QoS 0.
    AtMostOnce = 0,
    /// QoS 1.
    AtLeastOnce = 1,
    /// QoS 2.
    ExactlyOnce = 2,
}

/// A packet identifier; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketId(std::num::NonZeroU16);

/// One control packet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the specification")]
pub enum Packet {
    Connect(Box<Connect>),
    ConnAck(ConnAck),
    Publish(Publish),
    PubAck(Ack),
    PubRec(Ack),
    PubRel(Ack),
    PubComp(Ack),
    Subscribe(Subscribe),
    SubAck(SubAck),
    Unsubscribe(Unsubscribe),
    UnsubAck(UnsubAck),
    PingReq,
    PingResp,
    Disconnect(Disconnect),
    Auth(Auth),
}

/// Bytes that are not a packet. The connection cannot go on after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// A field does not fit the packet.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// Does not follow the grammar of packets (reason 0x81).
    #[error("malformed packet: {0}")]
    Malformed(&'static str),
    /// Follows the grammar and breaks a rule (reason 0x82).
    #[error("protocol error: {0}")]
    Protocol(&'static str),
    /// A topic name that no message can have (reason 0x90).
    #[error("{0} is not a topic name")]
    TopicName(&'static str),
    /// A protocol level that is not served.
    #[error("protocol level {0} is not served")]
    UnsupportedVersion(u8),
    /// Larger than this side accepts (reason 0x95).
    #[error("a packet of {size} bytes, at most {max} are accepted")]
    TooLarge {
        /// Announced size of the whole packet in bytes.
        size: usize,
        /// The most that is accepted.
        max: usize,
    },
}

/// Whether the packet that begins with this byte is a PUBLISH.
pub(crate) fn begins_publish(first: u8) -> bool {
    first >> 4 == Kind::Publish as u8
}

/// Takes one packet off the front of `src`, or `None` when it has not arrived whole.
///
/// `version` is that of the connection; CONNECT says its own. A packet larger than `size_max` is
/// refused as soon as its fixed header is there. Payloads are slices of `src`'s allocation.
pub fn decode(
    src: &mut BytesMut,
    version: Version,
    size_max: usize,
) -> Result<Option<Packet>, DecodeError> {
    let Some(header) = Header::peek(src, version, size_max)? else {
        return Ok(None);
    };
    if src.len() < header.size() {
        return Ok(None);
    }
    if let Some(ack) = bare_ack(&header, src)? {
        src.advance(header.size());
        return Ok(Some(ack));
    }
    let mut body = src.split_to(header.size()).freeze();
    body.advance(header.prefix);
    packet(&header, version, &body).map(Some)
}

/// An acknowledgement of an identifier and nothing else, as nearly all are: no slice is made of it.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "all others are read by `packet`"
)]
fn bare_ack(header: &Header, src: &[u8]) -> Result<Option<Packet>, DecodeError> {
    let of = match header.kind {
        Kind::PubAck => Packet::PubAck,
        Kind::PubRec => Packet::PubRec,
        Kind::PubRel => Packet::PubRel,
        Kind::PubComp => Packet::PubComp,
        _ => return Ok(None),
    };
    let body = src.get(header.prefix..header.size());
    match body.and_then(|body| <[u8; 2]>::try_from(body).ok()) {
        Some(id) => Ok(Some(of(Ack::new(
            field::packet_id_of(id)?,
            ReasonCode::SUCCESS,
        )))),
        None => Ok(None),
    }
}

fn packet(header: &Header, version: Version, body: &Bytes) -> Result<Packet, DecodeError> {
    let mut reader = Reader::new(body);
    let r = &mut reader;
    let packet = match header.kind {
        Kind::Connect => Packet::Connect(Box::new(Connect::decode(r, header.flags)?)),
        Kind::ConnAck => Packet::ConnAck(ConnAck::decode(r, version)?),
        Kind::Publish => Packet::Publish(Publish::decode(r, header.flags, version)?),
        Kind::PubAck => Packet::PubAck(Ack::decode(r, version, OF_PUBLISH)?),
        Kind::PubRec => Packet::PubRec(Ack::decode(r, version, OF_PUBLISH)?),
        Kind::PubRel => Packet::PubRel(Ack::decode(r, version, OF_RELEASE)?),
        Kind::PubComp => Packet::PubComp(Ack::decode(r, version, OF_RELEASE)?),
        Kind::Subscribe => Packet::Subscribe(Subscribe::decode(r, version)?),
        Kind::SubAck => Packet::SubAck(SubAck::decode(r, version)?),
        Kind::Unsubscribe => Packet::Unsubscribe(Unsubscribe::decode(r, version)?),
        Kind::UnsubAck => Packet::UnsubAck(UnsubAck::decode(r, version)?),
        Kind::PingReq => Packet::PingReq,
        Kind::PingResp => Packet::PingResp,
        Kind::Disconnect => Packet::Disconnect(Disconnect::decode(r, version)?),
        Kind::Auth => Packet::Auth(Auth::decode(r)?),
    };
    reader.finish()?;
    Ok(packet)
}

impl Packet {
    /// Appends the packet to `out`. Refuses a text that its length field cannot say; `out` then
    /// ends in a torn packet.
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), WireError> {
        match self {
            Self::Connect(packet) => packet.encode(out),
            Self::ConnAck(packet) => packet.encode(version, out),
            Self::Publish(packet) => packet.encode(version, out),
            Self::PubAck(packet) => packet.encode(Kind::PubAck, version, out),
            Self::PubRec(packet) => packet.encode(Kind::PubRec, version, out),
            Self::PubRel(packet) => packet.encode(Kind::PubRel, version, out),
            Self::PubComp(packet) => packet.encode(Kind::PubComp, version, out),
            Self::Subscribe(packet) => packet.encode(version, out),
            Self::SubAck(packet) => packet.encode(version, out),
            Self::Unsubscribe(packet) => packet.encode(version, out),
            Self::UnsubAck(packet) => packet.encode(version, out),
            Self::PingReq => header::frame(out, Kind::PingReq, |_| Ok(())),
            Self::PingResp => header::frame(out, Kind::PingResp, |_| Ok(())),
            Self::Disconnect(packet) => packet.encode(version, out),
            Self::Auth(packet) => packet.encode(out),
        }
    }
}

impl Version {
    /// The protocol name of CONNECT.
    fn protocol_name(self) -> &'static [u8] {
        match self {
            Self::V31 => b"MQIsdp",
            Self::V311 | Self::V5 => b"MQTT",
        }
    }

    /// The protocol level of CONNECT.
    pub fn level(self) -> u8 {
        match self {
            Self::V31 => 3,
            Self::V311 => 4,
            Self::V5 => 5,
        }
    }
}

impl Qos {
    /// From its two bits; 3 is malformed.
    pub fn from_bits(bits: u8) -> Result<Self, DecodeError> {
        match bits {
            0 => Ok(Self::AtMostOnce),
            1 => Ok(Self::AtLeastOnce),
            2 => Ok(Self::ExactlyOnce),
            //= MQTT-3.3.1-4: a PUBLISH never has both QoS bits set.
            _ => Err(DecodeError::Malformed("QoS 3")),
        }
    }
}

impl PacketId {
    /// The highest.
    pub const MAX: Self = Self(std::num::NonZeroU16::MAX);

    /// From its number; 0 is none.
    pub fn new(id: u16) -> Option<Self> {
        std::num::NonZeroU16::new(id).map(Self)
    }

    /// Its number.
    pub fn get(self) -> u16 {
        self.0.get()
    }
}
