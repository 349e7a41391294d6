//! What a store is asked to do, and what it says of it.

use std::ops::Range;

use bytes::Bytes;
use fairlead_canon::{
    Batch, EntityId, EpochTag, Offset, Outcome, ProducerId, Promise, Spec, Timestamp,
};
use smallvec::SmallVec;

use super::{CursorId, Lsn, Space, Version, Writers};

/// Operations that take effect together or not at all.
#[derive(Clone, Debug)]
pub struct Unit {
    /// In this order. At most [`Unit::OPS_MAX`].
    pub ops: Ops,
    /// When it is acknowledged; `Nothing` counts as `Accepted`.
    pub promise: Promise,
}

/// Operations of a unit; mostly it is one, which then lies in the unit itself.
pub type Ops = SmallVec<[Op; 1]>;

/// Targets of an append; mostly it is one.
pub type Targets = SmallVec<[Target; 1]>;

/// One operation.
#[derive(Clone, Debug)]
pub enum Op {
    /// Fail with `Conflict` unless the document has this version (0: absent).
    Expect {
        /// Space of the document.
        space: Space,
        /// Its key.
        key: Bytes,
        /// The version it must have.
        version: Version,
    },
    /// Make an entity; `Exists` if there is one.
    Create {
        /// Its number.
        entity: EntityId,
        /// What it is.
        spec: Spec,
    },
    /// Change an entity's settings (never its kind).
    Alter {
        /// Its number.
        entity: EntityId,
        /// What it becomes.
        spec: Spec,
    },
    /// Remove an entity and everything in it.
    Delete {
        /// Its number.
        entity: EntityId,
    },
    /// Append one batch to all targets; its body is stored once. At most [`Unit::TARGETS_MAX`].
    Append {
        /// Where to.
        to: Targets,
        /// What.
        batch: Batch,
    },
    /// End deliveries.
    Settle {
        /// Of this entity.
        entity: EntityId,
        /// As seen by this cursor; 0 for a queue's own.
        cursor: CursorId,
        /// These offsets; already settled ones are passed over.
        ranges: SmallVec<[Range<u64>; 1]>,
        /// How they ended.
        outcome: Outcome,
    },
    /// Forget everything below an offset.
    Trim {
        /// Of this entity.
        entity: EntityId,
        /// The new start; at most the end.
        to: Offset,
    },
    /// Everything below may have been handed out: after a restart it says redelivered.
    Mark {
        /// Of this entity.
        entity: EntityId,
        /// One above the highest such offset; at most [`crate::Marks::AHEAD_MAX`] above the end.
        upto: Offset,
    },
    /// Write or (`None`) delete a document.
    Put {
        /// Space of the document.
        space: Space,
        /// Its key.
        key: Bytes,
        /// The value.
        value: Option<Bytes>,
        /// When [`crate::Documents::due`] is to show it.
        due: Option<Timestamp>,
    },
    /// End a producer's open transaction. Its marker batches (`flags.control`) are appends of the same
    /// unit, before this.
    EndTxn {
        /// Whose.
        producer: ProducerId,
        /// At least the epoch that opened it, else `ProducerFenced`.
        epoch: i16,
        /// How it ends.
        decision: Decision,
        /// In this entity only; `None` in all that it touched.
        entity: Option<EntityId>,
    },
    /// Remember this of an entity's writers, and nothing else: for whoever has copied it from another
    /// store. Appends that follow in the same unit are judged as before.
    Restore {
        /// Of this entity.
        entity: EntityId,
        /// As [`crate::Log::writers`] told it.
        writers: Box<Writers>,
    },
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// What it appended is visible to readers of committed messages.
    Commit,
    /// They pass over it.
    Abort,
}

/// One target of an append.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The entity.
    pub entity: EntityId,
    /// Where in it.
    pub place: Place,
    /// Must equal the entity's, else `Fenced`.
    pub tag: EpochTag,
}

/// Where an append goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At the end.
    Next,
    /// At this offset, at or above the end; producer state is recorded and not judged.
    At(Offset),
    /// At the end, which must be this offset, else `OutOfRange`.
    Expect(Offset),
    /// At the end, if there is room: an entity that refuses is passed over, and the rest of the unit
    /// takes effect.
    IfRoom,
}

/// What a unit did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Where its last record lies; 0 in memory.
    pub lsn: Lsn,
    /// One per target of its appends, in order.
    pub placed: SmallVec<[Placed; 2]>,
}

/// Where one target's copy went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The entity.
    pub entity: EntityId,
    /// First offset of the batch there; of the first copy for a duplicate.
    pub base: Offset,
    /// How.
    pub how: Placement,
}

/// How an append to one target ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Kept.
    New,
    /// Its producer had already sent it.
    Duplicate,
    /// The entity was full and is set to drop new messages.
    Dropped,
    /// The entity was full and refused it: only with [`Place::IfRoom`].
    Refused,
}

impl Unit {
    /// Most operations in a unit.
    pub const OPS_MAX: usize = 16_384;
    /// Most targets of one append.
    pub const TARGETS_MAX: usize = 65_535;
}
