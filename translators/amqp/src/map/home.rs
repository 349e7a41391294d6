//! What only this protocol can say of a message: one byte of facts, and the property bytes where
//! rebuilding them from the canonical form would not give them back.

use bytes::{BufMut, Bytes, BytesMut};
use fairlead_canon::{Home, Message, Origin};

use crate::ORIGIN;
use crate::codec::BasicProperties;

const REVISION: u8 = 1;
const NO_DELIVERY_MODE: u8 = 1;
const OWN_EXPIRATION: u8 = 2;
const VERBATIM: u8 = 4;

/// What a message of this protocol says beyond the canonical form.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// The delivery mode was absent.
    pub(super) no_delivery_mode: bool,
    /// It had an expiration, whose text is the canonical life in milliseconds.
    pub(super) own_expiration: bool,
    /// Its properties exactly as published.
    pub(super) verbatim: Option<BasicProperties>,
}

impl Facts {
    /// `None` when there is nothing to say.
    pub(super) fn into_home(self) -> Option<Home> {
        let mut facts = u8::from(self.no_delivery_mode) * NO_DELIVERY_MODE;
        facts |= u8::from(self.own_expiration) * OWN_EXPIRATION;
        if let Some(properties) = self.verbatim {
            let mut bytes = BytesMut::new();
            bytes.put_u8(facts | VERBATIM);
            // Properties that were read can be written: no field has grown.
            return properties
                .encode(&mut bytes)
                .ok()
                .map(|()| home(bytes.freeze()));
        }
        match facts {
            0 => None,
            // The commonest facts cost no allocation.
            NO_DELIVERY_MODE => Some(home(Bytes::from_static(&[NO_DELIVERY_MODE]))),
            facts => Some(home(Bytes::copy_from_slice(&[facts]))),
        }
    }

    /// The facts of a message; none when it came by another protocol.
    pub(super) fn of(message: &Message) -> Self {
        let own = message
            .home
            .as_ref()
            .filter(|home| is_own(home.origin, home.revision));
        let Some((facts, rest)) = own.and_then(|home| home.bytes.split_first()) else {
            return Self::default();
        };
        let verbatim = (facts & VERBATIM != 0)
            .then(|| BasicProperties::decode(&Bytes::copy_from_slice(rest)).ok());
        Self {
            no_delivery_mode: facts & NO_DELIVERY_MODE != 0,
            own_expiration: facts & OWN_EXPIRATION != 0,
            verbatim: verbatim.flatten(),
        }
    }
}

fn is_own(origin: Origin, revision: u8) -> bool {
    origin == ORIGIN && revision == REVISION
}

fn home(bytes: Bytes) -> Home {
    Home {
        origin: ORIGIN,
        revision: REVISION,
        bytes,
    }
}
