//! Where messages live (`storage.md` section 4).

mod error;
pub mod terms;

use std::fmt::Debug;
use std::future::ready;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{
    Batch, DeadReason, EntityId, EpochTag, Offset, Outcome, ProducerId, Promise, Spec, Stamp,
    Timestamp,
};
use smallvec::SmallVec;

use crate::BoxFuture;

pub use error::StoreError;

/// A place where entities live.
///
/// Laws: each unit is all or nothing; the units of one call take effect in order, and calls of one
/// caller in the order in which they were made (not in which they were awaited). Offsets of an
/// entity are dense unless placed by [`Place::At`]. What was shown never changes.
pub trait Store: Debug + Send + Sync {
    /// Its word in configuration and metric labels.
    fn name(&self) -> &'static str;

    /// Hands over units at once; the future resolves when every one has kept its promise or failed.
    /// Waits while the store is behind: back-pressure, not an error. Dropping the future does not
    /// undo what was taken.
    fn commit(&self, units: Vec<Unit>) -> BoxFuture<'static, Vec<Result<Committed, StoreError>>>;

    /// Whether so much waits here that those who have commits under way should take nothing more
    /// from their peers until one of them is answered. A commit has its place in line from the call
    /// on, so none is turned away: this is what keeps the line short.
    fn is_busy(&self) -> bool {
        false
    }

    /// Copies everything that is durable into a directory, which must be empty or not there, while the
    /// store goes on; a store can be opened on the copy. Resolves to the bytes copied.
    fn backup(&self, to: PathBuf) -> BoxFuture<'static, io::Result<u64>> {
        drop(to);
        Box::pin(ready(Err(io::ErrorKind::Unsupported.into())))
    }

    /// A handle for reading: opens no file, starts no task, creates nothing.
    fn open(&self, entity: EntityId) -> Result<Arc<dyn Log>, StoreError>;

    /// Tells `watcher` from now on what happens. Called once, before the first commit.
    fn watch(&self, watcher: Arc<dyn Watcher>);
}

/// Is told what happens in a store. Called on a store's thread: short, and never back into the store.
pub trait Watcher: Debug + Send + Sync {
    /// These messages can be read from this moment on.
    fn appended(&self, appended: &[Appended]);
    /// The same, from a store that has the messages in memory: whoever is given one at once need not
    /// read it. `_bodies` follow `appended`; `None` stands for what is no single envelope.
    fn appended_here(&self, appended: &[Appended], _bodies: &[Option<Bytes>]) {
        self.appended(appended);
    }
    /// Messages of these entities died by the store's own decision and can be read as
    /// [`CursorId::DEAD`].
    fn died(&self, entities: &[EntityId]);
    /// The store's condition changed.
    fn condition(&self, condition: Condition);
}

/// How a store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Condition {
    /// It takes everything.
    #[default]
    Well,
    /// Space is short: appends and creates are refused with `Full`; what frees space goes on.
    Full,
    /// A write or sync failed: nothing is acknowledged any more.
    Poisoned,
}

/// One entity, for reading. Reads see only what is visible.
pub trait Log: Debug + Send + Sync {
    /// Its bounds and sizes.
    fn marks(&self) -> BoxFuture<'_, Result<Marks, StoreError>>;
    /// Batches from the one that holds `from`. Returns one batch even when it exceeds `bytes_max`;
    /// none when `from` is the end; `OutOfRange` when it lies outside start and end. Ends before a
    /// batch that cannot be read; `Corrupt` or `Unavailable` when that is the first one.
    fn read(&self, from: Offset, want: Want) -> BoxFuture<'_, Result<Chunk, StoreError>>;
    /// The batches that hold these offsets, in this order; an offset that is gone is left out. None of
    /// them when one cannot be read: it must not be taken for one that is gone.
    fn fetch(&self, at: Vec<Offset>) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>>;
    /// Unsettled entries of a cursor from `from`, oldest first, without bodies.
    fn backlog(
        &self,
        cursor: CursorId,
        from: Offset,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Entry>, StoreError>>;
    /// Where to begin for a time.
    fn find(&self, by: By) -> BoxFuture<'_, Result<Option<Offset>, StoreError>>;
    /// The newest message of each key that begins with `prefix` and comes after `after`, in key
    /// order, at most `max`. Ends before one that cannot be read, as [`Log::read`] does. Only for
    /// `Kind::Latest`.
    fn latest(
        &self,
        prefix: Bytes,
        after: Option<Bytes>,
        max: usize,
    ) -> BoxFuture<'_, Result<KeyPage, StoreError>>;
    /// What is remembered of those who wrote to it.
    fn writers(&self) -> BoxFuture<'_, Result<Writers, StoreError>>;
    /// Cursors that have settled or returned what is still kept, besides a queue's own.
    fn cursors(&self) -> BoxFuture<'_, Result<Vec<CursorId>, StoreError>>;
}

/// Small values that change together with messages.
pub trait Documents: Debug + Send + Sync {
    /// The document under a key.
    fn get(&self, space: Space, key: Bytes) -> BoxFuture<'_, Result<Option<Document>, StoreError>>;
    /// Documents whose key begins with `prefix` and comes after `after`, in key order.
    fn list(
        &self,
        space: Space,
        prefix: Bytes,
        after: Option<Bytes>,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Document>, StoreError>>;
    /// Documents that are due, earliest first.
    fn due(&self, now: Timestamp, max: usize) -> BoxFuture<'_, Result<Vec<Document>, StoreError>>;
}

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
        /// One above the highest such offset; at most [`Marks::AHEAD_MAX`] above the end.
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
        /// When [`Documents::due`] is to show it.
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
        /// As [`Log::writers`] told it.
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

/// Part of an entity that became visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The entity.
    pub entity: EntityId,
    /// First offset of the batch.
    pub base: Offset,
    /// Offsets it takes.
    pub span: u32,
    /// What the batch counts for, see [`Batch::weight`].
    pub bytes: u32,
    /// Its deadline.
    pub deadline: Option<Timestamp>,
}

/// How much to read.
#[derive(Clone, Copy, Debug)]
pub struct Want {
    /// Stop once this many bytes are there.
    pub bytes_max: u32,
    /// Stop once this many batches are there.
    pub count_max: u32,
    /// What may be seen.
    pub view: View,
}

/// What a reader of a `Log` may see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum View {
    /// Everything that is visible.
    #[default]
    All,
    /// Nothing from the first open transaction on; [`Chunk::aborted`] says what else to pass over.
    Committed,
}

/// What a read gave.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// In offset order.
    pub batches: Vec<Stored>,
    /// Aborted transactions that touch these batches, by first offset; empty unless asked for
    /// [`View::Committed`].
    pub aborted: Vec<Aborted>,
    /// Bounds at the moment of reading.
    pub marks: Marks,
}

/// An aborted transaction in one entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aborted {
    /// Whose.
    pub producer: ProducerId,
    /// First offset of its first batch.
    pub first: Offset,
    /// Offset of its marker, or the last one before its end where there is none.
    pub last: Offset,
}

/// What an entity remembers of those who wrote to it, besides what it keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writers {
    /// Idempotent producers and their epochs, by producer.
    pub producers: Vec<(ProducerId, i16)>,
    /// Their latest batches and where each began, by offset, whether it is still kept or not.
    pub batches: Vec<(Offset, Stamp)>,
    /// Whose transactions are open, and the first offset of each, by producer.
    pub open: Vec<(ProducerId, Offset)>,
    /// Aborted transactions, by first offset and producer.
    pub aborted: Vec<Aborted>,
}

/// A batch in its place.
#[derive(Clone, Debug)]
pub struct Stored {
    /// First offset.
    pub base: Offset,
    /// The batch.
    pub batch: Batch,
    /// How often an offset of it was returned; 0 for a `Log`.
    pub requeued: u16,
}

/// Bounds and sizes of an entity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// First offset kept.
    pub start: Offset,
    /// One above the last visible offset.
    pub end: Offset,
    /// First offset of the oldest open transaction; `end` without one.
    pub stable: Offset,
    /// Unsettled messages, dead ones not counted (for a `Log`: messages kept).
    pub count: u64,
    /// What the batches kept count for, see [`Batch::weight`].
    pub bytes: u64,
    /// Everything below was possibly handed out before this process started; at most the end of then.
    pub handed_out: Offset,
}

impl Marks {
    /// How far hand-out marks run ahead of what there is, at most.
    pub const AHEAD_MAX: u64 = 256;
}

/// An unsettled stretch of an entity: one batch, or what is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// First unsettled offset of the stretch.
    pub base: Offset,
    /// How many unsettled offsets follow without a gap.
    pub span: u32,
    /// What the batch counts for, see [`Batch::weight`].
    pub bytes: u32,
    /// Its deadline. What it means is the reader's: a store removes nothing because of it.
    pub deadline: Option<Timestamp>,
    /// How often it was returned.
    pub requeued: u16,
    /// Why it died, in a backlog of [`CursorId::DEAD`].
    pub dead: Option<DeadReason>,
}

/// A way to find an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The first batch whose latest time is at or after this one.
    Time(Timestamp),
}

/// One page of the newest messages per key.
#[derive(Clone, Debug, Default)]
pub struct KeyPage {
    /// Key and message, in key order.
    pub entries: Vec<(Bytes, Stored)>,
    /// Whether more follow after the last key.
    pub is_cut: bool,
}

/// A small value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
    /// Changes with each write; never 0.
    pub version: Version,
    /// When it is due.
    pub due: Option<Timestamp>,
}

/// A name space of documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Space(pub u16);

/// Version of a document: the LSN of its last write; 0 is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

/// Address of a byte in a commit log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

/// A reader's own set of settled offsets; 0 is a queue's only one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CursorId(pub u64);

impl CursorId {
    /// Messages of a queue that died and are kept (`Spec::keeps_dead`): read by `backlog` and `fetch`,
    /// removed by settling them.
    pub const DEAD: Self = Self(u64::MAX - 1);
    /// Settling as this cursor removes whole batches from the middle of a `Log`: compaction.
    pub const CLEANER: Self = Self(u64::MAX);
}

impl Unit {
    /// Most operations in a unit.
    pub const OPS_MAX: usize = 16_384;
    /// Most targets of one append.
    pub const TARGETS_MAX: usize = 65_535;
}

impl Want {
    /// A read of up to so many bytes, with no limit on batches.
    pub fn bytes(bytes_max: u32) -> Self {
        Self {
            bytes_max,
            count_max: u32::MAX,
            view: View::All,
        }
    }
}
