//! A message that is published: method, header, body frames, then the kernel.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fairlead_canon::limits::BODY_BYTES_MAX;
use fairlead_canon::{Address, Message, Promise, RealmId};
use fairlead_kernel::{Content, Publish, To};
use smallvec::{SmallVec, smallvec};

use super::delay::{publish_later, take_delay};
use super::routes::take_further_keys;
use super::{Channel, reply};
use crate::codec::{BasicProperties, ContentHeader, ShortStr, basic};
use crate::connection::{Awaited, Peer, Returned, Then};
use crate::errors::{Refusal, ReplyCode};
use crate::exchanges::{Exchange, require, shown};
use crate::map::{address_of_default, address_on, ingest, shown_address};

/// A message whose body is still coming.
#[derive(Debug)]
pub(super) struct Incoming {
    publish: basic::Publish,
    /// Where it goes; `None` is the default exchange.
    exchange: Option<Exchange>,
    header: Option<Box<ContentHeader>>,
    missing: usize,
    body: Body,
}

/// Where a message goes: nearly always to one address.
pub(super) type Addresses = SmallVec<[Address; 1]>;

/// A message that is complete.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) message: Message,
    pub(super) addresses: Addresses,
    /// How long its exchange lets it wait.
    pub(super) delay: Option<Duration>,
    /// What goes back to its publisher if it reaches no queue.
    pub(super) mandatory: Option<Box<Returned>>,
}

/// A body: one frame is kept as it came, more are joined.
#[derive(Debug)]
enum Body {
    Whole(Bytes),
    Joined(BytesMut),
}

impl Channel {
    pub(super) fn start_publish(
        &mut self,
        publish: basic::Publish,
        peer: &mut Peer,
    ) -> Result<(), Refusal> {
        if publish.immediate {
            return Err(ReplyCode::NotImplemented.because("immediate=true"));
        }
        let exchange = exchange_of(&publish.exchange, peer)?;
        self.incoming = Some(Incoming {
            publish,
            exchange,
            header: None,
            missing: 0,
            body: Body::Whole(Bytes::new()),
        });
        Ok(())
    }

    /// Handles a content header.
    pub(crate) fn on_header(
        &mut self,
        header: Box<ContentHeader>,
        peer: &mut Peer,
    ) -> Result<(), Refusal> {
        let waiting = self
            .incoming
            .as_mut()
            .filter(|incoming| incoming.header.is_none());
        let Some(incoming) = waiting else {
            return Err(ReplyCode::UnexpectedFrame.because("a header that no method announced"));
        };
        let size = usize::try_from(header.body_size).unwrap_or(usize::MAX);
        if size > BODY_BYTES_MAX {
            let text = format!("message size {size} is larger than {BODY_BYTES_MAX}");
            return Err(ReplyCode::ContentTooLarge.because(text));
        }
        if peer.incoming_bytes + size > Peer::INCOMING_BYTES_MAX {
            let text = "too much is coming in on all channels together";
            return Err(ReplyCode::ContentTooLarge.because(text));
        }
        peer.incoming_bytes += size;
        incoming.missing = size;
        incoming.header = Some(header);
        self.publish_when_whole(peer)
    }

    /// Handles a part of a body.
    pub(crate) fn on_body(&mut self, part: Bytes, peer: &mut Peer) -> Result<(), Refusal> {
        let waiting = self
            .incoming
            .as_mut()
            .filter(|incoming| incoming.header.is_some());
        let Some(incoming) = waiting else {
            return Err(ReplyCode::UnexpectedFrame.because("a body that no header announced"));
        };
        let missing = incoming.missing.checked_sub(part.len());
        incoming.missing = missing
            .ok_or_else(|| ReplyCode::FrameError.because("more body than its header announced"))?;
        incoming.body.push(part);
        self.publish_when_whole(peer)
    }

    /// Forgets a message that will not become whole.
    pub(super) fn leave_incoming(&mut self, peer: &mut Peer) {
        if let Some(incoming) = self.incoming.take() {
            peer.incoming_bytes -= incoming.announced();
        }
    }

    fn publish_when_whole(&mut self, peer: &mut Peer) -> Result<(), Refusal> {
        let Some(incoming) = self.incoming.take_if(|incoming| incoming.missing == 0) else {
            return Ok(());
        };
        peer.incoming_bytes -= incoming.announced();
        let body = incoming.body.into_bytes();
        let mut header = incoming.header.unwrap_or_default();
        let publish = incoming.publish;
        check_user(&header.properties, peer)?;
        let exchange = incoming.exchange;
        let mut addresses: Addresses =
            smallvec![address(publish.routing_key.as_bytes(), exchange)?];
        for key in take_further_keys(&mut header.properties)? {
            addresses.push(address(&key, exchange)?);
        }
        let is_delayed = exchange.is_some_and(|exchange| exchange.is_delayed);
        let delay = is_delayed.then(|| take_delay(&mut header.properties));
        let shown = shown_address(publish.routing_key.as_bytes(), &addresses);
        let mandatory = publish.mandatory.then(|| {
            Box::new(Returned {
                exchange: publish.exchange,
                routing_key: publish.routing_key,
                header: ContentHeader::clone(&header),
                body: body.clone(),
            })
        });
        let properties = &mut header.properties;
        if properties.reply_to.as_ref().is_some_and(reply::is_direct) {
            properties.reply_to = Some(self.reply_name()?);
        }
        let now = peer.caller.kernel().clock().wall();
        let mut message = ingest(properties, body, shown, now)?;
        if addresses.len() > 1 {
            let further = addresses.iter().skip(1);
            message.properties_mut().also_at = further.map(|one| one.path.clone()).collect();
        }
        let whole = Whole {
            message,
            addresses,
            delay: delay.flatten(),
            mandatory,
        };
        self.hold(whole, peer)
    }

    /// Publishes a message at once.
    pub(super) fn hand_over(&mut self, whole: Whole, peer: &mut Peer) -> Result<(), Refusal> {
        let Whole {
            message,
            addresses,
            delay,
            mandatory,
        } = whole;
        let confirm = self.confirms.as_mut().map(|last| {
            *last += 1;
            *last
        });
        let promise = match (confirm, &mandatory) {
            (Some(_), _) => message.terms.promise,
            (None, Some(_)) => Promise::Accepted,
            (None, None) => Promise::Nothing,
        };
        let pending = match delay {
            Some(delay) => publish_later((message, delay), &addresses, promise, peer)?,
            None => peer.caller.publish(Publish {
                to: To::Addresses(&addresses),
                content: Content::Message(message),
                promise,
                with: Vec::new(),
                own_mailbox: None,
            })?,
        };
        if promise != Promise::Nothing {
            peer.receipts.push(Awaited {
                pending,
                channel: self.number,
                then: confirm.map_or(Then::Nothing, Then::Confirm),
                mandatory,
            });
        }
        Ok(())
    }
}

impl Incoming {
    fn announced(&self) -> usize {
        let header = self.header.as_ref();
        // It was checked against a limit that is a usize.
        header.map_or(0, |header| usize::try_from(header.body_size).unwrap_or(0))
    }
}

impl Body {
    fn push(&mut self, part: Bytes) {
        match self {
            Self::Whole(held) if held.is_empty() => *held = part,
            Self::Whole(held) => {
                let mut joined = BytesMut::from(&held[..]);
                joined.extend_from_slice(&part);
                *self = Self::Joined(joined);
            }
            Self::Joined(joined) => joined.extend_from_slice(&part),
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Whole(bytes) => bytes,
            Self::Joined(joined) => joined.freeze(),
        }
    }
}

//= basic.properties.user-id: when it is given, it is the name of the login.
fn check_user(properties: &BasicProperties, peer: &Peer) -> Result<(), Refusal> {
    match &properties.user_id {
        Some(user) if *user != peer.login => {
            let (said, login) = (shown(user), shown(&peer.login));
            let text =
                format!("user_id property set to '{said}' but authenticated user was '{login}'");
            Err(ReplyCode::PreconditionFailed.because(text))
        }
        Some(_) | None => Ok(()),
    }
}

/// An exchange that clients may publish to; `None` is the default one.
fn exchange_of(exchange: &ShortStr, peer: &Peer) -> Result<Option<Exchange>, Refusal> {
    if exchange.is_empty() {
        return Ok(None);
    }
    let found = require(&peer.caller, exchange)?;
    if found.is_internal {
        let name = shown(exchange);
        let text = format!("cannot publish to internal exchange '{name}' in vhost '/'");
        return Err(ReplyCode::AccessRefused.because(text));
    }
    Ok(Some(found))
}

fn address(key: &[u8], exchange: Option<Exchange>) -> Result<Address, Refusal> {
    let address = match exchange {
        None => address_of_default(key),
        Some(exchange) => address_on(exchange.realm, key),
    };
    let address =
        address.map_err(|error| ReplyCode::PreconditionFailed.because(error.to_string()))?;
    let root = address.path.segments().next().unwrap_or_default();
    if address.realm == RealmId::SHARED && matches!(root, b"$SYS" | b"$share") {
        let text = "nobody publishes to '$SYS' and '$share'";
        return Err(ReplyCode::AccessRefused.because(text));
    }
    Ok(address)
}
