//! Where the newest message of each key is, for an entity of latest values.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

#[derive(Debug, Default)]
pub(crate) struct Keys {
    newest: BTreeMap<Bytes, u64>,
    /// Those that changed since the last capture, with what they changed to.
    changed: BTreeMap<Bytes, Option<u64>>,
}

impl Keys {
    /// A message of this key is the newest; returns the offset of the one before.
    pub(crate) fn put(&mut self, key: &[u8], at: u64) -> Option<u64> {
        // A copy: a slice would keep the whole frame or packet in memory.
        let key = Bytes::copy_from_slice(key);
        self.changed.insert(key.clone(), Some(at));
        self.newest.insert(key, at)
    }

    /// The key has no message any more; returns the offset of the last one.
    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<u64> {
        let (key, at) = self.newest.remove_entry(key)?;
        self.changed.insert(key, None);
        Some(at)
    }

    /// Keys whose newest message lies below an offset.
    pub(crate) fn below(&self, offset: u64) -> Vec<Bytes> {
        let below = self.newest.iter().filter(|(_, at)| **at < offset);
        below.map(|(key, _)| key.clone()).collect()
    }

    /// Keys that begin with `prefix` and come after `after`, in order.
    pub(crate) fn range<'k>(
        &'k self,
        prefix: &'k Bytes,
        after: Option<&'k Bytes>,
    ) -> impl Iterator<Item = (&'k Bytes, u64)> {
        let from = match after.filter(|after| *after >= prefix) {
            Some(after) => Bound::Excluded(after.clone()),
            None => Bound::Included(prefix.clone()),
        };
        let rest = self.newest.range((from, Bound::Unbounded));
        rest.take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, at)| (key, *at))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.newest.is_empty()
    }

    /// What has changed since the last capture.
    pub(crate) fn capture(&mut self) -> BTreeMap<Bytes, Option<u64>> {
        std::mem::take(&mut self.changed)
    }

    /// Adds what a row says.
    pub(crate) fn load(&mut self, key: &[u8], at: u64) {
        self.newest.insert(Bytes::copy_from_slice(key), at);
    }
}
