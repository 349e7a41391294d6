//! Requests as they lie on the wire: a size, a header, a body.
//!
//! ```text
//! size i32 | api key i16 | version i16 | correlation id i32 | client id i16 + text | tags* | body
//!                                                             * only in compact versions
//! ```

use bytes::{Buf, Bytes, BytesMut};
use fairlead_canon::Text;
use fairlead_wire::WireError;
use thiserror::Error;

use crate::fields::Fields;

/// The longest produce: two of the largest batches, and what stands around them.
pub(crate) const FRAME_BYTES_MAX: usize = 2 * fairlead_canon::limits::BODY_BYTES_MAX + 64 * 1024;

/// The longest request of any other kind: a leader's assignment for a thousand members fits.
pub(crate) const QUESTION_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The longest request of a connection that has not proven who it is.
pub(crate) const GREETING_BYTES_MAX: usize = 64 * 1024;

const SIZE: usize = 4;

/// A size that no request has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a request announces {announced} bytes, at most {max} are taken")]
pub(crate) struct BadSize {
    announced: i32,
    max: usize,
}

/// One request, its body still closed.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) key: i16,
    pub(crate) version: i16,
    pub(crate) correlation: i32,
    /// Everything after the correlation id.
    rest: Bytes,
}

/// Splits the next whole request off; `None` when more bytes are needed. Reserves nothing.
pub(crate) fn take(inbox: &mut BytesMut, max: usize) -> Result<Option<Bytes>, BadSize> {
    let Some(size) = inbox.first_chunk::<SIZE>() else {
        return Ok(None);
    };
    let announced = i32::from_be_bytes(*size);
    let size = usize::try_from(announced).ok().filter(|size| *size <= max);
    let size = size.ok_or(BadSize { announced, max })?;
    if inbox.len() - SIZE < size {
        return Ok(None);
    }
    inbox.advance(SIZE);
    Ok(Some(inbox.split_to(size).freeze()))
}

/// The key of the request at the head of the inbox, as soon as it has come.
pub(crate) fn key(inbox: &[u8]) -> Option<i16> {
    let (_, rest) = inbox.split_first_chunk::<SIZE>()?;
    rest.first_chunk().map(|key| i16::from_be_bytes(*key))
}

impl Request {
    /// Reads what all requests begin with.
    pub(crate) fn read(frame: &Bytes) -> Result<Self, WireError> {
        let mut fields = Fields::new(frame, Form::Classic);
        Ok(Self {
            key: fields.i16("api key")?,
            version: fields.i16("api version")?,
            correlation: fields.i32("correlation id")?,
            rest: fields.rest(),
        })
    }

    /// Reads the rest of the header; the client's name for itself, and the body.
    pub(crate) fn open(&self, form: Form) -> Result<(Option<Text>, Bytes), WireError> {
        // The client id is never compact, not even where all else is.
        let mut fields = Fields::new(&self.rest, Form::Classic);
        let client = fields.text("client id")?;
        let rest = fields.rest();
        let mut fields = Fields::new(&rest, form);
        fields.tags()?;
        Ok((client, fields.rest()))
    }
}

/// How lengths are written in a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Fixed widths, -1 for null.
    Classic,
    /// Varints plus one, 0 for null; records end in tagged fields.
    Compact,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_taken_when_it_is_whole_however_it_is_split() {
        let wire = b"\0\0\0\x02hi\0\0\0\x01!";
        let mut inbox = BytesMut::new();
        let mut taken = Vec::new();
        for byte in wire {
            inbox.extend_from_slice(&[*byte]);
            taken.extend(take(&mut inbox, 2).unwrap());
        }
        assert_eq!(taken, [&b"hi"[..], b"!"]);
        assert!(inbox.is_empty());
    }

    #[test]
    fn a_size_at_the_limit_is_waited_for_and_one_above_or_below_zero_is_refused() {
        let take = |size: i32| take(&mut BytesMut::from(&size.to_be_bytes()[..]), 10);
        assert_eq!(take(10), Ok(None));
        let refused = |announced| Err(BadSize { announced, max: 10 });
        assert_eq!(take(11), refused(11));
        assert_eq!(take(-1), refused(-1));
    }

    #[test]
    fn the_client_id_is_classic_in_both_forms() {
        let frame = Bytes::from_static(b"\0\x12\0\x03\0\0\0\x07\0\x02me\0body");
        let request = Request::read(&frame).unwrap();
        assert_eq!(
            (request.key, request.version, request.correlation),
            (18, 3, 7)
        );
        let (client, body) = request.open(Form::Compact).unwrap();
        assert_eq!((client.as_deref(), &body[..]), (Some("me"), &b"body"[..]));
    }
}
