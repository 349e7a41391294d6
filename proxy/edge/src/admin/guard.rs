//! Who may ask what: the host name, the peer's address, the token.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Admin;
use super::reply::Refusal;

/// Open to everybody who reaches the port: they say nothing but yes or no.
const PROBES: [&str; 2] = ["/livez", "/readyz"];

pub(super) async fn check(
    State(admin): State<Admin>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    match judge(&admin, peer, &request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => {
            let path = request.uri().path();
            tracing::info!(%peer, method = %request.method(), path, "admin request refused");
            refusal.into_response()
        }
    }
}

fn judge(admin: &Admin, peer: SocketAddr, request: &Request) -> Result<(), Refusal> {
    if !is_known_host(request.headers(), &admin.inner.hosts) {
        return Err(Refusal::new(
            StatusCode::MISDIRECTED_REQUEST,
            "unknown Host: name it in admin.hosts",
        ));
    }
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let is_near = peer.ip().to_canonical().is_loopback();
    let is_open = is_read && (is_near || PROBES.contains(&request.uri().path()));
    if is_open || has_token(request.headers(), admin) {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::UNAUTHORIZED,
        "needs the bearer token of admin.token in the data directory",
    ))
}

/// A web page in the operator's browser can make it ask our address, but only under the page's own
/// name. So a name must be known; an address typed as such is no name.
fn is_known_host(headers: &HeaderMap, hosts: &[String]) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let Some(authority) = host.and_then(|host| host.parse::<Authority>().ok()) else {
        return false;
    };
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    address.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || hosts.iter().any(|host| name.eq_ignore_ascii_case(host))
}

fn has_token(headers: &HeaderMap, admin: &Admin) -> bool {
    headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .is_some_and(|token| admin.inner.token.is(token))
}
