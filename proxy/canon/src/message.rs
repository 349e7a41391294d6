//! One message.

use bytes::Bytes;

use crate::{Address, EventTime, Headers, Promise, Properties, Timestamp};

/// One message. Cloning copies reference counts (and the boxed properties), never bodies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where it was published.
    pub address: Address,
    /// Orders and compacts; `None` and empty differ.
    pub key: Option<Bytes>,
    /// `None` is a tombstone; an empty body is `Some`.
    pub body: Option<Bytes>,
    /// Time, life and promise.
    pub terms: Terms,
    /// The shared vocabulary; `None` when no property is given.
    pub properties: Option<Box<Properties>>,
    /// The publisher's own headers.
    pub headers: Headers,
    /// By which translator it came; [`Origin::NOBODY`] when that is not known.
    pub origin: Origin,
    /// What only its own protocol can say.
    pub home: Option<Home>,
}

/// The fixed-size part of a message, on which the kernel decides without opening anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// When we accepted it, by our clock.
    pub accepted_at: Timestamp,
    /// When the publisher says it happened.
    pub event_at: Option<EventTime>,
    /// When it must no longer be delivered. Absolute.
    pub deadline: Option<Timestamp>,
    /// What the publisher's receipt must mean.
    pub promise: Promise,
    /// Absent, 0 and 4 are three things.
    pub priority: Option<u8>,
    /// Also becomes the latest value of its address.
    pub latest: bool,
}

/// The number of the translator that wrote an envelope. Stored; never reused. 0 is nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(pub u8);

/// What only the publisher's own protocol can say; read only by the translator of that origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// Whose bytes these are.
    pub origin: Origin,
    /// Revision of that translator's form.
    pub revision: u8,
    /// Opaque to everybody else.
    pub bytes: Bytes,
}

impl Origin {
    /// No translator.
    pub const NOBODY: Self = Self(0);
}

impl Message {
    /// A message with a body and nothing else.
    pub fn new(address: Address, body: Bytes, terms: Terms) -> Self {
        Self {
            address,
            key: None,
            body: Some(body),
            terms,
            properties: None,
            headers: Headers::default(),
            origin: Origin::NOBODY,
            home: None,
        }
    }

    /// The properties, created empty when there were none.
    pub fn properties_mut(&mut self) -> &mut Properties {
        self.properties.get_or_insert_default()
    }

    /// Whether it has a history of deaths.
    pub fn has_died(&self) -> bool {
        let properties = self.properties.as_deref();
        properties.is_some_and(|said| !said.deaths.is_empty())
    }

    /// Length of the body in bytes; 0 for a tombstone.
    pub fn body_len(&self) -> usize {
        self.body.as_ref().map_or(0, Bytes::len)
    }
}

impl Terms {
    /// Accepted at `now`, with nothing else said.
    pub fn accepted(now: Timestamp, promise: Promise) -> Self {
        Self {
            accepted_at: now,
            event_at: None,
            deadline: None,
            promise,
            priority: None,
            latest: false,
        }
    }

    /// Whether the deadline has been reached.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }
}
