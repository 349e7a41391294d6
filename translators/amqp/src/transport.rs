//! The bytes of one connection: reading and writing at the same time, with no buffer while idle.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use fairlead_kernel::{Io, fill};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::codec::{
    ContentHeader, DecodeError, Frame, Method, encode_content, encode_heartbeat, encode_method,
    protocol_header,
};
use crate::errors::{Refusal, ReplyCode};
use crate::map::drop_largest_headers;

/// Both directions of a socket, and what has been read of it.
#[derive(Debug)]
pub(crate) struct Transport {
    io: Box<dyn Io>,
    input: BytesMut,
    needs_flush: bool,
}

/// What one turn did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    /// So many bytes were read.
    Read(usize),
    /// So many bytes were written, and nothing waits to be.
    Written(usize),
    /// The client closed its end.
    Ended,
}

/// Whether a turn may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// As soon as something has come.
    Allowed,
    /// Not before what is under way is done.
    Paused,
}

/// Frames that wait to be written.
#[derive(Debug)]
pub(crate) struct Output {
    bytes: BytesMut,
    /// The largest frame, in bytes.
    pub(crate) frame_max: usize,
}

impl Transport {
    pub(crate) fn new(io: Box<dyn Io>) -> Self {
        Self {
            io,
            input: BytesMut::new(),
            needs_flush: false,
        }
    }

    /// Reads and writes until something was read, or everything was written. Cancel-safe.
    pub(crate) async fn turn(&mut self, out: &mut Output, reading: Reading) -> io::Result<Moved> {
        poll_fn(|cx| self.poll_turn(cx, &mut out.bytes, reading)).await
    }

    /// Writes everything, and reads nothing.
    pub(crate) async fn drain(&mut self, out: &mut Output) -> io::Result<()> {
        while !out.is_empty() {
            self.turn(out, Reading::Paused).await?;
        }
        Ok(())
    }

    /// Ends our half of the stream, after what was written; the client's half goes on.
    pub(crate) async fn finish(&mut self) -> io::Result<()> {
        self.needs_flush = false;
        self.io.shutdown().await
    }

    /// The next whole frame that was read.
    pub(crate) fn frame(&mut self, frame_max: usize) -> Result<Option<Frame>, DecodeError> {
        let frame = Frame::decode(&mut self.input, frame_max)?;
        if frame.is_none() && self.input.is_empty() {
            // An idle connection keeps no buffer.
            self.input = BytesMut::new();
        }
        Ok(frame)
    }

    /// Takes the protocol header; `false` when more is needed.
    pub(crate) fn protocol_header(&mut self) -> Result<bool, DecodeError> {
        protocol_header(&mut self.input)
    }

    /// Whether the last frame was whole.
    pub(crate) fn is_between_frames(&self) -> bool {
        self.input.is_empty()
    }

    fn poll_turn(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut BytesMut,
        reading: Reading,
    ) -> Poll<io::Result<Moved>> {
        let written = self.poll_write(cx, out);
        if reading == Reading::Allowed
            && let Poll::Ready(read) = pin!(fill(&mut self.io, &mut self.input)).poll(cx)
        {
            return Poll::Ready(read.map(|bytes| match bytes {
                0 => Moved::Ended,
                bytes => Moved::Read(bytes),
            }));
        }
        written.map_ok(Moved::Written)
    }

    /// Ready when something was written and nothing is left.
    fn poll_write(&mut self, cx: &mut Context<'_>, out: &mut BytesMut) -> Poll<io::Result<usize>> {
        let mut written = 0;
        while !out.is_empty() {
            let bytes = ready!(Pin::new(&mut self.io).poll_write(cx, out))?;
            if bytes == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            out.advance(bytes);
            written += bytes;
            self.needs_flush = true;
        }
        if !self.needs_flush {
            return Poll::Pending;
        }
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.needs_flush = false;
        *out = BytesMut::new();
        Poll::Ready(Ok(written))
    }
}

impl Output {
    /// Beyond so many bytes that wait, nothing more is delivered: what a slow reader may hold.
    pub(crate) const DELIVER_BELOW: usize = 256 * 1024;
    /// Beyond so many bytes that wait, nothing more is read: a client that does not listen to its
    /// answers gets no further ones.
    pub(crate) const READ_BELOW: usize = 1024 * 1024;

    pub(crate) fn new(frame_max: usize) -> Self {
        Self {
            bytes: BytesMut::new(),
            frame_max,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The answer to a client that speaks something else.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn heartbeat(&mut self) {
        encode_heartbeat(&mut self.bytes);
    }

    pub(crate) fn method(
        &mut self,
        channel: u16,
        method: impl Into<Method>,
    ) -> Result<(), Refusal> {
        let written = encode_method(&mut self.bytes, channel, &method.into());
        written.map_err(|error| ReplyCode::InternalError.because(error.to_string()))
    }

    /// A method and the message it announces. Headers that keep the header frame from fitting are
    /// dropped, the largest first; tells whether any was.
    pub(crate) fn content(
        &mut self,
        channel: u16,
        method: impl Into<Method>,
        header: &mut ContentHeader,
        body: &[u8],
    ) -> Result<bool, Refusal> {
        self.method(channel, method)?;
        let frame_max = self.frame_max;
        let written = encode_content(&mut self.bytes, channel, header, body, frame_max);
        if written.is_ok() {
            return Ok(false);
        }
        drop_largest_headers(&mut header.properties, frame_max);
        let written = encode_content(&mut self.bytes, channel, header, body, frame_max);
        written.map_err(|error| ReplyCode::InternalError.because(error.to_string()))?;
        Ok(true)
    }
}
