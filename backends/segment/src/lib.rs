//! Segments: immutable objects that hold records moved out of a commit log, each found by the LSN
//! that it had there.
//!
//! A segment knows LSNs and bytes, not what a record means. [`Writer`] makes one, [`Reader`] answers
//! from many of them, and [`Segments`] is where they are kept: a directory or an object store. All of
//! it blocks and belongs on storage threads. Nothing is trusted when it is read: any damage is
//! [`SegmentError::Damaged`], never a wrong record.
//!
//! ```text
//! header · blocks of records · pages of {lsn, block, place} by lsn · directory of pages and blocks · footer
//! ```

mod block;
mod cache;
mod field;
mod footer;
mod id;
mod map;
mod page;
mod port;
mod reader;
mod writer;

#[cfg(test)]
mod tests;

pub use block::Compression;
pub use footer::of_other_log;
pub use id::{LogId, SegmentId};
pub use port::{SegmentError, Segments};
pub use reader::{Reader, Stamp};
pub use writer::Writer;
