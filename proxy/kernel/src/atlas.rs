//! The topology as callers share it: read under a short lock, changed by the registrar, and
//! by callers what is theirs alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use fairlead_ports::Directory;
use fairlead_topology::Topology;
use parking_lot::RwLock;

/// The topology and how often it changed.
#[derive(Debug, Default)]
pub(crate) struct Atlas {
    topology: RwLock<Topology>,
    generation: AtomicU64,
}

impl Atlas {
    pub(crate) fn new(topology: Topology) -> Self {
        Self {
            topology: RwLock::new(topology),
            generation: AtomicU64::new(1),
        }
    }

    /// Looks at the topology; `look` is short and does not wait.
    pub(crate) fn read<R>(&self, look: impl FnOnce(&Topology) -> R) -> R {
        look(&self.topology.read())
    }

    /// Changes it; whoever remembers a route looks again.
    pub(crate) fn write<R>(&self, change: impl FnOnce(&mut Topology) -> R) -> R {
        let result = change(&mut self.topology.write());
        self.generation.fetch_add(1, Ordering::Release);
        result
    }

    /// Changes with each write.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
}

/// The directory entries, as policies see them.
#[derive(Debug)]
pub(crate) struct AtlasDirectory(pub(crate) Arc<Atlas>);

impl Directory for AtlasDirectory {
    fn get(&self, namespace: &str, key: &[u8]) -> Option<Bytes> {
        self.0
            .read(|topology| topology.entry(namespace, key).cloned())
    }

    fn is_empty(&self, namespace: &str) -> bool {
        self.0
            .read(|topology| topology.entries_of(namespace).next().is_none())
    }
}
