//! The wire form of AMQP 0-9-1: pure, bounded, without a connection's state.
//!
//! Begin with [`Frame::decode`]. [`Method`] is the table of methods, one file per class holds their fields.
//! What follows a length is read only when it has arrived; nesting is counted, not descended blindly.

pub mod basic;
pub mod channel;
pub mod confirm;
pub mod connection;
mod content;
mod error;
pub mod exchange;
mod field;
mod frame;
mod method;
pub mod queue;
mod table;
pub mod tx;

pub use content::{BasicProperties, ContentHeader};
pub use error::DecodeError;
pub use field::{LongStr, ShortStr};
pub use frame::{
    FRAME_MIN_SIZE, FRAME_OVERHEAD, Frame, PROTOCOL_HEADER, Payload, encode_body, encode_content,
    encode_heartbeat, encode_method, protocol_header,
};
pub use method::Method;
pub use table::Table;
