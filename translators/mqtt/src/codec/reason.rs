//! Reason codes of MQTT 5 (specification section 2.4).

use std::fmt;

use fairlead_wire::Reader;

use super::DecodeError;

/// The outcome of an operation; 0x80 and above are failures.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReasonCode(pub u8);

macro_rules! codes {
    ($($name:ident = $code:literal $word:literal;)*) => {
        #[expect(missing_docs, reason = "the names are those of the specification")]
        impl ReasonCode {
            $(pub const $name: Self = Self($code);)*
        }

        impl fmt::Debug for ReasonCode {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.0 {
                    $($code => f.write_str($word),)*
                    other => write!(f, "{other:#04x}"),
                }
            }
        }
    };
}

codes! {
    SUCCESS = 0x00 "success";
    DISCONNECT_WITH_WILL = 0x04 "disconnect with will";
    NO_MATCHING_SUBSCRIBERS = 0x10 "no matching subscribers";
    NO_SUBSCRIPTION_EXISTED = 0x11 "no subscription existed";
    CONTINUE_AUTHENTICATION = 0x18 "continue authentication";
    REAUTHENTICATE = 0x19 "re-authenticate";
    UNSPECIFIED = 0x80 "unspecified error";
    MALFORMED_PACKET = 0x81 "malformed packet";
    PROTOCOL_ERROR = 0x82 "protocol error";
    IMPLEMENTATION_SPECIFIC = 0x83 "implementation specific error";
    UNSUPPORTED_VERSION = 0x84 "unsupported protocol version";
    CLIENT_ID_NOT_VALID = 0x85 "client identifier not valid";
    BAD_CREDENTIALS = 0x86 "bad user name or password";
    NOT_AUTHORIZED = 0x87 "not authorized";
    SERVER_UNAVAILABLE = 0x88 "server unavailable";
    SERVER_BUSY = 0x89 "server busy";
    BANNED = 0x8a "banned";
    SERVER_SHUTTING_DOWN = 0x8b "server shutting down";
    BAD_AUTH_METHOD = 0x8c "bad authentication method";
    KEEP_ALIVE_TIMEOUT = 0x8d "keep alive timeout";
    SESSION_TAKEN_OVER = 0x8e "session taken over";
    TOPIC_FILTER_INVALID = 0x8f "topic filter invalid";
    TOPIC_NAME_INVALID = 0x90 "topic name invalid";
    PACKET_ID_IN_USE = 0x91 "packet identifier in use";
    PACKET_ID_NOT_FOUND = 0x92 "packet identifier not found";
    RECEIVE_MAXIMUM_EXCEEDED = 0x93 "receive maximum exceeded";
    TOPIC_ALIAS_INVALID = 0x94 "topic alias invalid";
    PACKET_TOO_LARGE = 0x95 "packet too large";
    MESSAGE_RATE_TOO_HIGH = 0x96 "message rate too high";
    QUOTA_EXCEEDED = 0x97 "quota exceeded";
    ADMINISTRATIVE_ACTION = 0x98 "administrative action";
    PAYLOAD_FORMAT_INVALID = 0x99 "payload format invalid";
    RETAIN_NOT_SUPPORTED = 0x9a "retain not supported";
    QOS_NOT_SUPPORTED = 0x9b "QoS not supported";
    USE_ANOTHER_SERVER = 0x9c "use another server";
    SERVER_MOVED = 0x9d "server moved";
    SHARED_NOT_SUPPORTED = 0x9e "shared subscriptions not supported";
    CONNECTION_RATE_EXCEEDED = 0x9f "connection rate exceeded";
    MAXIMUM_CONNECT_TIME = 0xa0 "maximum connect time";
    SUBSCRIPTION_IDS_NOT_SUPPORTED = 0xa1 "subscription identifiers not supported";
    WILDCARDS_NOT_SUPPORTED = 0xa2 "wildcard subscriptions not supported";
}

/// What CONNACK may say.
pub(crate) const OF_CONNACK: &[ReasonCode] = &[
    ReasonCode::SUCCESS,
    ReasonCode::UNSPECIFIED,
    ReasonCode::MALFORMED_PACKET,
    ReasonCode::PROTOCOL_ERROR,
    ReasonCode::IMPLEMENTATION_SPECIFIC,
    ReasonCode::UNSUPPORTED_VERSION,
    ReasonCode::CLIENT_ID_NOT_VALID,
    ReasonCode::BAD_CREDENTIALS,
    ReasonCode::NOT_AUTHORIZED,
    ReasonCode::SERVER_UNAVAILABLE,
    ReasonCode::SERVER_BUSY,
    ReasonCode::BANNED,
    ReasonCode::BAD_AUTH_METHOD,
    ReasonCode::TOPIC_NAME_INVALID,
    ReasonCode::PACKET_TOO_LARGE,
    ReasonCode::QUOTA_EXCEEDED,
    ReasonCode::PAYLOAD_FORMAT_INVALID,
    ReasonCode::RETAIN_NOT_SUPPORTED,
    ReasonCode::QOS_NOT_SUPPORTED,
    ReasonCode::USE_ANOTHER_SERVER,
    ReasonCode::SERVER_MOVED,
    ReasonCode::CONNECTION_RATE_EXCEEDED,
];

/// What CONNACK may say before MQTT 5: accepted, and five refusals.
pub(super) const OF_OLD_CONNACK: &[ReasonCode] = &[
    ReasonCode(0),
    ReasonCode(1),
    ReasonCode(2),
    ReasonCode(3),
    ReasonCode(4),
    ReasonCode(5),
];

/// What SUBACK may say: the granted QoS, or a refusal.
pub(crate) const OF_SUBACK: &[ReasonCode] = &[
    ReasonCode(0),
    ReasonCode(1),
    ReasonCode(2),
    ReasonCode::UNSPECIFIED,
    ReasonCode::IMPLEMENTATION_SPECIFIC,
    ReasonCode::NOT_AUTHORIZED,
    ReasonCode::TOPIC_FILTER_INVALID,
    ReasonCode::PACKET_ID_IN_USE,
    ReasonCode::QUOTA_EXCEEDED,
    ReasonCode::SHARED_NOT_SUPPORTED,
    ReasonCode::SUBSCRIPTION_IDS_NOT_SUPPORTED,
    ReasonCode::WILDCARDS_NOT_SUPPORTED,
];

/// What SUBACK may say in 3.1.1, which knows one refusal.
pub(super) const OF_SUBACK_311: &[ReasonCode] = &[
    ReasonCode(0),
    ReasonCode(1),
    ReasonCode(2),
    ReasonCode::UNSPECIFIED,
];

/// What SUBACK may say in 3.1, which knows no refusal.
pub(super) const OF_SUBACK_31: &[ReasonCode] = &[ReasonCode(0), ReasonCode(1), ReasonCode(2)];

/// What UNSUBACK may say.
pub(super) const OF_UNSUBACK: &[ReasonCode] = &[
    ReasonCode::SUCCESS,
    ReasonCode::NO_SUBSCRIPTION_EXISTED,
    ReasonCode::UNSPECIFIED,
    ReasonCode::IMPLEMENTATION_SPECIFIC,
    ReasonCode::NOT_AUTHORIZED,
    ReasonCode::TOPIC_FILTER_INVALID,
    ReasonCode::PACKET_ID_IN_USE,
];

/// What PUBACK and PUBREC may say.
pub(super) const OF_PUBLISH: &[ReasonCode] = &[
    ReasonCode::SUCCESS,
    ReasonCode::NO_MATCHING_SUBSCRIBERS,
    ReasonCode::UNSPECIFIED,
    ReasonCode::IMPLEMENTATION_SPECIFIC,
    ReasonCode::NOT_AUTHORIZED,
    ReasonCode::TOPIC_NAME_INVALID,
    ReasonCode::PACKET_ID_IN_USE,
    ReasonCode::QUOTA_EXCEEDED,
    ReasonCode::PAYLOAD_FORMAT_INVALID,
];

/// What PUBREL and PUBCOMP may say.
pub(super) const OF_RELEASE: &[ReasonCode] =
    &[ReasonCode::SUCCESS, ReasonCode::PACKET_ID_NOT_FOUND];

/// What AUTH may say.
pub(super) const OF_AUTH: &[ReasonCode] = &[
    ReasonCode::SUCCESS,
    ReasonCode::CONTINUE_AUTHENTICATION,
    ReasonCode::REAUTHENTICATE,
];

/// What DISCONNECT may say, from either side.
pub(crate) const OF_DISCONNECT: &[ReasonCode] = &[
    ReasonCode::SUCCESS,
    ReasonCode::DISCONNECT_WITH_WILL,
    ReasonCode::UNSPECIFIED,
    ReasonCode::MALFORMED_PACKET,
    ReasonCode::PROTOCOL_ERROR,
    ReasonCode::IMPLEMENTATION_SPECIFIC,
    ReasonCode::NOT_AUTHORIZED,
    ReasonCode::SERVER_BUSY,
    ReasonCode::SERVER_SHUTTING_DOWN,
    ReasonCode::BAD_AUTH_METHOD,
    ReasonCode::KEEP_ALIVE_TIMEOUT,
    ReasonCode::SESSION_TAKEN_OVER,
    ReasonCode::TOPIC_FILTER_INVALID,
    ReasonCode::TOPIC_NAME_INVALID,
    ReasonCode::RECEIVE_MAXIMUM_EXCEEDED,
    ReasonCode::TOPIC_ALIAS_INVALID,
    ReasonCode::PACKET_TOO_LARGE,
    ReasonCode::MESSAGE_RATE_TOO_HIGH,
    ReasonCode::QUOTA_EXCEEDED,
    ReasonCode::ADMINISTRATIVE_ACTION,
    ReasonCode::PAYLOAD_FORMAT_INVALID,
    ReasonCode::RETAIN_NOT_SUPPORTED,
    ReasonCode::QOS_NOT_SUPPORTED,
    ReasonCode::USE_ANOTHER_SERVER,
    ReasonCode::SERVER_MOVED,
    ReasonCode::SHARED_NOT_SUPPORTED,
    ReasonCode::CONNECTION_RATE_EXCEEDED,
    ReasonCode::MAXIMUM_CONNECT_TIME,
    ReasonCode::SUBSCRIPTION_IDS_NOT_SUPPORTED,
    ReasonCode::WILDCARDS_NOT_SUPPORTED,
];

impl ReasonCode {
    /// Reads one that this packet may say.
    pub(super) fn read(r: &mut Reader<'_>, of: &[Self]) -> Result<Self, DecodeError> {
        let code = Self(r.u8("reason code")?);
        of.contains(&code)
            .then_some(code)
            .ok_or(DecodeError::Protocol(
                "a reason code that is not of this packet",
            ))
    }

    /// Reads one for each byte that is left.
    pub(super) fn read_rest(r: &mut Reader<'_>, of: &[Self]) -> Result<Vec<Self>, DecodeError> {
        let mut codes = Vec::new();
        while !r.is_empty() {
            codes.push(Self::read(r, of)?);
        }
        Ok(codes)
    }

    /// Whether the operation failed.
    pub fn is_failure(self) -> bool {
        self.0 >= 0x80
    }
}
