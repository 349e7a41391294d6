//! The verbs: what a connection can do to the mesh, whatever it speaks.
//!
//! A [`Translator`] enters the [`Kernel`] once per connection and drives the [`Caller`] it is given:
//! it publishes and settles what one socket read brought, calls [`Caller::flush`] once, and waits
//! for the socket and for [`Caller::event`].
//!
//! Begin with `caller.rs` (what a connection owns), then `publish.rs`, `consume.rs` and `event.rs`.

mod admission;
mod aftermath;
mod arrivals;
mod atlas;
mod attachments;
mod bodies;
mod caller;
mod claim;
mod coming;
mod compaction;
mod condition;
mod consume;
mod damaged;
mod declare;
mod delay;
mod document;
mod error;
mod event;
mod expiry;
mod fetch;
mod ground;
mod group;
mod house;
mod hub;
mod inbox;
mod janitor;
mod kernel;
mod lane;
mod latest;
mod letter;
mod live;
mod load;
mod mark;
mod metrics;
mod moving;
mod outbox;
mod position;
mod publish;
mod reach;
mod registrar;
mod resting;
mod roll;
mod salvage;
mod seldom;
mod settle;
mod several;
mod share;
mod showing;
mod slim;
mod solo;
mod surplus;
mod take;
mod tally;
#[cfg(feature = "testing")]
pub mod testing;
mod transact;
mod translator;
mod trim;
mod txn;
mod undertaker;
mod verb;

pub use caller::Caller;
pub use coming::{Banned, ComingMax};
pub use compaction::compaction_key;
pub use error::{Blame, Error, Reason};
pub use group::GroupView;
pub use kernel::{Backing, Kernel, Overview};
pub use metrics::{DropReason, Meters};
pub use registrar::defined;
pub use resting::{Awake, Resting, Served, Sign};
pub use showing::Run;
pub use translator::{
    BadSetting, Carrier, Closed, ClosedReason, Conn, Door, DrainWatch, KeptSession,
    KeptSubscription, Translator,
};
pub use txn::{Hold, Holder, Phase as TxnPhase, TxnError, TxnView};
pub use verb::{
    Attach, AttachmentId, Content, Delivery, DeliveryId, Depth, Displaced, Event, Extent, FetchAt,
    FetchLimits, Fetched, Later, Live, Pending, Position, Publish, PutDocument, Receipt, Settle,
    Settled, Settling, Source, Taken, To, Transacted, Transaction,
};

// What a translator needs of its neighbours, and no more.
pub use fairlead_delivery::{
    Allowance, Ask, GroupError, Joined, MemberView, Phase, Synced, Who, Wish,
};
pub use fairlead_ports::{
    Aborted, BoxFuture, By, Chunk, Condition, ConnInfo, Decision, Document, Io, Login, Marks,
    Progress, Step, Stored, Version, View, fill,
};
pub use fairlead_topology::{
    AtFull, Binding, Change, Configure, DeadLetter, Declared, Destination, Family, HeaderMatch,
    Lifetime, Match, NewRealm, NewStream, Realm, Rule, Settings, Stream, StreamKey, Topology,
};
