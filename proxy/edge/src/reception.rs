//! From an accepted socket to a translator: room, opened layers, an open gate, and a task of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use fairlead_kernel::{
    Closed, ClosedReason, Conn, DrainWatch, Error, Kernel, Meters, Reason, Translator,
};
use fairlead_ports::ConnInfo;
use pingora_core::apps::ServerApp;
use pingora_core::protocols::l4::stream::Stream as Socket;
use pingora_core::protocols::{GetSocketDigest, Stream};
use pingora_core::server::ShutdownWatch;
use prometheus::IntCounter;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::gate::Gate;
use crate::layers::{LayerError, Layers, Opened};
use crate::limits::{LAYERS, OPENING};
use crate::proxied::Ends;

/// What pingora hands every connection to.
pub(crate) struct Reception {
    pub(crate) posts: Vec<Post>,
    /// One permit per connection; all of them back means that nobody is left.
    pub(crate) room: Arc<Semaphore>,
    pub(crate) gate: Gate,
    pub(crate) drain: DrainWatch,
    pub(crate) next_id: AtomicU64,
}

/// One listener, as its connections need it.
pub(crate) struct Post {
    pub(crate) name: Arc<str>,
    pub(crate) address: SocketAddr,
    pub(crate) layers: Layers,
    pub(crate) translator: Arc<dyn Translator>,
    pub(crate) turned_away: IntCounter,
}

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

#[async_trait]
impl ServerApp for Reception {
    async fn process_new(self: &Arc<Self>, stream: Stream, _: &ShutdownWatch) -> Option<Stream> {
        // Every endpoint is plain TCP for pingora: TLS begins here, under our own deadline.
        match stream.into_any().downcast::<Socket>() {
            // Pingora's own task has room for its kind of TLS handshake inside, several KiB, for as
            // long as it lives. It ends here, and the connection lives in a small one.
            Ok(socket) => drop(tokio::spawn(Arc::clone(self).receive(socket))),
            Err(_other) => tracing::error!("a connection that is not a socket"),
        }
        None
    }
}

impl Reception {
    async fn receive(self: Arc<Self>, socket: Box<Socket>) {
        let Some(ends) = ends(&socket) else {
            tracing::debug!("a client was gone before it was greeted");
            return;
        };
        let Some(post) = self.post_at(ends.local) else {
            tracing::error!(local = %ends.local, "a connection to an address of no listener");
            return;
        };
        // Boxed, so that what only the beginning needs is given back before the session starts.
        match Box::pin(self.admit(post, socket, ends)).await {
            Ok((opened, seat, kernel)) => {
                let conn = self.conn(post, opened);
                let (id, peer) = (conn.info.id, conn.info.peer);
                let closed = post.translator.serve(conn, kernel).await;
                count(&seat.meters, &closed);
                report(post, peer, id, &closed);
            }
            Err(why) => {
                post.turned_away.inc();
                let peer = ends.peer;
                tracing::info!(listener = %post.name, %peer, reason = %why, "turned away");
            }
        }
    }

    /// A listener bound to every address is told apart by its port.
    fn post_at(&self, local: SocketAddr) -> Option<&Post> {
        let at_port = || {
            let posts = self.posts.iter();
            posts.filter(|post| post.address.port() == local.port())
        };
        let mut exact = at_port().filter(|post| post.address.ip().to_canonical() == local.ip());
        let mut any = at_port().filter(|post| post.address.ip().is_unspecified());
        exact.next().or_else(|| any.next())
    }

    async fn admit(
        &self,
        post: &Post,
        socket: Box<Socket>,
        ends: Ends,
    ) -> Result<(Opened, Seat, Arc<Kernel>), TurnedAway> {
        let permit = Arc::clone(&self.room)
            .try_acquire_owned()
            .map_err(|_full| TurnedAway::Full)?;
        let layers = timeout(LAYERS, post.layers.open(socket, ends)).await;
        let client = layers.map_err(|_late| TurnedAway::Slow)??;
        let opened = timeout(OPENING, self.gate.opened()).await;
        let kernel = opened.ok().flatten().ok_or(TurnedAway::Closed)?;
        let meters = kernel.meters(post.translator.name())?;
        Ok((client, Seat::take(permit, meters), kernel))
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

/// Peer and local address; none when the peer is gone already.
fn ends(socket: &Socket) -> Option<Ends> {
    let digest = socket.get_socket_digest()?;
    let peer = *digest.peer_addr()?.as_inet()?;
    let local = *digest.local_addr()?.as_inet()?;
    Some(Ends {
        peer: canonical(peer),
        local: canonical(local),
    })
}

/// An IPv4 client of an IPv6 listener is an IPv4 client.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// A broken protocol is an error of the peer's that no verb has seen.
fn count(meters: &Meters, closed: &Closed) {
    meters.closed(closed.reason);
    if closed.reason == ClosedReason::Malformed {
        meters.failed(&Error::peer(Reason::Malformed, &*closed.detail));
    }
}

/// A refusal is worth a line, a goodbye is not.
fn report(post: &Post, peer: SocketAddr, id: u64, closed: &Closed) {
    let listener = &*post.name;
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
