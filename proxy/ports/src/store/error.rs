//! Why a store refuses.

use fairlead_canon::{EntityId, Offset};
use thiserror::Error;

/// Why a store refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StoreError {
    /// Away for now; nothing was kept.
    #[error("the store is not available")]
    Unavailable,
    /// There is no such entity.
    #[error("no entity {}", .0.0)]
    NoEntity(EntityId),
    /// There is one already.
    #[error("entity {} exists", .0.0)]
    Exists(EntityId),
    /// Outside the entity's bounds.
    #[error("offset outside {} to {}", .start.0, .end.0)]
    OutOfRange {
        /// First offset kept.
        start: Offset,
        /// One above the last.
        end: Offset,
    },
    /// A document has another version.
    #[error("a document has another version than expected")]
    Conflict,
    /// The entity's epoch is another.
    #[error("another epoch owns the entity")]
    Fenced,
    /// A gap in a producer's sequence.
    #[error("producer sequence {got} does not follow {last}")]
    OutOfSequence {
        /// The last sequence seen.
        last: i32,
        /// The one that came.
        got: i32,
    },
    /// A newer instance of the producer took over.
    #[error("a newer epoch of the producer took over")]
    ProducerFenced,
    /// A limit is reached; nothing was kept.
    #[error("full: {limit}")]
    Full {
        /// The limit's name.
        limit: &'static str,
    },
    /// Larger than can ever be kept.
    #[error("larger than {max} bytes")]
    TooLarge {
        /// The most, in bytes.
        max: u64,
    },
    /// This store cannot do that.
    #[error("the store does not support {what}")]
    Unsupported {
        /// What was asked for.
        what: &'static str,
    },
    /// What was read is not what was written.
    #[error("damage in {file} at byte {at}: offset {} of entity {}", .offset.0, .entity.0)]
    Corrupt {
        /// Whose message.
        entity: EntityId,
        /// Where its batch begins.
        offset: Offset,
        /// The file.
        file: String,
        /// The byte.
        at: u64,
    },
    /// A write or sync failed; nothing is acknowledged any more.
    #[error("the log is poisoned: a write or sync failed")]
    Poisoned,
}
