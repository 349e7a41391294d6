//! A copy of what the node keeps, while it goes on.

use std::path::PathBuf;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::Admin;
use super::reply::Refusal;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// On the node's own disk: empty, or not there.
    dir: PathBuf,
}

#[derive(Debug, Serialize)]
pub(super) struct Made {
    bytes: u64,
}

/// Answered when the copy is whole and on the disk.
pub(super) async fn make(State(admin): State<Admin>, body: Bytes) -> Result<Json<Made>, Refusal> {
    let refused = |why: String| Refusal::new(StatusCode::BAD_REQUEST, why);
    let wanted: Wanted =
        serde_json::from_slice(&body).map_err(|error| refused(error.to_string()))?;
    if !wanted.dir.is_absolute() {
        return Err(refused("the directory must be given from the root".into()));
    }
    let kernel = admin.inner.gate.kernel().ok_or_else(Refusal::not_ready)?;
    let made = kernel.backup(wanted.dir.clone());
    let bytes = made.await.map_err(|error| {
        tracing::warn!(%error, dir = %wanted.dir.display(), "no backup was made");
        Refusal::new(StatusCode::CONFLICT, error.to_string())
    })?;
    Ok(Json(Made { bytes }))
}
