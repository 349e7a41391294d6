//! What lies between a socket and the bytes of a protocol: a PROXY header, TLS, WebSocket frames.

use std::net::SocketAddr;

use fairlead_canon::Text;
use fairlead_kernel::Carrier;
use fairlead_ports::Io;
use thiserror::Error;
use tokio::net::TcpStream;

use crate::proxied::{self, BadHeader, Ends, Network};
use crate::tls::{HandshakeError, Secure};
use crate::websocket::{NotUpgraded, WebSocket};

/// The layers of one listener, outermost first.
pub(crate) struct Layers {
    /// Who speaks for others; a connection from there begins with a header.
    pub(crate) proxies: Box<[Network]>,
    pub(crate) secure: Option<Secure>,
    pub(crate) carrier: Carrier,
    /// Web pages that may connect over WebSocket; any, if none is named.
    pub(crate) origins: Box<[String]>,
}

/// A connection with its layers opened.
pub(crate) struct Opened {
    pub(crate) io: Box<dyn Io>,
    pub(crate) ends: Ends,
    pub(crate) certificate_name: Option<Text>,
}

/// The layer that did not open.
#[derive(Debug, Error)]
pub(crate) enum LayerError {
    #[error(transparent)]
    Proxied(#[from] BadHeader),
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error(transparent)]
    WebSocket(#[from] NotUpgraded),
}

impl LayerError {
    /// Its word in metric labels.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Proxied(_) => "proxy_header",
            Self::Handshake(_) => "tls",
            Self::WebSocket(_) => "websocket",
        }
    }
}

impl Layers {
    /// Opens them all; takes as long as the client does.
    pub(crate) async fn open(
        &self,
        mut socket: Box<TcpStream>,
        mut ends: Ends,
    ) -> Result<Opened, LayerError> {
        if self.speaks_for_others(ends.peer) {
            ends = proxied::read(&mut socket).await?.unwrap_or(ends);
        }
        let mut certificate_name = None;
        let mut io: Box<dyn Io> = socket;
        if let Some(secure) = &self.secure {
            (io, certificate_name) = secure.accept(io).await?;
        }
        if let Carrier::WebSocket(subprotocols) = self.carrier {
            io = Box::new(WebSocket::accept(io, subprotocols, &self.origins).await?);
        }
        Ok(Opened {
            io,
            ends,
            certificate_name,
        })
    }

    /// Whether the bytes of a protocol travel as they are, once a connection has begun.
    pub(crate) fn are_none(&self) -> bool {
        self.secure.is_none() && self.carrier == Carrier::Stream
    }

    fn speaks_for_others(&self, peer: SocketAddr) -> bool {
        let mut proxies = self.proxies.iter();
        proxies.any(|network| network.contains(peer.ip()))
    }
}
