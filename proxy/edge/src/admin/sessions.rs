//! One session: what it is subscribed to, what waits for it, and its end.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use fairlead_canon::{Part, Pattern};
use fairlead_kernel::{
    Change, Destination, Family, Kernel, Lifetime, Match, Overview, Stream, StreamKey,
};
use serde::Serialize;

use super::Admin;
use super::reply::Refusal;

#[derive(Debug, Serialize)]
pub(super) struct Session {
    name: String,
    connected: bool,
    ready: u64,
    unsettled: u64,
    bytes: u64,
    /// How long it outlives its connection; absent: for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_after_ms: Option<u64>,
    /// Patterns that fill its mailbox. What is only listened to while connected is not kept, and not here.
    subscriptions: Vec<String>,
}

pub(super) async fn show(
    State(admin): State<Admin>,
    Path(name): Path<String>,
) -> Result<Json<Session>, Refusal> {
    let kernel = kernel(&admin)?;
    let key = key(&name);
    let wants = |stream: &Stream| stream.key == key;
    let found = kernel.overview(wants, None, 1).await.pop();
    let found = found.ok_or_else(unknown)?;
    let to = Destination::Stream(key);
    let subscriptions = kernel.topology(|topology| {
        let bindings = topology.bindings_to(&to);
        bindings.map(|binding| pattern(&binding.on)).collect()
    });
    Ok(Json(Session::of(&found, subscriptions)))
}

/// Ends its connection; the session stays.
pub(super) async fn kick(
    State(admin): State<Admin>,
    Path(name): Path<String>,
) -> Result<StatusCode, Refusal> {
    if !kernel(&admin)?.displace(name.as_bytes()) {
        return Err(Refusal::new(
            StatusCode::NOT_FOUND,
            "nobody of this name is connected",
        ));
    }
    tracing::info!(session = name, "connection ended by the operator");
    Ok(StatusCode::NO_CONTENT)
}

/// Ends the session, and with it its connection.
pub(super) async fn forget(
    State(admin): State<Admin>,
    Path(name): Path<String>,
) -> Result<StatusCode, Refusal> {
    let kernel = kernel(&admin)?;
    let key = key(&name);
    if kernel.topology(|topology| topology.stream(&key).is_none()) {
        return Err(unknown());
    }
    let remove = Change::RemoveStream(key);
    kernel.operator()?.declare(vec![remove]).await?;
    tracing::info!(session = name, "session removed by the operator");
    Ok(StatusCode::NO_CONTENT)
}

impl Session {
    fn of(found: &Overview, subscriptions: Vec<String>) -> Self {
        Self {
            name: found.stream.key.name.to_string(),
            connected: found.depth.consumers > 0,
            ready: found.depth.ready,
            unsettled: found.depth.unsettled,
            bytes: found.bytes,
            expires_after_ms: match found.stream.lifetime {
                Lifetime::Unused { after_ms } => Some(after_ms),
                Lifetime::LastConsumer | Lifetime::Connection(_) => Some(0),
                Lifetime::Forever => None,
            },
            subscriptions,
        }
    }
}

fn key(name: &str) -> StreamKey {
    StreamKey::new(Family::Mailbox, name.to_owned())
}

/// For people: segments between slashes, `+` for one and `#` for any number.
fn pattern(on: &Match) -> String {
    let Match::Pattern(Pattern { parts, .. }) = on else {
        return "(headers)".to_owned();
    };
    let parts: Vec<_> = parts
        .iter()
        .map(|part| match part {
            Part::Literal(segment) => String::from_utf8_lossy(segment),
            Part::One => "+".into(),
            Part::Many => "#".into(),
        })
        .collect();
    parts.join("/")
}

fn unknown() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "no such session")
}

pub(super) fn kernel(admin: &Admin) -> Result<Arc<Kernel>, Refusal> {
    admin.inner.gate.kernel().ok_or_else(Refusal::not_ready)
}
