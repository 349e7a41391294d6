//! The vocabulary that the protocols share.

pub(crate) mod stored;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::{Address, Deaths, Path, RealmId, Text, Value};

/// Shared properties, each optional (`mapping.md` section 7).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// MIME type of the body.
    pub content_type: Option<Text>,
    /// Encoding of the body, such as `gzip`.
    pub content_encoding: Option<Text>,
    /// The application's name for this type of message.
    pub kind: Option<Text>,
    /// The publishing application.
    pub app: Option<Text>,
    /// The publisher's identifier of this message.
    pub message_id: Option<Value>,
    /// What a reply refers to.
    pub correlation: Option<Value>,
    /// Where replies are wanted.
    pub reply_to: Option<ReplyTo>,
    /// Who published.
    pub user: Option<User>,
    /// W3C trace context.
    pub trace: Option<TraceContext>,
    /// What the publisher says its body is.
    pub format: Option<BodyFormat>,
    /// Where it has died before.
    pub deaths: Deaths,
    /// Further paths in its realm at which it was published at the same time. Whatever publishes it
    /// anew at its own address does so at these as well.
    pub also_at: Box<[Path]>,
}

/// Where replies are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplyTo {
    /// An address that any protocol can publish to.
    Address(Address),
    /// A queue by its name.
    Entity(Text),
    /// Text that only the requester's protocol understands.
    Opaque(Bytes),
}

/// Who published a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: Text,
    /// Whether we checked it against the login.
    pub is_verified: bool,
}

/// W3C trace context, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// `traceparent`.
    pub parent: Text,
    /// `tracestate`.
    pub state: Option<Text>,
}

/// What the publisher says its body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFormat {
    /// Said to be unspecified bytes.
    Bytes,
    /// Said to be UTF-8 text.
    Text,
}

/// Paths under this first segment of the shared realm name what has no address there.
const REPLY_ROOT: &[u8] = b"$reply";
const REPLY_QUEUE: &[u8] = b"q";

impl ReplyTo {
    /// As a path of the shared realm, which every protocol can write; `None` when it has none.
    pub fn to_shared(&self) -> Option<Path> {
        match self {
            Self::Address(address) if address.realm == RealmId::SHARED => {
                Some(address.path.clone())
            }
            Self::Address(address) if address.realm == RealmId::QUEUES => {
                queue_path(address.path.segments().next()?)
            }
            Self::Entity(name) => queue_path(name.as_bytes()),
            Self::Address(_) | Self::Opaque(_) => None,
        }
    }

    /// What a path of the shared realm means as a place for replies.
    pub fn from_shared(path: Path) -> Self {
        let queue = match path.segments().collect::<SmallVec<[&[u8]; 4]>>().as_slice() {
            [REPLY_ROOT, REPLY_QUEUE, name] => Text::try_from(*name).ok(),
            _ => None,
        };
        queue.map_or_else(|| Self::Address(Address::shared(path)), Self::Entity)
    }
}

fn queue_path(name: &[u8]) -> Option<Path> {
    Path::from_segments([REPLY_ROOT, REPLY_QUEUE, name]).ok()
}
