//! One session: what it is subscribed to, what waits for it, and its end.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use fairlead_kernel::{
    Change, Extent, Family, KeptSession, Kernel, Lifetime, Overview, Stream, StreamKey,
};
use serde::Serialize;

use super::Admin;
use super::reply::Refusal;

#[derive(Debug, Serialize)]
pub(super) struct Session {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    connected: bool,
    ready: u64,
    unsettled: u64,
    bytes: u64,
    /// How long it outlives its connection; absent: for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_after_ms: Option<u64>,
    subscriptions: Vec<Subscription>,
}

#[derive(Debug, Serialize)]
struct Subscription {
    filter: String,
    terms: String,
    granted: Granted,
}

/// How much of a subscription its user may hear.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Granted {
    All,
    Part,
    Nothing,
}

pub(super) async fn show(
    State(admin): State<Admin>,
    Path(name): Path<String>,
) -> Result<Json<Session>, Refusal> {
    let kernel = kernel(&admin)?;
    let key = key(&name);
    let wants = |stream: &Stream| stream.key == key && stream.is_kept_mailbox();
    let found = kernel.overview(wants, None, 1).await.pop();
    let found = found.ok_or_else(unknown)?;
    let mut translators = admin.inner.translators.iter();
    let kept = translators.find_map(|translator| translator.session(&found.stream, &kernel));
    Ok(Json(Session::of(&found, kept)))
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
    fn of(found: &Overview, kept: Option<KeptSession>) -> Self {
        let user = kept.as_ref().map(|kept| kept.user.to_string());
        let subscriptions = kept.map(|kept| kept.subscriptions).unwrap_or_default();
        let subscriptions = subscriptions.into_iter().map(|one| Subscription {
            filter: one.filter.to_string(),
            terms: one.terms,
            granted: match one.granted {
                Some(Extent::Whole) => Granted::All,
                Some(Extent::Part) => Granted::Part,
                None => Granted::Nothing,
            },
        });
        Self {
            name: found.stream.key.name.to_string(),
            user,
            connected: found.depth.consumers > 0,
            ready: found.depth.ready,
            unsettled: found.depth.unsettled,
            bytes: found.bytes,
            expires_after_ms: match found.stream.lifetime {
                Lifetime::Unused { after_ms } => Some(after_ms),
                Lifetime::LastConsumer | Lifetime::Connection(_) => Some(0),
                Lifetime::Forever => None,
            },
            subscriptions: subscriptions.collect(),
        }
    }
}

fn key(name: &str) -> StreamKey {
    StreamKey::new(Family::Mailbox, name.to_owned())
}

fn unknown() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "no such session")
}

pub(super) fn kernel(admin: &Admin) -> Result<Arc<Kernel>, Refusal> {
    admin.inner.gate.kernel().ok_or_else(Refusal::not_ready)
}
