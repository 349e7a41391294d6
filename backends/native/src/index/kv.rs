//! The port under the index: ordered keys and values, changed in durable steps.

use std::fmt::Debug;
use std::io;
use std::ops::ControlFlow;

use bytes::Bytes;
use thiserror::Error;

/// Is told of key and value.
pub(crate) type Visit<'v> = &'v mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

/// Keys and values in key order.
pub(crate) trait StateKv: Debug + Send + Sync {
    /// Makes these changes in this order, all or none, durable on return. After an error nothing is
    /// known of what is on disk, and the store must be opened again.
    fn checkpoint(&self, changes: Vec<Change>) -> Result<(), KvError>;
    /// Lets go of the file, which somebody else may open then; everything is refused from now on.
    fn close(&self);
    /// The value under a key, as of the latest checkpoint.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError>;
    /// Visits keys from `from` on, in order, until it breaks. Sees one checkpoint throughout.
    fn scan(&self, from: &[u8], visit: Visit<'_>) -> Result<(), KvError>;
}

/// One change of what is kept.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    /// Every key that begins so.
    DeleteAll(Vec<u8>),
}

impl Change {
    /// Whether it is about one row, and where that is.
    pub(crate) fn place(&self) -> (bool, &[u8]) {
        match self {
            Self::Put(key, _) | Self::Delete(key) => (true, key),
            Self::DeleteAll(prefix) => (false, prefix),
        }
    }
}

/// Why the index could not be read or changed.
#[derive(Debug, Error)]
pub(crate) enum KvError {
    /// The operating system refused.
    #[error("the index could not be read or written")]
    Io(#[source] io::Error),
    /// The store was closed.
    #[error("the index is closed")]
    Closed,
    /// What is there is not what was written.
    #[error("damage in the index: {what}")]
    Damaged { what: String },
}

impl KvError {
    /// Damage in the row under a key.
    pub(crate) fn damaged(key: &[u8], what: &str) -> Self {
        let what = format!("{what} under {}", key.escape_ascii());
        Self::Damaged { what }
    }
}

/// The plain reference: a map.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct Map(parking_lot::RwLock<std::collections::BTreeMap<Vec<u8>, Bytes>>);

#[cfg(test)]
impl StateKv for Map {
    fn checkpoint(&self, changes: Vec<Change>) -> Result<(), KvError> {
        let mut map = self.0.write();
        for change in changes {
            match change {
                Change::Put(key, value) => {
                    map.insert(key, value.into());
                }
                Change::Delete(key) => {
                    map.remove(&key);
                }
                Change::DeleteAll(prefix) => map.retain(|key, _| !key.starts_with(&prefix)),
            }
        }
        Ok(())
    }

    fn close(&self) {}

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        Ok(self.0.read().get(key).cloned())
    }

    fn scan(&self, from: &[u8], visit: Visit<'_>) -> Result<(), KvError> {
        let map = self.0.read();
        for (key, value) in map.range(from.to_vec()..) {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }
}
