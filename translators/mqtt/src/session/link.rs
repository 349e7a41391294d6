//! The socket of a session and what lies on both sides of it.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use fairlead_kernel::{Io, fill};

use super::frames::Frames;
use super::output::Output;
use crate::census::Traffic;
use crate::codec::{self, DecodeError, Packet, Publish, Version};
use crate::errors::Fault;

/// A socket, the bytes read and not yet decoded, and the packets not yet written.
#[derive(Debug)]
pub(super) struct Link<I> {
    io: I,
    input: BytesMut,
    output: Output,
    /// Until CONNECT says another: what a client of an unknown version is told, all can read.
    pub(super) version: Version,
    /// Largest packet that is accepted.
    pub(super) size_max: usize,
}

/// Whether more may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    Shut,
}

/// What a socket did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    /// So many bytes came; 0 at the end of the stream.
    Read(usize),
    /// What had piled up is written.
    Written,
}

/// Above so many bytes that wait to be written, nothing more is taken from the kernel: enough for
/// one large write, little for a connection that does not read.
const OUTPUT_BYTES_HIGH: usize = 256 * 1024;

/// Above so many, nothing is read either. Higher than the first, so that a client that only writes
/// for a while gets its answers buffered.
const OUTPUT_BYTES_MAX: usize = 4 * OUTPUT_BYTES_HIGH;

/// How long a client may take to read a goodbye, or a page of retained messages.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a peer may take to notice that it was told goodbye.
const LINGER: Duration = Duration::from_secs(1);

impl<I: Io> Link<I> {
    pub(super) fn new(io: I, size_max: usize) -> Self {
        let (input, output) = (BytesMut::new(), Output::default());
        Self {
            io,
            input,
            output,
            version: Version::V311,
            size_max,
        }
    }

    /// The next packet of what was read.
    pub(super) fn decode(&mut self) -> Result<Option<Packet>, DecodeError> {
        if self.input.is_empty() {
            return Ok(None);
        }
        let packet = codec::decode(&mut self.input, self.version, self.size_max)?;
        if self.input.is_empty() {
            // An idle connection keeps no buffer.
            self.input = BytesMut::new();
        }
        Ok(packet)
    }

    /// Whether what was read and not yet decoded begins with a PUBLISH.
    pub(super) fn is_publish_next(&self) -> bool {
        self.input
            .first()
            .copied()
            .is_some_and(codec::begins_publish)
    }

    /// Whether the peer stopped in the middle of a packet.
    pub(super) fn is_torn(&self) -> bool {
        !self.input.is_empty()
    }

    /// Whether nothing was read that is not decoded, and nothing waits to be written.
    pub(super) fn is_idle(&self) -> bool {
        self.input.is_empty() && self.output.is_idle()
    }

    /// Queues a packet.
    pub(super) fn send(&mut self, packet: &Packet) -> Result<(), Fault> {
        self.output.packet(packet, self.version).map_err(unwritable)
    }

    /// Queues a PUBLISH.
    pub(super) fn publish(&mut self, publish: &Publish) -> Result<(), Fault> {
        self.output
            .publish(publish, self.version)
            .map_err(unwritable)
    }

    /// Queues packets that others are sent too.
    pub(super) fn frames(&mut self, frames: &Frames) {
        self.output.frames(frames);
    }

    /// Bytes written since the last call.
    pub(super) fn take_written(&mut self) -> u64 {
        self.output.take_written()
    }

    /// Packets queued since the last call.
    pub(super) fn take_sent(&mut self) -> Traffic {
        self.output.take_sent()
    }

    /// Whether deliveries may be added to what waits.
    pub(super) fn room(&self) -> Gate {
        match self.output.len() < OUTPUT_BYTES_HIGH {
            true => Gate::Open,
            false => Gate::Shut,
        }
    }

    /// Writes what waits and reads what has come, whichever moves first.
    pub(super) fn poll_exchange(
        &mut self,
        cx: &mut Context<'_>,
        gate: Gate,
    ) -> Poll<io::Result<Moved>> {
        let is_piled = self.room() == Gate::Shut;
        let is_open = gate == Gate::Open && self.output.len() < OUTPUT_BYTES_MAX;
        let wrote = self.output.poll_write(&mut self.io, cx)?;
        if is_open && let Poll::Ready(read) = pin!(fill(&mut self.io, &mut self.input)).poll(cx) {
            return Poll::Ready(read.map(Moved::Read));
        }
        match wrote {
            Poll::Ready(()) if is_piled => Poll::Ready(Ok(Moved::Written)),
            Poll::Ready(()) | Poll::Pending => Poll::Pending,
        }
    }

    /// Writes everything, for as long as the peer's patience lasts.
    pub(super) async fn drain(&mut self) -> io::Result<()> {
        let write = poll_fn(|cx| self.output.poll_write(&mut self.io, cx));
        match tokio::time::timeout(PATIENCE, write).await {
            Ok(written) => written,
            Err(_elapsed) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Reads until there is a packet. `None` at the end of the stream.
    pub(super) async fn next_packet(&mut self) -> Result<Option<Packet>, Fault> {
        loop {
            if let Some(packet) = self.decode()? {
                return Ok(Some(packet));
            }
            if fill(&mut self.io, &mut self.input).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Reads what has come already, and waits for nothing. Whether there was something.
    pub(super) async fn takes_what_came(&mut self) -> bool {
        let Self { io, input, .. } = self;
        let read = poll_fn(|cx| match pin!(fill(io, input)).poll(cx) {
            Poll::Ready(Ok(read)) => Poll::Ready(read),
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Ready(0),
        });
        read.await > 0
    }

    /// Writes what waits and closes, as far as the peer lets us.
    pub(super) async fn close(mut self) {
        self.finish().await;
    }

    /// The same towards a peer that may be writing: a socket that is closed with unread bytes takes
    /// back what it has just sent, so these are read and thrown away.
    pub(super) async fn close_while_it_writes(mut self) {
        self.finish().await;
        let discard = async {
            while fill(&mut self.io, &mut self.input)
                .await
                .is_ok_and(|read| read > 0)
            {
                self.input.clear();
            }
        };
        // Whoever goes on writing is cut off.
        drop(tokio::time::timeout(LINGER, discard).await);
    }

    async fn finish(&mut self) {
        if self.drain().await.is_ok() {
            let shutdown = tokio::io::AsyncWriteExt::shutdown(&mut self.io);
            // The peer may be gone already; nobody is left to tell.
            drop(tokio::time::timeout(PATIENCE, shutdown).await);
        }
    }
}

impl Link<Box<dyn Io>> {
    /// Gives the socket away.
    pub(super) fn part(&mut self) -> Box<dyn Io> {
        std::mem::replace(&mut self.io, Box::new(tokio::io::empty()))
    }

    /// Takes it back, and what was read of it meanwhile.
    pub(super) fn join(&mut self, io: Box<dyn Io>, read: &[u8]) {
        self.io = io;
        self.input.extend_from_slice(read);
    }
}

/// Lets those go first who are in line to be served by this thread. A runtime begins with whom it woke last,
/// and what this client publishes may be meant for one who subscribed just before.
pub(super) async fn behind_others() {
    let mut is_last = false;
    poll_fn(|cx| {
        if is_last {
            return Poll::Ready(());
        }
        is_last = true;
        // Whoever wakes himself goes to the end of the line.
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn unwritable(error: fairlead_wire::WireError) -> Fault {
    Fault::new(
        codec::ReasonCode::IMPLEMENTATION_SPECIFIC,
        fairlead_kernel::ClosedReason::Failed,
        error.to_string(),
    )
}
