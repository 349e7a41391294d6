//! The durable store: one commit log in a data directory, shared by all entities.
//!
//! A commit goes `store` → `inbox`; one of the two threads of `engine` takes it: `plan` decides,
//! `record`s go into the open frame, `state` applies them. Then it writes the frame (`file_wal`, one
//! `fdatasync`) while the other goes on; what was appended becomes visible, and everybody who
//! waited is told. Opening a directory (`open`, `recovery`, `scan`) applies the same records again.
//! Formats stand beside their code: the superblock, the header of a log file, frames, records.
//!
//! What is known about entities and documents is rows of the `index`, brought up by each
//! `checkpoint`, and in memory what changed since and what was used lately (`entities`, `ground`).
//! Begin with [`Native`] and `sequencer`; what looks at a directory without opening it is
//! [`Inspection`].

mod backup;
mod block;
mod buffer;
mod call;
mod checkpoint;
mod chores;
mod compaction;
mod condition;
mod crc;
mod cursor;
mod documents;
mod engine;
mod entities;
mod entity;
mod error;
mod field;
mod file_wal;
mod frame;
mod graves;
mod ground;
mod homes;
mod inbox;
mod index;
mod inspect;
mod keeper;
mod limits;
mod log;
mod log_file;
mod lsn;
mod meter;
mod mould;
mod mutation;
mod open;
mod pages;
mod plan;
mod pool;
mod producer;
mod ranges;
mod reader;
mod record;
mod recovery;
mod scan;
mod seal;
mod sequencer;
mod settings;
mod sites;
mod space;
mod state;
mod store;
mod superblock;
mod tail;
mod threads;
mod txn;
pub mod vfs;
mod waiting;
mod window;
mod zeros;

#[cfg(test)]
mod tests;

pub use error::OpenError;
pub use homes::Site;
pub use inspect::{
    Cut, Damage, Entry, Inspection, Kept, Measures, Report, Said, SealedFile, Segment, SegmentSum,
    Sum,
};
pub use meter::{SYNC_TIMES_US, Stats};
pub use settings::{Settings, Spare, World, open_files_max};
pub use store::Native;
