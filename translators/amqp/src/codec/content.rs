//! The header frame of a message: its size and the 14 properties of class basic.

use bytes::{Bytes, BytesMut};
use fairlead_wire::{Reader, WireError, Writer};

use super::field::Field;
use super::{DecodeError, ShortStr, Table};

/// The class whose methods carry content.
const CLASS_BASIC: u16 = 60;

/// The payload of a header frame.
#[derive(Clone, Debug, Default)]
pub struct ContentHeader {
    /// Bytes in the body frames that follow.
    pub body_size: u64,
    /// The properties.
    pub properties: BasicProperties,
}

macro_rules! properties {
    ($($(#[$doc:meta])* $name:ident: $kind:ty = $bit:literal;)*) => {
        /// The properties of a message, in the order of the wire.
        #[derive(Clone, Debug, Default)]
        pub struct BasicProperties { $($(#[$doc])* pub $name: Option<$kind>,)* }

        impl BasicProperties {
            const KNOWN: u16 = $(1 << $bit)|*;

            /// Reads flags and properties that fill `bytes`.
            pub(crate) fn decode(bytes: &Bytes) -> Result<Self, DecodeError> {
                let mut reader = Reader::new(bytes);
                let read = Self::read(&mut reader)?;
                reader.finish()?;
                Ok(read)
            }

            /// Writes flags and properties.
            pub(crate) fn encode(&self, out: &mut BytesMut) -> Result<(), WireError> {
                self.write(&mut Writer::new(out))
            }

            fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                let flags = reader.u16("property flags")?;
                // Bit 0 announces a second word of flags, which class basic does not have.
                if flags & !Self::KNOWN != 0 {
                    return Err(DecodeError::PropertyFlags(flags));
                }
                Ok(Self { $($name: if flags & (1 << $bit) == 0 {
                    None
                } else {
                    Some(<$kind as Field>::read(reader, stringify!($name))?)
                },)* })
            }

            fn write(&self, writer: &mut Writer<'_>) -> Result<(), WireError> {
                let mut flags = 0_u16;
                $(flags |= u16::from(self.$name.is_some()) << $bit;)*
                writer.u16(flags);
                $(if let Some(value) = &self.$name {
                    Field::write(value, writer, stringify!($name))?;
                })*
                Ok(())
            }
        }
    };
}

properties! {
    /// MIME type of the body.
    content_type: ShortStr = 15;
    /// Encoding of the body.
    content_encoding: ShortStr = 14;
    /// The publisher's own headers.
    headers: Table = 13;
    /// 1: may be lost with the process; 2: must not.
    delivery_mode: u8 = 12;
    /// 0 to 255, in queues that know priorities.
    priority: u8 = 11;
    /// What a reply refers to.
    correlation_id: ShortStr = 10;
    /// Where replies are wanted; usually a queue.
    reply_to: ShortStr = 9;
    /// Milliseconds to live, as text.
    expiration: ShortStr = 8;
    /// The publisher's identifier.
    message_id: ShortStr = 7;
    /// Seconds since the Unix epoch.
    timestamp: u64 = 6;
    /// The application's name for this type of message.
    kind: ShortStr = 5;
    /// Who publishes; must be the login.
    user_id: ShortStr = 4;
    /// The publishing application.
    app_id: ShortStr = 3;
    /// Unused by the specification; carried.
    cluster_id: ShortStr = 2;
}

impl ContentHeader {
    pub(super) fn decode(payload: &Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let class = reader.u16("class")?;
        if class != CLASS_BASIC {
            return Err(DecodeError::ContentClass(class));
        }
        // The weight has no meaning; RabbitMQ ignores its value too.
        reader.u16("weight")?;
        let body_size = reader.u64("body size")?;
        let properties = BasicProperties::read(&mut reader)?;
        reader.finish()?;
        Ok(Self {
            body_size,
            properties,
        })
    }

    pub(super) fn encode(&self, writer: &mut Writer<'_>) -> Result<(), WireError> {
        writer.u16(CLASS_BASIC);
        writer.u16(0);
        writer.u64(self.body_size);
        self.properties.write(writer)
    }
}
