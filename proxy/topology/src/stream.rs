//! The things that exist.

use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{
    Class, EntityId, Headers, Kind, Origin, Pattern, RealmId, SizeLimits, Text, Timestamp,
};

use crate::Settings;

/// The name space in which a stream is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Logs that readers read by offset.
    Log = 1,
    /// Queues with competing consumers.
    Queue = 2,
    /// A mailbox for one owner.
    Mailbox = 3,
    /// Newest values.
    Latest = 4,
}

/// The name of a stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamKey {
    /// Its name space.
    pub family: Family,
    /// Its name there.
    pub name: Text,
}

/// A named set of one or more entities, its lanes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Its name.
    pub key: StreamKey,
    /// How it is consumed.
    pub kind: Kind,
    /// Where it is kept. `Memory` streams do not outlive the process.
    pub class: Class,
    /// Its entities; at least one.
    pub lanes: Box<[EntityId]>,
    /// When it is removed by itself.
    pub lifetime: Lifetime,
    /// What it may hold; `None` is without limits. Read by [`Stream::limits`]. Neighbours that were told the same share it.
    pub limited: Option<Arc<SizeLimits>>,
    /// What else it was told; `None` is the plain way. Read by [`Stream::settings`].
    pub told: Option<Box<Settings>>,
    /// Who made it.
    pub origin: Origin,
    /// When.
    pub created_at: Timestamp,
    /// Opaque to all but its translator: settings and arguments.
    pub document: Bytes,
}

/// When a stream is removed by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lifetime {
    /// Never.
    Forever,
    /// With the connection of this number, which alone may use it.
    Connection(u64),
    /// When its last consumer leaves (not before the first has come).
    LastConsumer,
    /// When nobody has consumed from it for so long, in milliseconds.
    Unused {
        /// The time without a consumer.
        after_ms: u64,
    },
}

/// A set of addresses with one matching rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Realm {
    /// Its number in addresses.
    pub id: RealmId,
    /// Its name; unique.
    pub name: Text,
    /// How bindings in it match.
    pub rule: Rule,
    /// Whether it outlives the process.
    pub is_durable: bool,
    /// The name of the realm that gets what no binding here takes; looked up for each route.
    pub alternate: Option<Text>,
    /// Who made it.
    pub origin: Origin,
    /// Opaque to all but its translator.
    pub document: Bytes,
}

/// How the bindings of a realm match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// By pattern over segments.
    Pattern = 1,
    /// By equality; wildcards are letters.
    Exact = 2,
    /// Every binding matches.
    All = 3,
    /// By headers of the message.
    Headers = 4,
}

/// A way from a realm to a stream or to another realm.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Binding {
    /// Where it starts.
    pub from: RealmId,
    /// What it takes.
    pub on: Match,
    /// Where it leads.
    pub to: Destination,
    /// Passes over messages that the owner of the destination published itself.
    pub no_local: bool,
    /// Opaque to all but its translator; part of the binding's identity.
    pub document: Bytes,
}

/// What a binding takes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Match {
    /// Addresses that the pattern matches (in a realm of rule `All`: every address).
    Pattern(Pattern),
    /// Messages by their headers.
    Headers(HeaderMatch),
}

/// What a header binding wants.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderMatch {
    /// All of them, or at least one.
    pub wants_all: bool,
    /// Names and values; `Null` asks for the name only.
    pub wanted: Headers,
}

/// Where a binding leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// To a stream.
    Stream(StreamKey),
    /// To a realm, at the same path.
    Realm(RealmId),
}

impl StreamKey {
    /// A name in a family.
    pub fn new(family: Family, name: impl Into<Text>) -> Self {
        Self {
            family,
            name: name.into(),
        }
    }
}

impl Realm {
    /// The name of the realm that all protocols share.
    pub const SHARED_NAME: &str = "=shared";
    /// The name of the realm in which a queue is reached by its name.
    pub const QUEUES_NAME: &str = "=queues";
}

impl Stream {
    /// Whether its definition is kept on disk.
    pub fn is_durable(&self) -> bool {
        self.class != Class::Memory
    }

    /// Limits of each lane; where the oldest of a queue go, of what is ready in all its lanes.
    pub fn limits(&self) -> SizeLimits {
        self.limited.as_deref().copied().unwrap_or_default()
    }

    /// How it keeps its messages and gives them out.
    pub fn settings(&self) -> &Settings {
        self.told.as_deref().unwrap_or(Settings::PLAIN)
    }

    /// Whether somebody looks after its messages when nobody reads it: removes those whose deadline
    /// has passed, and moves the dead ones on. Mailboxes are many and have a reader who does the
    /// first, so they are watched only when they were told more than others.
    pub fn is_watched(&self) -> bool {
        self.kind == Kind::Queue && (self.key.family == Family::Queue || self.told.is_some())
    }

    /// Whether it is a queue with limits: of what is ready in it.
    pub fn limits_ready(&self) -> bool {
        let SizeLimits {
            count_max,
            bytes_max,
            ..
        } = self.limits();
        self.key.family == Family::Queue && (count_max.is_some() || bytes_max.is_some())
    }

    /// The limits of what is ready; of a queue only.
    pub fn ready_limits(&self) -> Option<SizeLimits> {
        self.limits_ready().then(|| self.limits())
    }

    /// Whether it is a mailbox that outlives connections.
    pub fn is_kept_mailbox(&self) -> bool {
        self.key.family == Family::Mailbox && self.owner().is_none()
    }

    /// The connection that alone may use it.
    pub fn owner(&self) -> Option<u64> {
        match self.lifetime {
            Lifetime::Connection(owner) => Some(owner),
            Lifetime::Forever | Lifetime::LastConsumer | Lifetime::Unused { .. } => None,
        }
    }
}
