//! What a client sees: transcripts over an in-memory pipe, on a real kernel and a memory store.

#![cfg(test)]

mod admin;
mod configs;
mod fetch;
mod golden;
mod groups;
mod hostile;
mod login;
mod peer;
mod produce;
mod topics;
mod transactions;
mod versions;
