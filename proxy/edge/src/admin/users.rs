//! Users, as opaque documents: what is in one is the business of the rule that checks logins.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use fairlead_canon::Text;
use fairlead_kernel::{Change, Kernel};
use serde_json::{Value, json};

use super::Admin;
use super::reply::Refusal;

const NAMESPACE: &str = "users";

/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 255;

pub(super) async fn list(State(admin): State<Admin>) -> Result<Json<Value>, Refusal> {
    let names: Vec<String> = kernel(&admin)?.topology(|topology| {
        let users = topology.entries_of(NAMESPACE);
        users
            .map(|(name, _)| String::from_utf8_lossy(name).into_owned())
            .collect()
    });
    Ok(Json(json!({ "users": names })))
}

pub(super) async fn add(
    State(admin): State<Admin>,
    Path(name): Path<String>,
    document: Bytes,
) -> Result<StatusCode, Refusal> {
    let is_object = serde_json::from_slice::<Value>(&document).is_ok_and(|v| v.is_object());
    if !is_object || name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "not a user"));
    }
    put(&admin, &name, Some(document)).await?;
    tracing::info!(user = name, "user written");
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn remove(
    State(admin): State<Admin>,
    Path(name): Path<String>,
) -> Result<StatusCode, Refusal> {
    let key = name.as_bytes();
    let is_there = kernel(&admin)?.topology(|t| t.entry(NAMESPACE, key).is_some());
    if !is_there {
        return Err(Refusal::new(StatusCode::NOT_FOUND, "no such user"));
    }
    put(&admin, &name, None).await?;
    tracing::info!(user = name, "user removed");
    Ok(StatusCode::NO_CONTENT)
}

async fn put(admin: &Admin, name: &str, value: Option<Bytes>) -> Result<(), Refusal> {
    let change = Change::PutEntry {
        namespace: Text::from_static(NAMESPACE),
        key: Bytes::copy_from_slice(name.as_bytes()),
        value,
    };
    kernel(admin)?.operator()?.declare(vec![change]).await?;
    Ok(())
}

fn kernel(admin: &Admin) -> Result<Arc<Kernel>, Refusal> {
    admin.inner.gate.kernel().ok_or_else(Refusal::not_ready)
}
