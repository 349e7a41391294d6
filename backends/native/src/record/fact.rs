//! Records other than messages. All numbers behind the head lie at fixed places:
//!
//! | kind | fields |
//! |---|---|
//! | 2 Entity | op u8 at 10 (1 create, 2 alter, 3 delete) · entity u64 at 16 · spec at 24 |
//! | 3 Settle | outcome u8 at 10 · reason u8 at 11 · n u32 at 12 · entity u64 at 16 · cursor u64 at 24 · n × {from u64, to u64} at 32 |
//! | 4 Trim | side u8 at 10 (0: below) · entity u64 at 16 · to u64 at 24 |
//! | 5 Put | space u16 at 10 · key length u16 at 12 · delete u8 at 14 · due u64 at 16 (0: none) · value length u32 at 24 · key at 28 · value |
//! | 6 EndTxn | commit u8 at 10 · in one entity u8 at 11 · epoch i16 at 12 · producer i64 at 16 · entity u64 at 24 (0 for all) |
//! | 7 Sealed | [`Sealed::encode`] |
//! | 8 Mark | entity u64 at 16 · upto u64 at 24 |
//! | 9 Restore | entity u64 at 16 · [`writers`] at 24 |

use bytes::{BufMut, Bytes};
use fairlead_canon::{DeadReason, EntityId, Offset, Outcome, ProducerId, Timestamp};
use fairlead_ports::{CursorId, Decision, Space};

use super::{Record, spec, writers};
use crate::field::{array, is_zero, u8_at, u16_at, u32_at, u64_at};
use crate::homes::Sealed;

const ENTITY: u8 = 2;
const SETTLE: u8 = 3;
const TRIM: u8 = 4;
const PUT: u8 = 5;
const END_TXN: u8 = 6;
const SEALED: u8 = 7;
const MARK: u8 = 8;
const RESTORE: u8 = 9;

const CREATE: u8 = 1;
const ALTER: u8 = 2;
const DELETE: u8 = 3;

const DONE: u8 = 1;
const RETURNED: u8 = 2;
const DEAD: u8 = 3;

pub(super) fn encode(record: &Record, out: &mut Vec<u8>) {
    match record {
        // Has a layout of its own.
        Record::Data(data) => data.as_ref().encode(out),
        Record::Create { entity, spec } => {
            head(out, ENTITY, CREATE, *entity);
            spec::encode(spec, out);
        }
        Record::Alter { entity, spec } => {
            head(out, ENTITY, ALTER, *entity);
            spec::encode(spec, out);
        }
        Record::Delete { entity } => head(out, ENTITY, DELETE, *entity),
        Record::Settle {
            entity,
            cursor,
            ranges,
            outcome,
        } => {
            begin(out, SETTLE);
            out.put_slice(&outcome_bytes(*outcome));
            out.put_u32_le(u32::try_from(ranges.len()).unwrap_or(u32::MAX));
            out.put_u64_le(entity.0);
            out.put_u64_le(cursor.0);
            for range in ranges {
                out.put_u64_le(range.start);
                out.put_u64_le(range.end);
            }
        }
        Record::Trim { entity, to } => {
            head(out, TRIM, 0, *entity);
            out.put_u64_le(to.0);
        }
        Record::Put {
            space,
            key,
            value,
            due,
        } => {
            begin(out, PUT);
            out.put_u16_le(space.0);
            out.put_u16_le(u16::try_from(key.len()).unwrap_or(u16::MAX));
            out.put_slice(&[u8::from(value.is_none()), 0]);
            out.put_u64_le(due.map_or(0, |due| due.0.max(1)));
            out.put_u32_le(u32::try_from(value.as_ref().map_or(0, Bytes::len)).unwrap_or(u32::MAX));
            out.put_slice(key);
            out.put_slice(value.as_deref().unwrap_or_default());
        }
        Record::Sealed(sealed) => {
            begin(out, SEALED);
            sealed.encode(out);
        }
        Record::EndTxn {
            producer,
            epoch,
            decision,
            entity,
        } => {
            let is_commit = *decision == Decision::Commit;
            begin(out, END_TXN);
            out.put_slice(&[is_commit.into(), entity.is_some().into()]);
            out.put_i16_le(*epoch);
            out.put_u16_le(0);
            out.put_i64_le(producer.0);
            out.put_u64_le(entity.map_or(0, |entity| entity.0));
        }
        Record::Mark { entity, upto } => {
            head(out, MARK, 0, *entity);
            out.put_u64_le(upto.0);
        }
        Record::Restore { entity, writers } => {
            head(out, RESTORE, 0, *entity);
            writers::encode(writers, out);
        }
    }
}

/// Room for length and checksum, the kind, no flags.
fn begin(out: &mut Vec<u8>, kind: u8) {
    out.put_slice(&[0, 0, 0, 0, 0, 0, 0, 0, kind, 0]);
}

/// The beginning, one byte, zeros up to byte 16, the entity.
fn head(out: &mut Vec<u8>, kind: u8, what: u8, entity: EntityId) {
    begin(out, kind);
    out.put_slice(&[what, 0, 0, 0, 0, 0]);
    out.put_u64_le(entity.0);
}

fn outcome_bytes(outcome: Outcome) -> [u8; 2] {
    match outcome {
        Outcome::Done => [DONE, 0],
        Outcome::Returned => [RETURNED, 0],
        Outcome::Dead(reason) => [DEAD, reason as u8],
    }
}

pub(super) fn decode(bytes: &Bytes) -> Option<Record> {
    if u8_at(bytes, 9)? != 0 {
        return None;
    }
    match u8_at(bytes, 8)? {
        ENTITY => entity(bytes),
        SETTLE => settle(bytes),
        TRIM => {
            let is_known = is_zero(bytes, 10, 16) && bytes.len() == 32;
            let (entity, to) = (entity_at_16(bytes)?, Offset(u64_at(bytes, 24)?));
            is_known.then_some(Record::Trim { entity, to })
        }
        PUT => put(bytes),
        END_TXN => end_txn(bytes),
        MARK => {
            let is_known = is_zero(bytes, 10, 16) && bytes.len() == 32;
            let (entity, upto) = (entity_at_16(bytes)?, Offset(u64_at(bytes, 24)?));
            is_known.then_some(Record::Mark { entity, upto })
        }
        SEALED => Sealed::decode(bytes).map(Record::Sealed),
        RESTORE => {
            let entity = entity_at_16(bytes)?;
            let writers = Box::new(writers::decode(bytes.get(24..)?)?);
            is_zero(bytes, 10, 16).then_some(Record::Restore { entity, writers })
        }
        _ => None,
    }
}

fn entity_at_16(bytes: &[u8]) -> Option<EntityId> {
    u64_at(bytes, 16).map(EntityId)
}

fn entity(bytes: &Bytes) -> Option<Record> {
    let entity = is_zero(bytes, 11, 16)
        .then(|| entity_at_16(bytes))
        .flatten()?;
    let rest = bytes.get(24..)?;
    match u8_at(bytes, 10)? {
        CREATE => Some(Record::Create {
            entity,
            spec: spec::decode(rest)?,
        }),
        ALTER => Some(Record::Alter {
            entity,
            spec: spec::decode(rest)?,
        }),
        DELETE => rest.is_empty().then_some(Record::Delete { entity }),
        _ => None,
    }
}

fn end_txn(bytes: &Bytes) -> Option<Record> {
    let entity = u64_at(bytes, 24)?;
    let entity = match u8_at(bytes, 11)? {
        0 if entity == 0 => None,
        1 => Some(EntityId(entity)),
        _ => return None,
    };
    let decision = match u8_at(bytes, 10)? {
        0 => Decision::Abort,
        1 => Decision::Commit,
        _ => return None,
    };
    let is_known = is_zero(bytes, 14, 16) && bytes.len() == 32;
    let record = Record::EndTxn {
        producer: ProducerId(i64::from_le_bytes(array(bytes, 16)?)),
        epoch: i16::from_le_bytes(array(bytes, 12)?),
        decision,
        entity,
    };
    is_known.then_some(record)
}

/// The reason that a number stands for.
pub(crate) fn reason_of(code: u8) -> Option<DeadReason> {
    let all = [
        DeadReason::Rejected,
        DeadReason::Expired,
        DeadReason::MaxLen,
        DeadReason::DeliveryLimit,
    ];
    all.into_iter().find(|reason| *reason as u8 == code)
}

fn settle(bytes: &Bytes) -> Option<Record> {
    let outcome = match (u8_at(bytes, 10)?, u8_at(bytes, 11)?) {
        (DONE, 0) => Outcome::Done,
        (RETURNED, 0) => Outcome::Returned,
        (DEAD, code) => Outcome::Dead(reason_of(code)?),
        _ => return None,
    };
    let ranges = bytes.get(32..)?;
    if ranges.len() != (u32_at(bytes, 12)? as usize).checked_mul(16)? {
        return None;
    }
    let range = |pair: &[u8]| Some(u64_at(pair, 0)?..u64_at(pair, 8)?);
    Some(Record::Settle {
        entity: entity_at_16(bytes)?,
        cursor: CursorId(u64_at(bytes, 24)?),
        ranges: ranges.chunks_exact(16).map(range).collect::<Option<_>>()?,
        outcome,
    })
}

fn put(bytes: &Bytes) -> Option<Record> {
    let key_end = 28_usize.checked_add(usize::from(u16_at(bytes, 12)?))?;
    let end = key_end.checked_add(u32_at(bytes, 24)? as usize)?;
    if end != bytes.len() || u8_at(bytes, 15)? != 0 {
        return None;
    }
    let value = match u8_at(bytes, 14)? {
        0 => Some(bytes.slice(key_end..end)),
        1 if key_end == end => None,
        _ => return None,
    };
    Some(Record::Put {
        space: Space(u16_at(bytes, 10)?),
        key: bytes.slice(28..key_end),
        value,
        due: Some(u64_at(bytes, 16)?)
            .filter(|due| *due != 0)
            .map(Timestamp),
    })
}
