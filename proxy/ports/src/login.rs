//! The server's side of a login conversation, and where its facts come from.

use std::fmt::Debug;

use bytes::Bytes;
use fairlead_canon::Principal;

use crate::BoxFuture;

/// One login conversation of one connection, in one SASL mechanism.
pub trait Login: Debug + Send {
    /// Takes what the client said and answers. After `Done` or `Refused` it is over.
    fn step<'a>(&'a mut self, said: &'a [u8]) -> BoxFuture<'a, Step>;
}

/// The answer to one step.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this challenge and come back with the reply.
    Continue(Bytes),
    /// Proven; the bytes are the mechanism's last word to the client (often empty).
    Done(Principal, Bytes),
    /// Not proven. The reason is for our log, never for the client.
    Refused(&'static str),
}

/// Users and keys as policies see them: the kernel's topology, or a map in tests.
pub trait Directory: Debug + Send + Sync {
    /// The value under a key of a namespace.
    fn get(&self, namespace: &str, key: &[u8]) -> Option<Bytes>;
    /// Whether a namespace has no key at all.
    fn is_empty(&self, namespace: &str) -> bool;
}
