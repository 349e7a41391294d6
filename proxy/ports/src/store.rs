//! Where messages live (`storage.md` section 4).

mod commit;
mod document;
mod error;
mod log;
mod progress;
pub mod terms;
mod timetable;
mod unit;

use std::fmt::Debug;
use std::future::ready;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{EntityId, Offset, Timestamp};

use crate::BoxFuture;

pub use commit::{Call, Commit, Outcomes, Units};
pub use document::{Document, Documents, Space, Version};
pub use error::StoreError;
pub use log::{
    Aborted, By, Chunk, CursorId, Entry, KeyPage, Log, Marks, Stored, View, Want, Writers,
};
pub use progress::Progress;
pub use timetable::Timetable;
pub use unit::{Committed, Decision, Op, Ops, Place, Placed, Placement, Target, Targets, Unit};

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
    fn commit(&self, units: Units) -> Commit;

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

    /// The last move of an entity, if nothing has moved since; where none takes long there is none to tell of.
    fn progress(&self, _entity: EntityId) -> Option<Progress> {
        None
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

/// Part of an entity that became visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The entity.
    pub entity: EntityId,
    /// First offset of the batch.
    pub base: Offset,
    /// Offsets it takes.
    pub span: u32,
    /// What the batch counts for, see [`fairlead_canon::Batch::weight`].
    pub bytes: u32,
    /// Its deadline.
    pub deadline: Option<Timestamp>,
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

/// Address of a byte in a commit log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);
