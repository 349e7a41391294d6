//! What a failure is called on the wire.

use fairlead_canon::Text;
use fairlead_kernel::{Blame, Closed, ClosedReason, Error, Reason};

use crate::codec::{
    DecodeError, OF_CONNACK, OF_DISCONNECT, OF_SUBACK, Properties, Property, Qos, ReasonCode,
    Version,
};

/// The end of a connection: what the client is told and what the log is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// For DISCONNECT or CONNACK.
    pub(crate) code: ReasonCode,
    /// For the log and the counters.
    pub(crate) closed: Closed,
    /// Where the client finds another server.
    pub(crate) server_reference: Option<Text>,
}

/// Why a publish or a subscription was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Denial {
    pub(crate) code: ReasonCode,
    /// What the client may know of it.
    pub(crate) words: Option<Text>,
}

/// What a packet takes besides its properties, at most.
const PACKET_HEAD_BYTES: usize = 16;

/// The reason code of a refused verb.
pub(crate) fn code_of(reason: Reason) -> ReasonCode {
    match reason {
        Reason::Unknown | Reason::OutOfRange => ReasonCode::NO_MATCHING_SUBSCRIBERS,
        Reason::BadName => ReasonCode::TOPIC_NAME_INVALID,
        Reason::NotAuthenticated => ReasonCode::BAD_CREDENTIALS,
        Reason::Denied | Reason::Locked => ReasonCode::NOT_AUTHORIZED,
        Reason::Malformed => ReasonCode::PROTOCOL_ERROR,
        Reason::TooLarge => ReasonCode::PACKET_TOO_LARGE,
        Reason::Full => ReasonCode::QUOTA_EXCEEDED,
        Reason::Unavailable | Reason::Fenced => ReasonCode::SERVER_BUSY,
        Reason::Exists
        | Reason::OutOfSequence
        | Reason::Conflict
        | Reason::Corrupt
        | Reason::Unsupported => ReasonCode::IMPLEMENTATION_SPECIFIC,
        Reason::ShuttingDown => ReasonCode::SERVER_SHUTTING_DOWN,
    }
}

/// What CONNACK says in this version; 3.1.1 knows five refusals.
pub(crate) fn connack_code(version: Version, code: ReasonCode) -> ReasonCode {
    match version {
        //= MQTT-3.2.2-8: the reason codes are those of CONNACK.
        Version::V5 if OF_CONNACK.contains(&code) => code,
        // What CONNACK has no word for, such as a session that is removed at this very moment: the
        // client comes again.
        Version::V5 => ReasonCode::SERVER_BUSY,
        Version::V31 | Version::V311 => match code {
            ReasonCode::SUCCESS => code,
            ReasonCode::UNSUPPORTED_VERSION => ReasonCode(1),
            ReasonCode::CLIENT_ID_NOT_VALID => ReasonCode(2),
            ReasonCode::BAD_CREDENTIALS => ReasonCode(4),
            ReasonCode::NOT_AUTHORIZED | ReasonCode::BANNED => ReasonCode(5),
            _ => ReasonCode(3),
        },
    }
}

/// What SUBACK says in this version; 3.1.1 knows one refusal, and 3.1 none: there it looks granted,
/// and nothing comes.
pub(crate) fn suback_code(version: Version, code: ReasonCode) -> ReasonCode {
    if code.0 <= Qos::ExactlyOnce as u8 {
        return code;
    }
    match version {
        Version::V31 => ReasonCode::SUCCESS,
        //= MQTT-3.9.3-2: the reason codes are those of SUBACK.
        Version::V5 if OF_SUBACK.contains(&code) => code,
        Version::V311 | Version::V5 => ReasonCode::UNSPECIFIED,
    }
}

/// What DISCONNECT says.
pub(crate) fn disconnect_code(code: ReasonCode) -> ReasonCode {
    match code {
        //= MQTT-3.14.2-1: the reason codes are those of DISCONNECT.
        code if OF_DISCONNECT.contains(&code) => code,
        //= MQTT-3.1.0-2: a second CONNECT is a protocol error, whatever level it asks for.
        ReasonCode::UNSUPPORTED_VERSION => ReasonCode::PROTOCOL_ERROR,
        ReasonCode::BAD_CREDENTIALS | ReasonCode::BANNED => ReasonCode::NOT_AUTHORIZED,
        _ => ReasonCode::UNSPECIFIED,
    }
}

impl Fault {
    pub(crate) fn new(code: ReasonCode, reason: ClosedReason, detail: impl Into<String>) -> Self {
        Self {
            code,
            closed: Closed::because(reason, detail),
            server_reference: None,
        }
    }

    /// What CONNACK or DISCONNECT say besides the code, in a packet of at most `size_max` bytes.
    pub(crate) fn words(&self, version: Version, size_max: usize) -> Properties {
        if version != Version::V5 {
            return Properties::NONE;
        }
        let reference = self.server_reference.clone().map(Property::ServerReference);
        let list = [self.reason_string().map(Property::ReasonString), reference];
        //= MQTT-3.2.2-19: not if the packet grew beyond what the client accepts; nor does
        //= MQTT-3.14.2-3: DISCONNECT.
        let fits = |words: &Properties| words.len() + PACKET_HEAD_BYTES <= size_max;
        let words = Properties::of(list.into_iter().flatten());
        words.ok().filter(fits).unwrap_or(Properties::NONE)
    }

    /// What a client broke it may know; why a rule or our machine said no stays in our log.
    fn reason_string(&self) -> Option<Text> {
        let is_told = matches!(
            self.closed.reason,
            ClosedReason::Malformed | ClosedReason::Silent
        );
        let detail = Some(&self.closed.detail).filter(|detail| is_told && !detail.is_empty());
        detail.map(|detail| Text::from(detail.clone()))
    }

    /// The client broke a rule of the protocol.
    pub(crate) fn protocol(detail: &'static str) -> Self {
        Self::new(ReasonCode::PROTOCOL_ERROR, ClosedReason::Malformed, detail)
    }
}

impl Denial {
    pub(crate) fn new(code: ReasonCode, words: &'static str) -> Self {
        let words = Some(Text::from_static(words));
        Self { code, words }
    }

    /// The same, of one among several.
    pub(crate) fn about(self, filter: &str) -> Self {
        let words = self.words.map(|why| Text::from(format!("{filter}: {why}")));
        Self { words, ..self }
    }

    /// What PUBACK, PUBREC or SUBACK say besides their codes, of which there are so many, in a packet of at
    /// most `size_max` bytes.
    pub(crate) fn words(self, codes: usize, size_max: usize) -> Properties {
        let words = Properties::of(self.words.map(Property::ReasonString));
        //= MQTT-3.4.2-2: not if the packet grew beyond what the client accepts; nor do
        //= MQTT-3.5.2-2: PUBREC and
        //= MQTT-3.9.2-1: SUBACK.
        let fits = |words: &Properties| words.len() + PACKET_HEAD_BYTES + codes <= size_max;
        words.ok().filter(fits).unwrap_or(Properties::NONE)
    }
}

impl From<Error> for Denial {
    /// What a client did wrong it may know; why a rule or our machine said no stays in our log.
    fn from(error: Error) -> Self {
        let is_told = error.blame == Blame::Peer && error.reason != Reason::Denied;
        Self {
            code: code_of(error.reason),
            words: is_told.then(|| Text::from(error.detail)),
        }
    }
}

impl From<DecodeError> for Fault {
    fn from(error: DecodeError) -> Self {
        let code = match error {
            DecodeError::Wire(_) | DecodeError::Malformed(_) => ReasonCode::MALFORMED_PACKET,
            DecodeError::Protocol(_) => ReasonCode::PROTOCOL_ERROR,
            DecodeError::TopicName(_) => ReasonCode::TOPIC_NAME_INVALID,
            DecodeError::UnsupportedVersion(_) => ReasonCode::UNSUPPORTED_VERSION,
            DecodeError::TooLarge { .. } => ReasonCode::PACKET_TOO_LARGE,
        };
        Self::new(code, ClosedReason::Malformed, error.to_string())
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let reason = match error.reason {
            Reason::NotAuthenticated | Reason::Denied => ClosedReason::Refused,
            Reason::ShuttingDown => ClosedReason::Drained,
            Reason::Malformed | Reason::BadName | Reason::TooLarge => ClosedReason::Malformed,
            Reason::Unknown
            | Reason::Exists
            | Reason::Locked
            | Reason::Full
            | Reason::OutOfRange
            | Reason::OutOfSequence
            | Reason::Fenced
            | Reason::Conflict
            | Reason::Unavailable
            | Reason::Corrupt
            | Reason::Unsupported => ClosedReason::Failed,
        };
        Self::new(code_of(error.reason), reason, error.to_string())
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::new(
            ReasonCode::UNSPECIFIED,
            ClosedReason::Lost,
            error.to_string(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    //= MQTT-3.2.2-8
    #[test]
    fn a_refused_connect_is_never_told_a_code_that_connack_does_not_have() {
        for code in [code_of(Reason::Unknown), code_of(Reason::ShuttingDown)] {
            let told = connack_code(Version::V5, code);
            assert_eq!(told, ReasonCode::SERVER_BUSY, "{code:?}");
            for version in [Version::V31, Version::V311] {
                assert_eq!(connack_code(version, code), ReasonCode(3), "{code:?}");
            }
        }
        let full = code_of(Reason::Full);
        assert_eq!(connack_code(Version::V5, full), full);
    }

    //= MQTT-3.9.3-2
    #[test]
    fn a_refused_filter_is_never_told_a_code_that_suback_does_not_have() {
        for reason in [Reason::Unknown, Reason::BadName, Reason::Unavailable] {
            let told = |version| suback_code(version, code_of(reason));
            assert_eq!(told(Version::V5), ReasonCode::UNSPECIFIED, "{reason:?}");
            assert_eq!(told(Version::V311), ReasonCode::UNSPECIFIED, "{reason:?}");
            assert_eq!(told(Version::V31), ReasonCode::SUCCESS, "{reason:?}");
        }
        let denied = code_of(Reason::Denied);
        assert_eq!(suback_code(Version::V5, denied), denied);
    }

    //= MQTT-3.14.2-1
    #[test]
    fn the_last_word_is_never_a_code_that_disconnect_does_not_have() {
        let unknown = code_of(Reason::Unknown);
        assert_eq!(disconnect_code(unknown), ReasonCode::UNSPECIFIED);
        let nobody = code_of(Reason::NotAuthenticated);
        assert_eq!(disconnect_code(nobody), ReasonCode::NOT_AUTHORIZED);
        let busy = code_of(Reason::Unavailable);
        assert_eq!(disconnect_code(busy), busy);
    }
}
