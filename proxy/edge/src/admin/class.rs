//! Where a stream is kept, changed while it is used.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use fairlead_canon::Class;
use fairlead_kernel::{Change, Configure, Family, Kernel, Progress, Stream, StreamKey};
use serde::{Deserialize, Serialize};

use super::Admin;
use super::reply::Refusal;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    family: FamilyWord,
    class: ClassWord,
    /// What it holds is gone after a restart: needed for class `memory`.
    #[serde(default)]
    accept_loss: bool,
}

/// A stream of this family.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    family: FamilyWord,
}

/// Where a stream is kept, and how it comes there.
#[derive(Debug, Serialize)]
pub(super) struct Kept {
    class: ClassWord,
    /// The last change of class that copied it, if nothing was copied since; as an answer to a change,
    /// that one.
    #[serde(rename = "move")]
    progress: Option<Copied>,
}

#[derive(Debug, Serialize)]
struct Copied {
    messages: u64,
    bytes: u64,
    /// What there was when the last round began.
    messages_held: u64,
    bytes_held: u64,
    rounds: u64,
    /// How long publishers and consumers waited at most.
    longest_pause_us: u64,
    is_over: bool,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FamilyWord {
    Log,
    Queue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum ClassWord {
    Memory,
    Local,
    Object,
}

/// Which class a stream has, or is about to have, and how far that is.
pub(super) async fn show(
    State(admin): State<Admin>,
    Path(name): Path<String>,
    Query(which): Query<Which>,
) -> Result<Json<Kept>, Refusal> {
    let kernel = admin.inner.gate.kernel().ok_or_else(Refusal::not_ready)?;
    let stream = find(&kernel, &StreamKey::new(which.family.into(), name))?;
    Ok(Json(Kept {
        class: stream.class.into(),
        progress: kernel.progress(&stream).map(Copied::from),
    }))
}

/// Gives a stream another class; answered when everything that it holds is there.
pub(super) async fn set(
    State(admin): State<Admin>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Json<Kept>, Refusal> {
    let wanted: Wanted = serde_json::from_slice(&body)
        .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, error.to_string()))?;
    let kernel = admin.inner.gate.kernel().ok_or_else(Refusal::not_ready)?;
    if wanted.class == ClassWord::Memory && !wanted.accept_loss {
        let why = "in memory it is gone after a restart; say that this loss is accepted";
        return Err(Refusal::new(StatusCode::CONFLICT, why));
    }
    let key = StreamKey::new(wanted.family.into(), name.clone());
    let old = find(&kernel, &key)?;
    let before = kernel.progress(&old);
    let class = Class::from(wanted.class);
    let configure = Configure {
        key,
        class,
        limits: old.limits(),
        settings: old.settings().clone(),
    };
    kernel
        .operator()?
        .declare(vec![Change::Configure(configure)])
        .await?;
    tracing::info!(stream = name, ?class, "class changed by the operator");
    let progress = kernel.progress(&old).filter(|now| before != Some(*now));
    Ok(Json(Kept {
        class: wanted.class,
        progress: progress.map(Copied::from),
    }))
}

fn find(kernel: &Kernel, key: &StreamKey) -> Result<Arc<Stream>, Refusal> {
    let found = kernel.topology(|topology| topology.stream(key).cloned());
    found.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "no such stream"))
}

impl From<Progress> for Copied {
    fn from(of: Progress) -> Self {
        Self {
            messages: of.messages,
            bytes: of.bytes,
            messages_held: of.messages_held,
            bytes_held: of.bytes_held,
            rounds: of.rounds,
            longest_pause_us: of.longest_pause_micros,
            is_over: of.is_over,
        }
    }
}

impl From<FamilyWord> for Family {
    fn from(word: FamilyWord) -> Self {
        match word {
            FamilyWord::Log => Self::Log,
            FamilyWord::Queue => Self::Queue,
        }
    }
}

impl From<Class> for ClassWord {
    fn from(class: Class) -> Self {
        match class {
            Class::Memory => Self::Memory,
            Class::Local => Self::Local,
            Class::Object => Self::Object,
        }
    }
}

impl From<ClassWord> for Class {
    fn from(word: ClassWord) -> Self {
        match word {
            ClassWord::Memory => Self::Memory,
            ClassWord::Local => Self::Local,
            ClassWord::Object => Self::Object,
        }
    }
}
