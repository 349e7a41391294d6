//! Frames: what holds methods, headers and bodies on the wire.
//!
//! ```text
//! type:u8  channel:u16  size:u32  payload:size bytes  0xce
//!   1 method   2 content header   3 content body   8 heartbeat
//! ```

use bytes::{Bytes, BytesMut};
use fairlead_wire::{WireError, Writer};

use super::{ContentHeader, DecodeError, Method};

/// The first eight bytes of a client, and the answer to one that speaks something else.
pub const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\0\0\x09\x01";

/// The smallest `frame_max` that may be agreed, in bytes.
pub const FRAME_MIN_SIZE: usize = 4096;

/// Bytes of a frame beside its payload: seven in front, one behind.
pub const FRAME_OVERHEAD: usize = HEAD_BYTES + 1;

const HEAD_BYTES: usize = 7;
const FRAME_END: u8 = 0xce;
const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;

/// One frame.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The channel; 0 is the connection itself.
    pub channel: u16,
    /// What it holds.
    pub payload: Payload,
}

/// What a frame holds.
#[derive(Clone, Debug)]
pub enum Payload {
    /// A method.
    Method(Method),
    /// The header of a message.
    Header(Box<ContentHeader>),
    /// A part of a message's body.
    Body(Bytes),
    /// A sign of life.
    Heartbeat,
}

/// Takes the protocol header off `input`; `false` means that more is needed.
pub fn protocol_header(input: &mut BytesMut) -> Result<bool, DecodeError> {
    let said = input.get(..PROTOCOL_HEADER.len().min(input.len()));
    if said.is_none_or(|said| !PROTOCOL_HEADER.starts_with(said)) {
        return Err(DecodeError::ProtocolHeader);
    }
    if input.len() < PROTOCOL_HEADER.len() {
        return Ok(false);
    }
    drop(input.split_to(PROTOCOL_HEADER.len()));
    Ok(true)
}

impl Frame {
    /// Takes one frame off `input`; `None` means that more is needed.
    ///
    /// A frame above `frame_max` bytes is refused when its size is known, before it is waited for.
    /// Payloads are slices of `input`.
    pub fn decode(input: &mut BytesMut, frame_max: usize) -> Result<Option<Self>, DecodeError> {
        let Some(&[kind, c1, c0, s3, s2, s1, s0]) = input.first_chunk::<HEAD_BYTES>() else {
            return Ok(None);
        };
        if !matches!(kind, METHOD | HEADER | BODY | HEARTBEAT) {
            return Err(DecodeError::FrameType(kind));
        }
        let payload = usize::try_from(u32::from_be_bytes([s3, s2, s1, s0])).unwrap_or(usize::MAX);
        let size = payload.saturating_add(FRAME_OVERHEAD);
        if size > frame_max {
            return Err(DecodeError::FrameTooLarge {
                size,
                max: frame_max,
            });
        }
        if input.len() < size {
            return Ok(None);
        }
        let frame = input.split_to(size).freeze();
        match frame.last() {
            Some(&FRAME_END) => {}
            other => return Err(DecodeError::FrameEnd(other.copied().unwrap_or_default())),
        }
        let channel = u16::from_be_bytes([c1, c0]);
        let payload = Payload::decode(kind, channel, &frame.slice(HEAD_BYTES..size - 1))?;
        Ok(Some(Self { channel, payload }))
    }
}

impl Payload {
    fn decode(kind: u8, channel: u16, bytes: &Bytes) -> Result<Self, DecodeError> {
        match kind {
            METHOD => Method::decode(bytes).map(Self::Method),
            HEADER => ContentHeader::decode(bytes).map(|header| Self::Header(Box::new(header))),
            BODY => Ok(Self::Body(bytes.clone())),
            HEARTBEAT if channel == 0 && bytes.is_empty() => Ok(Self::Heartbeat),
            HEARTBEAT => Err(DecodeError::Heartbeat),
            other => Err(DecodeError::FrameType(other)),
        }
    }
}

/// Writes a method frame. Nothing is written when a field cannot be.
pub fn encode_method(out: &mut BytesMut, channel: u16, method: &Method) -> Result<(), WireError> {
    encode_frame(out, METHOD, channel, |writer| method.encode(writer))
}

/// Writes the header and body frames of a message, none above `frame_max` bytes.
///
/// A header that does not fit one frame is refused, and then nothing is written.
pub fn encode_content(
    out: &mut BytesMut,
    channel: u16,
    header: &ContentHeader,
    body: &[u8],
    frame_max: usize,
) -> Result<(), WireError> {
    let start = out.len();
    encode_frame(out, HEADER, channel, |writer| header.encode(writer))?;
    let written = out.len() - start;
    if written > frame_max {
        out.truncate(start);
        return Err(WireError::TooLong {
            field: "content header",
            len: written,
            max: u32::try_from(frame_max).unwrap_or(u32::MAX),
        });
    }
    encode_body(out, channel, body, frame_max)
}

/// Writes the body frames of a message; an empty body has none.
pub fn encode_body(
    out: &mut BytesMut,
    channel: u16,
    body: &[u8],
    frame_max: usize,
) -> Result<(), WireError> {
    let chunk = frame_max.saturating_sub(FRAME_OVERHEAD).max(1);
    out.reserve(body.len() + body.len().div_ceil(chunk) * FRAME_OVERHEAD);
    for part in body.chunks(chunk) {
        encode_frame(out, BODY, channel, |writer| {
            writer.raw(part);
            Ok(())
        })?;
    }
    Ok(())
}

/// Writes a heartbeat frame.
pub fn encode_heartbeat(out: &mut BytesMut) {
    out.extend_from_slice(&[HEARTBEAT, 0, 0, 0, 0, 0, 0, FRAME_END]);
}

fn encode_frame(
    out: &mut BytesMut,
    kind: u8,
    channel: u16,
    payload: impl FnOnce(&mut Writer<'_>) -> Result<(), WireError>,
) -> Result<(), WireError> {
    let start = out.len();
    let mut writer = Writer::new(out);
    writer.u8(kind);
    writer.u16(channel);
    let size = writer.length32();
    let written = payload(&mut writer).and_then(|()| writer.fill32("frame", size));
    match written {
        Ok(()) => writer.u8(FRAME_END),
        Err(_) => out.truncate(start),
    }
    written
}
