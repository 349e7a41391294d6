//! Why bytes are not AMQP 0-9-1.

use fairlead_wire::WireError;
use thiserror::Error;

/// A frame that cannot be understood. Each variant is one reply code (see `errors.rs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The first bytes of the connection are not the protocol header of this version.
    #[error("not the protocol header of AMQP 0-9-1")]
    ProtocolHeader,
    /// A frame of a type that does not exist.
    #[error("frame type {0} does not exist")]
    FrameType(u8),
    /// A frame that is larger than was agreed.
    #[error("a frame of {size} bytes is above the agreed {max}")]
    FrameTooLarge {
        /// Bytes of the whole frame.
        size: usize,
        /// Bytes that both sides agreed on.
        max: usize,
    },
    /// The byte that ends each frame is another one.
    #[error("a frame ends in {0:#04x} instead of 0xce")]
    FrameEnd(u8),
    /// A heartbeat on a channel, or with content.
    #[error("a heartbeat has channel 0 and no content")]
    Heartbeat,
    /// A method that the specification does not have.
    #[error("class {class} has no method {method}")]
    UnknownMethod {
        /// Number of the class.
        class: u16,
        /// Number of the method in it.
        method: u16,
    },
    /// Content of a class that carries none.
    #[error("class {0} carries no content")]
    ContentClass(u16),
    /// A field is cut off, too long, or followed by bytes that belong to none.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A value in a table has a type letter that nobody uses.
    #[error("field type {0:#04x} does not exist")]
    FieldType(u8),
    /// Tables and arrays are nested deeper than we keep.
    #[error("tables and arrays are nested more than {0} deep")]
    TooDeep(usize),
    /// Property flags that no property of class basic has.
    #[error("property flags {0:#06x} are not those of class basic")]
    PropertyFlags(u16),
}
