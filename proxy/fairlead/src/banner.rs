//! What a new user reads first: what listens where, and what to try.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use fairlead_edge::{Listener, Socket};
use fairlead_kernel::Carrier;

/// The lines, made before the sockets go to their owners.
#[derive(Debug)]
pub(crate) struct Banner {
    lines: Vec<String>,
}

impl Banner {
    pub(crate) fn of(data_dir: &Path, listeners: &[Listener], admin: &Socket) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        let mut lines = vec![format!(
            "fairlead {version} serves; data in {}",
            data_dir.display()
        )];
        let doors = listeners.iter().map(|listener| &listener.socket);
        for socket in doors.chain([admin]) {
            lines.push(format!("  {:<12} {}", socket.name(), socket.address()));
        }
        let examples: Vec<String> = listeners
            .iter()
            .filter(|one| one.identity.is_none() && one.carrier == Carrier::Stream)
            .map(|listener| listener.translator.example(near(listener.socket.address())))
            .collect();
        if !examples.is_empty() {
            lines.push("try, in another terminal:".to_owned());
            lines.extend(examples.into_iter().map(|line| format!("  {line}")));
        }
        Self { lines }
    }

    pub(crate) fn print(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        for line in &self.lines {
            writeln!(out, "{line}")?;
        }
        out.flush()
    }
}

/// An address of this machine for a listener that is open to all.
fn near(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port())
    } else {
        address
    }
}
