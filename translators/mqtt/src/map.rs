//! A message between the wire and the canonical model (`mapping.toml` has the table).
//!
//! Begin with [`ingest`] and [`Emitter::emit`].

mod alias;
mod emit;
mod headers;
mod ingest;
mod reply;
mod source;

use bytes::Bytes;
use fairlead_canon::{Home, Message, Origin, Promise};

pub(crate) use emit::{Emitter, Refusal, Target};
pub(crate) use ingest::{Inbound, ingest};
pub(crate) use reply::address_of;
pub(crate) use source::{sign, source};

use crate::codec::Qos;

/// The number of this translator in stored envelopes.
pub const ORIGIN: Origin = Origin(1);

/// What only MQTT says of a message, as the first byte of its home.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Mark(u8);

impl Mark {
    const REVISION: u8 = 1;
    /// Published at QoS 2; the promise alone says QoS 1.
    const EXACTLY_ONCE: Self = Self(1);
    /// Sent because of a subscription, from what was retained.
    const REPLAYED: Self = Self(1 << 1);
    /// Came by way of a shared subscription.
    const SHARED: Self = Self(1 << 2);

    fn of(message: &Message) -> Self {
        let first = Self::bytes(message).and_then(|bytes| bytes.first());
        first.map_or(Self::default(), |mark| Self(*mark))
    }

    /// The home of a message, if it is one of ours.
    fn bytes(message: &Message) -> Option<&Bytes> {
        match &message.home {
            Some(Home {
                origin: ORIGIN,
                revision: Self::REVISION,
                bytes,
            }) => Some(bytes),
            _ => None,
        }
    }

    fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn home(self) -> Option<Home> {
        const FORMS: &[u8] = &[0, 1, 2, 3, 4, 5, 6, 7];
        let place = usize::from(self.0);
        let form = FORMS.get(place..=place).filter(|_| place > 0)?;
        Some(Home {
            origin: ORIGIN,
            revision: Self::REVISION,
            bytes: Bytes::from_static(form),
        })
    }
}

/// The QoS at which a message was published.
pub(crate) fn published_qos(message: &Message) -> Qos {
    if Mark::of(message).has(Mark::EXACTLY_ONCE) {
        return Qos::ExactlyOnce;
    }
    match message.terms.promise {
        Promise::Nothing | Promise::Accepted => Qos::AtMostOnce,
        Promise::Durable => Qos::AtLeastOnce,
    }
}

/// Whether a message comes from what was retained when its reader subscribed.
pub(crate) fn is_replayed(message: &Message) -> bool {
    Mark::of(message).has(Mark::REPLAYED)
}

/// Marks a copy of a retained message for one reader.
pub(crate) fn replayed(message: &Message) -> Message {
    let mut copy = message.clone();
    copy.home = Mark::of(message).with(Mark::REPLAYED).home();
    copy.terms.latest = false;
    copy
}

/// Whether a message comes from the queue of a group.
pub(crate) fn is_shared(message: &Message) -> bool {
    Mark::of(message).has(Mark::SHARED)
}

/// Marks a message that a group's member takes into its own mailbox.
pub(crate) fn shared(message: &Message) -> Message {
    let mut copy = message.clone();
    copy.home = Mark::of(message).with(Mark::SHARED).home();
    copy
}

/// What a publish of this QoS promises.
pub(crate) fn promise_of(qos: Qos) -> Promise {
    match qos {
        Qos::AtMostOnce => Promise::Nothing,
        Qos::AtLeastOnce | Qos::ExactlyOnce => Promise::Durable,
    }
}

#[cfg(test)]
mod tests;
