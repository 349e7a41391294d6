//! The doors between rooms: traits with several implementations, and their errors.
//!
//! Names no implementation. Begin with [`Store`] (where messages live) and [`Policy`] (who may do what).

mod clock;
mod io;
mod login;
mod policy;
mod store;

pub use clock::{Clock, Entropy};
pub use io::{ConnInfo, Io, fill};
pub use login::{Directory, Login, Step};
pub use policy::{Action, Denied, Policy, Verdict};
pub use store::{
    Aborted, Appended, By, Call, Chunk, Commit, Committed, Condition, CursorId, Decision, Document,
    Documents, Entry, KeyPage, Log, Lsn, Marks, Op, Ops, Outcomes, Place, Placed, Placement,
    Progress, Space, Store, StoreError, Stored, Target, Targets, Timetable, Unit, Units, Version,
    View, Want, Watcher, Writers, terms,
};
/// A future behind a door.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
