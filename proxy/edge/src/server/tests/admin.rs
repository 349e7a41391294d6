//! The admin page.

use std::io::{Read, Write};
use std::net::TcpStream;

use fairlead_canon::{Class, Kind, Origin};
use fairlead_kernel::{Change, DrainWatch, Family, Lifetime, NewStream, StreamKey};
use tokio::sync::watch;

use super::bench::{Bench, PATIENCE, Still};
use crate::{Admin, Keeper, Socket, Token, gate};

struct Page {
    bench: Bench,
    keeper: Keeper,
    socket: Socket,
    token: String,
    drain: watch::Sender<bool>,
}

impl Page {
    fn open() -> Self {
        let bench = Bench::new();
        let (keeper, gate) = gate();
        let (drain, draining) = watch::channel(false);
        let token = Token::of(bench.dir.path(), &Still).unwrap();
        let text = token.reveal().to_owned();
        let any = "127.0.0.1:0".parse().unwrap();
        let socket = Socket::open(&"admin".into(), any, &mut Vec::new()).unwrap();
        let hosts = vec!["broker.example".to_owned()];
        let admin = Admin::new(gate, DrainWatch::new(draining), token, hosts, Vec::new());
        bench.runtime.spawn(admin.serve(socket.share().unwrap()));
        Self {
            bench,
            keeper,
            socket,
            token: text,
            drain,
        }
    }

    /// Status and body of one request; `more` are header lines.
    fn ask(&self, line: &str, more: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.socket.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let host = if more.contains("Host:") {
            ""
        } else {
            "Host: 127.0.0.1\r\n"
        };
        let length = body.len();
        let head = format!(
            "{line} HTTP/1.1\r\n{host}{more}Connection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all((head + body).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap();
        (status.parse().unwrap(), body.to_owned())
    }

    fn get(&self, path: &str) -> (u16, String) {
        self.ask(&format!("GET {path}"), "", "")
    }

    fn change(&self, line: &str, body: &str) -> u16 {
        let token = format!("Authorization: Bearer {}\r\n", self.token);
        self.ask(line, &token, body).0
    }
}

#[test]
fn a_node_lives_before_it_is_ready() {
    let page = Page::open();
    assert_eq!(page.get("/livez").0, 200);
    assert_eq!(page.get("/readyz").0, 503);
    assert_eq!(page.get("/metrics").0, 503);
    page.keeper.open(page.bench.kernel());
    assert_eq!(page.get("/readyz").0, 200);
    let (status, metrics) = page.get("/metrics");
    assert_eq!(status, 200);
    assert!(metrics.contains("fairlead_build_info"), "{metrics}");
}

#[test]
fn a_node_that_lost_its_store_is_not_ready() {
    let page = Page::open();
    page.keeper.open(page.bench.kernel());
    page.keeper.shut();
    assert_eq!(page.get("/readyz").0, 503);
    assert_eq!(page.get("/livez").0, 200);
    drop(page.drain);
}

#[test]
fn users_change_with_the_token_only() {
    let page = Page::open();
    page.keeper.open(page.bench.kernel());
    let add = "PUT /v1/users/ada";
    assert_eq!(page.ask(add, "", "{}").0, 401);
    let wrong = "Authorization: Bearer 0707\r\n";
    assert_eq!(page.ask(add, wrong, "{}").0, 401);
    assert_eq!(page.get("/v1/users").1, r#"{"users":[]}"#);
    assert_eq!(page.change(add, "not json"), 400);
    assert_eq!(page.change(add, r#"{"k":1}"#), 204);
    assert_eq!(page.get("/v1/users").1, r#"{"users":["ada"]}"#);
    assert_eq!(page.ask("DELETE /v1/users/ada", "", "").0, 401);
    assert_eq!(page.change("DELETE /v1/users/ada", ""), 204);
    assert_eq!(page.change("DELETE /v1/users/ada", ""), 404);
    assert_eq!(page.get("/v1/users").1, r#"{"users":[]}"#);
}

#[test]
fn a_name_nobody_knows_is_refused_before_anything_is_said() {
    let page = Page::open();
    for (host, status) in [
        ("localhost:9080", 200),
        ("[::1]:9080", 200),
        ("broker.example", 200),
        ("evil.example", 421),
        ("broker.example.evil.example", 421),
    ] {
        let header = format!("Host: {host}\r\n");
        assert_eq!(page.ask("GET /livez", &header, "").0, status, "{host}");
    }
}

#[test]
fn a_body_beyond_the_limit_is_refused() {
    let page = Page::open();
    page.keeper.open(page.bench.kernel());
    let body = |bytes: usize| format!("{{\"k\":\"{}\"}}", "x".repeat(bytes));
    assert_eq!(page.change("PUT /v1/users/ada", &body(16 * 1024 - 8)), 204);
    assert_eq!(page.change("PUT /v1/users/ada", &body(16 * 1024 - 7)), 413);
}

#[test]
fn streams_are_listed_by_family() {
    let page = Page::open();
    page.keeper.open(page.bench.kernel());
    assert_eq!(
        page.get("/v1/streams?family=log"),
        (200, r#"{"streams":[]}"#.to_owned())
    );
    assert_eq!(page.get("/v1/streams?family=cat").0, 400);
}

#[test]
fn a_mailbox_that_ends_with_its_connection_is_no_session() {
    let page = Page::open();
    let kernel = page.bench.kernel();
    let mut caller = kernel.operator().unwrap();
    let own = Lifetime::Connection(caller.id());
    let mailbox = |name: &str, lifetime| {
        let key = StreamKey::new(Family::Mailbox, name);
        let stream = NewStream::new(key, Kind::Queue, Class::Memory, Origin(1));
        Change::CreateStream(NewStream { lifetime, ..stream })
    };
    let changes = vec![mailbox("here", own), mailbox("stays", Lifetime::Forever)];
    page.bench
        .runtime
        .block_on(caller.declare(changes))
        .unwrap();
    page.keeper.open(kernel);
    let (status, listed) = page.get("/v1/streams?family=mailbox");
    assert_eq!(status, 200);
    assert!(listed.contains(r#""name":"stays""#), "{listed}");
    assert!(!listed.contains(r#""name":"here""#), "{listed}");
}

#[test]
fn the_token_is_made_once_and_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    assert!(Token::read(dir.path()).is_err());
    let made = Token::of(dir.path(), &Still).unwrap();
    let again = Token::of(dir.path(), &Still).unwrap();
    assert_eq!(made.reveal(), again.reveal());
    let file = std::fs::metadata(dir.path().join("admin.token")).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    assert_eq!(format!("{made:?}"), "Token(***)");
}
