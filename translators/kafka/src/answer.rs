//! Responses on their way out.

use std::io::IoSlice;

use bytes::{Buf, Bytes};
use smallvec::SmallVec;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::in_flight::InFlight;

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Reply {
    /// It is answered.
    Answer(Answer),
    /// A produce whose receipts are under way.
    Later(InFlight),
    /// The client wants no answer.
    Silent,
}

/// A response: header and body, in pieces that are sent one after the other.
#[derive(Debug)]
pub(crate) struct Answer(SmallVec<[Bytes; 1]>);

/// Pieces given to the socket in one call.
const SLICES_MAX: usize = 64;

impl Answer {
    pub(crate) fn one(bytes: Bytes) -> Self {
        Self(SmallVec::from_buf([bytes]))
    }

    pub(crate) fn of(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        Self(pieces.into_iter().collect())
    }

    /// Sends size and pieces; how many bytes that were.
    pub(crate) async fn send<W>(self, to: &mut W) -> std::io::Result<u64>
    where
        W: AsyncWrite + Unpin + ?Sized,
    {
        let size: usize = self.0.iter().map(Bytes::len).sum();
        let announced = i32::try_from(size).map_err(std::io::Error::other)?;
        let mut pieces: SmallVec<[Bytes; 2]> = SmallVec::new();
        pieces.push(Bytes::copy_from_slice(&announced.to_be_bytes()));
        pieces.extend(self.0);
        let mut first = 0;
        while let Some(rest) = pieces.get_mut(first..).filter(|rest| !rest.is_empty()) {
            let slices: SmallVec<[IoSlice<'_>; 8]> = rest
                .iter()
                .take(SLICES_MAX)
                .map(|piece| IoSlice::new(piece))
                .collect();
            let written = to.write_vectored(&slices).await?;
            drop(slices);
            if written == 0 && rest.iter().take(SLICES_MAX).any(|piece| !piece.is_empty()) {
                return Err(std::io::ErrorKind::WriteZero.into());
            }
            first += advance(rest, written);
        }
        Ok(size as u64 + 4)
    }
}

/// Takes written bytes off the front; how many pieces are done.
fn advance(pieces: &mut [Bytes], mut written: usize) -> usize {
    let mut done = 0;
    for piece in pieces {
        let part = written.min(piece.len());
        piece.advance(part);
        written -= part;
        if !piece.is_empty() {
            break;
        }
        done += 1;
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn an_answer_arrives_whole_through_a_narrow_pipe() {
        let (mut ours, mut theirs) = tokio::io::duplex(3);
        let pieces = ["", "ab", "cdefg", "", "h"].map(|piece| Bytes::from_static(piece.as_bytes()));
        let sent = tokio::spawn(async move { Answer::of(pieces).send(&mut ours).await });
        let mut wire = Vec::new();
        theirs.read_to_end(&mut wire).await.unwrap();
        assert_eq!(wire, b"\0\0\0\x08abcdefgh");
        assert_eq!(sent.await.unwrap().unwrap(), 12);
    }
}
