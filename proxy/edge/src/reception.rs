//! From an accepted socket to a translator: room, opened layers, an open gate, and a task of its own.

use std::any::Any;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fairlead_kernel::{
    Closed, ClosedReason, Conn, DrainWatch, Error, Io, Kernel, Meters, Reason, Resting, Served,
    Translator,
};
use fairlead_ports::{BoxFuture, ConnInfo};
use prometheus::IntCounterVec;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::gate::Gate;
use crate::layers::{LayerError, Layers, Opened};
use crate::limits::{LAYERS, OPENING};
use crate::lounge::{Guest, Lounge};
use crate::proxied::Ends;

/// Where every accepted connection goes.
pub(crate) struct Reception {
    /// One permit per connection; all of them back means that nobody is left.
    pub(crate) room: Arc<Semaphore>,
    pub(crate) gate: Gate,
    pub(crate) drain: DrainWatch,
    pub(crate) next_id: AtomicU64,
}

/// One listener, as its connections need it.
pub(crate) struct Post {
    pub(crate) name: Arc<str>,
    pub(crate) layers: Layers,
    pub(crate) translator: Arc<dyn Translator>,
    pub(crate) turned_away: IntCounterVec,
    /// Where its connections rest.
    pub(crate) lounge: Arc<Lounge>,
}

impl Post {
    /// Only a plain socket can be watched by anybody: TLS and frames have states of their own.
    fn serve(&self, conn: Conn, kernel: Arc<Kernel>) -> BoxFuture<'static, Served> {
        if self.layers.are_none() {
            return self.translator.attend(conn, kernel, self.lounge.quiet());
        }
        let closed = self.translator.serve(conn, kernel);
        Box::pin(async { Served::Closed(closed.await) })
    }

    /// Turning away is rare enough for a lookup, and there is a word for each reason.
    fn count(&self, why: &TurnedAway) {
        let labels = [&*self.name, why.word()];
        match self.turned_away.get_metric_with_label_values(&labels) {
            Ok(counter) => counter.inc(),
            Err(error) => tracing::warn!(%error, "a client turned away was not counted"),
        }
    }
}

/// A connection that is served, or rests.
pub(crate) struct Admitted {
    post: Arc<Post>,
    /// The client, also where a load balancer connected for it.
    peer: SocketAddr,
    id: u64,
    /// Whether its last rest ended with something that it said itself, and not with a call.
    pub(crate) is_talkative: bool,
    /// Last, so that it is free when all else is gone.
    seat: Seat,
}

impl Admitted {
    pub(crate) fn meters(&self) -> &Arc<Meters> {
        &self.seat.meters
    }

    /// Serves it to its end, or until it rests.
    #[expect(
        clippy::manual_async_fn,
        reason = "an async function keeps what it is given twice"
    )]
    fn see_through(
        self,
        mut session: BoxFuture<'static, Served>,
    ) -> impl Future<Output = ()> + Send {
        async move {
            match session.as_mut().await {
                Served::Closed(closed) => self.tell(&closed),
                Served::Rests { io, session } => self.rest(io, session),
            }
        }
    }

    fn rest(self, io: Box<dyn Io>, session: Box<dyn Resting>) {
        tracing::debug!(listener = &*self.post.name, id = self.id, "rests");
        let lounge = Arc::clone(&self.post.lounge);
        match plain(io) {
            Ok(socket) => lounge.receive(Guest::new(self, socket, session)),
            Err(error) => self.go_on(session, Err(error), &[]),
        }
    }

    /// Goes on after a rest, as a task of the runtime that is entered. Where the socket is lost, the stream is at its end.
    pub(crate) fn go_on(
        self,
        session: Box<dyn Resting>,
        socket: io::Result<TcpStream>,
        read: &[u8],
    ) {
        tracing::debug!(listener = &*self.post.name, id = self.id, "goes on");
        let io: Box<dyn Io> = match socket {
            Ok(socket) => Box::new(socket),
            Err(error) => {
                tracing::warn!(peer = %self.peer, id = self.id, %error, "a socket was lost");
                Box::new(tokio::io::empty())
            }
        };
        let session = session.wake(self.post.lounge.awake(io), read);
        // Nobody waits for the task: the room that it takes says when it has ended.
        drop(tokio::spawn(self.see_through(session)));
    }

    /// Counts how it ended, and says so.
    fn tell(&self, closed: &Closed) {
        let meters = &self.seat.meters;
        meters.closed(closed.reason);
        // A broken protocol is an error of the peer's that no verb has seen.
        if closed.reason == ClosedReason::Malformed {
            meters.failed(&Error::peer(Reason::Malformed, &*closed.detail));
        }
        report(&self.post.name, self.peer, self.id, closed);
    }
}

/// One that has just been admitted, and its session.
type Begun = (Admitted, BoxFuture<'static, Served>);

/// Why a connection is closed before its protocol is heard.
#[derive(Debug, Error)]
enum TurnedAway {
    #[error("the node is full")]
    Full,
    #[error(transparent)]
    Layer(#[from] LayerError),
    #[error("took too long to begin")]
    Slow,
    #[error("the node did not open its store in time")]
    Closed,
    #[error(transparent)]
    Kernel(#[from] Error),
}

impl TurnedAway {
    /// Its word in metric labels.
    fn word(&self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Layer(layer) => layer.word(),
            Self::Slow => "slow",
            Self::Closed => "not_open",
            Self::Kernel(_) => "failed",
        }
    }
}

impl Reception {
    /// Serves a client that was accepted at a post, to its end.
    pub(crate) fn receive(
        self: Arc<Self>,
        post: Arc<Post>,
        socket: TcpStream,
    ) -> impl Future<Output = ()> + Send {
        // Boxed, so that what only the beginning needs is given back before the session starts.
        let beginning = Box::pin(self.begin(post, socket));
        // A block, since a function keeps what it is given twice.
        async move {
            if let Some((admitted, session)) = beginning.await {
                admitted.see_through(session).await;
            }
        }
    }

    /// Admits a client, or turns it away.
    async fn begin(self: Arc<Self>, post: Arc<Post>, socket: TcpStream) -> Option<Begun> {
        let Ok(ends) = ends(&socket) else {
            tracing::debug!("a client was gone before it was greeted");
            return None;
        };
        let peer = ends.peer;
        match self.admit(&post, socket, ends).await {
            Ok(admitted) => Some(admitted),
            Err(why) => {
                post.count(&why);
                tracing::info!(listener = &*post.name, %peer, reason = %why, "turned away");
                None
            }
        }
    }

    async fn admit(
        &self,
        post: &Arc<Post>,
        socket: TcpStream,
        ends: Ends,
    ) -> Result<Begun, TurnedAway> {
        let permit = Arc::clone(&self.room)
            .try_acquire_owned()
            .map_err(|_full| TurnedAway::Full)?;
        let layers = timeout(LAYERS, post.layers.open(Box::new(socket), ends)).await;
        let client = layers.map_err(|_late| TurnedAway::Slow)??;
        let opened = timeout(OPENING, self.gate.opened()).await;
        let kernel = opened.ok().flatten().ok_or(TurnedAway::Closed)?;
        let meters = kernel.meters(post.translator.name(), &post.name)?;
        let conn = self.conn(post, client);
        let admitted = Admitted {
            id: conn.info.id,
            peer: conn.info.peer,
            post: Arc::clone(post),
            is_talkative: false,
            seat: Seat::take(permit, meters),
        };
        Ok((admitted, post.serve(conn, kernel)))
    }

    fn conn(&self, post: &Post, opened: Opened) -> Conn {
        Conn {
            io: opened.io,
            info: ConnInfo {
                id: self.next_id.fetch_add(1, Ordering::Relaxed),
                peer: opened.ends.peer,
                local: opened.ends.local,
                listener: Arc::clone(&post.name),
                is_tls: post.layers.secure.is_some(),
                certificate_name: opened.certificate_name,
            },
            drain: self.drain.clone(),
        }
    }
}

/// Takes a socket out of the runtime.
fn plain(io: Box<dyn Io>) -> io::Result<std::net::TcpStream> {
    let io: Box<dyn Any> = io;
    match io.downcast::<TcpStream>() {
        Ok(socket) => socket.into_std(),
        Err(_other) => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Peer and local address; an error when the peer is gone already. What is written leaves at once:
/// translators write whole answers.
fn ends(socket: &TcpStream) -> io::Result<Ends> {
    socket.set_nodelay(true)?;
    Ok(Ends {
        peer: canonical(socket.peer_addr()?),
        local: canonical(socket.local_addr()?),
    })
}

/// An IPv4 client of an IPv6 listener is an IPv4 client.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// A refusal is worth a line, a goodbye is not.
fn report(listener: &str, peer: SocketAddr, id: u64, closed: &Closed) {
    let (reason, detail) = (closed.reason.word(), &*closed.detail);
    match closed.reason {
        ClosedReason::Failed => {
            tracing::warn!(listener, %peer, id, reason, detail, "connection closed");
        }
        ClosedReason::Malformed | ClosedReason::Refused | ClosedReason::Silent => {
            tracing::info!(listener, %peer, id, reason, detail, "client refused");
        }
        ClosedReason::Goodbye
        | ClosedReason::Lost
        | ClosedReason::TakenOver
        | ClosedReason::Drained => {
            tracing::debug!(listener, %peer, id, reason, detail, "connection closed");
        }
    }
}

/// A place of a connection; given back however its task ends, a panic included.
struct Seat {
    meters: Arc<Meters>,
    _permit: OwnedSemaphorePermit,
}

impl Seat {
    fn take(permit: OwnedSemaphorePermit, meters: Arc<Meters>) -> Self {
        meters.connections.inc();
        meters.opened.inc();
        Self {
            meters,
            _permit: permit,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.meters.connections.dec();
    }
}
