//! Where the newest message of each key is, for an entity of latest values.
//!
//! In memory are the keys that the index does not have yet, and those that were used lately. When all
//! entities together have more than [`crate::limits::KEYS_MAX`] there, the rest is dropped and read from the index.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use super::Source;
use crate::index::{KvError, rows};

#[derive(Debug)]
pub(crate) struct Keys {
    /// Newest message of a key; `None` where the index may still have one.
    known: BTreeMap<Bytes, Option<u64>>,
    /// Those that changed since the last capture.
    changed: BTreeSet<Bytes>,
    /// Whether `known` has all of them.
    is_whole: bool,
    /// Whether rows in the index can be its own, and not those of one before it with its number.
    is_captured: bool,
    tally: KeyTally,
}

/// Counts the keys of one entity that are in memory among those of all.
#[derive(Debug)]
struct KeyTally {
    all: Arc<AtomicUsize>,
    own: usize,
}

impl Keys {
    /// Of an entity that has none. `all` counts keys in memory.
    pub(crate) fn new(all: &Arc<AtomicUsize>) -> Self {
        Self {
            known: BTreeMap::new(),
            changed: BTreeSet::new(),
            is_whole: true,
            is_captured: false,
            tally: KeyTally {
                all: Arc::clone(all),
                own: 0,
            },
        }
    }

    /// A message of this key is the newest; returns the offset of the one before.
    pub(crate) fn put(&mut self, source: &Source, key: &[u8], at: u64) -> Option<u64> {
        let older = self.get(source, key);
        // A copy: a slice would keep the whole frame or packet in memory.
        let key = Bytes::copy_from_slice(key);
        self.changed.insert(key.clone());
        self.known.insert(key, Some(at));
        self.tally.set(self.known.len());
        older
    }

    /// The key has no message any more; returns the offset of the last one.
    pub(crate) fn remove(&mut self, source: &Source, key: &[u8]) -> Option<u64> {
        let older = self.get(source, key)?;
        let key = Bytes::copy_from_slice(key);
        if self.is_whole {
            self.known.remove(&key);
        } else {
            self.known.insert(key.clone(), None);
        }
        self.changed.insert(key);
        self.tally.set(self.known.len());
        Some(older)
    }

    fn get(&self, source: &Source, key: &[u8]) -> Option<u64> {
        match self.known.get(key) {
            Some(known) => *known,
            None if self.is_whole => None,
            None => source.ground.trust(stored(source, key)),
        }
    }

    /// Keys whose newest message lies below an offset.
    pub(crate) fn below(&self, source: &Source, offset: u64) -> Vec<Bytes> {
        let all = self.range(source, &Bytes::new(), None, usize::MAX);
        let below = all.into_iter().filter(|(_, at)| *at < offset);
        below.map(|(key, _)| key).collect()
    }

    /// The first `max` keys that begin with `prefix` and come after `after`, in order.
    pub(crate) fn range(
        &self,
        source: &Source,
        prefix: &Bytes,
        after: Option<&Bytes>,
        max: usize,
    ) -> Vec<(Bytes, u64)> {
        let after = after.filter(|after| *after >= prefix);
        let from = match after {
            Some(after) => Bound::Excluded(after.clone()),
            None => Bound::Included(prefix.clone()),
        };
        let known = self.known.range((from, Bound::Unbounded));
        let known = known.take_while(|(key, _)| key.starts_with(prefix));
        let mut page = Page {
            known: known.peekable(),
            found: Vec::new(),
            max,
        };
        if !self.is_whole {
            let read = page.read(source, prefix, after);
            source.ground.trust(read.map(Some));
        }
        page.finish()
    }

    /// Whether nothing of it is only in the index.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// What has changed since the last capture.
    pub(crate) fn capture(&mut self) -> BTreeMap<Bytes, Option<u64>> {
        self.is_captured = true;
        let changed = std::mem::take(&mut self.changed).into_iter();
        let now = |key| {
            let at = self.known.get(&key).copied().flatten();
            (key, at)
        };
        changed.map(now).collect()
    }

    /// Drops what the index has: everything but what changed since the last capture, which must be
    /// there.
    pub(crate) fn unload(&mut self) {
        if !self.is_captured {
            return;
        }
        let changed = self.changed.iter();
        let stays = changed.map(|key| (key.clone(), self.known.get(key).copied().flatten()));
        self.known = stays.collect();
        self.is_whole = false;
        self.tally.set(self.known.len());
    }

    /// The index has all of them, and none is in memory.
    pub(crate) fn begin_unloaded(&mut self) {
        self.is_whole = false;
        self.is_captured = true;
    }

    /// Adds what a row says.
    pub(crate) fn load(&mut self, key: &[u8], row: &[u8]) -> Option<()> {
        let at = offset_in(row)?;
        self.is_captured = true;
        self.known.insert(Bytes::copy_from_slice(key), Some(at));
        self.tally.set(self.known.len());
        Some(())
    }
}

/// Keys from memory and from the index, merged in their order.
struct Page<'k, I: Iterator<Item = (&'k Bytes, &'k Option<u64>)>> {
    known: Peekable<I>,
    found: Vec<(Bytes, u64)>,
    max: usize,
}

impl<'k, I: Iterator<Item = (&'k Bytes, &'k Option<u64>)>> Page<'k, I> {
    fn read(
        &mut self,
        source: &Source,
        prefix: &Bytes,
        after: Option<&Bytes>,
    ) -> Result<(), KvError> {
        let index = &source.ground.index;
        let first = rows::latest(source.entity, after.unwrap_or(prefix));
        let mut damage = None;
        index.scan(
            &rows::latest(source.entity, prefix),
            &first,
            &mut |key, row| {
                let stored = rows::rest_of(key, 8).zip(offset_in(row));
                let Some((name, at)) = stored else {
                    damage = Some(KvError::damaged(key, "a key"));
                    return ControlFlow::Break(());
                };
                if after.is_none_or(|after| name > &after[..]) {
                    self.merge(name, at);
                }
                if self.found.len() < self.max {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            },
        )?;
        damage.map_or(Ok(()), Err)
    }

    /// Adds a key of the index and what is known of those before it, and of itself.
    fn merge(&mut self, name: &[u8], at: u64) {
        while let Some((key, known)) = self.known.next_if(|(key, _)| key[..] < *name) {
            self.found.extend(known.map(|at| (key.clone(), at)));
        }
        match self.known.next_if(|(key, _)| key[..] == *name) {
            Some((key, known)) => self.found.extend(known.map(|at| (key.clone(), at))),
            None => self.found.push((Bytes::copy_from_slice(name), at)),
        }
    }

    fn finish(mut self) -> Vec<(Bytes, u64)> {
        let rest = self
            .known
            .filter_map(|(key, at)| Some((key.clone(), (*at)?)));
        let room = self.max.saturating_sub(self.found.len());
        self.found.extend(rest.take(room));
        self.found.truncate(self.max);
        self.found
    }
}

/// What the index says of a key.
fn stored(source: &Source, key: &[u8]) -> Result<Option<u64>, KvError> {
    let row = rows::latest(source.entity, key);
    let Some(value) = source.ground.index.get(&row)? else {
        return Ok(None);
    };
    let at = offset_in(&value).ok_or_else(|| KvError::damaged(&row, "a key"))?;
    Ok(Some(at))
}

fn offset_in(row: &[u8]) -> Option<u64> {
    row.try_into().map(u64::from_le_bytes).ok()
}

impl KeyTally {
    fn set(&mut self, own: usize) {
        self.all.fetch_add(own, Ordering::Relaxed);
        self.all.fetch_sub(self.own, Ordering::Relaxed);
        self.own = own;
    }
}

impl Drop for KeyTally {
    fn drop(&mut self) {
        self.set(0);
    }
}
