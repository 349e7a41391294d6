//! What a protocol is to the rest: the door it listens at and the task that serves a connection.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fairlead_canon::{Origin, Text};
use fairlead_ports::{BoxFuture, ConnInfo, Io};
use fairlead_topology::Stream;
use thiserror::Error;
use tokio::sync::watch;

use crate::{Extent, Kernel, Served};

/// A protocol. One value serves every connection of every listener that speaks it.
pub trait Translator: Debug + Send + Sync {
    /// Its word in configuration and metric labels.
    fn name(&self) -> &'static str;
    /// Its number in stored envelopes; never reused.
    fn origin(&self) -> Origin;
    /// Usual listeners; the first is the plain one.
    fn doors(&self) -> &'static [Door];
    /// One line to copy into a terminal that shows the protocol work at this address.
    fn example(&self, at: SocketAddr) -> String;
    /// The same protocol with settings in its own words, for one listener. `settings` is not empty;
    /// a protocol that has nothing to set refuses all.
    fn configured(
        &self,
        settings: &BTreeMap<String, String>,
    ) -> Result<Arc<dyn Translator>, BadSetting> {
        let key = settings.keys().next().cloned().unwrap_or_default();
        Err(BadSetting {
            key,
            why: "there is nothing to set",
        })
    }
    /// What a stream says that this protocol keeps for a client, and what is granted of it; `None` for every other
    /// stream.
    fn session(&self, _kept: &Stream, _kernel: &Kernel) -> Option<KeptSession> {
        None
    }
    /// Serves one connection until the peer, the drain or an error ends it.
    fn serve(&self, conn: Conn, kernel: Arc<Kernel>) -> BoxFuture<'static, Closed>;
    /// The same for a connection that may rest after so much quiet. A protocol whose connections never do
    /// need not know.
    fn attend(
        &self,
        conn: Conn,
        kernel: Arc<Kernel>,
        _quiet: Duration,
    ) -> BoxFuture<'static, Served> {
        let closed = self.serve(conn, kernel);
        Box::pin(async { Served::Closed(closed.await) })
    }
}

/// What a protocol keeps of a client that may be away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptSession {
    /// Whose session it is.
    pub user: Text,
    /// What it asked for.
    pub subscriptions: Vec<KeptSubscription>,
}

/// One subscription of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptSubscription {
    /// As the client wrote it.
    pub filter: Text,
    /// On which terms, in the words of the protocol.
    pub terms: String,
    /// How much of it is granted to its user, whatever a token grants besides; `None`: nothing.
    pub granted: Option<Extent>,
}

/// A setting that a protocol does not take.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{key}: {why}")]
pub struct BadSetting {
    /// Its key.
    pub key: String,
    /// What is wrong with it.
    pub why: &'static str,
}

/// A usual listener of a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Door {
    /// Its usual port.
    pub port: u16,
    /// Whether it is behind TLS.
    pub is_tls: bool,
    /// What carries its bytes.
    pub carrier: Carrier,
}

/// How the bytes of a protocol travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// As they are.
    Stream,
    /// In WebSocket frames, under one of these subprotocols.
    WebSocket(&'static [&'static str]),
}

/// A connection that was just accepted.
#[derive(Debug)]
pub struct Conn {
    /// The bytes.
    pub io: Box<dyn Io>,
    /// What is known of it.
    pub info: ConnInfo,
    /// Tells when the process wants to be rid of it.
    pub drain: DrainWatch,
}

/// Tells a connection that the process is going away: say goodbye in your protocol's way.
#[derive(Clone, Debug)]
pub struct DrainWatch(watch::Receiver<bool>);

/// Why a connection ended; a closed set of words for logs and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The kind of end.
    pub reason: ClosedReason,
    /// What the peer did wrong, or what failed; empty for a plain goodbye.
    pub detail: String,
}

/// The kinds of end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClosedReason {
    /// The client said goodbye, or closed its end between two messages.
    Goodbye,
    /// The client vanished: end of stream or an error in the middle of something.
    Lost,
    /// The client was silent for longer than agreed, or never spoke.
    Silent,
    /// The client broke the protocol.
    Malformed,
    /// The client could not prove who it is, or may not do what it wants.
    Refused,
    /// The same client connected again.
    TakenOver,
    /// The process is going away.
    Drained,
    /// We failed.
    Failed,
}

impl DrainWatch {
    /// A watch over a flag that turns true once.
    pub fn new(flag: watch::Receiver<bool>) -> Self {
        Self(flag)
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Whether it may have begun since this watch was made: one look, where [`DrainWatch::has_begun`]
    /// takes a lock. Whoever hears yes asks that.
    pub fn may_have_begun(&self) -> bool {
        self.0.has_changed().unwrap_or(true)
    }

    /// Waits until it begins; for ever if it never does. Cancel-safe.
    pub async fn begun(&mut self) {
        if self.0.wait_for(|begun| *begun).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Closed {
    /// An end with nothing more to say.
    pub fn plain(reason: ClosedReason) -> Self {
        Self {
            reason,
            detail: String::new(),
        }
    }

    /// An end with its story.
    pub fn because(reason: ClosedReason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
        }
    }
}

impl ClosedReason {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::Goodbye,
        Self::Lost,
        Self::Silent,
        Self::Malformed,
        Self::Refused,
        Self::TakenOver,
        Self::Drained,
        Self::Failed,
    ];

    /// Its word in metric labels.
    pub fn word(self) -> &'static str {
        match self {
            Self::Goodbye => "goodbye",
            Self::Lost => "lost",
            Self::Silent => "silent",
            Self::Malformed => "malformed",
            Self::Refused => "refused",
            Self::TakenOver => "taken_over",
            Self::Drained => "drained",
            Self::Failed => "failed",
        }
    }
}
