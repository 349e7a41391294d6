//! Records: the decisions of the engine as they lie in the log.
//!
//! Every record begins `len u32 · crc u32 (of bytes 8..len) · kind u8 · flags u8`. What follows is
//! in [`data`] for messages and in [`fact`] for the rest.

mod data;
mod fact;
pub(crate) mod spec;
pub(crate) mod writers;

use std::ops::Range;

use bytes::Bytes;
use fairlead_canon::{EntityId, Offset, Outcome, ProducerId, Spec, Timestamp};
use fairlead_ports::{CursorId, Decision, Space, Writers};
use smallvec::SmallVec;

use crate::crc;
use crate::field::{u8_at, u32_at};
use crate::homes::Sealed;
use crate::mutation::{Mutation, is_on};

pub(crate) use data::{Data, DataRef, batch_of};
pub(crate) use fact::reason_of;

/// Bytes before what differs by kind.
const HEAD_BYTES: usize = 10;

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Data(Data),
    Create {
        entity: EntityId,
        spec: Spec,
    },
    Alter {
        entity: EntityId,
        spec: Spec,
    },
    Delete {
        entity: EntityId,
    },
    Settle {
        entity: EntityId,
        cursor: CursorId,
        ranges: SmallVec<[Range<u64>; 1]>,
        outcome: Outcome,
    },
    Trim {
        entity: EntityId,
        to: Offset,
    },
    Put {
        space: Space,
        key: Bytes,
        value: Option<Bytes>,
        due: Option<Timestamp>,
    },
    Mark {
        entity: EntityId,
        upto: Offset,
    },
    Sealed(Sealed),
    EndTxn {
        producer: ProducerId,
        epoch: i16,
        decision: Decision,
        /// `None`: in all that it touched.
        entity: Option<EntityId>,
    },
    Restore {
        entity: EntityId,
        writers: Box<Writers>,
    },
}

impl Record {
    /// Appends the record to a frame.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        sealed(out, |out| fact::encode(self, out));
    }

    /// The record that fills `bytes`, whose checksum has been verified; `None` when it is none of
    /// this version.
    pub(crate) fn decode(bytes: &Bytes) -> Option<Self> {
        match u8_at(bytes, 8)? {
            data::KIND => Data::decode(bytes).map(Self::Data),
            _ => fact::decode(bytes),
        }
    }
}

impl DataRef<'_> {
    /// Appends the record of the batch to a frame.
    pub(crate) fn append_to(self, out: &mut Vec<u8>) {
        sealed(out, |out| self.encode(out));
    }
}

/// Appends a record, which `encode` begins with eight bytes for its length and checksum.
fn sealed(out: &mut Vec<u8>, encode: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    encode(out);
    let record = out.get_mut(start..).unwrap_or_default();
    let len = u32::try_from(record.len()).unwrap_or(u32::MAX);
    if let Some((head, covered)) = record.split_first_chunk_mut() {
        let crc = crc::of(covered);
        *head = (u64::from(len) | u64::from(crc) << 32).to_le_bytes();
    }
}

/// Whether the checksum of a record that fills `bytes` is right.
pub(crate) fn is_intact(bytes: &[u8]) -> bool {
    let said = u32_at(bytes, 0).zip(u32_at(bytes, 4));
    let is_whole = said.is_some_and(|(len, _)| len as usize == bytes.len());
    let is_right = |covered| {
        let crc = crc::of(covered);
        said.is_some_and(|(_, said)| said == crc) || is_on(Mutation::NoRecordChecksum)
    };
    is_whole && bytes.get(8..).is_some_and(is_right)
}

/// The places of the records of a frame, one behind the other; ends early with `None` where a
/// length cannot be true.
pub(crate) fn places(records: &[u8]) -> impl Iterator<Item = Option<Range<usize>>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= records.len() {
            return None;
        }
        let place = u32_at(records, at).and_then(|len| {
            let end = at.checked_add(len as usize)?;
            (len as usize > HEAD_BYTES && end <= records.len()).then_some(at..end)
        });
        at = place.as_ref().map_or(usize::MAX, |place| place.end);
        Some(place)
    })
}
