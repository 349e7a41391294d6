//! Reading one entity.

use std::fmt::Debug;

use bytes::Bytes;
use fairlead_canon::{Batch, DeadReason, Offset, ProducerId, Stamp, Timestamp};

use super::StoreError;
use crate::BoxFuture;

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
    /// order, at most `max`. Ends before one that is damaged, whose key it tells. Only for
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
    /// The key after it, when the message of that is damaged, and the damage. A reader who can do
    /// without goes on behind it.
    pub damaged: Option<(Bytes, StoreError)>,
}

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
