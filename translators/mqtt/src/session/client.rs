//! Whose session it is, what was agreed, and where it is kept.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use fairlead_canon::{Offset, Text, Timestamp};
use fairlead_kernel::{
    Caller, Family, Lifetime, PutDocument, StreamKey, Version as DocumentVersion,
};

use crate::codec::PacketId;
use crate::rewrite;

/// A client and its terms.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: Text,
    /// The stream that keeps its messages while it is away; its document holds its subscriptions.
    pub(super) mailbox: StreamKey,
    pub(super) expiry: Expiry,
    /// Longest silence; `None` is no limit.
    pub(super) silence_max: Option<Duration>,
    /// Largest packet that it accepts.
    pub(super) size_max: usize,
    /// Whether it wants words beside the codes of acknowledgements.
    pub(super) wants_words: bool,
}

/// How long a session outlives its connection, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Expiry(pub(super) u32);

/// A packet id that is remembered while its session is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remembered {
    /// A QoS 2 message that came with it is published; PUBREL has not come.
    Received(PacketId),
    /// A QoS 2 message that was sent with it is settled; PUBCOMP has not come.
    Released(PacketId),
}

impl Expiry {
    /// The session ends with the connection.
    pub(super) const NONE: Self = Self(0);
    /// It never ends by itself.
    pub(super) const NEVER: Self = Self(u32::MAX);

    /// Whether the session outlives the connection.
    pub(super) fn is_some(self) -> bool {
        self != Self::NONE
    }

    /// Of the mailbox.
    pub(super) fn lifetime(self) -> Lifetime {
        match self {
            Self::NEVER => Lifetime::Forever,
            Self(seconds) => Lifetime::Unused {
                after_ms: u64::from(seconds) * 1000,
            },
        }
    }
}

impl Client {
    /// How rules name it.
    pub(super) fn named<'a>(&'a self, caller: &'a Caller) -> rewrite::Client<'a> {
        rewrite::Client {
            user: &caller.who().name,
            id: &self.id,
        }
    }

    /// The stream of a client's messages.
    pub(super) fn mailbox_of(id: Text) -> StreamKey {
        StreamKey::new(Family::Mailbox, id)
    }

    /// Whether its mailbox is one that outlives connections.
    pub(super) fn has_kept_mailbox(&self) -> bool {
        self.mailbox.name == self.id
    }

    /// The prefix of the keys of its remembered packet ids. A client id holds no null character,
    /// so no prefix begins another.
    pub(super) fn remembered_prefix(&self) -> Bytes {
        let mut key = BytesMut::from(&**self.id.as_bytes());
        key.put_u8(0);
        key.freeze()
    }

    /// The key of the document that says where its delayed will waits.
    pub(super) fn will_key(&self) -> Bytes {
        let mut key = BytesMut::from(&*self.remembered_prefix());
        key.put_u8(WILL);
        key.freeze()
    }

    /// That document, for a will that waits at this offset until it is due; `None` ends it.
    pub(super) fn will_document(&self, waits: Option<(Offset, Timestamp)>) -> PutDocument {
        let value = waits.map(|(offset, due)| {
            let mut value = BytesMut::new();
            value.put_u64(offset.0);
            value.put_u64(due.0);
            value.freeze()
        });
        PutDocument {
            key: self.will_key(),
            value,
            expect: None,
            due: None,
        }
    }

    /// A document that says that an id is remembered.
    pub(super) fn remember(&self, what: Remembered) -> PutDocument {
        let expect = match what {
            Remembered::Received(_) => Some(DocumentVersion(0)),
            Remembered::Released(_) => None,
        };
        PutDocument {
            expect,
            ..self.document(what, Some(Bytes::new()))
        }
    }

    /// The end of that document.
    pub(super) fn forget(&self, what: Remembered) -> PutDocument {
        self.document(what, None)
    }

    fn document(&self, what: Remembered, value: Option<Bytes>) -> PutDocument {
        let mut key = BytesMut::from(&*self.remembered_prefix());
        let (kind, id) = match what {
            Remembered::Received(id) => (RECEIVED, id),
            Remembered::Released(id) => (RELEASED, id),
        };
        key.put_u8(kind);
        key.put_u16(id.get());
        PutDocument {
            key: key.freeze(),
            value,
            expect: None,
            due: None,
        }
    }

    /// What the key of a remembered packet id says.
    pub(super) fn remembered(&self, key: &[u8]) -> Option<Remembered> {
        let rest = key.strip_prefix(&*self.remembered_prefix())?;
        let (kind, id) = rest.split_first()?;
        let id = PacketId::new(u16::from_be_bytes(id.try_into().ok()?))?;
        match *kind {
            RECEIVED => Some(Remembered::Received(id)),
            RELEASED => Some(Remembered::Released(id)),
            _ => None,
        }
    }
}

/// Where a delayed will waits, as its document says.
pub(super) fn waiting_will(value: &[u8]) -> Option<(Offset, Timestamp)> {
    let (offset, due) = value.split_first_chunk()?;
    let (offset, due) = (
        u64::from_be_bytes(*offset),
        u64::from_be_bytes(due.try_into().ok()?),
    );
    Some((Offset(offset), Timestamp(due)))
}

const WILL: u8 = b'w';
const RECEIVED: u8 = b'i';
const RELEASED: u8 = b'o';
