//! Where a stream is kept, changed while it is used.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use fairlead_canon::Class;
use fairlead_kernel::{Change, Configure, Family, StreamKey};
use serde::Deserialize;

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

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FamilyWord {
    Log,
    Queue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ClassWord {
    Memory,
    Local,
    Object,
}

/// Gives a stream another class; answered when everything that it holds is there.
pub(super) async fn set(
    State(admin): State<Admin>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let wanted: Wanted = serde_json::from_slice(&body)
        .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, error.to_string()))?;
    let kernel = admin.inner.gate.kernel().ok_or_else(Refusal::not_ready)?;
    if wanted.class == ClassWord::Memory && !wanted.accept_loss {
        let why = "in memory it is gone after a restart; say that this loss is accepted";
        return Err(Refusal::new(StatusCode::CONFLICT, why));
    }
    let key = StreamKey::new(wanted.family.into(), name.clone());
    let old = kernel.topology(|topology| topology.stream(&key).cloned());
    let old = old.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "no such stream"))?;
    let class = Class::from(wanted.class);
    let configure = Configure {
        key,
        class,
        limits: old.limits,
        settings: old.settings().clone(),
    };
    kernel
        .operator()?
        .declare(vec![Change::Configure(configure)])
        .await?;
    tracing::info!(stream = name, ?class, "class changed by the operator");
    Ok(StatusCode::NO_CONTENT)
}

impl From<FamilyWord> for Family {
    fn from(word: FamilyWord) -> Self {
        match word {
            FamilyWord::Log => Self::Log,
            FamilyWord::Queue => Self::Queue,
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
