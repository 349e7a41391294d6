//! Who has read what: the pure state behind deliveries, without I/O, time or a protocol.
//!
//! Begin with [`Queue`].

mod queue;

pub use queue::{Assigned, MemberId, Queue, Stretch};
