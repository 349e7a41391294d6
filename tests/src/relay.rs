//! A port that stays while the servers behind it come and go, for clients that reconnect by themselves.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Hands each connection on to the server of the moment; while there is none it is closed at once.
#[derive(Debug)]
pub struct Relay {
    port: u16,
    server: Arc<Mutex<Option<SocketAddr>>>,
}

impl Relay {
    /// # Panics
    /// When no port is free.
    #[expect(clippy::new_without_default, reason = "it opens a port")]
    pub fn new() -> Self {
        Self::announcing(b"")
    }

    /// One that says something to the server before each client speaks, as a load balancer does.
    ///
    /// # Panics
    /// When no port is free.
    pub fn announcing(header: &'static [u8]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let server = Arc::new(Mutex::new(None));
        let of_the_moment = Arc::clone(&server);
        // Both ends of a pair close when either does, and the process ends with its test.
        spawn(move || {
            for client in listener.incoming().flatten() {
                let server: Option<SocketAddr> = *of_the_moment.lock().expect("nobody panics");
                let server = server.and_then(|server| TcpStream::connect(server).ok());
                if let Some(mut server) = server
                    && server.write_all(header).is_ok()
                {
                    join(client, server);
                }
            }
        });
        Self { port, server }
    }

    /// The port that stays, as text for a command line.
    pub fn port(&self) -> String {
        self.port.to_string()
    }

    /// Where new connections go from here on; nowhere with `None`.
    ///
    /// # Panics
    /// Never: nobody panics while it is locked.
    pub fn lead_to(&self, server: Option<SocketAddr>) {
        *self.server.lock().expect("nobody panics") = server;
    }
}

fn join(client: TcpStream, server: TcpStream) {
    let ends = [&client, &server].map(TcpStream::try_clone);
    let [Ok(from_client), Ok(from_server)] = ends else {
        return;
    };
    spawn(move || copy(from_client, server));
    spawn(move || copy(from_server, client));
}

/// Until either side ends; then both do.
fn copy(mut from: TcpStream, mut to: TcpStream) {
    io::copy(&mut from, &mut to).ok();
    for stream in [from, to] {
        stream.shutdown(Shutdown::Both).ok();
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) {
    thread::Builder::new()
        .name("relay".into())
        .spawn(work)
        .expect("a thread starts");
}
