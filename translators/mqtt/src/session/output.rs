//! What waits to be written to the socket.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use fairlead_wire::WireError;
use tokio::io::AsyncWrite;

use super::frames::Frames;
use crate::census::Traffic;
use crate::codec::{Packet, Publish, Version};

/// Packets in order. Keeps no memory once all is written.
#[derive(Debug, Default)]
pub(super) struct Output {
    waiting: Option<Box<Waiting>>,
    needs_flush: bool,
    /// Bytes written since somebody asked.
    written: u64,
    /// Packets appended since somebody asked.
    sent: Traffic,
}

/// Packets that wait: small ones side by side in one buffer, large payloads as the slices they are.
#[derive(Debug, Default)]
struct Waiting {
    sealed: VecDeque<Bytes>,
    tail: BytesMut,
    len: usize,
}

/// Payloads from this size on are not copied: below it, a copy is cheaper than a slice of its own
/// in the write.
pub(super) const SLICE_BYTES_MIN: usize = 4096;

/// First size of the buffer for small packets: a turn that writes one writes many.
const FIRST_BYTES: usize = 4096;

/// A buffer that grew beyond this is not used again.
const SPARE_BYTES_MAX: usize = 64 * 1024;

thread_local! {
    // One per worker: most turns write all they have at once, and the next one needs a buffer.
    static SPARE: Cell<Option<Box<Waiting>>> = Cell::default();
}

/// Slices of one write.
const SLICES_MAX: usize = 32;

impl Output {
    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.as_ref().map_or(0, |waiting| waiting.len)
    }

    /// Whether all is written, as far as the socket is concerned.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_none() && !self.needs_flush
    }

    fn waiting(&mut self) -> &mut Waiting {
        self.waiting.get_or_insert_with(|| {
            let mut spare = SPARE.take().unwrap_or_default();
            spare.tail.reserve(FIRST_BYTES);
            spare
        })
    }

    /// Bytes written since the last call.
    pub(super) fn take_written(&mut self) -> u64 {
        std::mem::take(&mut self.written)
    }

    /// Packets appended since the last call.
    pub(super) fn take_sent(&mut self) -> Traffic {
        std::mem::take(&mut self.sent)
    }

    /// Appends a packet.
    pub(super) fn packet(&mut self, packet: &Packet, version: Version) -> Result<(), WireError> {
        self.sent.packet();
        self.waiting().appended(|tail| packet.encode(version, tail))
    }

    /// Appends a PUBLISH.
    pub(super) fn publish(&mut self, publish: &Publish, version: Version) -> Result<(), WireError> {
        let payload = &publish.payload;
        self.sent.packet();
        self.sent.publish(payload.len());
        let waiting = self.waiting();
        if payload.len() < SLICE_BYTES_MIN {
            return waiting.appended(|tail| {
                publish.encode_head(version, tail)?;
                tail.put_slice(payload);
                Ok(())
            });
        }
        waiting.appended(|tail| publish.encode_head(version, tail))?;
        waiting.slice(payload.clone());
        Ok(())
    }

    /// Appends packets that others are sent too.
    pub(super) fn frames(&mut self, frames: &Frames) {
        self.sent.join(frames.traffic);
        let waiting = self.waiting();
        if frames.bytes.len() < SLICE_BYTES_MIN {
            waiting.len += frames.bytes.len();
            waiting.tail.put_slice(&frames.bytes);
        } else {
            waiting.slice(frames.bytes.clone());
        }
    }

    /// Writes until nothing is left, then flushes. Cancel-safe: what was taken by the socket is
    /// gone from here.
    pub(super) fn poll_write<I: AsyncWrite + Unpin + ?Sized>(
        &mut self,
        io: &mut I,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while let Some(waiting) = self.waiting.as_mut().filter(|waiting| waiting.len > 0) {
            let written = ready!(waiting.poll_some(Pin::new(io), cx))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            waiting.written(written);
            self.written += written as u64;
            self.needs_flush = true;
        }
        if let Some(written) = self.waiting.take() {
            written.spare();
        }
        if self.needs_flush {
            ready!(Pin::new(io).poll_flush(cx))?;
            self.needs_flush = false;
        }
        Poll::Ready(Ok(()))
    }
}

impl Waiting {
    /// Runs `write`; what it leaves behind when it fails is taken back.
    fn appended(
        &mut self,
        write: impl FnOnce(&mut BytesMut) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        let before = self.tail.len();
        let written = write(&mut self.tail);
        if written.is_err() {
            self.tail.truncate(before);
        }
        self.len += self.tail.len() - before;
        written
    }

    /// Appends bytes without a copy.
    fn slice(&mut self, bytes: Bytes) {
        self.seal();
        self.len += bytes.len();
        self.sealed.push_back(bytes);
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.sealed.push_back(self.tail.split().freeze());
        }
    }

    fn poll_some<I: AsyncWrite + ?Sized>(
        &mut self,
        io: Pin<&mut I>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.sealed.is_empty() {
            return io.poll_write(cx, &self.tail);
        }
        self.seal();
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let filled = slices.iter_mut().zip(&self.sealed);
        let count = filled
            .map(|(slot, bytes)| *slot = IoSlice::new(bytes))
            .count();
        io.poll_write_vectored(cx, slices.get(..count).unwrap_or_default())
    }

    fn written(&mut self, mut count: usize) {
        self.len -= count;
        while let Some(first) = self.sealed.front_mut() {
            if count < first.len() {
                return first.advance(count);
            }
            count -= first.len();
            self.sealed.pop_front();
        }
        self.tail.advance(count);
    }

    /// Keeps what is empty for whoever writes next.
    fn spare(mut self: Box<Self>) {
        self.tail.clear();
        if self.tail.capacity() <= SPARE_BYTES_MAX {
            self.sealed = VecDeque::new();
            SPARE.set(Some(self));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use fairlead_canon::Text;
    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::codec::{Delivery, Properties};

    fn publish(payload: Vec<u8>) -> Publish {
        Publish {
            dup: false,
            delivery: Delivery::AtMostOnce,
            retain: false,
            topic: Text::from_static("t"),
            properties: Properties::NONE,
            payload: payload.into(),
        }
    }

    #[tokio::test]
    async fn large_and_small_packets_arrive_in_order_over_a_narrow_pipe() {
        let (mut near, mut far) = tokio::io::duplex(1000);
        let (mut output, mut wanted) = (Output::default(), BytesMut::new());
        for len in [
            1,
            3 * SLICE_BYTES_MIN,
            SLICE_BYTES_MIN - 1,
            SLICE_BYTES_MIN,
            0,
            2,
        ] {
            let packet = publish(vec![7; len]);
            output.publish(&packet, Version::V5).unwrap();
            Packet::Publish(packet)
                .encode(Version::V5, &mut wanted)
                .unwrap();
        }
        output.packet(&Packet::PingResp, Version::V5).unwrap();
        Packet::PingResp.encode(Version::V5, &mut wanted).unwrap();
        assert_eq!(output.len(), wanted.len());
        let mut read = vec![0; wanted.len()];
        let write = poll_fn(|cx| output.poll_write(&mut near, cx));
        let (written, _) = tokio::join!(write, far.read_exact(&mut read));
        written.unwrap();
        assert_eq!(output.len(), 0);
        assert_eq!(read, wanted);
    }

    #[test]
    fn a_packet_that_cannot_be_written_leaves_nothing_behind() {
        let mut output = Output::default();
        let mut bad = publish(Vec::new());
        bad.topic = Text::from("t".repeat(65_536));
        assert!(output.publish(&bad, Version::V5).is_err());
        assert_eq!(output.len(), 0);
    }
}
