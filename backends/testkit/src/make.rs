//! Short ways to say operations.

use std::ops::Range;

use bytes::Bytes;
use fairlead_canon::{
    Batch, BatchFlags, Class, Codec, EntityId, EpochTag, Key, Kind, Offset, Outcome, ProducerId,
    Spec, Stamp, Timestamp,
};
use fairlead_ports::{CursorId, Decision, Op, Place, Space, Target, Version};

/// The entities that laws use.
pub const A: EntityId = EntityId(1 << 48 | 1);
/// Another one.
pub const B: EntityId = EntityId(2 << 48 | 2);
/// A third.
pub const C: EntityId = EntityId(3);

/// Settings of a plain entity.
pub fn spec(kind: Kind) -> Spec {
    Spec::new(kind, Class::Local)
}

/// Makes a plain entity.
pub fn create(entity: EntityId, kind: Kind) -> Op {
    Op::Create {
        entity,
        spec: spec(kind),
    }
}

/// A batch of one message.
pub fn message(body: impl Into<Bytes>) -> Batch {
    messages(1, body)
}

/// A batch of some messages.
pub fn messages(count: u32, body: impl Into<Bytes>) -> Batch {
    Batch {
        codec: Codec::Envelope,
        bytes: body.into(),
        count,
        span: count,
        time: Timestamp(1),
        deadline: None,
        stamp: None,
        flags: BatchFlags::default(),
        keys: Vec::new(),
    }
}

/// A batch of one message under a key.
pub fn keyed(key: &'static str, body: &'static str) -> Batch {
    let key = Key {
        key: Some(key.into()),
        has_value: !body.is_empty(),
    };
    Batch {
        keys: vec![key],
        ..message(body)
    }
}

/// A batch of a producer, with these sequences.
pub fn stamped(producer: i64, epoch: i16, sequence: Range<i32>) -> Batch {
    let (first, last) = (sequence.start, sequence.end - 1);
    let stamp = Stamp {
        producer: ProducerId(producer),
        epoch,
        first,
        last,
    };
    let count = sequence.len().try_into().unwrap();
    Batch {
        stamp: Some(stamp),
        ..messages(count, format!("{producer} {epoch} {first}"))
    }
}

/// A batch of a transaction.
pub fn transacted(producer: i64, epoch: i16, sequence: Range<i32>) -> Batch {
    let mut batch = stamped(producer, epoch, sequence);
    batch.flags.transactional = true;
    batch
}

/// The marker that a transaction ended.
pub fn marker() -> Batch {
    let mut batch = message("marker");
    batch.flags.transactional = true;
    batch.flags.control = true;
    batch
}

/// Ends a transaction wherever it is open.
pub fn end_txn(producer: i64, epoch: i16, decision: Decision) -> Op {
    Op::EndTxn {
        producer: ProducerId(producer),
        epoch,
        decision,
        entity: None,
    }
}

/// Appends to one entity.
pub fn append(entity: EntityId, batch: Batch) -> Op {
    append_to(&[entity], batch)
}

/// Appends to several entities.
pub fn append_to(entities: &[EntityId], batch: Batch) -> Op {
    let target = |entity: &EntityId| Target {
        entity: *entity,
        place: Place::Next,
        tag: EpochTag(0),
    };
    Op::Append {
        to: entities.iter().map(target).collect(),
        batch,
    }
}

/// Appends at an offset.
pub fn append_at(entity: EntityId, at: u64, batch: Batch) -> Op {
    let place = Place::At(Offset(at));
    Op::Append {
        to: [Target {
            entity,
            place,
            tag: EpochTag(0),
        }]
        .into(),
        batch,
    }
}

/// Settles a range of a queue.
pub fn settle(entity: EntityId, range: Range<u64>, outcome: Outcome) -> Op {
    settle_for(entity, 0, range, outcome)
}

/// Settles a range as seen by a cursor.
pub fn settle_for(entity: EntityId, cursor: u64, range: Range<u64>, outcome: Outcome) -> Op {
    Op::Settle {
        entity,
        cursor: CursorId(cursor),
        ranges: [range].into_iter().collect(),
        outcome,
    }
}

/// Trims an entity.
pub fn trim(entity: EntityId, to: u64) -> Op {
    Op::Trim {
        entity,
        to: Offset(to),
    }
}

/// Writes a document.
pub fn put(space: u16, key: &'static str, value: &'static str) -> Op {
    Op::Put {
        space: Space(space),
        key: key.into(),
        value: Some(value.into()),
        due: None,
    }
}

/// Writes a document that is due.
pub fn put_due(space: u16, key: &'static str, due: u64) -> Op {
    Op::Put {
        space: Space(space),
        key: key.into(),
        value: Some(key.into()),
        due: Some(Timestamp(due)),
    }
}

/// Deletes a document.
pub fn clear(space: u16, key: &'static str) -> Op {
    Op::Put {
        space: Space(space),
        key: key.into(),
        value: None,
        due: None,
    }
}

/// Expects a version of a document.
pub fn expect(space: u16, key: &'static str, version: Version) -> Op {
    Op::Expect {
        space: Space(space),
        key: key.into(),
        version,
    }
}
