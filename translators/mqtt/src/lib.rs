//! MQTT 3.1.1 and 5, server side.
//!
//! Bytes become packets in [`codec`] and topics become paths in [`names`], both pure.

pub mod codec;
pub mod names;
