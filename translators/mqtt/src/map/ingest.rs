//! From PUBLISH or a will to a message.

use std::time::Duration;

use bytes::Bytes;
use fairlead_canon::{Address, BodyFormat, Loss, Message, Terms, Text, Timestamp, Value};

use super::{Mark, headers, promise_of, reply};
use crate::codec::{DecodeError, Properties, Property, Qos, UserProperty};

/// The parts of a PUBLISH or a will that make a message.
#[derive(Debug)]
pub(crate) struct Inbound<'a> {
    /// Where it goes.
    pub(crate) address: Address,
    /// With which promise.
    pub(crate) qos: Qos,
    /// Whether it becomes the latest message of its address.
    pub(crate) retain: bool,
    /// Of MQTT 5.
    pub(crate) properties: &'a Properties,
    /// What it says.
    pub(crate) payload: Bytes,
}

/// The message that was published, and what of it could not be understood. Slices of the packet,
/// nothing is copied.
pub(crate) fn ingest(inbound: Inbound<'_>, now: Timestamp) -> Result<(Message, Loss), DecodeError> {
    let Inbound {
        address,
        qos,
        retain,
        properties,
        payload,
    } = inbound;
    let mut terms = Terms::accepted(now, promise_of(qos));
    terms.latest = retain;
    let mut message = Message::new(address, payload, terms);
    if qos == Qos::ExactlyOnce {
        message.home = Mark::EXACTLY_ONCE.home();
    }
    if properties.is_empty() {
        return Ok((message, Loss::NONE));
    }
    let user = read_properties(properties, &mut message)?;
    Ok(headers::read(user, message))
}

/// Reads what has a place in the message; user properties come back.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "most properties are not of the message"
)]
fn read_properties(
    properties: &Properties,
    message: &mut Message,
) -> Result<Vec<UserProperty>, DecodeError> {
    let mut user = Vec::new();
    for property in properties.iter() {
        match property {
            Property::PayloadFormat(is_text) => {
                let format = if is_text {
                    BodyFormat::Text
                } else {
                    BodyFormat::Bytes
                };
                message.properties_mut().format = Some(format);
            }
            Property::MessageExpiry(seconds) => {
                let life = Duration::from_secs(seconds.into());
                message.terms.deadline = Some(message.terms.accepted_at.after(life));
            }
            Property::ContentType(text) => message.properties_mut().content_type = Some(text),
            Property::ResponseTopic(topic) => {
                check_response_topic(&topic)?;
                message.properties_mut().reply_to = Some(reply::reply_to(&topic));
            }
            Property::CorrelationData(bytes) => {
                let value = Text::try_from(bytes.clone()).map_or(Value::Bytes(bytes), Value::Text);
                message.properties_mut().correlation = Some(value);
            }
            //= MQTT-3.3.4-6: a client's PUBLISH names no subscription.
            Property::SubscriptionId(_) => {
                return Err(DecodeError::Protocol(
                    "a client's PUBLISH with a subscription",
                ));
            }
            Property::User(pair) => user.push(pair),
            // The others are of the hop, not of the message.
            _ => {}
        }
    }
    Ok(user)
}

fn check_response_topic(topic: &Text) -> Result<(), DecodeError> {
    //= MQTT-3.3.2-14: a Response Topic holds no wildcard.
    if topic.is_empty() || topic.contains(['+', '#']) {
        return Err(DecodeError::Protocol(
            "a Response Topic that is no topic name",
        ));
    }
    Ok(())
}
