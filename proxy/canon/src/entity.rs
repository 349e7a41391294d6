//! Numbers and settings of entities.

/// Names an entity for ever: never reused. The top 16 bits spread entities over shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityId(pub u64);

/// Place of a message in its entity, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub u64);

/// An idempotent producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId(pub i64);

/// Epoch of the cut-set that an entity belongs to; 0 without one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EpochTag(pub u64);

/// How an entity is consumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Read by offset.
    Log = 1,
    /// Each message settled by itself.
    Queue = 2,
    /// The newest message per key.
    Latest = 3,
}

/// Where an entity's messages are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// In memory; gone after a restart.
    Memory = 1,
    /// On the local disk.
    Local = 2,
    /// In an object store, with the local log in front of it.
    Object = 3,
}

/// When a durable promise is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SyncMode {
    /// After `fdatasync`.
    #[default]
    Always = 0,
    /// After the write; a sync follows within 50 ms. A power cut may lose that much.
    Interval = 1,
}

/// What the publisher's receipt must mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Promise {
    /// There is no receipt.
    Nothing = 0,
    /// Sequenced in memory.
    Accepted = 1,
    /// Survives the process and the power.
    Durable = 2,
}

/// How one delivery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Never deliver it again.
    Done,
    /// Back to its place; counts as one more delivery.
    Returned,
    /// Not deliverable.
    Dead(DeadReason),
}

/// Why a message died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeadReason {
    /// A consumer rejected it.
    Rejected = 1,
    /// Its deadline passed.
    Expired = 2,
    /// The entity was full.
    MaxLen = 3,
    /// It came back too often.
    DeliveryLimit = 4,
}

/// What happens to a publish when an entity is at its limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Overflow {
    /// The publish is refused.
    #[default]
    Reject = 0,
    /// The oldest ready message is dropped.
    DropHead = 1,
    /// The new message is not kept in this entity.
    DropNew = 2,
}

/// Limits of one entity; `None` means the node's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SizeLimits {
    /// Most unsettled messages.
    pub count_max: Option<u64>,
    /// Most unsettled bytes, as batches count for them.
    pub bytes_max: Option<u64>,
    /// What happens at the limit.
    pub overflow: Overflow,
}

/// How long messages are kept; `None` is for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Retention {
    /// Age in milliseconds. A `Log` forgets batches whose latest time is older; in a `Queue` it bounds
    /// the deadline of each message, counted from when it was appended there.
    pub age_ms: Option<u64>,
    /// Bytes of a `Log`; its oldest batches go.
    pub bytes: Option<u64>,
}

/// How a `Log` forgets messages that a later one of the same key has replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Compaction {
    /// Messages younger than this stay, in milliseconds.
    pub lag_min_ms: u64,
    /// Messages without a value stay so long, in milliseconds, after they became the newest of their key.
    pub deletes_kept_ms: u64,
}

/// What an entity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Spec {
    /// How it is consumed.
    pub kind: Kind,
    /// Where it is kept.
    pub class: Class,
    /// When a durable promise is kept.
    pub sync: SyncMode,
    /// How long messages are kept.
    pub retention: Retention,
    /// Whether a `Log` keeps only the newest message of each key. Its batches then carry keys.
    pub compaction: Option<Compaction>,
    /// Its limits.
    pub limits: SizeLimits,
    /// Dead messages of a `Queue` stay, for whoever moves them on, until they are settled as dead.
    pub keeps_dead: bool,
    /// Epoch of its cut-set.
    pub tag: EpochTag,
}

impl EntityId {
    /// Joins the 16 bits that spread entities and a counter that is never reused (48 bits used).
    pub fn join(spread: u16, counter: u64) -> Self {
        Self((u64::from(spread) << 48) | (counter & ((1 << 48) - 1)))
    }
}

impl Offset {
    /// `n` places further; saturates.
    pub fn plus(self, n: u64) -> Self {
        Self(self.0.saturating_add(n))
    }
}

impl Spec {
    /// A plain entity of this kind and class, without limits of its own.
    pub fn new(kind: Kind, class: Class) -> Self {
        Self {
            kind,
            class,
            sync: SyncMode::Always,
            retention: Retention::default(),
            compaction: None,
            keeps_dead: false,
            limits: SizeLimits::default(),
            tag: EpochTag::default(),
        }
    }

    /// Whether what dies in it stays: only a `Queue` has dead messages.
    pub fn has_dead(&self) -> bool {
        self.keeps_dead && self.kind == Kind::Queue
    }
}
