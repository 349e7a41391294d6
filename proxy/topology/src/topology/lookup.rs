//! Looking things up in the map.

use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{Address, EntityId, Headers, RealmId, Text};

use super::Topology;
use crate::route::{Atlas, route};
use crate::{Binding, Destination, Realm, Route, Router, Stream, StreamKey};

impl Topology {
    /// The streams that an address leads to, for a message with these headers.
    pub fn route(&self, address: &Address, headers: &Headers) -> Route {
        route(self, address, headers)
    }

    /// A stream by its name.
    pub fn stream(&self, key: &StreamKey) -> Option<&Arc<Stream>> {
        self.streams.get_key_value(key).map(|(named, _)| &named.0)
    }

    /// How many mailboxes outlive connections.
    pub fn kept_mailboxes(&self) -> u64 {
        self.kept_mailboxes
    }

    /// Every stream, in no particular order.
    pub fn streams(&self) -> impl Iterator<Item = &Arc<Stream>> {
        self.streams.keys().map(|named| &named.0)
    }

    /// The stream whose lane this is; `None` also for a mailbox that was told nothing.
    pub fn stream_of(&self, entity: EntityId) -> Option<&Arc<Stream>> {
        self.lanes.get(&entity)
    }

    /// A realm by its name.
    pub fn realm(&self, name: &str) -> Option<&Arc<Realm>> {
        self.realm_names
            .get(name)
            .and_then(|id| self.realm_by_id(*id))
    }

    /// A realm by its number.
    pub fn realm_by_id(&self, id: RealmId) -> Option<&Arc<Realm>> {
        self.realms.get(&id).map(|territory| &territory.realm)
    }

    /// Every realm, by number.
    pub fn realms(&self) -> impl Iterator<Item = &Arc<Realm>> {
        self.realms.values().map(|territory| &territory.realm)
    }

    /// The bindings that lead to a destination.
    pub fn bindings_to(&self, to: &Destination) -> impl Iterator<Item = &Arc<Binding>> {
        self.incoming(to).iter()
    }

    /// Whether any binding starts in a realm.
    pub fn leads_on(&self, from: RealmId) -> bool {
        let territory = self.realms.get(&from);
        territory.is_some_and(|territory| !territory.router.is_empty())
    }

    /// What leads to a destination, in order.
    pub(super) fn incoming(&self, to: &Destination) -> &[Arc<Binding>] {
        let found = match to {
            Destination::Stream(key) => self.streams.get(key),
            Destination::Realm(id) => self.realms.get(id).map(|territory| &territory.incoming),
        };
        found.map(|bindings| &**bindings).unwrap_or_default()
    }

    /// A directory entry.
    pub fn entry(&self, namespace: &str, key: &[u8]) -> Option<&Bytes> {
        self.entries
            .get(&(Text::from(namespace), Bytes::copy_from_slice(key)))
    }

    /// The directory entries of a name space, by key.
    pub fn entries_of(&self, namespace: &str) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        let from = (Text::from(namespace), Bytes::new());
        let own = self.entries.range(from..);
        let namespace = Text::from(namespace);
        own.take_while(move |((held, _), _)| *held == namespace)
            .map(|((_, key), value)| (key, value))
    }

    /// The next entity counter that was never given out.
    pub fn next_entity(&self) -> u64 {
        self.next_entity
    }
}

impl Atlas for Topology {
    fn router(&self, realm: RealmId) -> Option<&Router> {
        self.realms.get(&realm).map(|territory| &territory.router)
    }

    fn stream(&self, key: &StreamKey) -> Option<&Arc<Stream>> {
        self.stream(key)
    }

    fn alternate(&self, realm: RealmId) -> Option<RealmId> {
        let name = self.realms.get(&realm)?.realm.alternate.as_ref()?;
        self.realm_names.get(name).copied()
    }
}
