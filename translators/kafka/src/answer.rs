//! Responses on their way out.

use std::io::{self, IoSlice};

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
}

/// Sends answers one behind the other, each behind its size, in as few calls as the socket takes; how many bytes that
/// were.
pub(crate) async fn send<W>(
    answers: impl IntoIterator<Item = Answer>,
    to: &mut W,
) -> io::Result<u64>
where
    W: AsyncWrite + Unpin + ?Sized,
{
    let mut pieces = framed(answers)?;
    let size: usize = pieces.iter().map(Bytes::len).sum();
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
            return Err(io::ErrorKind::WriteZero.into());
        }
        first += advance(rest, written);
    }
    Ok(size as u64)
}

/// Sizes, and the pieces of what follows each.
fn framed(answers: impl IntoIterator<Item = Answer>) -> io::Result<SmallVec<[Bytes; 2]>> {
    let mut pieces = SmallVec::new();
    for Answer(parts) in answers {
        let size: usize = parts.iter().map(Bytes::len).sum();
        let announced = i32::try_from(size).map_err(io::Error::other)?;
        pieces.push(Bytes::copy_from_slice(&announced.to_be_bytes()));
        pieces.extend(parts);
    }
    Ok(pieces)
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
    async fn answers_arrive_whole_and_in_order_through_a_narrow_pipe() {
        let (mut ours, mut theirs) = tokio::io::duplex(3);
        let pieces = ["", "ab", "cdefg", "", "h"].map(|piece| Bytes::from_static(piece.as_bytes()));
        let answers = [Answer::of(pieces), Answer::one(Bytes::from_static(b"i"))];
        let sent = tokio::spawn(async move { send(answers, &mut ours).await });
        let mut wire = Vec::new();
        theirs.read_to_end(&mut wire).await.unwrap();
        assert_eq!(wire, b"\0\0\0\x08abcdefgh\0\0\0\x01i");
        assert_eq!(sent.await.unwrap().unwrap(), 17);
    }
}
