//! Why a verb failed: reason, blame and reach.

use fairlead_canon::Damage;
use fairlead_ports::{Denied, StoreError};
use fairlead_topology::Refused;
use thiserror::Error;

/// A failed verb. Each translator maps `reason` to its own codes in one exhaustive function.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{reason}: {detail}")]
pub struct Error {
    /// What kind of failure.
    pub reason: Reason,
    /// Who has to change something.
    pub blame: Blame,
    /// Names what is wrong and where, for people.
    pub detail: String,
}

/// Who has to change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The client.
    Peer,
    /// We, or our machine.
    Us,
}

/// The closed list of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Error)]
pub enum Reason {
    /// A name that does not exist.
    #[error("unknown")]
    Unknown,
    /// A name that is taken.
    #[error("exists")]
    Exists,
    /// A name that the protocol or the mesh cannot hold.
    #[error("bad name")]
    BadName,
    /// Another connection has it for itself.
    #[error("locked by another connection")]
    Locked,
    /// No proof, or a false one.
    #[error("not authenticated")]
    NotAuthenticated,
    /// A rule says no.
    #[error("denied")]
    Denied,
    /// Not what the protocol's specification allows.
    #[error("malformed")]
    Malformed,
    /// Above a limit of size.
    #[error("too large")]
    TooLarge,
    /// A limit of the entity or the node is reached.
    #[error("full")]
    Full,
    /// Outside an entity's bounds.
    #[error("offset out of range")]
    OutOfRange,
    /// A gap in a producer's sequence.
    #[error("out of sequence")]
    OutOfSequence,
    /// A newer instance of the producer, or a newer epoch of the entity, took over.
    #[error("fenced")]
    Fenced,
    /// Something changed in between; read again.
    #[error("conflict")]
    Conflict,
    /// A store cannot be reached or does not answer.
    #[error("unavailable")]
    Unavailable,
    /// What was read is not what was written.
    #[error("corrupt")]
    Corrupt,
    /// We do not do that.
    #[error("not supported")]
    Unsupported,
    /// We are going away.
    #[error("shutting down")]
    ShuttingDown,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 17] = [
        Self::Unknown,
        Self::Exists,
        Self::BadName,
        Self::Locked,
        Self::NotAuthenticated,
        Self::Denied,
        Self::Malformed,
        Self::TooLarge,
        Self::Full,
        Self::OutOfRange,
        Self::OutOfSequence,
        Self::Fenced,
        Self::Conflict,
        Self::Unavailable,
        Self::Corrupt,
        Self::Unsupported,
        Self::ShuttingDown,
    ];

    /// Its word in metric labels.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Exists => "exists",
            Self::BadName => "bad_name",
            Self::Locked => "locked",
            Self::NotAuthenticated => "not_authenticated",
            Self::Denied => "denied",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Full => "full",
            Self::OutOfRange => "out_of_range",
            Self::OutOfSequence => "out_of_sequence",
            Self::Fenced => "fenced",
            Self::Conflict => "conflict",
            Self::Unavailable => "unavailable",
            Self::Corrupt => "corrupt",
            Self::Unsupported => "unsupported",
            Self::ShuttingDown => "shutting_down",
        }
    }
}

impl Error {
    /// A failure that the client has to mend.
    pub fn peer(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            blame: Blame::Peer,
            detail: detail.into(),
        }
    }

    /// A failure on our side.
    pub fn us(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            blame: Blame::Us,
            detail: detail.into(),
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let (reason, blame) = match &error {
            StoreError::Unavailable => (Reason::Unavailable, Blame::Us),
            StoreError::NoEntity(_) => (Reason::Unknown, Blame::Peer),
            StoreError::Exists(_) => (Reason::Exists, Blame::Peer),
            StoreError::OutOfRange { .. } => (Reason::OutOfRange, Blame::Peer),
            StoreError::Conflict => (Reason::Conflict, Blame::Peer),
            StoreError::Fenced | StoreError::ProducerFenced => (Reason::Fenced, Blame::Peer),
            StoreError::OutOfSequence { .. } => (Reason::OutOfSequence, Blame::Peer),
            StoreError::Full { .. } => (Reason::Full, Blame::Us),
            StoreError::TooLarge { .. } => (Reason::TooLarge, Blame::Peer),
            StoreError::Unsupported { .. } => (Reason::Unsupported, Blame::Peer),
            StoreError::Corrupt { .. } => (Reason::Corrupt, Blame::Us),
            StoreError::Poisoned => (Reason::Unavailable, Blame::Us),
        };
        // That it is full the reason says.
        let detail = if let StoreError::Full { limit } = error {
            limit.to_owned()
        } else {
            error.to_string()
        };
        Self {
            reason,
            blame,
            detail,
        }
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        let reason = match &refused {
            Refused::Exists(_) => Reason::Exists,
            Refused::Unknown(_) => Reason::Unknown,
            Refused::OutOfBounds { .. } => Reason::TooLarge,
            Refused::Full { .. } => Reason::Full,
            Refused::Fixed(_) => Reason::Unsupported,
        };
        Self::peer(reason, refused.to_string())
    }
}

impl From<Denied> for Error {
    fn from(denied: Denied) -> Self {
        Self::peer(Reason::Denied, denied.to_string())
    }
}

impl From<Damage> for Error {
    fn from(damage: Damage) -> Self {
        Self::us(Reason::Corrupt, damage.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_full_is_said_once() {
        let error = Error::from(StoreError::Full { limit: "memory" });
        assert_eq!(error.to_string(), "full: memory");
    }
}
