//! Exchanges of type `x-delayed-message`: what is published there is routed later.

use std::time::Duration;

use fairlead_canon::{Address, Message, Promise, Value};
use fairlead_kernel::{Later, Pending};

use crate::arguments::integer;
use crate::codec::BasicProperties;
use crate::connection::Peer;
use crate::errors::{Refusal, ReplyCode};

/// How many milliseconds a message waits.
const HEADER: &[u8] = b"x-delay";

//= exchange.x-delayed-message: a message with the header x-delay is routed so many milliseconds later; its
//= exchange.x-delayed-message: readers see the number negative, so that it does not wait again.
pub(super) fn take_delay(properties: &mut BasicProperties) -> Option<Duration> {
    let headers = &mut properties.headers.as_mut()?.0;
    let (_, value) = headers.iter_mut().find(|(name, _)| name == HEADER)?;
    let ms = integer(value)?;
    let delay = u64::try_from(ms).ok().filter(|ms| *ms > 0)?;
    *value = Value::I64(-ms);
    Some(Duration::from_millis(delay))
}

/// Publishes a message later, at each of its addresses by itself: what is bound is only known then.
/// The last one's receipt stands for all.
pub(super) fn publish_later(
    (message, delay): (Message, Duration),
    addresses: &[Address],
    promise: Promise,
    peer: &mut Peer,
) -> Result<Pending, Refusal> {
    let at = message.terms.accepted_at.after(delay);
    let later = |address: &Address, promise| Later {
        message: Message {
            address: address.clone(),
            ..message.clone()
        },
        at,
        promise,
        with: Vec::new(),
    };
    let (last, others) = addresses
        .split_last()
        .ok_or_else(|| ReplyCode::InternalError.because("a message without an address"))?;
    for other in others {
        peer.caller.publish_later(later(other, Promise::Nothing))?;
    }
    Ok(peer.caller.publish_later(later(last, promise))?)
}
