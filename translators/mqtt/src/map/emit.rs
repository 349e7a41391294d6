//! From a message to what a PUBLISH says.

use std::time::Duration;

use bytes::Bytes;
use fairlead_canon::{BodyFormat, Loss, LossCode, Message, Path, Text};

use super::alias::{Alias, Aliases};
use super::{headers, reply};
use crate::codec::{Properties, Property, SubscriptionId, Version};
use crate::names;

/// Writes messages for one reader; remembers the last topic, since neighbours share it.
#[derive(Debug, Default)]
pub(crate) struct Emitter {
    last: Option<Box<(Path, Text)>>,
    aliases: Option<Box<Aliases>>,
}

/// For whom a message is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) version: Version,
    /// Until the message expires; `None`: it never does.
    pub(crate) left: Option<Duration>,
    /// Of the subscriptions that asked for it.
    pub(crate) ids: &'a [SubscriptionId],
    /// It was sent before: then its expiry no longer counts.
    pub(crate) is_resent: bool,
}

/// The parts of a PUBLISH that the message decides.
#[derive(Debug)]
pub(crate) struct Emitted {
    /// Empty when an alias among the properties says it.
    pub(crate) topic: Text,
    pub(crate) properties: Properties,
    pub(crate) payload: Bytes,
    /// What could not be said.
    pub(crate) loss: Loss,
}

/// Why a message is not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Its deadline has passed.
    Expired,
    /// Its address is longer than a topic name, or a property than 65,535 bytes.
    Inexpressible,
}

impl Emitter {
    /// For a reader that takes so many topic aliases.
    pub(crate) fn with_aliases(max: u16) -> Self {
        Self {
            last: None,
            aliases: Aliases::up_to(max),
        }
    }

    /// Whether its reader may be told an alias in place of a topic.
    pub(crate) fn has_aliases(&self) -> bool {
        self.aliases.is_some()
    }

    /// What was emitted under this topic was not sent after all.
    pub(crate) fn unsent(&mut self, topic: &Text) {
        if let Some(aliases) = &mut self.aliases
            && !topic.is_empty()
        {
            aliases.take_back(topic);
        }
    }

    /// What a PUBLISH of this message says to this reader.
    pub(crate) fn emit(
        &mut self,
        message: &Message,
        target: Target<'_>,
    ) -> Result<Emitted, Refusal> {
        //= MQTT-4.3.3-7: what was sent once does not expire.
        if target.left == Some(Duration::ZERO) && !target.is_resent {
            return Err(Refusal::Expired);
        }
        let topic = self.topic(&message.address.path)?;
        let alias = self.aliases.as_mut().and_then(|known| known.of(&topic));
        let (properties, loss) = match target.version {
            Version::V31 | Version::V311 => (Properties::NONE, lost_in_3_1_1(message)),
            Version::V5 => properties(message, target, alias)?,
        };
        let topic = match alias {
            Some(Alias::Known(_)) => Text::new(),
            Some(Alias::New(_)) | None => topic,
        };
        Ok(Emitted {
            topic,
            properties,
            payload: message.body.clone().unwrap_or_default(),
            loss,
        })
    }

    fn topic(&mut self, path: &Path) -> Result<Text, Refusal> {
        if let Some((_, topic)) = self.last.as_deref().filter(|(last, _)| last == path) {
            return Ok(topic.clone());
        }
        let mut topic = Vec::with_capacity(path.as_stored().len());
        if !names::put_topic(path, &mut topic) {
            return Err(Refusal::Inexpressible);
        }
        let Ok(topic) = Text::try_from(topic) else {
            return Err(Refusal::Inexpressible);
        };
        // A copy of the path: a slice would keep the whole stored message in memory.
        if let Ok(path) = Path::from_segments(path.segments()) {
            let named = (path, topic.clone());
            match &mut self.last {
                Some(last) => **last = named,
                None => self.last = Some(Box::new(named)),
            }
        }
        Ok(topic)
    }
}

fn properties(
    message: &Message,
    target: Target<'_>,
    alias: Option<Alias>,
) -> Result<(Properties, Loss), Refusal> {
    let is_plain = message.properties.is_none()
        && message.headers.is_empty()
        && message.key.is_none()
        && message.body.is_some()
        && target.left.is_none()
        && message.terms.event_at.is_none()
        && message.terms.priority.is_none();
    if is_plain && target.ids.is_empty() && alias.is_none() {
        return Ok((Properties::NONE, Loss::NONE));
    }
    let mut list = Vec::new();
    let mut loss = Loss::NONE;
    if let Some(Alias::Known(alias) | Alias::New(alias)) = alias {
        list.push(Property::TopicAlias(alias));
    }
    if let Some(left) = target.left {
        let seconds = left.as_millis().div_ceil(1000).max(1);
        list.push(Property::MessageExpiry(
            u32::try_from(seconds).unwrap_or(u32::MAX),
        ));
    }
    if let Some(own) = message.properties.as_deref() {
        let format = own
            .format
            .map(|format| Property::PayloadFormat(format == BodyFormat::Text));
        list.extend(format);
        list.extend(own.content_type.as_ref().and_then(headers::as_content_type));
        list.extend(own.correlation.as_ref().and_then(headers::as_correlation));
        match own.reply_to.as_ref().map(reply::response_topic) {
            Some(Some(topic)) => list.push(Property::ResponseTopic(topic)),
            Some(None) => loss.add(LossCode::ReplyTo),
            None => {}
        }
    }
    list.extend(target.ids.iter().copied().map(Property::SubscriptionId));
    loss.merge(headers::write(message, &mut list));
    let written = Properties::of(list).map_err(|_too_long| Refusal::Inexpressible)?;
    Ok((written, loss))
}

/// 3.1.1 has a topic and a payload, and no place for anything else.
fn lost_in_3_1_1(message: &Message) -> Loss {
    let mut loss = Loss::NONE;
    let mut lose = |is_there: bool, code: LossCode| {
        if is_there {
            loss.add(code);
        }
    };
    lose(message.key.is_some(), LossCode::Key);
    lose(message.body.is_none(), LossCode::NullBody);
    lose(message.terms.event_at.is_some(), LossCode::EventTime);
    lose(message.terms.deadline.is_some(), LossCode::ExpiryHidden);
    lose(message.terms.priority.is_some(), LossCode::Priority);
    lose(!message.headers.is_empty(), LossCode::Header);
    lose(message.has_died(), LossCode::Deaths);
    if let Some(own) = message.properties.as_deref() {
        lose(own.format.is_some(), LossCode::Format);
        lose(own.content_type.is_some(), LossCode::ContentType);
        lose(own.content_encoding.is_some(), LossCode::ContentEnc);
        lose(own.kind.is_some(), LossCode::Kind);
        lose(own.app.is_some(), LossCode::App);
        lose(own.message_id.is_some(), LossCode::MsgId);
        lose(own.correlation.is_some(), LossCode::Correlation);
        lose(own.reply_to.is_some(), LossCode::ReplyTo);
        lose(own.user.is_some(), LossCode::User);
        lose(own.trace.is_some(), LossCode::Trace);
    }
    loss
}
