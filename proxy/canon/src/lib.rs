//! The canonical message model: the values that every room speaks.
//!
//! Pure: no I/O, no clock, no randomness, no protocol. Begin with [`Message`] and [`Batch`].

mod address;
#[cfg(test)]
mod arbitrary;
mod batch;
pub mod carry;
pub mod codec;
mod crc;
mod death;
mod entity;
mod headers;
pub mod limits;
mod loss;
mod message;
mod pattern;
mod principal;
mod properties;
mod series;
pub mod shape;
mod time;
mod value;

pub use address::{Address, Path, PathBuilder, PathTooLong, RealmId, Segments};
pub use batch::{Batch, BatchFlags, Codec, Key, Stamp};
pub use codec::{Damage, Opened};
pub use crc::crc32c;
pub use death::{Death, Deaths};
pub use entity::{
    Class, Compaction, DeadReason, EntityId, EpochTag, Kind, Offset, Outcome, Overflow, ProducerId,
    Promise, Retention, SizeLimits, Spec, SyncMode,
};
pub use headers::{Header, HeaderIter, Headers, HeadersBuilder, TooDeep};
pub use loss::{Loss, LossCode};
pub use message::{Home, Message, Origin, Terms};
pub use pattern::{Part, Pattern};
pub use principal::{Principal, Proof, Seal, Token};
pub use properties::{BodyFormat, Properties, ReplyTo, TraceContext, User};
pub use series::Series;
pub use time::{EventTime, Timestamp};
pub use value::{Text, Value};
