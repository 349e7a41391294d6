//! What our failures are on the wire. Codes are those of apache/kafka `Errors.java`.

use fairlead_kernel::{Error, GroupError, Reason, TxnError};

/// A code in a response.
pub(crate) type Code = i16;

pub(crate) const NONE: Code = 0;
pub(crate) const OFFSET_OUT_OF_RANGE: Code = 1;
pub(crate) const CORRUPT_MESSAGE: Code = 2;
pub(crate) const UNKNOWN_TOPIC_OR_PARTITION: Code = 3;
pub(crate) const NOT_LEADER: Code = 6;
pub(crate) const MESSAGE_TOO_LARGE: Code = 10;
pub(crate) const OFFSET_METADATA_TOO_LARGE: Code = 12;
pub(crate) const COORDINATOR_NOT_AVAILABLE: Code = 15;
pub(crate) const NOT_COORDINATOR: Code = 16;
pub(crate) const INVALID_TOPIC: Code = 17;
pub(crate) const INVALID_REQUIRED_ACKS: Code = 21;
pub(crate) const ILLEGAL_GENERATION: Code = 22;
pub(crate) const INCONSISTENT_GROUP_PROTOCOL: Code = 23;
pub(crate) const INVALID_GROUP_ID: Code = 24;
pub(crate) const UNKNOWN_MEMBER_ID: Code = 25;
pub(crate) const INVALID_SESSION_TIMEOUT: Code = 26;
pub(crate) const REBALANCE_IN_PROGRESS: Code = 27;
pub(crate) const TOPIC_AUTHORIZATION_FAILED: Code = 29;
pub(crate) const GROUP_AUTHORIZATION_FAILED: Code = 30;
pub(crate) const UNSUPPORTED_SASL_MECHANISM: Code = 33;
pub(crate) const ILLEGAL_SASL_STATE: Code = 34;
pub(crate) const UNSUPPORTED_VERSION: Code = 35;
pub(crate) const TOPIC_ALREADY_EXISTS: Code = 36;
pub(crate) const INVALID_PARTITIONS: Code = 37;
pub(crate) const INVALID_REPLICATION_FACTOR: Code = 38;
pub(crate) const INVALID_REPLICA_ASSIGNMENT: Code = 39;
pub(crate) const INVALID_CONFIG: Code = 40;
pub(crate) const INVALID_REQUEST: Code = 42;
pub(crate) const POLICY_VIOLATION: Code = 44;
pub(crate) const OUT_OF_ORDER_SEQUENCE: Code = 45;
pub(crate) const INVALID_PRODUCER_EPOCH: Code = 47;
pub(crate) const INVALID_TXN_STATE: Code = 48;
pub(crate) const INVALID_PRODUCER_ID_MAPPING: Code = 49;
pub(crate) const INVALID_TRANSACTION_TIMEOUT: Code = 50;
pub(crate) const CONCURRENT_TRANSACTIONS: Code = 51;
pub(crate) const SECURITY_DISABLED: Code = 54;
pub(crate) const OPERATION_NOT_ATTEMPTED: Code = 55;
pub(crate) const STORAGE_ERROR: Code = 56;
pub(crate) const SASL_AUTHENTICATION_FAILED: Code = 58;
pub(crate) const NON_EMPTY_GROUP: Code = 68;
pub(crate) const GROUP_ID_NOT_FOUND: Code = 69;
pub(crate) const FETCH_SESSION_ID_NOT_FOUND: Code = 70;
pub(crate) const UNKNOWN_LEADER_EPOCH: Code = 76;
pub(crate) const MEMBER_ID_REQUIRED: Code = 79;
pub(crate) const GROUP_MAX_SIZE_REACHED: Code = 81;
pub(crate) const FENCED_INSTANCE_ID: Code = 82;
pub(crate) const GROUP_SUBSCRIBED_TO_TOPIC: Code = 86;
pub(crate) const INVALID_RECORD: Code = 87;
pub(crate) const UNSTABLE_OFFSET_COMMIT: Code = 88;
pub(crate) const PRODUCER_FENCED: Code = 90;
pub(crate) const UNKNOWN_TOPIC_ID: Code = 100;
pub(crate) const TRANSACTIONAL_ID_NOT_FOUND: Code = 105;
pub(crate) const MISMATCHED_ENDPOINT_TYPE: Code = 114;

/// A code, and words for people.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) why: String,
}

impl Refusal {
    pub(crate) fn new(code: Code, why: impl Into<String>) -> Self {
        Self {
            code,
            why: why.into(),
        }
    }

    pub(crate) fn of(error: &Error) -> Self {
        Self {
            code: of_topic(error.reason),
            why: error.to_string(),
        }
    }
}

/// What an operation on a topic answers.
pub(crate) fn of_topic(reason: Reason) -> Code {
    match reason {
        Reason::Unknown => UNKNOWN_TOPIC_OR_PARTITION,
        Reason::Exists => TOPIC_ALREADY_EXISTS,
        Reason::BadName => INVALID_TOPIC,
        Reason::Denied | Reason::Locked => TOPIC_AUTHORIZATION_FAILED,
        Reason::NotAuthenticated => SASL_AUTHENTICATION_FAILED,
        // A consumer is told where it stands, and may go on behind that; the code for storage would make
        // it ask again for ever.
        Reason::Malformed | Reason::Corrupt => CORRUPT_MESSAGE,
        Reason::TooLarge => MESSAGE_TOO_LARGE,
        Reason::OutOfRange => OFFSET_OUT_OF_RANGE,
        Reason::OutOfSequence => OUT_OF_ORDER_SEQUENCE,
        Reason::Fenced => INVALID_PRODUCER_EPOCH,
        // The store has no room; clients try again until somebody makes some.
        Reason::Full => STORAGE_ERROR,
        Reason::Unsupported => UNSUPPORTED_VERSION,
        // The client asks again, here or, after a look at the metadata, elsewhere.
        Reason::Conflict | Reason::Unavailable | Reason::ShuttingDown => NOT_LEADER,
    }
}

/// What a produce answers. The one thing that a batch can be in conflict with is the end of its
/// transaction.
pub(crate) fn of_produce(error: &Error) -> Refusal {
    let mut refusal = Refusal::of(error);
    if error.reason == Reason::Conflict {
        refusal.code = INVALID_TXN_STATE;
    }
    refusal
}

/// What a step of a transaction answers; old versions have no word of its own for a holder that is
/// gone.
pub(crate) fn of_txn(error: &TxnError, knows_fenced: bool) -> Code {
    match error {
        TxnError::UnknownHolder => INVALID_PRODUCER_ID_MAPPING,
        TxnError::Fenced if knows_fenced => PRODUCER_FENCED,
        TxnError::Fenced => INVALID_PRODUCER_EPOCH,
        TxnError::Busy => CONCURRENT_TRANSACTIONS,
        TxnError::NotOpen => INVALID_TXN_STATE,
        // Clients come again, until there is room or the time of the transaction is up.
        TxnError::Failed(error) if error.reason == Reason::Full => COORDINATOR_NOT_AVAILABLE,
        TxnError::Failed(error) => of_positions(error.reason),
    }
}

/// What an operation on a group's positions answers.
pub(crate) fn of_positions(reason: Reason) -> Code {
    match reason {
        Reason::Unavailable | Reason::ShuttingDown | Reason::Conflict => NOT_COORDINATOR,
        Reason::BadName => INVALID_GROUP_ID,
        Reason::Denied | Reason::Locked => GROUP_AUTHORIZATION_FAILED,
        Reason::Unknown
        | Reason::Exists
        | Reason::NotAuthenticated
        | Reason::Malformed
        | Reason::TooLarge
        | Reason::Full
        | Reason::OutOfRange
        | Reason::OutOfSequence
        | Reason::Fenced
        | Reason::Corrupt
        | Reason::Unsupported => of_topic(reason),
    }
}

/// What a question to a group answers.
pub(crate) fn of_group(error: &GroupError) -> Code {
    match error {
        GroupError::UnknownMember => UNKNOWN_MEMBER_ID,
        GroupError::NameFirst(_) => MEMBER_ID_REQUIRED,
        GroupError::IllegalGeneration => ILLEGAL_GENERATION,
        GroupError::Rebalancing => REBALANCE_IN_PROGRESS,
        GroupError::Inconsistent => INCONSISTENT_GROUP_PROTOCOL,
        GroupError::FencedPlace => FENCED_INSTANCE_ID,
        GroupError::Full => GROUP_MAX_SIZE_REACHED,
    }
}
