//! What can be declared, and how it is refused.

use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{Address, Class, Kind, Origin, RealmId, SizeLimits, Text};
use thiserror::Error;

use crate::{Binding, Lifetime, Realm, Rule, Settings, Stream, StreamKey};

/// One step of a declaration.
#[derive(Clone, Debug)]
pub enum Change {
    /// Make a stream and its entities.
    CreateStream(NewStream),
    /// Replace the translator's own document and the lifetime of a stream.
    AlterStream {
        /// The stream.
        key: StreamKey,
        /// Its new document.
        document: Bytes,
        /// Its new lifetime.
        lifetime: Lifetime,
    },
    /// Replace class, limits and settings of a stream.
    Configure(Configure),
    /// Add lanes until there are so many.
    AddLanes {
        /// The stream.
        key: StreamKey,
        /// How many there are to be; more than now.
        lanes: u32,
    },
    /// Remove a stream, its entities and the bindings that lead to it.
    RemoveStream(StreamKey),
    /// Make a realm.
    CreateRealm(NewRealm),
    /// Remove a realm and all bindings from and to it.
    RemoveRealm(RealmId),
    /// Make a binding; one that exists stays as it is.
    Bind(Binding),
    /// Remove a binding; one that does not exist is no error.
    Unbind(Binding),
    /// Write or (`None`) remove a directory entry, such as a user.
    PutEntry {
        /// Its name space.
        namespace: Text,
        /// Its key.
        key: Bytes,
        /// Its value.
        value: Option<Bytes>,
    },
}

/// What a stream is to become.
#[derive(Clone, Debug)]
pub struct Configure {
    /// The stream.
    pub key: StreamKey,
    /// Where it is kept from now on.
    pub class: Class,
    /// Limits of each lane.
    pub limits: SizeLimits,
    /// Everything else; `priority_max` must stay as it is.
    pub settings: Settings,
}

/// A stream to be made.
#[derive(Clone, Debug)]
pub struct NewStream {
    /// Its name.
    pub key: StreamKey,
    /// How it is consumed.
    pub kind: Kind,
    /// Where it is kept.
    pub class: Class,
    /// How many lanes; 1 to [`NewStream::LANES_MAX`]. A queue with priorities gets a lane for each.
    pub lanes: u32,
    /// When it is removed by itself.
    pub lifetime: Lifetime,
    /// Limits of each lane.
    pub limits: SizeLimits,
    /// Everything else that it is told.
    pub settings: Settings,
    /// Who makes it.
    pub origin: Origin,
    /// Opaque to all but its translator.
    pub document: Bytes,
    /// An address that is bound to it, exactly, for as long as it exists.
    pub at: Option<Address>,
}

/// A realm to be made.
#[derive(Clone, Debug)]
pub struct NewRealm {
    /// Its name.
    pub name: Text,
    /// How bindings in it match.
    pub rule: Rule,
    /// Whether it outlives the process.
    pub is_durable: bool,
    /// The name of the realm that gets what no binding here takes.
    pub alternate: Option<Text>,
    /// Who makes it.
    pub origin: Origin,
    /// Opaque to all but its translator.
    pub document: Bytes,
}

/// What a declaration made.
#[derive(Clone, Debug, Default)]
pub struct Declared {
    /// Streams created or given lanes, in the order asked for.
    pub streams: Vec<Arc<Stream>>,
    /// Realms created, in the order asked for.
    pub realms: Vec<Arc<Realm>>,
}

/// Why a declaration was refused. Nothing of it took effect.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// The name is taken.
    #[error("{0} exists")]
    Exists(Text),
    /// There is no such thing.
    #[error("{0} does not exist")]
    Unknown(Text),
    /// It stays as it was made.
    #[error("{0} cannot be changed")]
    Fixed(&'static str),
    /// A number is out of bounds.
    #[error("{what} is out of bounds: at most {max}")]
    OutOfBounds {
        /// What.
        what: &'static str,
        /// The most.
        max: u64,
    },
    /// There are as many as a node holds.
    #[error("there are {max} {what}, and no more fit")]
    Full {
        /// What.
        what: &'static str,
        /// The most.
        max: u64,
    },
}

impl NewStream {
    /// Most lanes of a stream: each is an entity with positions of its own.
    pub const LANES_MAX: u32 = 10_000;

    /// A stream of one lane that lives for ever and is bound nowhere.
    pub fn new(key: StreamKey, kind: Kind, class: Class, origin: Origin) -> Self {
        Self {
            key,
            kind,
            class,
            lanes: 1,
            lifetime: Lifetime::Forever,
            limits: SizeLimits::default(),
            settings: Settings::default(),
            origin,
            document: Bytes::new(),
            at: None,
        }
    }
}
