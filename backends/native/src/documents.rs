//! Small values by space and key, and when they are due.
//!
//! What changed since the last checkpoint is in memory, in two layers: one that grows, and one that
//! a checkpoint is writing. Everything else is in the index. The value of a row, in packed numbers:
//! version, when it is due, the document.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::Timestamp;
use fairlead_ports::{Document, Lsn, Space, Version};

use crate::entity::each;
use crate::ground::Ground;
use crate::index::pack::{Pack, Unpack};
use crate::index::{Batch, KvError, rows};

#[derive(Debug)]
pub(crate) struct Documents {
    ground: Arc<Ground>,
    growing: Layer,
    /// What a checkpoint is writing.
    frozen: Arc<Layer>,
    changed_at: Lsn,
}

/// Changes on top of what lies below.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    /// `None` for a document that was deleted.
    values: BTreeMap<(Space, Bytes), Option<Document>>,
    due: BTreeSet<(Timestamp, Space, Bytes)>,
}

impl Documents {
    pub(crate) fn new(ground: Arc<Ground>) -> Self {
        Self {
            ground,
            growing: Layer::default(),
            frozen: Arc::default(),
            changed_at: Lsn(0),
        }
    }

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
        let key = Bytes::copy_from_slice(key);
        let document = change.map(|(value, due)| Document {
            key: key.clone(),
            value: Bytes::copy_from_slice(value),
            version: Version(lsn.0),
            due,
        });
        self.growing.put(space, key, document);
    }

    /// The record whose durability makes everything in here durable.
    pub(crate) fn changed_at(&self) -> Lsn {
        self.changed_at
    }

    pub(crate) fn get(&self, space: Space, key: &[u8]) -> Option<Document> {
        let changed = self.changed(space, key);
        changed.unwrap_or_else(|| self.ground.trust(stored(&self.ground, space, key)))
    }

    /// What a change that is not in the index says of a document, if there is one.
    pub(crate) fn changed(&self, space: Space, key: &[u8]) -> Option<Option<Document>> {
        self.layered(&(space, Bytes::copy_from_slice(key))).cloned()
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
        let wanted = |key: &[u8]| key.starts_with(prefix) && after.is_none_or(|after| key != after);
        let mut found = BTreeMap::new();
        for layer in [&*self.frozen, &self.growing] {
            let rest = layer.values.range((space, from.clone())..);
            let here = rest.take_while(|((at, key), _)| *at == space && key.starts_with(prefix));
            let here = here.filter(|((_, key), _)| wanted(key));
            found.extend(here.map(|((_, key), document)| (key.clone(), document.clone())));
        }
        let changes = found.len();
        let mut stored = 0;
        self.scan(space, prefix, &from, &mut |document| {
            if wanted(&document.key) {
                stored += 1;
                let key = document.key.clone();
                found.entry(key).or_insert(Some(document));
            }
            // Each change may stand for one that is stored, or hide it.
            more(stored < max.saturating_add(changes))
        });
        found.into_values().flatten().take(max).collect()
    }

    pub(crate) fn due(&self, now: Timestamp, max: usize) -> Vec<Document> {
        let mut due = BTreeSet::new();
        for layer in [&*self.frozen, &self.growing] {
            let here = layer.due.iter().take_while(|(due, _, _)| *due <= now);
            let current = here.filter(|(at, space, key)| {
                let document = self
                    .layered(&(*space, key.clone()))
                    .and_then(Option::as_ref);
                document.is_some_and(|document| document.due == Some(*at))
            });
            due.extend(current.take(max).cloned());
        }
        let mut stored = 0;
        let visit = &mut |key: &[u8], _: &[u8]| {
            let Some((at, space, key)) = rows::due_in(key).filter(|(at, _, _)| *at <= now) else {
                return ControlFlow::Break(());
            };
            let place = (space, Bytes::copy_from_slice(key));
            if self.layered(&place).is_none() {
                stored += 1;
                due.insert((at, place.0, place.1));
            }
            more(stored < max)
        };
        let scanned = self.ground.index.scan(&rows::all_due(), &[], visit);
        self.ground.trust(scanned.map(Some));
        let documents = due
            .into_iter()
            .filter_map(|(_, space, key)| self.get(space, &key));
        documents.take(max).collect()
    }

    /// Every document, by space and key.
    pub(crate) fn all(&self, visit: &mut dyn FnMut(Space, &Document)) -> Result<(), KvError> {
        let mut changed = BTreeMap::new();
        for layer in [&*self.frozen, &self.growing] {
            changed.extend(layer.values.iter());
        }
        for ((space, _), document) in &changed {
            if let Some(document) = document {
                visit(*space, document);
            }
        }
        each(&self.ground.index, &rows::documents(), &mut |key, value| {
            let (space, key) = rows::document_in(key)?;
            let document = decode(key, value)?;
            if !changed.contains_key(&(space, document.key.clone())) {
                visit(space, &document);
            }
            Some(())
        })
    }

    fn layered(&self, place: &(Space, Bytes)) -> Option<&Option<Document>> {
        let growing = self.growing.values.get(place);
        growing.or_else(|| self.frozen.values.get(place))
    }

    fn scan(
        &self,
        space: Space,
        prefix: &[u8],
        from: &[u8],
        visit: &mut dyn FnMut(Document) -> ControlFlow<()>,
    ) {
        let (prefix, from) = (rows::document(space, prefix), rows::document(space, from));
        let mut damage = Ok(Some(()));
        let scanned = self.ground.index.scan(&prefix, &from, &mut |key, value| {
            let document = rows::document_in(key).and_then(|(_, key)| decode(key, value));
            match document {
                Some(document) => visit(document),
                None => {
                    damage = Err(KvError::damaged(key, "a document"));
                    ControlFlow::Break(())
                }
            }
        });
        self.ground.trust(scanned.and(damage));
    }

    /// Hands what has changed to a checkpoint.
    pub(crate) fn freeze(&mut self) -> Arc<Layer> {
        self.frozen = Arc::new(std::mem::take(&mut self.growing));
        Arc::clone(&self.frozen)
    }

    /// What was frozen is in the index.
    pub(crate) fn thaw(&mut self) {
        self.frozen = Arc::default();
    }

    pub(crate) fn changes(&self) -> usize {
        self.growing.values.len()
    }
}

impl Layer {
    fn put(&mut self, space: Space, key: Bytes, document: Option<Document>) {
        let due = document.as_ref().and_then(|document| document.due);
        let old = self.values.insert((space, key.clone()), document).flatten();
        if let Some(due) = old.and_then(|old| old.due) {
            self.due.remove(&(due, space, key.clone()));
        }
        if let Some(due) = due {
            self.due.insert((due, space, key));
        }
    }

    /// Adds the rows that bring the index to where this is.
    pub(crate) fn write(&self, ground: &Ground, batch: &mut Batch) -> Result<(), KvError> {
        for ((space, key), document) in &self.values {
            let old = stored(ground, *space, key)?.and_then(|old| old.due);
            let due = document.as_ref().and_then(|document| document.due);
            if let Some(old) = old.filter(|_| old != due) {
                batch.delete(rows::due(old, *space, key));
            }
            batch.set(rows::document(*space, key), document.as_ref().map(encode));
            if let Some(due) = due.filter(|_| old != due) {
                batch.put(rows::due(due, *space, key), Vec::new());
            }
        }
        Ok(())
    }
}

/// What the index has of a document.
pub(crate) fn stored(
    ground: &Ground,
    space: Space,
    key: &[u8],
) -> Result<Option<Document>, KvError> {
    let row = rows::document(space, key);
    let Some(value) = ground.index.get(&row)? else {
        return Ok(None);
    };
    let document = decode(key, &value).ok_or_else(|| KvError::damaged(&row, "a document"))?;
    Ok(Some(document))
}

fn encode(document: &Document) -> Vec<u8> {
    let mut pack = Pack::default();
    pack.uint(document.version.0);
    pack.option(document.due.map(|due| due.0));
    pack.bytes(&document.value);
    pack.done()
}

fn decode(key: &[u8], value: &[u8]) -> Option<Document> {
    let mut unpack = Unpack::new(value);
    let version = Version(unpack.uint()?);
    let due = unpack.option()?.map(Timestamp);
    let document = Document {
        key: Bytes::copy_from_slice(key),
        value: Bytes::copy_from_slice(unpack.bytes()?),
        version,
        due,
    };
    unpack.done(document)
}

fn more(is_wanted: bool) -> ControlFlow<()> {
    if is_wanted {
        ControlFlow::Continue(())
    } else {
        ControlFlow::Break(())
    }
}
