//! The admin page: health, metrics, what exists, users and grants, over HTTP.
//!
//! Reading is open to loopback; everything else needs the token that lies in the data directory.

mod backup;
mod bans;
mod class;
mod entries;
mod guard;
mod health;
mod reply;
mod serve;
mod sessions;
mod streams;
mod token;

use std::io;
use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, post, put};
use axum::{Router, middleware};
use fairlead_kernel::{DrainWatch, Translator};
use tokio::net::TcpListener;

use crate::gate::Gate;

use entries::{GRANTS, Shelf, USERS};

pub use token::Token;

/// The largest request body: a user's document is a tenth of it.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// What the page needs to answer.
#[derive(Clone, Debug)]
pub struct Admin {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    gate: Gate,
    drain: DrainWatch,
    token: Token,
    hosts: Vec<String>,
    /// Those who read what they keep for their clients.
    translators: Vec<Arc<dyn Translator>>,
}

impl Admin {
    /// A page for this node. `hosts` are names under which it may be asked for, besides
    /// `localhost` and plain addresses.
    pub fn new(
        gate: Gate,
        drain: DrainWatch,
        token: Token,
        hosts: Vec<String>,
        translators: Vec<Arc<dyn Translator>>,
    ) -> Self {
        let inner = Inner {
            gate,
            drain,
            token,
            hosts,
            translators,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Serves on a non-blocking socket until clients are asked to leave, and finishes what was
    /// begun.
    pub async fn serve(self, listener: std::net::TcpListener) -> io::Result<()> {
        let listener = TcpListener::from_std(listener)?;
        let drain = self.inner.drain.clone();
        serve::serve(listener, self.router(), drain).await;
        Ok(())
    }

    fn router(self) -> Router {
        let guarded = middleware::from_fn_with_state(self.clone(), guard::check);
        Router::new()
            .route("/livez", get(health::live))
            .route("/readyz", get(health::ready))
            .route("/metrics", get(health::metrics))
            .route("/v1/streams", get(streams::list))
            .route(
                "/v1/sessions/{name}",
                get(sessions::show).delete(sessions::forget),
            )
            .route("/v1/sessions/{name}/connection", delete(sessions::kick))
            .route("/v1/bans", get(bans::list))
            .route("/v1/bans/{client}", delete(bans::pardon))
            .merge(shelf("/v1/users", USERS))
            .merge(shelf("/v1/grants", GRANTS))
            .layer(middleware::from_fn(serve::in_time))
            // What these do takes as long as there is much to be copied.
            .route("/v1/streams/{name}/class", get(class::show).put(class::set))
            .route("/v1/backup", post(backup::make))
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .layer(guarded)
            .with_state(self)
    }
}

/// A list of documents, and each of them by its name.
fn shelf(path: &str, shelf: Shelf) -> Router<Admin> {
    let one = put(move |admin, name, document| shelf.put(admin, name, document));
    let one = one.delete(move |admin, name| shelf.remove(admin, name));
    Router::new()
        .route(path, get(move |admin| shelf.list(admin)))
        .route(&format!("{path}/{{name}}"), one)
}
