//! What is kept of a transactional name, its lanes and its pending positions.
//!
//! | space | key | value |
//! |---|---|---|
//! | 16 | name | [`Record`] |
//! | 17 | producer i64, entity u64 | offset u64 from which its batches lie there |
//! | 18 | producer i64, group, entity | a position, as `position.rs` writes it |

use bytes::{BufMut, Bytes, BytesMut};
use fairlead_canon::{EntityId, Offset, ProducerId, Timestamp};
use fairlead_ports::{Decision, Document, Space};

use crate::{Error, Reason};

pub(super) const NAMES: Space = Space(16);
pub(super) const LANES: Space = Space(17);
pub(super) const PENDING: Space = Space(18);

/// Version of the stored form.
const VERSION: u8 = 1;
const BYTES: usize = 1 + 8 + 2 + 2 + 4 + 8 + 1;

/// A transactional name: who holds it, and where its transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) producer: ProducerId,
    pub(crate) epoch: i16,
    /// The epoch from which its present holder came, if it came from one: the same step asked
    /// for twice is taken once.
    pub(crate) before: Option<i16>,
    pub(crate) timeout_ms: u32,
    /// The last step.
    pub(crate) changed_at: Timestamp,
    pub(crate) phase: Phase,
}

/// Where a name's transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// None has begun.
    Empty,
    /// Open since the last step.
    Open,
    /// The last one ended like this.
    Ended(Decision),
}

impl Record {
    pub(super) fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(BYTES);
        out.put_u8(VERSION);
        out.put_i64(self.producer.0);
        out.put_i16(self.epoch);
        out.put_i16(self.before.unwrap_or(-1));
        out.put_u32(self.timeout_ms);
        out.put_u64(self.changed_at.0);
        out.put_u8(match self.phase {
            Phase::Empty => 0,
            Phase::Open => 1,
            Phase::Ended(Decision::Commit) => 2,
            Phase::Ended(Decision::Abort) => 3,
        });
        out.freeze()
    }

    pub(super) fn decode(document: &Document) -> Result<Self, Error> {
        let mut from = &*document.value;
        if take(&mut from)? != [VERSION] {
            return Err(damaged());
        }
        let producer = ProducerId(i64::from_be_bytes(take(&mut from)?));
        let epoch = i16::from_be_bytes(take(&mut from)?);
        let before = i16::from_be_bytes(take(&mut from)?);
        let timeout_ms = u32::from_be_bytes(take(&mut from)?);
        let changed_at = Timestamp(u64::from_be_bytes(take(&mut from)?));
        let phase = match take(&mut from)? {
            [0] => Phase::Empty,
            [1] => Phase::Open,
            [2] => Phase::Ended(Decision::Commit),
            [3] => Phase::Ended(Decision::Abort),
            _ => return Err(damaged()),
        };
        Ok(Self {
            producer,
            epoch,
            before: (before >= 0).then_some(before),
            timeout_ms,
            changed_at,
            phase,
        })
    }

    /// When an open transaction is given up.
    pub(super) fn due(&self) -> Timestamp {
        Timestamp(self.changed_at.0.saturating_add(u64::from(self.timeout_ms)))
    }

    /// Who holds the name next: somebody new, or one who says who he is and goes on.
    /// `fresh` is a number that nobody has, for when all epochs of the present one are used up.
    pub(super) fn next(self, known: Option<(ProducerId, i16)>, fresh: ProducerId) -> Option<Self> {
        let before = match known {
            None => None,
            Some((producer, epoch)) if producer == self.producer && epoch == self.epoch => {
                Some(epoch)
            }
            // Asked again, because the answer was lost.
            Some((producer, epoch)) if producer == self.producer && Some(epoch) == self.before => {
                return Some(self);
            }
            Some(_) => return None,
        };
        // The last epoch stays free for the end of a transaction whose holder is gone.
        let bumped = self.epoch.checked_add(1).filter(|epoch| *epoch < i16::MAX);
        Some(match bumped {
            Some(epoch) => Self {
                epoch,
                before,
                ..self
            },
            None => Self {
                producer: fresh,
                epoch: 0,
                before: None,
                ..self
            },
        })
    }
}

fn take<const N: usize>(from: &mut &[u8]) -> Result<[u8; N], Error> {
    let (head, rest) = from.split_first_chunk().ok_or_else(damaged)?;
    *from = rest;
    Ok(*head)
}

/// Bytes of a producer's number at the head of a key.
pub(super) const PREFIX: usize = 8;

/// What all documents of a producer's transaction begin with.
pub(super) fn prefix(producer: ProducerId) -> Bytes {
    Bytes::copy_from_slice(&producer.0.to_be_bytes())
}

pub(super) fn lane_key(producer: ProducerId, entity: EntityId) -> Bytes {
    [producer.0.to_be_bytes(), entity.0.to_be_bytes()]
        .concat()
        .into()
}

/// The lane of a document, and from where on its batches lie there.
pub(super) fn lane(document: &Document) -> Result<(EntityId, Offset), Error> {
    let from = document.value.first_chunk().ok_or_else(damaged)?;
    Ok((entity(document)?, Offset(u64::from_be_bytes(*from))))
}

/// The entity that the key of a lane or a pending position ends with.
pub(super) fn entity(document: &Document) -> Result<EntityId, Error> {
    let (_, entity) = document.key.split_last_chunk().ok_or_else(damaged)?;
    Ok(EntityId(u64::from_be_bytes(*entity)))
}

pub(super) fn damaged() -> Error {
    Error::us(
        Reason::Corrupt,
        "what was kept of a transaction cannot be read",
    )
}
