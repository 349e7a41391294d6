//! Small values by space and key, and when they are due.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use fairlead_canon::Timestamp;
use fairlead_ports::{Document, Lsn, Space, Version};

#[derive(Debug, Default)]
pub(crate) struct Documents {
    values: BTreeMap<Space, BTreeMap<Bytes, Document>>,
    due: BTreeSet<(Timestamp, Space, Bytes)>,
    changed_at: Lsn,
}

impl Documents {
    /// Writes or deletes a document, as the record at `lsn` says. Keeps copies: a slice would keep
    /// the whole frame or packet in memory.
    pub(crate) fn put(
        &mut self,
        lsn: Lsn,
        space: Space,
        key: &[u8],
        change: Option<(&[u8], Option<Timestamp>)>,
    ) {
        self.changed_at = lsn;
        let values = self.values.entry(space).or_default();
        if let Some((key, old)) = values.remove_entry(key)
            && let Some(due) = old.due
        {
            self.due.remove(&(due, space, key));
        }
        let Some((value, due)) = change else { return };
        let key = Bytes::copy_from_slice(key);
        if let Some(due) = due {
            self.due.insert((due, space, key.clone()));
        }
        let (value, version) = (Bytes::copy_from_slice(value), Version(lsn.0));
        values.insert(
            key.clone(),
            Document {
                key,
                value,
                version,
                due,
            },
        );
    }

    /// The record whose durability makes everything in here durable.
    pub(crate) fn changed_at(&self) -> Lsn {
        self.changed_at
    }

    pub(crate) fn get(&self, space: Space, key: &[u8]) -> Option<&Document> {
        self.values.get(&space)?.get(key)
    }

    /// Every document, by space and key.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Space, &Document)> {
        let spaces = self.values.iter();
        spaces.flat_map(|(space, values)| values.values().map(|document| (*space, document)))
    }

    pub(crate) fn version(&self, space: Space, key: &[u8]) -> Version {
        self.get(space, key)
            .map_or(Version(0), |document| document.version)
    }

    pub(crate) fn list(
        &self,
        space: Space,
        prefix: &Bytes,
        after: Option<&Bytes>,
        max: usize,
    ) -> Vec<Document> {
        let from = after.map_or(prefix, |after| after.max(prefix)).clone();
        let Some(values) = self.values.get(&space) else {
            return Vec::new();
        };
        values
            .range(from..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter(|(key, _)| after != Some(*key))
            .map(|(_, document)| document.clone())
            .take(max)
            .collect()
    }

    pub(crate) fn due(&self, now: Timestamp, max: usize) -> Vec<Document> {
        self.due
            .iter()
            .take_while(|(due, _, _)| *due <= now)
            .filter_map(|(_, space, key)| self.get(*space, key).cloned())
            .take(max)
            .collect()
    }
}
