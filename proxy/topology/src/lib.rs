//! What exists: streams, realms, bindings and directory entries. Slow, definitional, pure.
//!
//! [`Topology::apply`] is the only mutation. Positions live elsewhere (`delivery`). Begin with
//! [`Change`] and [`Topology`].

mod change;
mod document;
mod route;
mod settings;
mod stream;
mod topology;
mod trie;

pub use change::{Change, Configure, Declared, NewRealm, NewStream, Refused};
pub use document::{DocumentError, decode, decode_stream, encode, encode_key};
pub use route::{Route, Router};
pub use settings::{AtFull, DeadLetter, Settings};
pub use stream::{
    Binding, Destination, Family, HeaderMatch, Lifetime, Match, Realm, Rule, Stream, StreamKey,
};
pub use topology::{Applied, Topology};
pub use trie::{Patterned, Trie};
