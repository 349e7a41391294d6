//! Clients that are kept out because they came too often.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;

use super::Admin;
use super::reply::Refusal;
use super::sessions::kernel;

#[derive(Debug, Serialize)]
pub(super) struct Ban {
    user: String,
    client: String,
    seconds_left: u64,
}

pub(super) async fn list(State(admin): State<Admin>) -> Result<Json<Vec<Ban>>, Refusal> {
    let banned = kernel(&admin)?.banned().into_iter();
    let bans = banned.map(|one| Ban {
        user: one.user.to_string(),
        client: one.client.to_string(),
        seconds_left: one.left.as_secs(),
    });
    Ok(Json(bans.collect()))
}

pub(super) async fn pardon(
    State(admin): State<Admin>,
    Path(client): Path<String>,
) -> Result<StatusCode, Refusal> {
    if !kernel(&admin)?.pardon(&client) {
        let why = "nobody of this name is kept out";
        return Err(Refusal::new(StatusCode::NOT_FOUND, why));
    }
    tracing::info!(client, "pardoned by the operator");
    Ok(StatusCode::NO_CONTENT)
}
