//! What every store refuses, whatever it is made of: part of the contract of [`crate::Store`].

use bytes::Bytes;
use fairlead_canon::{Batch, Kind};

use super::{CursorId, StoreError, Writers};

/// Longest key of a message in an entity of latest values: its length is 16 bits on disk.
pub const MESSAGE_KEY_BYTES_MAX: usize = 64 * 1024 - 1;

/// What a batch must be to be kept at all, wherever it goes.
pub fn sane(batch: &Batch) -> Result<(), StoreError> {
    let refused = |what| Err(StoreError::Unsupported { what });
    if batch.flags.transactional && !batch.flags.control && batch.stamp.is_none() {
        return refused("a transaction of nobody");
    }
    if batch.count == 0 || batch.span < batch.count {
        return refused("a batch that takes fewer offsets than it has messages");
    }
    if !batch.keys.is_empty() && batch.keys.len() != batch.count as usize {
        return refused("keys for some of the messages of a batch");
    }
    let longest = batch
        .keys
        .iter()
        .filter_map(|key| key.key.as_ref())
        .map(Bytes::len)
        .max();
    within(longest.unwrap_or(0), MESSAGE_KEY_BYTES_MAX)
}

/// An entity that keeps the newest per key can only take messages that have one.
pub fn keyed(kind: Kind, batch: &Batch) -> Result<(), StoreError> {
    let has_all = || !batch.keys.is_empty() && batch.keys.iter().all(|key| key.key.is_some());
    if kind == Kind::Latest && !(batch.count == batch.span && has_all()) {
        return Err(StoreError::Unsupported {
            what: "a message without a key in an entity of latest values",
        });
    }
    Ok(())
}

/// Only a log can be read up to where transactions are open.
pub fn transacted(kind: Kind, batch: &Batch) -> Result<(), StoreError> {
    if batch.flags.transactional && kind != Kind::Log {
        return Err(StoreError::Unsupported {
            what: "a transaction in an entity that is not a log",
        });
    }
    Ok(())
}

/// What an entity can be told to remember of its writers.
pub fn remembers(kind: Kind, writers: &Writers) -> Result<(), StoreError> {
    let has_transactions = !writers.open.is_empty() || !writers.aborted.is_empty();
    if has_transactions && kind != Kind::Log {
        return Err(StoreError::Unsupported {
            what: "transactions of an entity that is not a log",
        });
    }
    Ok(())
}

/// Which cursors a kind has.
pub fn settles(kind: Kind, cursor: CursorId) -> Result<(), StoreError> {
    let refused = |what| Err(StoreError::Unsupported { what });
    match (kind, cursor) {
        (Kind::Queue, CursorId(0) | CursorId::DEAD) => Ok(()),
        (Kind::Queue, _) => refused("a second cursor on a queue"),
        (_, CursorId::DEAD) => refused("dead messages of what is not a queue"),
        (Kind::Latest, CursorId::CLEANER) => refused("cleaning what is not a log"),
        (Kind::Log | Kind::Latest, _) => Ok(()),
    }
}

/// Refuses more than `max` operations or targets.
pub fn few(len: usize, max: usize) -> Result<(), StoreError> {
    if len <= max {
        Ok(())
    } else {
        Err(StoreError::Unsupported {
            what: "so many operations or targets in one unit",
        })
    }
}

/// Refuses more than `max` bytes.
pub fn within(len: usize, max: usize) -> Result<(), StoreError> {
    if len <= max {
        Ok(())
    } else {
        Err(StoreError::TooLarge { max: max as u64 })
    }
}
