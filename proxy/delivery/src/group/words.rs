//! What goes into a group and what comes out.

use bytes::Bytes;
use fairlead_canon::Text;
use thiserror::Error;

/// Names a question whose answer may come later. Chosen by the asker; unique while it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A question to take part.
#[derive(Clone, Debug)]
pub struct Join {
    /// Where the answer goes.
    pub ticket: Ticket,
    /// A name that nobody has, in case one is needed.
    pub fresh_name: Text,
    /// What the reader says.
    pub wish: Wish,
}

/// A wish to take part, as a reader says it.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The name the group gave it; empty for a newcomer.
    pub member: Text,
    /// A standing place that outlives the process which holds it.
    pub place: Option<Text>,
    /// A newcomer without a place is told its name and has to come again with it.
    pub must_know_name: bool,
    /// Silence after which the member is gone, in milliseconds.
    pub session_ms: u64,
    /// How long a round waits for this member, in milliseconds.
    pub round_ms: u64,
    /// What kind of reader it is, in its own word; all members say the same.
    pub kind: Text,
    /// Ways of dividing that it knows, best first, each with what it tells the leader.
    pub ways: Vec<(Text, Bytes)>,
    /// What the client calls itself, for people.
    pub client: Text,
    /// Where it comes from, for people.
    pub host: Text,
}

/// A wish to learn one's part.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Who asks.
    pub who: Who,
    /// What it takes the group's kind to be, if it says so.
    pub kind: Option<Text>,
    /// What it takes the agreed way to be, if it says so.
    pub protocol: Option<Text>,
    /// From the leader: each member's part.
    pub plan: Vec<(Text, Bytes)>,
}

/// A member of a certain generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// Its name.
    pub member: Text,
    /// Its standing place, if it has one.
    pub place: Option<Text>,
    /// The generation it knows; negative for somebody who is no member.
    pub generation: i32,
}

/// What is owed to somebody who waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// To whom.
    pub ticket: Ticket,
    /// What.
    pub reply: Result<Reply, GroupError>,
}

/// The good answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To a join.
    Joined(Joined),
    /// To a sync.
    Synced(Synced),
}

/// The result of a round, as one member sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Its name.
    pub member: Text,
    /// The number of the round.
    pub generation: i32,
    /// The group's kind.
    pub kind: Text,
    /// The way of dividing that was agreed upon.
    pub protocol: Text,
    /// Who makes the plan.
    pub leader: Text,
    /// For the leader: everybody.
    pub members: Vec<MemberView>,
}

/// A member's part of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    /// The group's kind.
    pub kind: Text,
    /// The way of dividing.
    pub protocol: Text,
    /// The part; empty if the plan has none.
    pub part: Bytes,
}

/// A member as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberView {
    /// Its name.
    pub member: Text,
    /// Its standing place.
    pub place: Option<Text>,
    /// What the client calls itself.
    pub client: Text,
    /// Where it comes from.
    pub host: Text,
    /// What it tells the leader under the agreed way of dividing.
    pub wish: Bytes,
    /// Its part of the plan.
    pub part: Bytes,
}

/// Where a group stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// No members.
    Empty,
    /// Waiting until everybody has come to a new round.
    Gathering,
    /// Waiting for the leader's plan.
    Dividing,
    /// Everybody can have its part.
    Steady,
}

/// Why a group refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GroupError {
    /// No member of that name, or no longer.
    #[error("no such member")]
    UnknownMember,
    /// Come again with this name.
    #[error("come again as {0}")]
    NameFirst(Text),
    /// Another round has been held since.
    #[error("another generation")]
    IllegalGeneration,
    /// A round is being held: join again.
    #[error("a round is being held")]
    Rebalancing,
    /// Another kind of reader, or no way of dividing that all know.
    #[error("not the group's kind, or no way of dividing that all know")]
    Inconsistent,
    /// A newer process has taken the standing place.
    #[error("a newer process has taken the standing place")]
    FencedPlace,
    /// There are as many members as there may be.
    #[error("the group is full")]
    Full,
}
