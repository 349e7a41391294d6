//! The admin page: health, metrics, what exists, and users, over HTTP.
//!
//! Reading is open to loopback; everything else needs the token that lies in the data directory.

mod guard;
mod health;
mod reply;
mod serve;
mod streams;
mod token;
mod users;

use std::io;
use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::routing::{get, put};
use axum::{Router, middleware};
use fairlead_kernel::DrainWatch;
use tokio::net::TcpListener;

use crate::gate::Gate;

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
}

impl Admin {
    /// A page for this node. `hosts` are names under which it may be asked for, besides
    /// `localhost` and plain addresses.
    pub fn new(gate: Gate, drain: DrainWatch, token: Token, hosts: Vec<String>) -> Self {
        let inner = Inner {
            gate,
            drain,
            token,
            hosts,
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
            .route("/v1/users", get(users::list))
            .route("/v1/users/{name}", put(users::add).delete(users::remove))
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .layer(guarded)
            .with_state(self)
    }
}
