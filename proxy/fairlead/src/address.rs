//! Where the admin page of a data directory's node is, for commands on the same machine.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// Notes the address; the next start overwrites it.
pub(crate) fn write(data_dir: &Path, address: SocketAddr) -> io::Result<()> {
    fs::write(path(data_dir), address.to_string())
}

/// The noted address, as it is reached from this machine.
pub(crate) fn read(data_dir: &Path) -> io::Result<SocketAddr> {
    let text = fs::read_to_string(path(data_dir))?;
    let mut address: SocketAddr = text.trim().parse().map_err(io::Error::other)?;
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    Ok(address)
}

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("admin.address")
}
