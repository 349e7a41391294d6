//! Answers of the admin page that are not a success.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use fairlead_kernel::{Blame, Error, Reason};
use serde_json::json;

/// A refusal with its reason.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    why: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self {
            status,
            why: why.into(),
        }
    }

    /// The store is not open yet, or no longer.
    pub(super) fn not_ready() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the node is not ready")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.why }))).into_response()
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let status = match (error.blame, error.reason) {
            (Blame::Us, _) => StatusCode::SERVICE_UNAVAILABLE,
            (Blame::Peer, Reason::Unknown) => StatusCode::NOT_FOUND,
            (Blame::Peer, _) => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.to_string())
    }
}
