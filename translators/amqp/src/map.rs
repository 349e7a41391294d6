//! This protocol's messages and the canonical ones (`mapping.toml` is the table, `mapping.md` the rules).
//!
//! [`ingest`] and [`emit`] are pure; a message that comes in here and goes out here again has the same
//! properties, byte for byte. Begin with `ingest.rs`; headers are `headers.rs`.

mod deaths;
mod emit;
mod headers;
mod home;
mod ingest;
mod native;
mod place;

pub(crate) use emit::{drop_largest_headers, emit};
pub(crate) use ingest::ingest;
pub(crate) use place::{
    ADDRESS_PREFIX, SHARED_EXCHANGE, address_of_default, address_on, queue_address, routing_key,
    shown_address,
};

#[cfg(test)]
mod tests;
