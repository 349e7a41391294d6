//! Field types of the specification's section 1.5 that the wire reader does not know.

use fairlead_canon::Text;
use fairlead_wire::{Reader, WireError};

use super::{DecodeError, PacketId};

/// A UTF-8 string with a two-byte length.
pub(super) fn text(r: &mut Reader<'_>, field: &'static str) -> Result<Text, DecodeError> {
    let at = r.at();
    //= MQTT-1.5.4-1: ill-formed UTF-8 is malformed, and so is
    //= MQTT-1.5.4-2: the null character.
    let text =
        Text::try_from(r.bytes16(field)?).map_err(|_not_utf8| WireError::NotUtf8 { field, at })?;
    if text.as_bytes().contains(&0) {
        return Err(DecodeError::Malformed("U+0000 in a string"));
    }
    Ok(text)
}

/// The topic name of a message: not empty (an alias apart), no wildcard.
pub(super) fn topic(r: &mut Reader<'_>, field: &'static str) -> Result<Text, DecodeError> {
    let topic = text(r, field)?;
    //= MQTT-3.3.2-2: the topic name of a PUBLISH holds no wildcard.
    if topic.as_bytes().iter().any(|b| matches!(b, b'+' | b'#')) {
        return Err(DecodeError::TopicName("text with a wildcard"));
    }
    Ok(topic)
}

/// The most filters in one packet: as many as a session may have. Three bytes announce one, and it
/// takes some fifty.
pub(super) const FILTERS_MAX: usize = 4_096;

/// A packet identifier.
pub(super) fn packet_id(r: &mut Reader<'_>) -> Result<PacketId, DecodeError> {
    packet_id_of(r.array("packet identifier")?)
}

/// A packet identifier that has been read.
pub(super) fn packet_id_of(bytes: [u8; 2]) -> Result<PacketId, DecodeError> {
    //= MQTT-2.2.1-3: packet identifiers are not zero.
    PacketId::new(u16::from_be_bytes(bytes)).ok_or(DecodeError::Protocol("packet identifier 0"))
}

/// A variable byte integer inside a packet.
pub(super) fn varint(r: &mut Reader<'_>, field: &'static str) -> Result<u32, DecodeError> {
    let mut value = 0;
    for place in 0..4 {
        let byte = r.u8(field)?;
        value |= u32::from(byte & 0x7f) << (7 * place);
        //= MQTT-1.5.5-1: in the fewest bytes that hold it.
        if byte == 0 && place > 0 {
            return Err(DecodeError::Malformed(
                "a variable byte integer in too many bytes",
            ));
        }
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(DecodeError::Malformed(
        "variable byte integer above 4 bytes",
    ))
}
