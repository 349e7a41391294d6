//! Handing the listening sockets to the next process, so that no client finds a closed door.
//!
//! ```text
//! next process                         running process
//!   connect  ---------------------->   checks that it is the same user
//!   <-----------------------------    one line per socket "name", with the sockets
//!   accepts on them; 'r'  --------->   stops accepting, says goodbye to its clients,
//!                                      closes its store (releases its lock), exits
//! ```
//! Until the `r` arrives nothing has changed for the running process: it keeps both accepting and
//! serving, whatever becomes of the next one. From then on the sockets are open in both, so a kill
//! on either side at any moment leaves a process that holds them, or none that still serves.

use std::fs;
use std::io::{self, IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{sleep, timeout};

use crate::limits::{HANDOVER_PAUSE, HANDOVER_STEP, LISTENERS_MAX};
use crate::socket::Socket;

/// The longest list of names.
const NAMES_BYTES_MAX: usize = 8 * 1024;

/// What the next process says once it accepts clients.
const READY: u8 = b'r';

/// The side that has the sockets and may be asked for them.
#[derive(Debug)]
pub(crate) struct Offer {
    listener: UnixListener,
}

/// The side that has received them and has yet to say that it accepts.
#[derive(Debug)]
pub struct Taken {
    stream: BlockingStream,
}

impl Offer {
    /// Listens at `path` for a next process of the same user. Replaces what is there: whoever
    /// holds the data directory's lock owns the path.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener })
    }

    /// Resolves once a next process has the sockets and accepts on them. Failed attempts are
    /// logged and change nothing. Cancel-safe.
    pub(crate) async fn taken(&self, sockets: &[Socket]) {
        loop {
            match self.give(sockets).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(%error, "a hand-over failed; still serving");
                    sleep(HANDOVER_PAUSE).await;
                }
            }
        }
    }

    async fn give(&self, sockets: &[Socket]) -> io::Result<()> {
        let (mut stream, _) = self.listener.accept().await?;
        if stream.peer_cred()?.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the next process runs as another user",
            ));
        }
        let mut said = [0];
        timeout(HANDOVER_STEP, async {
            send(&stream, sockets).await?;
            stream.read_exact(&mut said).await
        })
        .await??;
        if said == [READY] {
            Ok(())
        } else {
            Err(io::Error::from(io::ErrorKind::InvalidData))
        }
    }
}

async fn send(stream: &UnixStream, sockets: &[Socket]) -> io::Result<()> {
    let names: Vec<&str> = sockets.iter().map(|socket| &**socket.name()).collect();
    let names = names.join("\n");
    let fds: Vec<_> = sockets
        .iter()
        .map(|socket| socket.listener().as_fd())
        .collect();
    stream
        .async_io(Interest::WRITABLE, || {
            let mut space = [MaybeUninit::uninit(); ancillary_bytes()];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            if !ancillary.push(SendAncillaryMessage::ScmRights(&fds)) {
                return Err(io::Error::other("too many listeners to hand over"));
            }
            let text = [IoSlice::new(names.as_bytes())];
            sendmsg(stream, &text, &mut ancillary, SendFlags::NOSIGNAL)?;
            Ok(())
        })
        .await
}

/// Asks the process that runs at `path` for its sockets; `None` when none runs.
pub fn take(path: &Path) -> io::Result<Option<(Vec<Socket>, Taken)>> {
    let stream = match BlockingStream::connect(path) {
        Ok(stream) => stream,
        Err(error) if is_nobody(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    stream.set_read_timeout(Some(HANDOVER_STEP))?;
    let mut names = vec![0; NAMES_BYTES_MAX];
    let (length, fds) = receive(&stream, &mut names)?;
    names.truncate(length);
    let names = String::from_utf8(names).map_err(io::Error::other)?;
    let sockets: io::Result<Vec<Socket>> = names
        .lines()
        .zip(fds)
        .map(|(name, fd)| Socket::new(name.into(), TcpListener::from(fd)))
        .collect();
    Ok(Some((sockets?, Taken { stream })))
}

fn is_nobody(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    )
}

fn receive(stream: &BlockingStream, names: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); ancillary_bytes()];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut into = [IoSliceMut::new(names)];
    let message = recvmsg(stream, &mut into, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let mut fds = Vec::new();
    for part in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(some) = part {
            fds.extend(some);
        }
    }
    Ok((message.bytes, fds))
}

const fn ancillary_bytes() -> usize {
    rustix::cmsg_space!(ScmRights(LISTENERS_MAX))
}

impl Taken {
    /// Tells the running process that clients are accepted here, and that it may go.
    pub fn confirm(mut self) -> io::Result<()> {
        self.stream.write_all(&[READY])
    }
}

/// Where the process that owns a data directory is asked for its sockets.
pub fn path_in(data_dir: &Path) -> PathBuf {
    data_dir.join("handover.sock")
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    fn socket(name: &str) -> Socket {
        let any = "127.0.0.1:0".parse().unwrap();
        Socket::open(&name.into(), any, &mut Vec::new()).unwrap()
    }

    /// The next process's side blocks, as it does at start-up, so it needs a thread.
    fn on_a_thread<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> std::thread::JoinHandle<T> {
        std::thread::Builder::new().spawn(work).unwrap()
    }

    #[tokio::test]
    async fn the_next_process_gets_every_socket_under_its_name_and_can_accept() {
        let dir = tempfile::tempdir().unwrap();
        let path = path_in(dir.path());
        let offer = Offer::at(&path).unwrap();
        let sockets = [socket("front"), socket("side")];
        let next = on_a_thread(move || {
            let (sockets, taken) = take(&path).unwrap().unwrap();
            taken.confirm().unwrap();
            sockets
        });
        offer.taken(&sockets).await;
        let inherited = next.join().unwrap();
        for (old, new) in sockets.iter().zip(&inherited) {
            assert_eq!(old.name(), new.name());
            assert_eq!(old.address(), new.address());
        }
        let [front, _side] = sockets;
        let address = front.address();
        drop(front);
        let client = TcpStream::connect(address).unwrap();
        inherited[0].listener().set_nonblocking(false).unwrap();
        let (_, peer) = inherited[0].listener().accept().unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
    }

    #[tokio::test]
    async fn a_next_process_that_dies_before_it_is_ready_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = path_in(dir.path());
        let offer = Offer::at(&path).unwrap();
        let sockets = [socket("front")];
        let dies = path.clone();
        let first = on_a_thread(move || drop(take(&dies).unwrap()));
        let failed = offer.give(&sockets).await.unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::UnexpectedEof);
        first.join().unwrap();
        let second = on_a_thread(move || take(&path).unwrap().unwrap().1.confirm().unwrap());
        offer.taken(&sockets).await;
        second.join().unwrap();
    }

    #[test]
    fn where_nobody_runs_there_is_nothing_to_take() {
        let dir = tempfile::tempdir().unwrap();
        assert!(take(&path_in(dir.path())).unwrap().is_none());
        let stale = path_in(dir.path());
        drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
        assert!(take(&stale).unwrap().is_none());
    }
}
