//! QoS 2 messages that came and whose PUBREL has not.

use std::collections::BTreeMap;

use crate::codec::PacketId;

/// Their packet identifiers, and on which connection each came; nothing until there is one.
#[derive(Debug, Default)]
pub(super) struct Received(Option<Box<Ids>>);

#[derive(Debug, Default)]
struct Ids {
    of: BTreeMap<PacketId, Came>,
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
        let ids = self.0.get_or_insert_default();
        if ids.of.insert(id, Came::Here) != Some(Came::Here) {
            ids.here += 1;
        }
    }

    /// A message had come on an earlier connection.
    pub(super) fn restore(&mut self, id: PacketId) {
        self.0.get_or_insert_default().of.insert(id, Came::Before);
    }

    pub(super) fn contains(&self, id: PacketId) -> bool {
        self.0.as_ref().is_some_and(|ids| ids.of.contains_key(&id))
    }

    /// Its identifier is free; whether it was not.
    pub(super) fn remove(&mut self, id: PacketId) -> bool {
        let Some(ids) = &mut self.0 else {
            return false;
        };
        let came = ids.of.remove(&id);
        if came == Some(Came::Here) {
            ids.here -= 1;
        }
        came.is_some()
    }

    /// How many count against the Receive Maximum, which begins anew with each connection.
    pub(super) fn here(&self) -> usize {
        self.0.as_ref().map_or(0, |ids| ids.here)
    }
}
