//! A `Spec` as tag, length, value. What is not given is left out; an unknown tag is refused.

use bytes::BufMut;
use fairlead_canon::{Class, Compaction, EpochTag, Kind, Overflow, Spec, SyncMode};

use crate::field::{array, u8_at};

const KIND: u8 = 1;
const CLASS: u8 = 2;
const SYNC: u8 = 3;
const RETENTION_AGE: u8 = 4;
const RETENTION_BYTES: u8 = 5;
const COUNT_MAX: u8 = 6;
const BYTES_MAX: u8 = 7;
const OVERFLOW: u8 = 8;
const TAG: u8 = 9;
const COMPACTION_LAG: u8 = 10;
const COMPACTION_DELETES: u8 = 11;
const KEEPS_DEAD: u8 = 12;

pub(crate) fn encode(spec: &Spec, out: &mut Vec<u8>) {
    let mut put = |tag: u8, value: Option<u64>| {
        if let Some(value) = value {
            out.put_u8(tag);
            out.put_u8(8);
            out.put_u64_le(value);
        }
    };
    put(KIND, Some(spec.kind as u64));
    put(CLASS, Some(spec.class as u64));
    put(SYNC, Some(spec.sync as u64));
    put(RETENTION_AGE, spec.retention.age_ms);
    put(RETENTION_BYTES, spec.retention.bytes);
    put(COUNT_MAX, spec.limits.count_max);
    put(BYTES_MAX, spec.limits.bytes_max);
    put(OVERFLOW, Some(spec.limits.overflow as u64));
    put(TAG, Some(spec.tag.0));
    put(COMPACTION_LAG, spec.compaction.map(|it| it.lag_min_ms));
    put(
        COMPACTION_DELETES,
        spec.compaction.map(|it| it.deletes_kept_ms),
    );
    put(KEEPS_DEAD, spec.keeps_dead.then_some(1));
}

pub(crate) fn decode(mut bytes: &[u8]) -> Option<Spec> {
    let mut spec = Spec::new(Kind::Log, Class::Local);
    while let Some(tag) = u8_at(bytes, 0) {
        let value = (u8_at(bytes, 1)? == 8).then(|| array(bytes, 2)).flatten()?;
        let value = u64::from_le_bytes(value);
        bytes = bytes.get(10..)?;
        match tag {
            KIND => spec.kind = kind(value)?,
            CLASS => spec.class = class(value)?,
            SYNC => spec.sync = sync(value)?,
            RETENTION_AGE => spec.retention.age_ms = Some(value),
            RETENTION_BYTES => spec.retention.bytes = Some(value),
            COUNT_MAX => spec.limits.count_max = Some(value),
            BYTES_MAX => spec.limits.bytes_max = Some(value),
            OVERFLOW => spec.limits.overflow = overflow(value)?,
            TAG => spec.tag = EpochTag(value),
            COMPACTION_LAG => compaction(&mut spec).lag_min_ms = value,
            COMPACTION_DELETES => compaction(&mut spec).deletes_kept_ms = value,
            KEEPS_DEAD if value == 1 => spec.keeps_dead = true,
            _ => return None,
        }
    }
    Some(spec)
}

fn compaction(spec: &mut Spec) -> &mut Compaction {
    spec.compaction.get_or_insert(Compaction {
        lag_min_ms: 0,
        deletes_kept_ms: 0,
    })
}

fn kind(value: u64) -> Option<Kind> {
    [Kind::Log, Kind::Queue, Kind::Latest]
        .into_iter()
        .find(|kind| *kind as u64 == value)
}

fn sync(value: u64) -> Option<SyncMode> {
    [SyncMode::Always, SyncMode::Interval]
        .into_iter()
        .find(|sync| *sync as u64 == value)
}

fn class(value: u64) -> Option<Class> {
    [Class::Memory, Class::Local, Class::Object]
        .into_iter()
        .find(|class| *class as u64 == value)
}

fn overflow(value: u64) -> Option<Overflow> {
    let all = [Overflow::Reject, Overflow::DropHead, Overflow::DropNew];
    all.into_iter().find(|overflow| *overflow as u64 == value)
}
