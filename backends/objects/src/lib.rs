//! Segments in an object store: S3 and what speaks like it, or a directory.
//!
//! [`Objects`] is the port [`fairlead_segment::Segments`] over the crate `object_store`, with its own
//! patience: every request is bounded in time and tried again a few times. [`self_check`] finds out
//! whether a store keeps the one promise that everything rests on: creating what exists fails.

mod check;
mod objects;
mod open;
mod patience;

pub use check::{Finding, self_check};
pub use objects::Objects;
pub use open::{OpenError, Place};
pub use patience::Patience;
