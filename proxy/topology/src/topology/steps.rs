//! Elementary steps: done, undone, and nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Applied, Territory, Topology, place_of};
use crate::{Binding, Family, Realm, Router, Stream, StreamKey};

impl Topology {
    /// Takes back, latest first, what [`Topology::apply`] did.
    pub fn undo(&mut self, applied: Vec<Applied>) {
        for step in applied.into_iter().rev() {
            let undo = match step {
                Applied::Stream(stream) => Applied::StreamGone(stream),
                Applied::StreamGone(stream) => Applied::Stream(stream),
                Applied::Realm(realm) => Applied::RealmGone(realm),
                Applied::RealmGone(realm) => Applied::Realm(realm),
                Applied::Bound(binding) => Applied::Unbound(binding),
                Applied::Unbound(binding) => Applied::Bound(binding),
                Applied::Altered { old, new } => Applied::Altered { old: new, new: old },
                Applied::Entry {
                    namespace,
                    key,
                    old,
                    new,
                } => Applied::Entry {
                    namespace,
                    key,
                    old: new,
                    new: old,
                },
            };
            self.set(&undo);
        }
    }

    /// Does one elementary step and notes it.
    pub(super) fn take_step(&mut self, step: Applied, applied: &mut Vec<Applied>) {
        self.set(&step);
        applied.push(step);
    }

    fn set(&mut self, step: &Applied) {
        match step {
            Applied::Stream(stream) | Applied::Altered { new: stream, .. } => {
                self.add_stream(stream);
            }
            Applied::StreamGone(stream) => self.remove_stream(&stream.key),
            Applied::Realm(realm) => self.add_realm(realm),
            Applied::RealmGone(realm) => {
                self.realms.remove(&realm.id);
                self.realm_names.remove(&realm.name);
            }
            Applied::Bound(binding) => self.add_binding(binding),
            Applied::Unbound(binding) => self.remove_binding(binding),
            Applied::Entry {
                namespace,
                key,
                new,
                ..
            } => {
                let at = (namespace.clone(), key.clone());
                match new {
                    Some(value) => drop(self.entries.insert(at, value.clone())),
                    None => drop(self.entries.remove(&at)),
                }
            }
        }
    }

    /// Adds a stream, in place of the one of that name.
    pub(super) fn add_stream(&mut self, stream: &Arc<Stream>) {
        self.remove_stream(&stream.key);
        self.entities += stream.lanes.len() as u64;
        self.kept_mailboxes += u64::from(stream.is_kept_mailbox());
        if is_indexed(stream) {
            let lanes = stream.lanes.iter();
            self.lanes
                .extend(lanes.map(|lane| (*lane, Arc::clone(stream))));
        }
        self.streams.insert(stream.key.clone(), Arc::clone(stream));
    }

    fn remove_stream(&mut self, key: &StreamKey) {
        if let Some(old) = self.streams.remove(key) {
            self.entities = self.entities.saturating_sub(old.lanes.len() as u64);
            let was_kept = u64::from(old.is_kept_mailbox());
            self.kept_mailboxes = self.kept_mailboxes.saturating_sub(was_kept);
            if is_indexed(&old) {
                for lane in &old.lanes {
                    self.lanes.remove(lane);
                }
            }
        }
    }

    pub(super) fn add_realm(&mut self, realm: &Arc<Realm>) {
        self.realm_names.insert(realm.name.clone(), realm.id);
        let territory = Territory {
            realm: Arc::clone(realm),
            router: Router::default(),
            outgoing: BTreeSet::new(),
        };
        self.realms.insert(realm.id, territory);
    }

    pub(super) fn add_binding(&mut self, binding: &Arc<Binding>) {
        let Some(territory) = self.realms.get_mut(&binding.from) else {
            return;
        };
        if territory.outgoing.insert(Arc::clone(binding)) {
            territory.router.insert(territory.realm.rule, binding);
            let to = self.incoming.entry(binding.to.clone()).or_default();
            if let Err(place) = place_of(to, binding) {
                to.insert(place, Arc::clone(binding));
            }
        }
    }

    fn remove_binding(&mut self, binding: &Arc<Binding>) {
        if let Some(territory) = self.realms.get_mut(&binding.from)
            && territory.outgoing.remove(binding)
        {
            territory.router.remove(territory.realm.rule, binding);
        }
        if let Some(to) = self.incoming.get_mut(&binding.to)
            && let Ok(place) = place_of(to, binding)
        {
            to.remove(place);
            if to.is_empty() {
                self.incoming.remove(&binding.to);
            }
        }
    }
}

fn is_indexed(stream: &Stream) -> bool {
    stream.key.family != Family::Mailbox || stream.told.is_some()
}
