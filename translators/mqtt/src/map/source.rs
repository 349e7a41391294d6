//! Who retained a message, kept in its home behind the mark, so that it can be asked whether he still may.
//!
//! ```text
//! mark u8 | client identifier u16 + bytes | user's name, to the end
//! ```

use bytes::BytesMut;
use fairlead_canon::{Home, Message, Principal, Text};
use fairlead_wire::{Reader, Writer};

use super::{Mark, ORIGIN};

/// Notes who publishes a message that is to be retained. Nobody is noted whose grants come with a token: they are
/// not kept here, so that they can be neither taken back nor asked about.
pub(crate) fn sign(message: &mut Message, who: &Principal) {
    let brings_grants = who.token().is_some_and(|token| token.grants.is_some());
    if message.terms.latest && !brings_grants {
        message.home = signed(Mark::of(message), who).or(message.home.take());
    }
}

/// `None` for a client identifier that is too long to be one.
fn signed(mark: Mark, who: &Principal) -> Option<Home> {
    let mut out = BytesMut::with_capacity(3 + who.client.len() + who.name.len());
    let mut w = Writer::new(&mut out);
    w.u8(mark.0);
    w.bytes16("client identifier", who.client.as_bytes()).ok()?;
    w.raw(who.name.as_bytes());
    Some(Home {
        origin: ORIGIN,
        revision: Mark::REVISION,
        bytes: out.freeze(),
    })
}

/// Who retained a message, as rules about grants know him; `None` where nobody is noted.
pub(crate) fn source(message: &Message) -> Option<Principal> {
    let mut r = Reader::new(Mark::bytes(message)?);
    r.u8("mark").ok()?;
    let client = Text::try_from(r.bytes16("client identifier").ok()?).ok()?;
    let name = Text::try_from(r.rest()).ok()?;
    Some(Principal {
        client,
        name,
        ..Principal::anonymous()
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use fairlead_canon::{Path, Promise, Proof, Terms, Timestamp, Token};

    use super::*;
    use crate::codec::Qos;
    use crate::map::{is_replayed, published_qos, replayed};

    fn retained() -> Message {
        let mut terms = Terms::accepted(Timestamp(0), Promise::Durable);
        terms.latest = true;
        let address = fairlead_canon::Address::shared(Path::from_segments(["a"]).unwrap());
        Message::new(address, Bytes::from_static(b"on"), terms)
    }

    fn bob() -> Principal {
        Principal {
            client: Text::from_static("pump"),
            name: Text::from_static("bob"),
            ..Principal::anonymous()
        }
    }

    #[test]
    fn who_retained_a_message_is_read_back_beside_its_qos() {
        let mut message = retained();
        assert_eq!(source(&message), None);
        sign(&mut message, &bob());
        assert_eq!(source(&message), Some(bob()));
        assert_eq!(published_qos(&message), Qos::AtLeastOnce);
        message.home = Mark::EXACTLY_ONCE.home();
        assert_eq!(source(&message), None);
        sign(&mut message, &bob());
        assert_eq!(source(&message), Some(bob()));
        assert_eq!(published_qos(&message), Qos::ExactlyOnce);
        let copy = replayed(&message);
        assert!(is_replayed(&copy) && source(&copy).is_none());
        assert_eq!(published_qos(&copy), Qos::ExactlyOnce);
    }

    #[test]
    fn what_is_not_retained_and_what_a_token_grants_is_not_signed() {
        let mut message = retained();
        message.terms.latest = false;
        sign(&mut message, &bob());
        assert_eq!(message.home, None);
        let bearer = |grants: Option<&'static [u8]>| Principal {
            proof: Proof::Token(Arc::new(Token {
                grants: grants.map(Bytes::from_static),
                ..Token::default()
            })),
            ..bob()
        };
        let mut message = retained();
        sign(&mut message, &bearer(Some(b"{}")));
        assert_eq!(message.home, None);
        sign(&mut message, &bearer(None));
        assert_eq!(source(&message), Some(bob()));
    }
}
