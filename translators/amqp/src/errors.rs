//! Reply codes: what a refusal is called on the wire, and how far it reaches.

use fairlead_kernel::{Error, Meters, Reason};
use thiserror::Error;

use crate::codec::DecodeError;

/// The reply codes of the specification that we send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReplyCode {
    /// The body is longer than we keep.
    ContentTooLarge = 311,
    /// A mandatory message reached no queue.
    NoRoute = 312,
    /// We are going away.
    ConnectionForced = 320,
    /// The login may not do that, or the name is reserved.
    AccessRefused = 403,
    /// The named thing does not exist.
    NotFound = 404,
    /// Another connection has the queue for itself.
    ResourceLocked = 405,
    /// The thing is not as the client says, or not in that state.
    PreconditionFailed = 406,
    /// A frame is not one.
    FrameError = 501,
    /// A field is not what it should be.
    SyntaxError = 502,
    /// A method at the wrong time.
    CommandInvalid = 503,
    /// A channel that is not open, or is already.
    ChannelError = 504,
    /// Content that nobody announced.
    UnexpectedFrame = 505,
    /// The virtual host, or something else asked for, is not to be had.
    NotAllowed = 530,
    /// We do not do that.
    NotImplemented = 540,
    /// We failed.
    InternalError = 541,
}

/// Why we refuse, ready for `channel.close` or `connection.close`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{} - {text}", code.word())]
pub struct Refusal {
    /// The code, which also says how far the refusal reaches.
    pub code: ReplyCode,
    /// For people.
    pub text: String,
}

impl ReplyCode {
    /// The number on the wire.
    pub fn number(self) -> u16 {
        self as u16
    }

    /// The word that clients know the code by.
    pub fn word(self) -> &'static str {
        match self {
            Self::ContentTooLarge => "CONTENT_TOO_LARGE",
            Self::NoRoute => "NO_ROUTE",
            Self::ConnectionForced => "CONNECTION_FORCED",
            Self::AccessRefused => "ACCESS_REFUSED",
            Self::NotFound => "NOT_FOUND",
            Self::ResourceLocked => "RESOURCE_LOCKED",
            Self::PreconditionFailed => "PRECONDITION_FAILED",
            Self::FrameError => "FRAME_ERROR",
            Self::SyntaxError => "SYNTAX_ERROR",
            Self::CommandInvalid => "COMMAND_INVALID",
            Self::ChannelError => "CHANNEL_ERROR",
            Self::UnexpectedFrame => "UNEXPECTED_FRAME",
            Self::NotAllowed => "NOT_ALLOWED",
            Self::NotImplemented => "NOT_IMPLEMENTED",
            Self::InternalError => "INTERNAL_ERROR",
        }
    }

    /// Whether the connection ends with it; otherwise only the channel does.
    pub fn ends_connection(self) -> bool {
        match self {
            Self::ContentTooLarge
            | Self::NoRoute
            | Self::AccessRefused
            | Self::NotFound
            | Self::ResourceLocked
            | Self::PreconditionFailed => false,
            Self::ConnectionForced
            | Self::FrameError
            | Self::SyntaxError
            | Self::CommandInvalid
            | Self::ChannelError
            | Self::UnexpectedFrame
            | Self::NotAllowed
            | Self::NotImplemented
            | Self::InternalError => true,
        }
    }

    /// What it counts as.
    fn reason(self) -> Reason {
        match self {
            Self::ContentTooLarge => Reason::TooLarge,
            Self::NoRoute | Self::NotFound => Reason::Unknown,
            Self::ConnectionForced => Reason::ShuttingDown,
            Self::AccessRefused => Reason::Denied,
            Self::ResourceLocked => Reason::Locked,
            Self::PreconditionFailed => Reason::Conflict,
            Self::FrameError
            | Self::SyntaxError
            | Self::CommandInvalid
            | Self::ChannelError
            | Self::UnexpectedFrame => Reason::Malformed,
            Self::NotAllowed | Self::NotImplemented => Reason::Unsupported,
            Self::InternalError => Reason::Unavailable,
        }
    }

    /// A refusal with this code.
    pub fn because(self, text: impl Into<String>) -> Refusal {
        Refusal {
            code: self,
            text: text.into(),
        }
    }
}

impl Refusal {
    /// Counts it: once, where it is written. Going away is not a failure.
    pub(crate) fn count(&self, meters: &Meters) {
        let (reason, text) = (self.code.reason(), self.text.as_str());
        if self.code == ReplyCode::InternalError {
            meters.failed(&Error::us(reason, text));
        } else if self.code != ReplyCode::ConnectionForced {
            meters.failed(&Error::peer(reason, text));
        }
    }
}

/// The code for each reason of a failed verb.
fn code_of(reason: Reason) -> ReplyCode {
    match reason {
        Reason::Unknown => ReplyCode::NotFound,
        Reason::Exists
        | Reason::BadName
        | Reason::Full
        | Reason::OutOfRange
        | Reason::OutOfSequence
        | Reason::Conflict => ReplyCode::PreconditionFailed,
        Reason::Locked => ReplyCode::ResourceLocked,
        Reason::NotAuthenticated | Reason::Denied => ReplyCode::AccessRefused,
        Reason::Malformed => ReplyCode::SyntaxError,
        Reason::TooLarge => ReplyCode::ContentTooLarge,
        Reason::Fenced | Reason::Unavailable | Reason::Corrupt => ReplyCode::InternalError,
        Reason::Unsupported => ReplyCode::NotImplemented,
        Reason::ShuttingDown => ReplyCode::ConnectionForced,
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        code_of(error.reason).because(error.detail)
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        let code = match error {
            DecodeError::ProtocolHeader
            | DecodeError::FrameType(_)
            | DecodeError::FrameTooLarge { .. }
            | DecodeError::FrameEnd(_)
            | DecodeError::Heartbeat => ReplyCode::FrameError,
            DecodeError::UnknownMethod { .. } => ReplyCode::NotImplemented,
            DecodeError::ContentClass(_) => ReplyCode::UnexpectedFrame,
            DecodeError::Wire(_)
            | DecodeError::FieldType(_)
            | DecodeError::TooDeep(_)
            | DecodeError::PropertyFlags(_) => ReplyCode::SyntaxError,
        };
        code.because(error.to_string())
    }
}
