//! What a client sees: transcripts over an in-memory pipe, on a real kernel and a memory store.

#![cfg(test)]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test names what it expects"
)]

mod alias;
mod auth;
mod connect;
mod damaged;
mod dup;
mod gone;
mod grants;
mod narrowed;
mod peer;
mod publish;
mod qos2;
mod retain_source;
mod retained;
mod revoked;
mod rewrite;
mod session;
mod share;
mod status;
mod subscribe;
mod terms;
mod together;
mod will;
