//! Why a connection ends in the middle of a request.

use fairlead_canon::shape::Misfit;
use fairlead_kernel::{Closed, ClosedReason};
use fairlead_wire::WireError;
use thiserror::Error;

use crate::frame::BadSize;

/// What no response can say: the connection ends.
#[derive(Debug, Error)]
pub(crate) enum Fault {
    /// The client announces a request that is never taken.
    #[error(transparent)]
    BadSize(#[from] BadSize),
    /// A field cannot be read.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// Lengths or counts do not fit the request.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// The codec refuses what the guard let pass.
    #[error("malformed request: {0}")]
    Malformed(String),
    /// A request, or a version of it, that we do not answer and did not announce.
    #[error("api key {key} version {version} is not served")]
    Unserved {
        /// Of the request.
        key: i16,
        /// Of the request.
        version: i16,
    },
    /// A produce without acknowledgement could not be kept; closing is the only way to say so.
    #[error("a produce without acknowledgement failed: {0}")]
    Unheard(String),
    /// The client may not come in.
    #[error("refused: {0}")]
    Refused(String),
    /// A login failed where no response can say so.
    #[error("authentication failed")]
    LoginRefused,
    /// A response of ours cannot be written in this version: our mistake.
    #[error("a response cannot be written: {0}")]
    Unanswerable(String),
}

impl From<Fault> for Closed {
    fn from(fault: Fault) -> Self {
        let reason = match &fault {
            Fault::BadSize(_)
            | Fault::Wire(_)
            | Fault::Misfit(_)
            | Fault::Malformed(_)
            | Fault::Unserved { .. } => ClosedReason::Malformed,
            Fault::Refused(_) | Fault::LoginRefused => ClosedReason::Refused,
            Fault::Unheard(_) | Fault::Unanswerable(_) => ClosedReason::Failed,
        };
        Self::because(reason, fault.to_string())
    }
}
