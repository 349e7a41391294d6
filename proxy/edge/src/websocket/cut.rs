//! Frames of a client, cut small on their way to the library. That reserves what a frame announces before a byte of it has
//! come, so that 14 bytes would cost 17 MiB of address space, and keeps it all until the last byte is there.

use std::io;
use std::mem::swap;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

/// The longest piece. A multiple of four, so that the mask begins anew with each, and its length fits into 16 bits.
const PIECE_BYTES_MAX: u16 = 16 * 1024;

const FINAL: u8 = 0x80;
/// First byte of a binary message that is one frame.
const WHOLE_BINARY: u8 = FINAL | 0x02;
const MASKED: u8 = 0x80;
const MASK_BYTES: usize = 4;
/// Instead of a length: it follows in 16 bits, or in 64.
const LENGTH_IN_16: u8 = 126;
const LENGTH_IN_64: u8 = 127;

/// Gives out no frame that is longer than a piece, but for one that is too long at all: that is announced as it is, and
/// refused for it. Whatever else is wrong with a frame is left to the library to find.
///
/// A binary message of one frame comes out as several messages, which makes no difference to a reader of bytes.
#[derive(Debug)]
pub(super) struct Cut<S> {
    io: S,
    frame_bytes_max: u64,
    /// The header that is being read, as far as it has come.
    head: BytesMut,
    /// What is left of the header that is given out.
    out: BytesMut,
    /// Bytes that are left of the piece.
    piece: u64,
    /// What the pieces behind it are cut from.
    frame: Frame,
}

#[derive(Debug, Default)]
struct Frame {
    /// Marks and opcode of the next piece, as if it were the last.
    first: u8,
    mask: Option<[u8; MASK_BYTES]>,
    /// Bytes that are in no piece.
    left: u64,
}

impl<S> Cut<S> {
    /// Passes on everything until [`Self::begin`].
    pub(super) fn new(io: S, frame_bytes_max: u64) -> Self {
        Self {
            io,
            frame_bytes_max,
            head: BytesMut::new(),
            out: BytesMut::new(),
            piece: u64::MAX,
            frame: Frame::default(),
        }
    }

    /// What comes is frames.
    pub(super) fn begin(&mut self) {
        self.piece = 0;
    }

    /// Takes one byte of a header.
    fn hear(&mut self, byte: u8) {
        self.head.put_u8(byte);
        let Some(frame) = Frame::parse(&self.head) else {
            return;
        };
        if frame.left <= PIECE_BYTES_MAX.into() || frame.left > self.frame_bytes_max {
            swap(&mut self.out, &mut self.head);
            self.piece = frame.left;
        } else {
            self.frame = frame;
        }
        self.head.clear();
    }
}

impl Frame {
    /// None: more is needed.
    fn parse(head: &[u8]) -> Option<Self> {
        let (&[first, second], rest) = head.split_first_chunk()?;
        let (left, rest) = match second & !MASKED {
            LENGTH_IN_16 => {
                let (length, rest) = rest.split_first_chunk()?;
                (u16::from_be_bytes(*length).into(), rest)
            }
            LENGTH_IN_64 => {
                let (length, rest) = rest.split_first_chunk()?;
                (u64::from_be_bytes(*length), rest)
            }
            length => (length.into(), rest),
        };
        let mask = if second & MASKED == 0 {
            None
        } else {
            Some(*rest.first_chunk()?)
        };
        Some(Self { first, mask, left })
    }

    /// Writes the header of the next piece, and says how long that is.
    fn cut(&mut self, out: &mut BytesMut) -> u16 {
        let fits = u16::try_from(self.left).unwrap_or(PIECE_BYTES_MAX);
        let length = fits.min(PIECE_BYTES_MAX);
        self.left -= u64::from(length);
        if self.left == 0 || self.first == WHOLE_BINARY {
            out.put_u8(self.first);
        } else {
            out.put_u8(self.first & !FINAL);
            // What follows continues it.
            self.first &= FINAL;
        }
        let masked = if self.mask.is_some() { MASKED } else { 0 };
        out.put_u8(masked | LENGTH_IN_16);
        out.put_u16(length);
        out.extend(self.mask.iter().flatten());
        length
    }
}

impl<S: AsyncBufRead + Unpin> AsyncRead for Cut<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if !this.out.is_empty() {
                let len = this.out.len().min(into.remaining());
                into.put_slice(&this.out.split_to(len));
                return Poll::Ready(Ok(()));
            }
            if this.piece == 0 && this.frame.left > 0 {
                this.piece = this.frame.cut(&mut this.out).into();
                continue;
            }
            let bytes = ready!(Pin::new(&mut this.io).poll_fill_buf(cx))?;
            let Some(&first) = bytes.first() else {
                return Poll::Ready(Ok(()));
            };
            if this.piece == 0 {
                Pin::new(&mut this.io).consume(1);
                this.hear(first);
                continue;
            }
            let left = usize::try_from(this.piece).unwrap_or(usize::MAX);
            let bytes = bytes.get(..left).unwrap_or(bytes);
            let bytes = bytes.get(..into.remaining()).unwrap_or(bytes);
            into.put_slice(bytes);
            let len = bytes.len();
            this.piece -= len as u64;
            Pin::new(&mut this.io).consume(len);
            return Poll::Ready(Ok(()));
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Cut<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    const PIECE: usize = PIECE_BYTES_MAX as usize;
    const MASK: [u8; 4] = [1, 2, 3, 4];

    async fn cut(wire: &[u8]) -> Vec<u8> {
        let mut cut = Cut::new(wire, 1 << 20);
        cut.begin();
        let mut out = Vec::new();
        cut.read_to_end(&mut out).await.unwrap();
        out
    }

    fn long(first: u8, len: usize) -> Vec<u8> {
        let length = (len as u64).to_be_bytes();
        [&[first, 0xff][..], &length, &MASK, &vec![7; len]].concat()
    }

    fn piece(first: u8, len: usize) -> Vec<u8> {
        let length = u16::try_from(len).unwrap().to_be_bytes();
        [&[first, 0xfe][..], &length, &MASK, &vec![7; len]].concat()
    }

    #[tokio::test]
    async fn what_is_not_longer_than_a_piece_passes_as_it_is() {
        let wire = [
            vec![0x82, 0x82, 9, 9, 9, 9, 1, 2],
            vec![0x89, 0x00],
            piece(0x02, 200),
            long(0x80, PIECE),
        ]
        .concat();
        assert_eq!(cut(&wire).await, wire);
    }

    #[tokio::test]
    async fn a_long_message_becomes_several_and_a_long_fragment_several_fragments() {
        let len = 2 * PIECE + 1;
        let tail = [0x8a, 0x00];
        let whole = [long(0x82, len), tail.to_vec()].concat();
        let expected = [piece(0x82, PIECE), piece(0x82, PIECE), piece(0x82, 1)];
        assert_eq!(cut(&whole).await, [&expected.concat()[..], &tail].concat());

        let begun = [piece(0x02, PIECE), piece(0x00, PIECE), piece(0x00, 1)];
        assert_eq!(cut(&long(0x02, len)).await, begun.concat());
        let ended = [piece(0x00, PIECE), piece(0x00, PIECE), piece(0x80, 1)];
        assert_eq!(cut(&long(0x80, len)).await, ended.concat());
    }

    #[tokio::test]
    async fn only_a_frame_that_is_too_long_at_all_is_announced_as_it_is() {
        let head = |len: u64| [&[0x82, 0xff][..], &len.to_be_bytes(), &MASK].concat();
        assert_eq!(cut(&head(1 << 20)).await, piece(0x82, PIECE)[..8]);
        let too_long = head((1 << 20) + 1);
        assert_eq!(cut(&too_long).await, too_long);
    }

    #[tokio::test]
    async fn nothing_is_cut_before_frames_begin() {
        let wire = long(0x82, 2 * PIECE);
        let mut cut = Cut::new(&wire[..], 1 << 20);
        let mut out = Vec::new();
        cut.read_to_end(&mut out).await.unwrap();
        assert_eq!(out, wire);
    }
}
