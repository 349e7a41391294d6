//! Kafka: topics, groups and record batches, spoken to unchanged clients.
//!
//! Begin with `session.rs` (a connection) and `api.rs` (the table of requests).

pub mod names;
