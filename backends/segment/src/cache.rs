//! Parts of segments that were read not long ago, up to a number of bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::id::SegmentId;
use crate::map::Map;

/// What a cached part costs besides its bytes, about.
const ENTRY_BYTES: usize = 128;

/// A part of one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Part {
    Map,
    Page(usize),
    Block(usize),
}

/// What a part is once it was verified.
#[derive(Clone, Debug)]
pub(crate) enum Held {
    Map(Arc<Map>),
    Bytes(Bytes),
}

type Key = (SegmentId, Part);

/// The least recently used parts go first.
#[derive(Debug)]
pub(crate) struct Cache {
    held: HashMap<Key, (Held, u64), FixedState>,
    /// Keys by when they were used last.
    used: BTreeMap<u64, Key>,
    now: u64,
    bytes: usize,
    bytes_max: usize,
}

impl Held {
    fn cost(&self) -> usize {
        let bytes = match self {
            Self::Map(map) => map.bytes(),
            Self::Bytes(bytes) => bytes.len(),
        };
        bytes.saturating_add(ENTRY_BYTES)
    }
}

impl Cache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            held: HashMap::default(),
            used: BTreeMap::new(),
            now: 0,
            bytes: 0,
            bytes_max,
        }
    }

    pub(crate) fn get(&mut self, id: SegmentId, part: Part) -> Option<Held> {
        let (held, used) = self.held.get_mut(&(id, part))?;
        self.used.remove(used);
        self.now += 1;
        *used = self.now;
        self.used.insert(self.now, (id, part));
        Some(held.clone())
    }

    pub(crate) fn put(&mut self, id: SegmentId, part: Part, held: Held) {
        self.remove((id, part));
        self.bytes = self.bytes.saturating_add(held.cost());
        self.now += 1;
        self.held.insert((id, part), (held, self.now));
        self.used.insert(self.now, (id, part));
        while self.bytes > self.bytes_max
            && let Some((_, key)) = self.used.first_key_value()
        {
            self.remove(*key);
        }
    }

    /// Drops every part of a segment.
    pub(crate) fn forget(&mut self, id: SegmentId) {
        let parts = self.used.values().filter(|(of, _)| *of == id);
        let parts: Vec<_> = parts.copied().collect();
        parts.into_iter().for_each(|key| self.remove(key));
    }

    fn remove(&mut self, key: Key) {
        if let Some((held, used)) = self.held.remove(&key) {
            self.used.remove(&used);
            self.bytes = self.bytes.saturating_sub(held.cost());
        }
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}
