//! The properties that can stand in a header, and the header of each (`mapping.md` section 6.4).

use bytes::Bytes;

use crate::{
    BodyFormat, EventTime, Message, Properties, Text, Timestamp, TraceContext, User, Value,
};

/// A property that can stand in a header; in the order in which they stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// `content-type`.
    ContentType,
    /// `content-encoding`.
    ContentEncoding,
    /// `type`.
    Kind,
    /// `message-id`, of any type.
    MessageId,
    /// `correlation-id`, of any type.
    Correlation,
    /// `reply-to`: an address, which only a target can write and read.
    ReplyTo,
    /// `app-id`.
    App,
    /// `traceparent`.
    TraceParent,
    /// `tracestate`, which needs a `traceparent`.
    TraceState,
    /// `fl-key`.
    Key,
    /// `fl-null`: `1` when an empty body stands for none.
    NullBody,
    /// `fl-format`: `0` bytes, `1` text.
    Format,
    /// `fl-priority`.
    Priority,
    /// `fl-retain`: `1` when the message is also the latest value of its address.
    Latest,
    /// `fl-ts`: milliseconds since the Unix epoch.
    EventTime,
    /// `user-id`; not believed.
    User,
    /// `fl-address`: only a target can write it; not believed.
    Address,
    /// `fl-deadline`: milliseconds since the Unix epoch; not believed.
    Deadline,
}

const YES: Text = Text::from_static("1");

impl Field {
    /// Every field, in order.
    pub const ALL: &'static [Self] = &[
        Self::ContentType,
        Self::ContentEncoding,
        Self::Kind,
        Self::MessageId,
        Self::Correlation,
        Self::ReplyTo,
        Self::App,
        Self::TraceParent,
        Self::TraceState,
        Self::Key,
        Self::NullBody,
        Self::Format,
        Self::Priority,
        Self::Latest,
        Self::EventTime,
        Self::User,
        Self::Address,
        Self::Deadline,
    ];

    /// The name of its header.
    pub fn name(self) -> &'static str {
        match self {
            Self::ContentType => "content-type",
            Self::ContentEncoding => "content-encoding",
            Self::Kind => "type",
            Self::MessageId => "message-id",
            Self::Correlation => "correlation-id",
            Self::ReplyTo => "reply-to",
            Self::App => "app-id",
            Self::TraceParent => "traceparent",
            Self::TraceState => "tracestate",
            Self::Key => "fl-key",
            Self::NullBody => "fl-null",
            Self::Format => "fl-format",
            Self::Priority => "fl-priority",
            Self::Latest => "fl-retain",
            Self::EventTime => "fl-ts",
            Self::User => "user-id",
            Self::Address => "fl-address",
            Self::Deadline => "fl-deadline",
        }
    }

    /// The field whose header has this name.
    pub fn named(name: &[u8]) -> Option<Self> {
        let has_name = |field: &Self| field.name().as_bytes() == name;
        Self::ALL.iter().copied().find(has_name)
    }

    /// Whether anyone may say it. What would grant something is an ordinary header when it comes in.
    pub fn is_believed(self) -> bool {
        !matches!(self, Self::User | Self::Address | Self::Deadline)
    }

    /// What a header of this field says about `message`; `None` when there is nothing to say.
    pub fn get(self, message: &Message) -> Option<Value> {
        let properties = message.properties.as_deref();
        let text = |text: Option<&Text>| text.cloned().map(Value::Text);
        match self {
            Self::ContentType => text(properties?.content_type.as_ref()),
            Self::ContentEncoding => text(properties?.content_encoding.as_ref()),
            Self::Kind => text(properties?.kind.as_ref()),
            Self::MessageId => properties?.message_id.clone(),
            Self::Correlation => properties?.correlation.clone(),
            Self::App => text(properties?.app.as_ref()),
            Self::TraceParent => text(properties?.trace.as_ref().map(|trace| &trace.parent)),
            Self::TraceState => text(properties?.trace.as_ref()?.state.as_ref()),
            Self::Key => message.key.clone().map(Value::from_untyped),
            Self::NullBody => message.body.is_none().then_some(Value::Text(YES)),
            Self::Format => Some(Value::Text(match properties?.format? {
                BodyFormat::Bytes => Text::from_static("0"),
                BodyFormat::Text => YES,
            })),
            Self::Priority => message.terms.priority.map(digits),
            Self::Latest => message.terms.latest.then_some(Value::Text(YES)),
            Self::EventTime => message.terms.event_at.map(|at| digits(at.as_millis())),
            Self::User => text(properties?.user.as_ref().map(|user| &user.name)),
            Self::Deadline => message.terms.deadline.map(|deadline| digits(deadline.0)),
            Self::ReplyTo | Self::Address => None,
        }
    }

    /// Puts back what a header says. `false`, and no change, when it is not usable.
    pub fn set(self, message: &mut Message, value: &Value) -> bool {
        match (self, value) {
            (Self::MessageId | Self::Correlation, Value::Null) => false,
            (Self::MessageId, id) => {
                message.properties_mut().message_id = Some(id.clone());
                true
            }
            (Self::Correlation, id) => {
                message.properties_mut().correlation = Some(id.clone());
                true
            }
            (Self::Key, Value::Text(text)) => {
                message.key = Some(text.as_bytes().clone());
                true
            }
            (Self::Key, Value::Bytes(bytes)) if std::str::from_utf8(bytes).is_err() => {
                message.key = Some(bytes.clone());
                true
            }
            (_, Value::Text(text)) => self.set_text(message, text).is_some(),
            _ => false,
        }
    }

    fn set_text(self, message: &mut Message, text: &Text) -> Option<()> {
        let said = text.clone();
        match self {
            Self::ContentType => message.properties_mut().content_type = Some(said),
            Self::ContentEncoding => message.properties_mut().content_encoding = Some(said),
            Self::Kind => message.properties_mut().kind = Some(said),
            Self::App => message.properties_mut().app = Some(said),
            Self::TraceParent => set_trace_parent(message.properties_mut(), said),
            Self::TraceState => {
                let properties = message.properties.as_mut()?;
                properties.trace.as_mut()?.state = Some(said);
            }
            Self::NullBody if message.body_len() == 0 => {
                yes(text)?;
                message.body = None;
            }
            Self::Format => {
                let format = match &**text {
                    "0" => BodyFormat::Bytes,
                    "1" => BodyFormat::Text,
                    _ => return None,
                };
                message.properties_mut().format = Some(format);
            }
            Self::Priority => message.terms.priority = Some(number(text)?),
            Self::Latest => {
                yes(text)?;
                message.terms.latest = true;
            }
            Self::EventTime => message.terms.event_at = Some(EventTime::Millis(number(text)?)),
            Self::User => {
                message.properties_mut().user = Some(User {
                    name: said,
                    is_verified: false,
                });
            }
            Self::Deadline => message.terms.deadline = Some(Timestamp(number(text)?)),
            Self::MessageId
            | Self::Correlation
            | Self::Key
            | Self::NullBody
            | Self::ReplyTo
            | Self::Address => return None,
        }
        Some(())
    }

    /// Makes it absent.
    pub(crate) fn clear(self, message: &mut Message) {
        let mut none = Properties::default();
        let properties = message.properties.as_deref_mut().unwrap_or(&mut none);
        match self {
            Self::ContentType => properties.content_type = None,
            Self::ContentEncoding => properties.content_encoding = None,
            Self::Kind => properties.kind = None,
            Self::MessageId => properties.message_id = None,
            Self::Correlation => properties.correlation = None,
            Self::ReplyTo => properties.reply_to = None,
            Self::App => properties.app = None,
            Self::TraceParent => properties.trace = None,
            Self::TraceState => {
                if let Some(trace) = &mut properties.trace {
                    trace.state = None;
                }
            }
            Self::Key => message.key = None,
            Self::NullBody => message.body = message.body.take().or(Some(Bytes::new())),
            Self::Format => properties.format = None,
            Self::Priority => message.terms.priority = None,
            Self::Latest => message.terms.latest = false,
            Self::EventTime => message.terms.event_at = None,
            Self::User => properties.user = None,
            Self::Address => {}
            Self::Deadline => message.terms.deadline = None,
        }
    }
}

fn set_trace_parent(properties: &mut Properties, parent: Text) {
    let state = properties.trace.take().and_then(|trace| trace.state);
    properties.trace = Some(TraceContext { parent, state });
}

fn yes(text: &Text) -> Option<()> {
    (*text == YES).then_some(())
}

fn digits(number: impl ToString) -> Value {
    Value::Text(Text::from(number.to_string()))
}

/// A number in the only form in which we write it.
fn number<T: std::str::FromStr + ToString>(text: &Text) -> Option<T> {
    let number: T = text.parse().ok()?;
    (number.to_string() == **text).then_some(number)
}
