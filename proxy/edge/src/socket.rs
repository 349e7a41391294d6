//! The listening sockets of a process: bound afresh, or inherited from the process before it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use thiserror::Error;

/// A listening socket with the name of its listener.
#[derive(Debug)]
pub struct Socket {
    name: Arc<str>,
    address: SocketAddr,
    listener: TcpListener,
}

/// Why a listener has no socket.
#[derive(Debug, Error)]
#[error("listener {name} cannot listen on {address}")]
pub struct SocketError {
    /// Name of the listener.
    pub name: Arc<str>,
    /// Where it wanted to listen.
    pub address: SocketAddr,
    /// What the system says.
    #[source]
    pub source: io::Error,
}

impl Socket {
    /// The listener's socket: out of `inherited` when one of its name and address is there, else
    /// a new one. With port 0 any port will do.
    pub fn open(
        name: &Arc<str>,
        wanted: SocketAddr,
        inherited: &mut Vec<Self>,
    ) -> Result<Self, SocketError> {
        let fits = |socket: &Self| {
            let is_port = wanted.port() == 0 || wanted.port() == socket.address.port();
            socket.name == *name && wanted.ip() == socket.address.ip() && is_port
        };
        if let Some(at) = inherited.iter().position(fits) {
            return Ok(inherited.swap_remove(at));
        }
        TcpListener::bind(wanted)
            .and_then(|listener| Self::new(Arc::clone(name), listener))
            .map_err(|source| SocketError {
                name: Arc::clone(name),
                address: wanted,
                source,
            })
    }

    /// A socket that listens already; made non-blocking, as the runtimes need it.
    pub fn new(name: Arc<str>, listener: TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self {
            name,
            address,
            listener,
        })
    }

    /// Name of its listener.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Where it really listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A second handle to the same queue of clients.
    pub fn share(&self) -> io::Result<TcpListener> {
        self.listener.try_clone()
    }

    pub(crate) fn listener(&self) -> &TcpListener {
        &self.listener
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any() -> SocketAddr {
        "127.0.0.1:0".parse().unwrap()
    }

    #[test]
    fn a_socket_of_the_same_name_and_address_is_taken_over() {
        let name: Arc<str> = "front".into();
        let old = Socket::open(&name, any(), &mut Vec::new()).unwrap();
        let address = old.address();
        let mut inherited = vec![old];
        let new = Socket::open(&name, address, &mut inherited).unwrap();
        assert_eq!(new.address(), address);
        assert!(inherited.is_empty());
    }

    #[test]
    fn a_socket_of_another_name_stays_and_its_address_is_taken() {
        let old = Socket::open(&"front".into(), any(), &mut Vec::new()).unwrap();
        let address = old.address();
        let mut inherited = vec![old];
        let refused = Socket::open(&"other".into(), address, &mut inherited).unwrap_err();
        assert_eq!(refused.source.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(inherited.len(), 1);
    }
}
