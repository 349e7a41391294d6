//! The fixed header: packet type, flags and remaining length.

use bytes::{BufMut, BytesMut};
use fairlead_wire::{WireError, Writer};

use super::{DecodeError, Version};

/// The largest packet that the length field can announce, fixed header included.
pub const PACKET_BYTES_MAX: usize = 5 + REMAINING_MAX;

/// 4 digits of 7 bits.
const REMAINING_MAX: usize = (1 << 28) - 1;

/// The fixed header of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) flags: u8,
    /// Bytes of the fixed header itself.
    pub(super) prefix: usize,
    /// Bytes that follow it.
    pub(super) remaining: usize,
}

/// Packet types; type 0 does not exist, and type 15 only in MQTT 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Connect = 1,
    ConnAck = 2,
    Publish = 3,
    PubAck = 4,
    PubRec = 5,
    PubRel = 6,
    PubComp = 7,
    Subscribe = 8,
    SubAck = 9,
    Unsubscribe = 10,
    UnsubAck = 11,
    PingReq = 12,
    PingResp = 13,
    Disconnect = 14,
    Auth = 15,
}

const KINDS: [Kind; 15] = [
    Kind::Connect,
    Kind::ConnAck,
    Kind::Publish,
    Kind::PubAck,
    Kind::PubRec,
    Kind::PubRel,
    Kind::PubComp,
    Kind::Subscribe,
    Kind::SubAck,
    Kind::Unsubscribe,
    Kind::UnsubAck,
    Kind::PingReq,
    Kind::PingResp,
    Kind::Disconnect,
    Kind::Auth,
];

impl Header {
    /// Reads the header at the front of `src` and leaves it there; `None` when more is needed.
    pub(super) fn peek(
        src: &[u8],
        version: Version,
        size_max: usize,
    ) -> Result<Option<Self>, DecodeError> {
        let Some((&first, rest)) = src.split_first() else {
            return Ok(None);
        };
        let (kind, flags) = Kind::split(first, version)?;
        let Some((remaining, digits)) = remaining_length(rest)? else {
            return Ok(None);
        };
        let header = Self {
            kind,
            flags,
            prefix: 1 + digits,
            remaining,
        };
        if header.size() > size_max {
            return Err(DecodeError::TooLarge {
                size: header.size(),
                max: size_max,
            });
        }
        Ok(Some(header))
    }

    /// Bytes of the whole packet.
    pub(super) fn size(&self) -> usize {
        self.prefix + self.remaining
    }
}

impl Kind {
    fn split(first: u8, version: Version) -> Result<(Self, u8), DecodeError> {
        let (number, flags) = (first >> 4, first & 0x0f);
        let kind = *KINDS
            .get(usize::from(number).wrapping_sub(1))
            .ok_or(DecodeError::Malformed("packet type 0"))?;
        if kind == Self::Auth && version != Version::V5 {
            return Err(DecodeError::Malformed("packet type 15"));
        }
        // PUBLISH has flags of its own, and CONNECT says in which version it is to be read.
        if !matches!(kind, Self::Publish | Self::Connect) {
            kind.check_flags(flags, version)?;
        }
        Ok((kind, flags))
    }

    /// Whether these are the flags of such a packet.
    pub(super) fn check_flags(self, flags: u8, version: Version) -> Result<(), DecodeError> {
        //= MQTT-2.1.3-1: reserved flags have the value that the specification lists.
        //= MQTT-3.15.1-1: those of AUTH are 0.
        // 3.1 says what the flags mean for some types, and that they are unused for others.
        if version != Version::V31 && flags != self.flags() {
            return Err(DecodeError::Malformed("reserved flags of the fixed header"));
        }
        Ok(())
    }

    /// The flags of every packet of this type but PUBLISH.
    pub(super) fn flags(self) -> u8 {
        //= MQTT-3.6.1-1: PUBREL has flags 0010, and so have
        //= MQTT-3.8.1-1: SUBSCRIBE and
        //= MQTT-3.10.1-1: UNSUBSCRIBE.
        if matches!(self, Self::PubRel | Self::Subscribe | Self::Unsubscribe) {
            0b0010
        } else {
            0
        }
    }

    /// The first byte of a packet.
    pub(super) fn first_byte(self, flags: u8) -> u8 {
        ((self as u8) << 4) | flags
    }
}

/// The remaining length and how many bytes say it; `None` when more are needed.
fn remaining_length(src: &[u8]) -> Result<Option<(usize, usize)>, DecodeError> {
    let mut value = 0;
    for (place, byte) in src.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(Some((value, place + 1)));
        }
    }
    if src.len() >= 4 {
        return Err(DecodeError::Malformed("remaining length above 4 bytes"));
    }
    Ok(None)
}

/// A variable byte integer: up to four digits of seven bits, lowest first.
#[derive(Clone, Copy, Debug)]
pub(super) struct VarInt {
    bytes: [u8; 4],
    len: usize,
}

impl VarInt {
    /// The digits of `value`, which must be below 2^28.
    //= MQTT-1.5.5-1: in the fewest bytes that hold it.
    pub(super) fn new(mut value: usize) -> Self {
        let mut bytes = [0; 4];
        let mut len = 0;
        for byte in &mut bytes {
            *byte = value.to_le_bytes().first().copied().unwrap_or_default() & 0x7f;
            value >>= 7;
            len += 1;
            if value == 0 {
                break;
            }
            *byte |= 0x80;
        }
        Self { bytes, len }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Appends a fixed header, whose length it is.
    pub(super) fn put_behind(self, first_byte: u8, out: &mut BytesMut) {
        let [one, two, three, four] = self.bytes;
        let header = [first_byte, one, two, three, four];
        out.put_slice(header.get(..=self.len).unwrap_or_default());
    }
}

/// Appends a packet: its fixed header, and the body that `write` appends.
pub(super) fn frame(
    out: &mut BytesMut,
    kind: Kind,
    write: impl FnOnce(&mut Writer<'_>) -> Result<(), WireError>,
) -> Result<(), WireError> {
    out.put_u8(kind.first_byte(kind.flags()));
    length_first(out, write)
}

/// Appends what `write` appends, with its length as a variable byte integer before it.
///
/// One byte is kept for the length, which nearly always suffices; a longer body moves up.
pub(super) fn length_first(
    out: &mut BytesMut,
    write: impl FnOnce(&mut Writer<'_>) -> Result<(), WireError>,
) -> Result<(), WireError> {
    let mark = out.len();
    out.put_u8(0);
    write(&mut Writer::new(out))?;
    let body = mark + 1..out.len();
    let length = VarInt::new(body.len());
    if length.len > 1 {
        out.put_bytes(0, length.len - 1);
        out.copy_within(body, mark + length.len);
    }
    if let Some(place) = out.get_mut(mark..mark + length.len) {
        place.copy_from_slice(length.as_slice());
    }
    Ok(())
}
