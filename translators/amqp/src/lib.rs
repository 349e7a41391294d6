//! AMQP 0-9-1, server side, as RabbitMQ speaks it.
//!
//! `codec` reads and writes frames, `names` and `map` turn keys and messages into canonical ones,
//! `connection` and `channel` hold what a client has under way, `exchanges` and `queues` say what realms and
//! streams mean here. Must not touch a store, a policy or a socket. Begin with [`Amqp`], then
//! `connection/session.rs`.

mod arguments;
mod channel;
pub mod codec;
mod connection;
mod errors;
mod exchanges;
mod map;
pub mod names;
mod queues;
mod translator;
mod transport;

use fairlead_canon::Origin;

pub use errors::{Refusal, ReplyCode};
pub use translator::Amqp;

/// The word in configuration and metric labels.
const NAME: &str = "amqp";
/// The number in stored envelopes.
const ORIGIN: Origin = Origin(3);
