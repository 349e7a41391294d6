//! What travels and what is stored: facts that kernel and store read, and bytes that they do not.

use bytes::Bytes;

use crate::{ProducerId, Timestamp};

/// How the bytes of a batch are written. A byte on disk, never renumbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// Our compact form of one message.
    Envelope = 1,
    /// A record batch v2, kept byte for byte as its producer wrote it.
    RecordsV2 = 2,
}

/// One or more messages as one piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// How `bytes` is written.
    pub codec: Codec,
    /// Opaque to kernel and store.
    pub bytes: Bytes,
    /// Messages in it.
    pub count: u32,
    /// Offsets they take; at least `count`.
    pub span: u32,
    /// The latest event or acceptance time in it.
    pub time: Timestamp,
    /// The latest deadline in it; `None` if any message has none.
    pub deadline: Option<Timestamp>,
    /// Who produced it, for de-duplication.
    pub stamp: Option<Stamp>,
    /// Facts about the whole batch.
    pub flags: BatchFlags,
    /// Per message, for entities that keep the newest per key; otherwise empty.
    pub keys: Vec<Key>,
}

/// Identity and sequence of an idempotent producer's batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The producer.
    pub producer: ProducerId,
    /// Its epoch.
    pub epoch: i16,
    /// Sequence of the first message.
    pub first: i32,
    /// Sequence of the last message; wraps to 0 after `i32::MAX`.
    pub last: i32,
}

/// Facts about a whole batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchFlags {
    /// Part of a transaction.
    pub transactional: bool,
    /// Holds markers, not messages.
    pub control: bool,
}

/// The key of one message in a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// `None`: the message has no key.
    pub key: Option<Bytes>,
    /// Whether it has a value; a key without one clears.
    pub has_value: bool,
}
