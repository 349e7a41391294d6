//! AMQP 0-9-1, server side.
pub mod codec;
pub mod names;
