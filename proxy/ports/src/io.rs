//! A client's connection as translators see it.

use std::any::Any;
use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A byte stream in both directions: TCP, TLS, or an in-memory pipe in tests.
pub trait Io: AsyncRead + AsyncWrite + Any + Debug + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Any + Debug + Send + Unpin> Io for T {}

/// What is known of a connection before its protocol speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnInfo {
    /// Number of this connection in this process; never reused.
    pub id: u64,
    /// The client's end.
    pub peer: SocketAddr,
    /// Our end.
    pub local: SocketAddr,
    /// Name of the listener, for labels and logs.
    pub listener: std::sync::Arc<str>,
    /// Whether the bytes are encrypted on their way.
    pub is_tls: bool,
    /// Name in the client's certificate, when the listener asked for one and checked it.
    pub certificate_name: Option<fairlead_canon::Text>,
}

impl ConnInfo {
    /// Whether both ends are loopback addresses.
    pub fn is_loopback(&self) -> bool {
        self.peer.ip().to_canonical().is_loopback() && self.local.ip().to_canonical().is_loopback()
    }
}

/// Bytes taken from a socket per call of [`fill`]: large enough that a busy connection pays one
/// system call for hundreds of small packets.
const READ_BYTES: usize = 64 * 1024;

thread_local! {
    // One per worker, so that an idle connection keeps no read buffer of its own.
    static SCRATCH: std::cell::RefCell<Box<[u8]>> =
        std::cell::RefCell::new(vec![0; READ_BYTES].into_boxed_slice());
}

/// Waits for bytes and appends them to `into`, which grows by what has arrived and no more.
/// Returns how many; 0 at the end of the stream. Cancel-safe.
pub async fn fill<I: AsyncRead + Unpin + ?Sized>(
    io: &mut I,
    into: &mut BytesMut,
) -> io::Result<usize> {
    std::future::poll_fn(|cx| poll_fill(Pin::new(io), cx, into)).await
}

fn poll_fill<I: AsyncRead + ?Sized>(
    io: Pin<&mut I>,
    cx: &mut Context<'_>,
    into: &mut BytesMut,
) -> Poll<io::Result<usize>> {
    SCRATCH.with_borrow_mut(|scratch| {
        let mut read = ReadBuf::new(scratch);
        match io.poll_read(cx, &mut read) {
            Poll::Ready(Ok(())) => {
                match into.capacity() {
                    0 => *into = BytesMut::from(read.filled()),
                    _ => into.extend_from_slice(read.filled()),
                }
                Poll::Ready(Ok(read.filled().len()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    })
}
