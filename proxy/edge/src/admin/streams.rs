//! What exists and how full it is.

use axum::Json;
use axum::extract::{Query, State};
use fairlead_kernel::{Family, Overview, Stream};
use serde::{Deserialize, Serialize};

use super::Admin;
use super::reply::Refusal;

/// Streams on one page.
const PAGE_MAX: usize = 1_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    family: Word,
    /// Begin behind this name.
    after: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Log,
    Queue,
    Mailbox,
}

#[derive(Debug, Serialize)]
pub(super) struct Page {
    streams: Vec<Row>,
    /// Ask again with `after` set to this; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    lanes: usize,
    ready: u64,
    damaged: u64,
    unsettled: u64,
    consumers: u32,
    bytes: u64,
    durable: bool,
}

pub(super) async fn list(
    State(admin): State<Admin>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Page>, Refusal> {
    let kernel = admin.inner.gate.kernel().ok_or_else(Refusal::not_ready)?;
    let wants = |stream: &Stream| wanted.family.takes(stream);
    let after = wanted.after.as_deref();
    let found = kernel.overview(wants, after, PAGE_MAX).await;
    let streams: Vec<Row> = found.into_iter().map(Row::from).collect();
    let is_full = streams.len() == PAGE_MAX;
    let next = streams
        .last()
        .filter(|_| is_full)
        .map(|row| row.name.clone());
    Ok(Json(Page { streams, next }))
}

impl Word {
    /// A mailbox is listed when it outlives its connection: the others belong to a client that is
    /// there, not to a session.
    fn takes(self, stream: &Stream) -> bool {
        match self {
            Self::Log => stream.key.family == Family::Log,
            Self::Queue => stream.key.family == Family::Queue,
            Self::Mailbox => stream.is_kept_mailbox(),
        }
    }
}

impl From<Overview> for Row {
    fn from(of: Overview) -> Self {
        Self {
            name: of.stream.key.name.to_string(),
            lanes: of.stream.lanes.len(),
            ready: of.depth.ready,
            damaged: of.depth.damaged,
            unsettled: of.depth.unsettled,
            consumers: of.depth.consumers,
            bytes: of.bytes,
            durable: of.stream.is_durable(),
        }
    }
}
