//! Users and grants, as opaque documents: what is in one is the business of the rule that reads it.

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

/// A name space of the directory, and its word in paths and answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shelf(&'static str);

pub(super) const USERS: Shelf = Shelf("users");
pub(super) const GRANTS: Shelf = Shelf("grants");

/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 255;

impl Shelf {
    pub(super) async fn list(self, State(admin): State<Admin>) -> Result<Json<Value>, Refusal> {
        let names: Vec<String> = kernel(&admin)?.topology(|topology| {
            let entries = topology.entries_of(self.0);
            entries
                .map(|(name, _)| String::from_utf8_lossy(name).into_owned())
                .collect()
        });
        Ok(Json(json!({ self.0: names })))
    }

    pub(super) async fn put(
        self,
        State(admin): State<Admin>,
        Path(name): Path<String>,
        document: Bytes,
    ) -> Result<StatusCode, Refusal> {
        let is_object = serde_json::from_slice::<Value>(&document).is_ok_and(|v| v.is_object());
        if !is_object || name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "not a document"));
        }
        self.write(&admin, &name, Some(document)).await?;
        tracing::info!(shelf = self.0, name, "document written");
        Ok(StatusCode::NO_CONTENT)
    }

    pub(super) async fn remove(
        self,
        State(admin): State<Admin>,
        Path(name): Path<String>,
    ) -> Result<StatusCode, Refusal> {
        let key = name.as_bytes();
        let is_there = kernel(&admin)?.topology(|t| t.entry(self.0, key).is_some());
        if !is_there {
            return Err(Refusal::new(
                StatusCode::NOT_FOUND,
                "there is none of this name",
            ));
        }
        self.write(&admin, &name, None).await?;
        tracing::info!(shelf = self.0, name, "document removed");
        Ok(StatusCode::NO_CONTENT)
    }

    async fn write(self, admin: &Admin, name: &str, value: Option<Bytes>) -> Result<(), Refusal> {
        let change = Change::PutEntry {
            namespace: Text::from_static(self.0),
            key: Bytes::copy_from_slice(name.as_bytes()),
            value,
        };
        kernel(admin)?.operator()?.declare(vec![change]).await?;
        Ok(())
    }
}

fn kernel(admin: &Admin) -> Result<Arc<Kernel>, Refusal> {
    admin.inner.gate.kernel().ok_or_else(Refusal::not_ready)
}
