//! What the log adds up to, up to some frame, as ordered rows on disk.
//!
//! A [`StateKv`] keeps keys and values and changes them in one durable step. [`Index`] knows what
//! the rows mean and that each value ends with a checksum over key and value; what a row looks like
//! is in [`rows`]. The index never runs ahead of what is durable in the log.

mod about;
mod backend;
mod kv;
pub(crate) mod pack;
mod redb;
pub(crate) mod rows;
mod shortage;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;

use crate::crc;
use crate::mutation::{Mutation, is_on};
use crate::vfs::File;

pub(crate) use about::{Applied, NAME, refused};
pub(crate) use backend::Backend;
#[cfg(test)]
pub(crate) use kv::Map;
pub(crate) use kv::{Change, KvError, StateKv, Visit};
pub(crate) use redb::RedbKv;
pub(crate) use shortage::Shortage;

/// Rows that are checked when they are read.
#[derive(Debug)]
pub(crate) struct Index {
    kv: Box<dyn StateKv>,
    /// Whether it has no room to grow.
    pub(crate) shortage: Arc<Shortage>,
}

/// Changes on their way into an index, by the letter of their keys: of one letter they mostly come in order.
/// What removes all rows that begin alike comes first; of several that name one row, the last counts.
#[derive(Debug, Default)]
pub(crate) struct Batch(BTreeMap<Option<u8>, Vec<Change>>);

impl Batch {
    /// Writes a row: the value gets its checksum.
    pub(crate) fn put(&mut self, key: Vec<u8>, mut value: Vec<u8>) {
        let crc = checksum(&key, &value);
        value.extend_from_slice(&crc.to_le_bytes());
        self.push(Change::Put(key, value));
    }

    /// Removes a row, if it is there.
    pub(crate) fn delete(&mut self, key: Vec<u8>) {
        self.push(Change::Delete(key));
    }

    /// Writes a row, or removes it when there is nothing to write.
    pub(crate) fn set(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        match value {
            Some(value) => self.put(key, value),
            None => self.delete(key),
        }
    }

    /// Removes every row whose key begins with these bytes.
    pub(crate) fn delete_all(&mut self, prefix: Vec<u8>) {
        self.push(Change::DeleteAll(prefix));
    }

    fn push(&mut self, change: Change) {
        let (_, key) = change.place();
        self.0.entry(key.first().copied()).or_default().push(change);
    }

    /// The changes by their keys, so that rows side by side are written side by side.
    fn in_order(self) -> Vec<Change> {
        let ordered = self.0.into_values().map(|mut changes| {
            changes.sort_by(|one, other| one.place().cmp(&other.place()));
            changes
        });
        ordered.flatten().collect()
    }
}

impl Index {
    pub(crate) fn new(kv: impl StateKv + 'static) -> Self {
        Self {
            kv: Box::new(kv),
            shortage: Arc::default(),
        }
    }

    /// One in this file.
    fn in_file(file: Arc<dyn File>) -> Result<Self, KvError> {
        let shortage = Arc::default();
        let kv = RedbKv::open(Backend::write(Arc::clone(&file), &shortage))?;
        let kv = Box::new(kv.shrunk(|| file.length())?);
        Ok(Self { kv, shortage })
    }

    /// Makes all changes, durably, or none.
    pub(crate) fn checkpoint(&self, changes: Batch) -> Result<(), KvError> {
        self.kv.checkpoint(changes.in_order())
    }

    /// Lets go of the file before the directory is given back: whoever still has a handle of the
    /// store must not touch it any more.
    pub(crate) fn close(&self) {
        self.kv.close();
    }

    /// The row under a key.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        let Some(value) = self.kv.get(key)? else {
            return Ok(None);
        };
        let len = checked(key, &value)?.len();
        Ok(Some(value.slice(..len)))
    }

    /// Visits rows whose key begins with `prefix`, from `from` on, in key order, until it breaks.
    pub(crate) fn scan(&self, prefix: &[u8], from: &[u8], visit: Visit<'_>) -> Result<(), KvError> {
        let mut damage = None;
        self.kv.scan(from.max(prefix), &mut |key, value| {
            if !key.starts_with(prefix) {
                return ControlFlow::Break(());
            }
            match checked(key, value) {
                Ok(value) => visit(key, value),
                Err(error) => {
                    damage = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        damage.map_or(Ok(()), Err)
    }
}

fn checksum(key: &[u8], value: &[u8]) -> u32 {
    let mut crc = crc::Running::new();
    crc.add(key);
    crc.add(value);
    crc.finish()
}

/// The value without its checksum, if that is right.
fn checked<'v>(key: &[u8], value: &'v [u8]) -> Result<&'v [u8], KvError> {
    let split = value.split_last_chunk::<4>();
    split
        .filter(|(value, crc)| {
            u32::from_le_bytes(**crc) == checksum(key, value) || is_on(Mutation::NoRowChecksum)
        })
        .map(|(value, _)| value)
        .ok_or_else(|| KvError::damaged(key, "the checksum of a row"))
}

#[cfg(test)]
pub(crate) mod tests;
