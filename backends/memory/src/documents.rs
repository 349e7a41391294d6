//! Small values by space and key, and when they are due.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use fairlead_canon::Timestamp;
use fairlead_ports::{Document, Space, Version};

#[derive(Debug, Default)]
pub(crate) struct Documents {
    values: BTreeMap<(Space, Bytes), Document>,
    due: BTreeSet<(Timestamp, Space, Bytes)>,
}

impl Documents {
    pub(crate) fn get(&self, space: Space, key: &Bytes) -> Option<&Document> {
        self.values.get(&(space, key.clone()))
    }

    pub(crate) fn put(&mut self, space: Space, document: Document) {
        self.delete(space, &document.key);
        if let Some(due) = document.due {
            self.due.insert((due, space, document.key.clone()));
        }
        self.values.insert((space, document.key.clone()), document);
    }

    pub(crate) fn delete(&mut self, space: Space, key: &Bytes) {
        let Some(old) = self.values.remove(&(space, key.clone())) else {
            return;
        };
        if let Some(due) = old.due {
            self.due.remove(&(due, space, old.key));
        }
    }

    pub(crate) fn list(
        &self,
        space: Space,
        prefix: &Bytes,
        after: Option<&Bytes>,
        max: usize,
    ) -> Vec<Document> {
        let from = after.map_or(prefix, |after| after.max(prefix)).clone();
        self.values
            .range((space, from)..)
            .take_while(|((at, key), _)| *at == space && key.starts_with(prefix))
            .filter(|((_, key), _)| after != Some(key))
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

    pub(crate) fn version(&self, space: Space, key: &Bytes) -> Version {
        self.get(space, key)
            .map_or(Version(0), |document| document.version)
    }
}
