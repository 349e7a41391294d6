//! QoS 2 messages that came and whose PUBREL has not.

use std::collections::BTreeMap;

use crate::codec::PacketId;

/// Their packet identifiers, and on which connection each came.
#[derive(Debug, Default)]
pub(super) struct Received {
    ids: BTreeMap<PacketId, Came>,
    /// How many came on this one.
    here: usize,
}

/// On which connection a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    Before,
    Here,
}

impl Received {
    /// A message came.
    pub(super) fn came(&mut self, id: PacketId) {
        if self.ids.insert(id, Came::Here) != Some(Came::Here) {
            self.here += 1;
        }
    }

    /// A message had come on an earlier connection.
    pub(super) fn restore(&mut self, id: PacketId) {
        self.ids.insert(id, Came::Before);
    }

    pub(super) fn contains(&self, id: PacketId) -> bool {
        self.ids.contains_key(&id)
    }

    /// Its identifier is free; whether it was not.
    pub(super) fn remove(&mut self, id: PacketId) -> bool {
        let came = self.ids.remove(&id);
        if came == Some(Came::Here) {
            self.here -= 1;
        }
        came.is_some()
    }

    /// How many count against the Receive Maximum, which begins anew with each connection.
    pub(super) fn here(&self) -> usize {
        self.here
    }
}
