//! Who has read what: the pure state behind deliveries, without I/O, time or a protocol.
//!
//! Begin with [`Queue`] (competing consumers) and [`Group`] (readers that divide lanes).

mod allowance;
mod group;
mod queue;

pub use allowance::Allowance;
pub use group::{
    Answer, Ask, Group, GroupError, Join, Joined, MemberView, Phase, Reply, Synced, Ticket, Who,
    Wish,
};
pub use queue::{
    Amount, Assigned, End, Facts, Joining, Left, Manner, MemberId, Place, Queue, Stretch,
};
