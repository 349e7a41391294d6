//! Reason codes of MQTT 5 (specification section 2.4).

use std::fmt;

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
    QUOTA_EXCEEDED = 0x97 "quota exceeded";
    ADMINISTRATIVE_ACTION = 0x98 "administrative action";
    PAYLOAD_FORMAT_INVALID = 0x99 "payload format invalid";
    USE_ANOTHER_SERVER = 0x9c "use another server";
}

impl ReasonCode {
    /// Whether the operation failed.
    pub fn is_failure(self) -> bool {
        self.0 >= 0x80
    }
}
