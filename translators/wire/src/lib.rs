//! Bounded readers and writers for hand-written codecs: big-endian numbers, slices, length-prefixed strings.
//!
//! Knows no protocol. A [`Reader`] never panics, never allocates by a number that came from outside and
//! names the field and the place at which it gave up; a [`Writer`] refuses what its length prefix cannot
//! hold. Begin with [`Reader`].

mod error;
mod reader;
mod writer;

pub use error::WireError;
pub use reader::Reader;
pub use writer::{LengthMark, Writer};
