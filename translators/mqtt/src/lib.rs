//! MQTT 3.1, 3.1.1 and 5, server side.
//!
//! Bytes become packets in [`codec`] and topics become paths in [`names`], both pure; `map` turns a
//! PUBLISH into a message and back; `session` drives one connection. Begin with [`Mqtt`].

mod census;
pub mod codec;
mod errors;
mod map;
pub mod names;
mod rewrite;
mod session;
mod settings;
mod translator;

pub use map::ORIGIN;
pub use translator::Mqtt;

/// The protocol's word in configuration, metrics and logs.
pub const NAME: &str = "mqtt";

/// The largest packet that is accepted: a full body, and as much again as the longest topic and a
/// few properties take.
const PACKET_BYTES_MAX: usize = fairlead_canon::limits::BODY_BYTES_MAX + 256 * 1024;
