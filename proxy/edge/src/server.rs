//! All listeners as one pingora service, from sockets to the last goodbye.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use async_trait::async_trait;
use fairlead_kernel::{Carrier, DrainWatch, Kernel, Translator};
use parking_lot::Mutex;
use pingora_core::server::configuration::ServerConf;
use pingora_core::server::{ListenFds, RunArgs, Server, ShutdownWatch};
use pingora_core::services::Service;
use prometheus::{IntCounterVec, Opts};
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::door::Door;
use crate::ending::{Cause, Ending};
use crate::gate::Gate;
use crate::layers::Layers;
use crate::lounge::Lounge;
use crate::proxied::Network;
use crate::reception::{Post, Reception};
use crate::socket::Socket;
use crate::tls::{Identity, Secure, TlsError};

/// How long the runtime has to drop the sessions that were cut off.
const RUNTIME_END_SECONDS: u64 = 5;

/// A listener: where clients of one protocol come in.
#[derive(Debug)]
pub struct Listener {
    /// Its socket, and with it its name and address.
    pub socket: Socket,
    /// What it shows TLS clients; without it, it is plain.
    pub identity: Option<Identity>,
    /// How the bytes travel inside it.
    pub carrier: Carrier,
    /// Whose connections begin with a PROXY header that says for whom they are.
    pub proxies: Vec<Network>,
    /// Origins of web pages that may connect over WebSocket, such as `https://app.example`; any, if
    /// none is named.
    pub origins: Vec<String>,
    /// Who serves its connections.
    pub translator: Arc<dyn Translator>,
}

/// Numbers an operator may change.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Threads that serve connections.
    pub threads: usize,
    /// The most connections at a time, over all listeners.
    pub connections_max: u32,
    /// How long clients have to leave after they were asked to.
    pub drain_max: Duration,
    /// After so much quiet a plain connection may be left without a task: [`QUIET`](crate::QUIET), except in tests.
    pub quiet: Duration,
    /// Where a next process asks for the sockets; see [`path_in`](crate::path_in).
    pub handover: PathBuf,
}

/// The open doors, not yet watched.
pub struct Edge {
    settings: Settings,
    reception: Arc<Reception>,
    doors: Vec<Door>,
    ending: Ending,
    stop: ShutdownWatch,
    drain: DrainWatch,
    turned_away: IntCounterVec,
    lounge: Arc<Lounge>,
}

/// What the edge counts by itself, beside the kernel's counters.
#[derive(Debug)]
pub struct Counters(IntCounterVec);

/// Why the doors cannot be opened.
#[derive(Debug, Error)]
pub enum EdgeError {
    /// A listener's certificate or key.
    #[error("listener {name}")]
    Tls {
        /// Name of the listener.
        name: Arc<str>,
        /// What is wrong.
        #[source]
        source: TlsError,
    },
    /// A socket cannot be shared with the runtime.
    #[error("listener {name}")]
    Socket {
        /// Name of the listener.
        name: Arc<str>,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// There is no place for connections that rest.
    #[error("resting connections")]
    Lounge(#[source] io::Error),
    /// A metric cannot be made.
    #[error("metrics")]
    Metrics(#[from] prometheus::Error),
}

impl Edge {
    /// Prepares the listeners. `others` are sockets served elsewhere in this process (the admin
    /// page) that are to be handed over with them.
    pub fn new(
        settings: Settings,
        listeners: Vec<Listener>,
        others: Vec<Socket>,
        gate: Gate,
    ) -> Result<Self, EdgeError> {
        let (stop, stopped) = watch::channel(false);
        let (drain, draining) = watch::channel(false);
        let drain_watch = DrainWatch::new(draining);
        let room = Arc::new(Semaphore::new(settings.connections_max as usize));
        let turned_away = turned_away()?;
        let lounge = Lounge::new(settings.quiet, drain_watch.clone()).map_err(EdgeError::Lounge)?;
        let lounge = Arc::new(lounge);
        let shared = (&turned_away, &lounge);
        let (mut doors, mut sockets) = (Vec::new(), others);
        for listener in listeners {
            doors.push(door(&listener, shared)?);
            sockets.push(listener.socket);
        }
        let reception = Arc::new(Reception {
            room: Arc::clone(&room),
            gate: gate.clone(),
            drain: drain_watch.clone(),
            next_id: AtomicU64::new(1),
        });
        let ending = Ending {
            gate,
            sockets: Mutex::new(Some(sockets.into())),
            handover: settings.handover.clone(),
            stop,
            drain,
            lounge: Arc::clone(&lounge),
            room,
            connections_max: settings.connections_max,
            drain_max: settings.drain_max,
            cause: Arc::default(),
        };
        Ok(Self {
            settings,
            reception,
            doors,
            ending,
            stop: stopped,
            drain: drain_watch,
            turned_away,
            lounge,
        })
    }

    /// What is counted here.
    pub fn counters(&self) -> Counters {
        Counters(self.turned_away.clone())
    }

    /// Tells what else runs in this process when its clients are asked to leave.
    pub fn drain(&self) -> DrainWatch {
        self.drain.clone()
    }

    /// Accepts and serves until the end; returns when the last client has left or was cut off.
    /// Blocks: not for a thread of a runtime.
    pub fn run(self) -> Cause {
        let cause = Arc::clone(&self.ending.cause);
        let mut server = Server::new_with_opt_and_conf(None, conf(&self.settings));
        server.add_service(Front {
            reception: self.reception,
            doors: self.doors,
            stop: self.stop,
            lounge: Arc::clone(&self.lounge),
        });
        server.run(RunArgs {
            shutdown_signal: Box::new(self.ending),
        });
        // Who rests is no task, and has not ended with the runtime.
        self.lounge.close();
        cause.lock().unwrap_or(Cause::Failed)
    }
}

impl Counters {
    /// Shows them on the node's metrics page, of which there is none before the kernel is open.
    pub fn register(self, kernel: &Kernel) -> Result<(), prometheus::Error> {
        kernel.metrics_registry().register(Box::new(self.0))
    }
}

impl fmt::Debug for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edge")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

fn turned_away() -> Result<IntCounterVec, prometheus::Error> {
    let opts = Opts::new(
        "fairlead_connections_turned_away_total",
        "Connections closed before a byte of their protocol was read, by reason.",
    );
    IntCounterVec::new(opts, &["listener", "reason"])
}

/// What all listeners have together.
type Shared<'a> = (&'a IntCounterVec, &'a Arc<Lounge>);

fn post(listener: &Listener, (turned_away, lounge): Shared<'_>) -> Result<Post, EdgeError> {
    let name = listener.socket.name();
    let identity = listener.identity.as_ref();
    let secure = identity
        .map(Secure::of)
        .transpose()
        .map_err(|source| EdgeError::Tls {
            name: Arc::clone(name),
            source,
        })?;
    Ok(Post {
        name: Arc::clone(name),
        layers: Layers {
            proxies: listener.proxies.as_slice().into(),
            origins: listener.origins.as_slice().into(),
            secure,
            carrier: listener.carrier,
        },
        translator: Arc::clone(&listener.translator),
        turned_away: turned_away.clone(),
        lounge: Arc::clone(lounge),
    })
}

fn door(listener: &Listener, shared: Shared<'_>) -> Result<Door, EdgeError> {
    let post = Arc::new(post(listener, shared)?);
    let shared = listener.socket.share();
    let listener = shared.map_err(|source| EdgeError::Socket {
        name: Arc::clone(&post.name),
        source,
    })?;
    Ok(Door { listener, post })
}

fn conf(settings: &Settings) -> ServerConf {
    ServerConf {
        threads: settings.threads,
        // One thread has nobody to steal from, and the scheduler for one takes less of each wake.
        work_stealing: settings.threads > 1,
        // Sessions have been drained by then: the default is five minutes of sleep.
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(RUNTIME_END_SECONDS),
        ..ServerConf::default()
    }
}

/// The accept loops as a service, with a stop signal of ours: pingora's own would come too late, after
/// [`Ending`] has returned.
struct Front {
    reception: Arc<Reception>,
    doors: Vec<Door>,
    stop: ShutdownWatch,
    lounge: Arc<Lounge>,
}

#[async_trait]
impl Service for Front {
    async fn start_service(
        &mut self,
        _fds: Option<ListenFds>,
        _shutdown: ShutdownWatch,
        _listeners_per_fd: usize,
    ) {
        if let Err(error) = self.lounge.open(Handle::current()) {
            tracing::error!(%error, "connections that are quiet keep their tasks");
        }
        let doors = std::mem::take(&mut self.doors);
        let open = |door: Door| door.stand_open(Arc::clone(&self.reception), self.stop.clone());
        let loops: JoinSet<()> = doors.into_iter().map(open).collect();
        loops.join_all().await;
    }

    fn name(&self) -> &str {
        "clients"
    }
}

#[cfg(test)]
mod tests;
