//! The two written forms of a batch, and opening them into messages.

pub mod envelope;
pub(crate) mod reader;
pub mod records;
pub(crate) mod writer;

use thiserror::Error;

use crate::{Address, Batch, Kind, Loss, Message};

/// Bytes that are not what they claim to be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{what} at byte {at}")]
pub struct Damage {
    /// What is wrong, naming the field.
    pub what: &'static str,
    /// Where, from the first byte of the batch.
    pub at: usize,
}

/// One message of an opened batch.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Its offset minus the batch's first offset.
    pub delta: u32,
    /// The message; slices of the batch's bytes where nothing had to be inflated.
    pub message: Message,
    /// What reading it could not recover.
    pub loss: Loss,
}

impl Batch {
    /// The messages in this batch, in order; control batches hold none.
    ///
    /// `place` is the address of messages whose form does not carry one.
    /// Compressed batches are inflated up to [`limits::INFLATE_BYTES_MAX`](crate::limits::INFLATE_BYTES_MAX).
    pub fn open(&self, place: &Address) -> Result<Vec<Opened>, Damage> {
        match self.codec {
            crate::Codec::Envelope => envelope::open(self),
            crate::Codec::RecordsV2 => records::open(self, place),
        }
    }

    /// What it counts for against a limit on the bytes of an entity of this kind: in a queue its
    /// bodies alone, elsewhere all that is kept of it.
    pub fn weight(&self, kind: Kind) -> u32 {
        let bodies = match (kind, self.codec) {
            (Kind::Queue, crate::Codec::Envelope) => envelope::bodies_len(self),
            (Kind::Queue | Kind::Log | Kind::Latest, _) => None,
        };
        let bytes = bodies.unwrap_or(self.bytes.len());
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }

    /// The message of a batch that holds one, at `place` if its form carries no address.
    pub fn into_message(self, place: &Address) -> Result<Message, Damage> {
        if self.codec == crate::Codec::Envelope {
            return envelope::open_one(self.bytes);
        }
        let last = records::open(&self, place)?.pop();
        let none = Damage {
            what: "no message",
            at: 0,
        };
        Ok(last.ok_or(none)?.message)
    }
}

#[cfg(test)]
mod tests;
