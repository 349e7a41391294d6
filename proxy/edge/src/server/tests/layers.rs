//! Listeners behind a load balancer, and behind WebSocket frames.

use std::net::TcpStream;

use fairlead_kernel::Carrier;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Response, header};
use tokio_tungstenite::tungstenite::protocol::WebSocket;
use tokio_tungstenite::tungstenite::{self, Message};

use super::bench::{Bench, Line, POLITE, Running};

const QUIET: Line = Line { word: "", ..POLITE };

fn behind_proxies(bench: &Bench, proxies: &str) -> Running {
    let proxies = vec![proxies.parse().unwrap()];
    let running = bench.listen(QUIET, Vec::new(), |listener| listener.proxies = proxies);
    running.keeper.open(bench.kernel());
    running
}

#[test]
fn a_load_balancer_says_for_whom_it_speaks() {
    let running = behind_proxies(&Bench::new(), "127.0.0.0/8");
    let mut client = running.client();
    client.say("PROXY TCP4 192.0.2.7 198.51.100.1 40000 1883\r\n");
    client.say("who\n");
    assert_eq!(client.hears(), "nobody at 192.0.2.7:40000\n");
    let mut bare = running.client();
    bare.say("who\nis there, and no header?\n");
    assert!(bare.is_closed());
    running.stop();
}

#[test]
fn a_header_of_anybody_else_is_not_believed() {
    let running = behind_proxies(&Bench::new(), "10.0.0.0/8");
    let mut client = running.client();
    let header = "PROXY TCP4 192.0.2.7 198.51.100.1 40000 1883\r\n";
    client.say(header);
    assert_eq!(client.hears(), header);
    running.stop();
}

type Upgraded = (WebSocket<TcpStream>, Response<Option<Vec<u8>>>);

fn upgrade(running: &Running, asked: &'static str) -> Result<Upgraded, Box<tungstenite::Error>> {
    upgrade_from(running, asked, None)
}

/// For a page of this origin.
fn upgrade_from(
    running: &Running,
    asked: &'static str,
    origin: Option<&'static str>,
) -> Result<Upgraded, Box<tungstenite::Error>> {
    let mut request = format!("ws://{}/any", running.address)
        .into_client_request()
        .unwrap();
    let asked = HeaderValue::from_static(asked);
    let headers = request.headers_mut();
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, asked);
    if let Some(origin) = origin {
        headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
    }
    let stream = running.client().0.into_inner();
    match tungstenite::client(request, stream) {
        Ok(upgraded) => Ok(upgraded),
        Err(tungstenite::HandshakeError::Failure(error)) => Err(Box::new(error)),
        Err(tungstenite::HandshakeError::Interrupted(_)) => panic!("a blocking stream"),
    }
}

fn websocket(bench: &Bench, line: Line) -> Running {
    let carrier = Carrier::WebSocket(&["words", "oldwords"]);
    let running = bench.listen(line, Vec::new(), |listener| listener.carrier = carrier);
    running.keeper.open(bench.kernel());
    running
}

#[test]
fn frames_carry_the_bytes_however_they_are_cut() {
    let bench = Bench::new();
    let running = websocket(&bench, POLITE);
    let (mut client, response) = upgrade(&running, "other, oldwords").unwrap();
    let agreed = &response.headers()[header::SEC_WEBSOCKET_PROTOCOL];
    assert_eq!(agreed, "oldwords");
    assert_eq!(client.read().unwrap(), Message::binary(&b"hello\n"[..]));
    client.send(Message::Ping("1".into())).unwrap();
    client.send(Message::binary(&b"who\n"[..])).unwrap();
    assert_eq!(client.read().unwrap(), Message::Pong("1".into()));
    let answer = client.read().unwrap().into_data();
    assert!(answer.starts_with(b"nobody at 127.0.0.1:"), "{answer:?}");
    // Longer than the protocol reads at a time, so that it comes back in pieces.
    client.send(Message::binary(vec![7; 200])).unwrap();
    let mut heard = 0;
    while heard < 200 {
        heard += client.read().unwrap().len();
    }
    assert_eq!(heard, 200);
    running.stop();
}

#[test]
fn a_client_that_asks_for_no_known_subprotocol_is_refused() {
    let running = websocket(&Bench::new(), POLITE);
    let refused = upgrade(&running, "chat").unwrap_err();
    let tungstenite::Error::Http(answer) = *refused else {
        panic!("{refused}");
    };
    assert_eq!(answer.status(), 400);
    running.stop();
}

#[test]
fn only_pages_of_a_named_origin_connect_and_whoever_is_no_page() {
    let bench = Bench::new();
    let running = bench.listen(POLITE, Vec::new(), |listener| {
        listener.carrier = Carrier::WebSocket(&["words"]);
        listener.origins = vec!["https://app.example".to_owned()];
    });
    running.keeper.open(bench.kernel());
    for (origin, may) in [
        (Some("https://app.example"), true),
        (None, true),
        (Some("https://app.example.evil"), false),
        (Some("null"), false),
    ] {
        let status = upgrade_from(&running, "words", origin).map(|_| 101);
        let status = status.unwrap_or_else(|error| {
            let tungstenite::Error::Http(answer) = *error else {
                panic!("{error}");
            };
            answer.status().as_u16()
        });
        assert_eq!(status, if may { 101 } else { 403 }, "{origin:?}");
    }
    running.stop();
}

#[test]
fn text_ends_the_connection() {
    let running = websocket(&Bench::new(), QUIET);
    let (mut client, _) = upgrade(&running, "words").unwrap();
    client.send(Message::text("hello")).unwrap();
    assert!(client.read().is_err());
    running.stop();
}
