//! The connections of the admin page: so many at a time, and none for ever.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use fairlead_kernel::DrainWatch;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

use super::reply::Refusal;

/// Connections at a time: an operator, a scraper, a few probes. Others wait to be accepted, so
/// that the page never takes the files that clients need.
const CONNECTIONS_MAX: u32 = 64;

/// For a request's head to arrive, and for a kept connection to be of use again.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// For a request's body to arrive and its answer to be found.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// After a failed accept, which is mostly a lack of files that does not pass at once.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn serve(listener: TcpListener, router: Router, mut drain: DrainWatch) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
    let accept = async || {
        // Never closed, so there is always a permit to come.
        let permit = Arc::clone(&room).acquire_owned().await.ok();
        (permit, listener.accept().await)
    };
    loop {
        let (permit, accepted) = tokio::select! {
            () = drain.begun() => break,
            accepted = accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (router, drain) = (router.clone(), drain.clone());
                tokio::spawn(async move {
                    converse(stream, peer, router, drain).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the admin page cannot accept");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    // What is left finishes its answer; an error cannot be, as the room is never closed.
    room.acquire_many(CONNECTIONS_MAX).await.ok();
}

async fn converse(stream: TcpStream, peer: SocketAddr, router: Router, mut drain: DrainWatch) {
    let service = service_fn(move |request| answer(router.clone(), peer, request));
    let mut connection = Box::pin(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .serve_connection(TokioIo::new(stream), service),
    );
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = drain.begun() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "admin connection closed");
    }
}

async fn answer(
    router: Router,
    peer: SocketAddr,
    mut request: Request<Incoming>,
) -> Result<Response, Infallible> {
    request.extensions_mut().insert(ConnectInfo(peer));
    router.oneshot(request).await
}

/// Gives up a request that takes long, where none should.
pub(super) async fn in_time(request: axum::extract::Request, next: Next) -> Response {
    let late = |_late| Refusal::new(StatusCode::REQUEST_TIMEOUT, "too slow").into_response();
    let answered = timeout(ANSWER_TIME, next.run(request)).await;
    answered.unwrap_or_else(late)
}
