//! Whether the node lives, serves, and what it counts.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use fairlead_kernel::Condition;

use super::Admin;
use super::reply::Refusal;

const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) async fn live() -> &'static str {
    "live\n"
}

/// Ready: the store is open and keeps what it is given, and nobody is being asked to leave. A full
/// one still serves readers.
pub(super) async fn ready(State(admin): State<Admin>) -> Result<&'static str, Refusal> {
    let kernel = admin.inner.gate.kernel().ok_or_else(Refusal::not_ready)?;
    if admin.inner.drain.has_begun() {
        return Err(Refusal::not_ready());
    }
    match kernel.condition() {
        Condition::Well => Ok("ready\n"),
        Condition::Full => Ok("ready, but the store is full\n"),
        Condition::Poisoned => Err(Refusal::not_ready()),
    }
}

pub(super) async fn metrics(State(admin): State<Admin>) -> Result<impl IntoResponse, Refusal> {
    let kernel = admin.inner.gate.kernel().ok_or_else(Refusal::not_ready)?;
    Ok(([(CONTENT_TYPE, TEXT_FORMAT)], kernel.metrics_page()))
}
