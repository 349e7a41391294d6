//! Where segments are kept.

use std::fmt::Debug;
use std::ops::Range;

use bytes::Bytes;
use thiserror::Error;

use crate::id::{LogId, SegmentId};

/// A place for the segments of logs. Needs no more than creating what does not exist yet, reading
/// a range, deleting and listing: what a directory and every object store can do.
///
/// Every call blocks. A call that fails with [`SegmentError::Unavailable`] may have taken effect.
pub trait Segments: Debug + Send + Sync {
    /// Keeps the parts, one behind the other, durably on return. Never overwrites: `Exists` when the
    /// name is taken by something else.
    fn create(&self, log: LogId, id: SegmentId, parts: &[Bytes]) -> Result<(), SegmentError>;
    /// Exactly these bytes; `Damaged` when the segment ends before.
    fn read(&self, log: LogId, id: SegmentId, range: Range<u64>) -> Result<Bytes, SegmentError>;
    /// Removes a segment; one that is not there is removed already.
    fn delete(&self, log: LogId, id: SegmentId) -> Result<(), SegmentError>;
    /// All segments of a log, in no order.
    fn list(&self, log: LogId) -> Result<Vec<SegmentId>, SegmentError>;
}

/// Why a segment could not be kept or read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SegmentError {
    /// The place did not answer, or refused, as often as it was asked.
    #[error("segments cannot be reached: {what}")]
    Unavailable {
        /// What it said last.
        what: String,
    },
    /// The name is taken.
    #[error("the segment exists")]
    Exists,
    /// There is no such segment.
    #[error("there is no such segment")]
    Missing,
    /// What is there is not what was written.
    #[error("damage at byte {at}: {what}")]
    Damaged {
        /// Where, from the start of the segment.
        at: u64,
        /// What should be there.
        what: &'static str,
    },
}

impl SegmentError {
    /// Something that is not what was written.
    pub fn damaged(at: u64, what: &'static str) -> Self {
        Self::Damaged { at, what }
    }
}
