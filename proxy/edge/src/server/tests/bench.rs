//! An edge to test, its kernel, and a client.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use fairlead_canon::{Origin, Principal, Timestamp};
use fairlead_kernel::{
    Backing, BoxFuture, Carrier, Closed, ClosedReason, Conn, Door, Kernel, Translator,
};
use fairlead_memory::Memory;
use fairlead_ports::{Action, Clock, Entropy, Policy, Store, Verdict};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;

use crate::server::{Edge, Listener, Settings};
use crate::{Cause, Gate, Identity, Keeper, Socket, gate, path_in};

/// Far longer than anything here takes; a test that hangs fails.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A data directory and the kernel's runtime; edges come and go.
pub(super) struct Bench {
    pub(super) dir: TempDir,
    pub(super) runtime: Runtime,
    pub(super) drain_max: Duration,
    pub(super) connections_max: u32,
}

/// An edge that runs. It ends when its keeper is dropped.
pub(super) struct Running {
    pub(super) keeper: Keeper,
    pub(super) gate: Gate,
    pub(super) address: SocketAddr,
    edge: JoinHandle<Cause>,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            runtime: Runtime::new().unwrap(),
            drain_max: PATIENCE,
            connections_max: 100,
        }
    }

    pub(super) fn kernel(&self) -> Arc<Kernel> {
        let memory = Arc::new(Memory::new(1 << 20));
        let backing = Backing {
            store: Arc::clone(&memory) as Arc<dyn Store>,
            documents: memory,
            clock: Arc::new(Still),
            entropy: Arc::new(Still),
        };
        let opening = Kernel::open(backing, |_| Arc::new(Everybody));
        self.runtime.block_on(opening).unwrap()
    }

    /// An edge with one listener, still closed. Its connections are greeted with `word`.
    pub(super) fn run(&self, line: Line, identity: Option<Identity>, of: Vec<Socket>) -> Running {
        self.listen(line, of, |listener| listener.identity = identity)
    }

    /// The same with a listener of this shape.
    pub(super) fn listen(
        &self,
        line: Line,
        of: Vec<Socket>,
        shape: impl FnOnce(&mut Listener),
    ) -> Running {
        let (keeper, gate) = gate();
        let mut inherited = of;
        let any = "127.0.0.1:0".parse().unwrap();
        let socket = Socket::open(&"front".into(), any, &mut inherited).unwrap();
        let address = socket.address();
        let mut listener = Listener {
            socket,
            identity: None,
            carrier: Carrier::Stream,
            proxies: Vec::new(),
            origins: Vec::new(),
            translator: Arc::new(line),
        };
        shape(&mut listener);
        let settings = Settings {
            threads: 1,
            connections_max: self.connections_max,
            drain_max: self.drain_max,
            quiet: crate::QUIET,
            handover: path_in(self.dir.path()),
        };
        let edge = Edge::new(settings, vec![listener], Vec::new(), gate.clone()).unwrap();
        let edge = std::thread::Builder::new()
            .spawn(move || edge.run())
            .unwrap();
        Running {
            keeper,
            gate,
            address,
            edge,
        }
    }

    /// An open one.
    pub(super) fn serve(&self, line: Line) -> Running {
        let running = self.run(line, None, Vec::new());
        running.keeper.open(self.kernel());
        running
    }
}

impl Running {
    pub(super) fn client(&self) -> Client {
        Client::to(self.address)
    }

    /// How it ended; waits for the end.
    pub(super) fn end(self) -> Cause {
        self.edge.join().unwrap()
    }

    /// Ends it the hard way.
    pub(super) fn stop(self) {
        self.keeper.shut();
        assert_eq!(self.end(), Cause::Failed);
    }
}

/// A client's end.
pub(super) struct Client(pub(super) BufReader<TcpStream>);

impl Client {
    pub(super) fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    pub(super) fn say(&mut self, line: &str) {
        self.0.get_mut().write_all(line.as_bytes()).unwrap();
    }

    pub(super) fn hears(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }

    /// Whatever comes first, text or not.
    pub(super) fn hears_bytes(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        let read = self.0.read(&mut bytes).unwrap_or(0);
        bytes.truncate(read);
        bytes
    }

    /// Whether there is nothing more to come.
    pub(super) fn is_closed(&mut self) -> bool {
        // A reset is as closed as an end.
        self.0.read(&mut [0]).unwrap_or(0) == 0
    }
}

/// A protocol: it greets with its word and says every byte back, and says goodbye if it is polite.
/// Asked `who`, it says who is there.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) word: &'static str,
    pub(super) manners: Manners,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manners {
    Polite,
    Stubborn,
}

pub(super) const POLITE: Line = Line {
    word: "hello\n",
    manners: Manners::Polite,
};

pub(super) const STUBBORN: Line = Line {
    word: "hello\n",
    manners: Manners::Stubborn,
};

impl Translator for Line {
    fn name(&self) -> &'static str {
        "line"
    }
    fn origin(&self) -> Origin {
        Origin(9)
    }
    fn doors(&self) -> &'static [Door] {
        &[]
    }
    fn example(&self, at: SocketAddr) -> String {
        at.to_string()
    }
    fn serve(&self, conn: Conn, _: Arc<Kernel>) -> BoxFuture<'static, Closed> {
        Box::pin(converse(self.word, self.manners, conn))
    }
}

async fn converse(word: &'static str, manners: Manners, conn: Conn) -> Closed {
    let Conn {
        mut io,
        mut drain,
        info,
    } = conn;
    let who = info.certificate_name.as_deref().unwrap_or("nobody");
    let who = format!("{who} at {}\n", info.peer);
    io.write_all(word.as_bytes()).await.ok();
    io.flush().await.ok();
    let mut buffer = [0; 64];
    loop {
        tokio::select! {
            () = drain.begun(), if manners == Manners::Polite => {
                io.write_all(b"bye\n").await.ok();
                return Closed::plain(ClosedReason::Drained);
            }
            read = io.read(&mut buffer) => match read {
                Ok(0) | Err(_) => return Closed::plain(ClosedReason::Goodbye),
                Ok(n) if &buffer[..n] == b"who\n" => io.write_all(who.as_bytes()).await.unwrap_or_default(),
                Ok(n) => io.write_all(&buffer[..n]).await.unwrap_or_default(),
            },
        }
        io.flush().await.ok();
    }
}

#[derive(Debug)]
pub(super) struct Still;

impl Clock for Still {
    fn wall(&self) -> Timestamp {
        Timestamp(1)
    }
}

impl Entropy for Still {
    fn fill(&self, out: &mut [u8]) {
        out.fill(7);
    }
}

#[derive(Debug)]
struct Everybody;

impl Policy for Everybody {
    fn name(&self) -> &'static str {
        "everybody"
    }
    fn admit(&self, _: &Principal, _: &Action<'_>) -> Verdict {
        Verdict::Yes
    }
}
