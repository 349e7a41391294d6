//! Kafka: topics, groups and record batches, spoken to unchanged clients.
//!
//! ```text
//! session.rs   one connection: frames in, answers out, in order
//! frame.rs     sizes and headers          guard.rs    lengths and counts, before the codec
//! api.rs       the table of requests      api/        one file per request
//! topics.rs    names to lanes             records.rs  what a fetch shows of stored batches
//! ```
//! Begin with `session.rs`, then `api.rs`. Produce, Fetch and record batches are opened by our own
//! code; the rest by `kafka-protocol`, and only behind the guard.

mod answer;
mod api;
mod config;
mod desk;
mod errors;
mod fault;
mod fields;
mod frame;
mod guard;
mod in_flight;
pub mod names;
mod records;
mod session;
mod settings;
mod text;
mod topics;
mod translator;

pub use translator::Kafka;
pub(crate) use translator::{NAME, ORIGIN};
