//! Elementary steps: done, undone, and nothing else.

use std::sync::Arc;

use super::{Applied, Bindings, Named, Territory, Topology, place_of};
use crate::{Binding, Destination, Family, Realm, Router, Stream, StreamKey};

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
            Applied::StreamGone(stream) => drop(self.remove_stream(&stream.key)),
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

    /// Adds a stream, in place of the one of that name, to which the same leads.
    pub(super) fn add_stream(&mut self, stream: &Arc<Stream>) {
        let incoming = self.remove_stream(&stream.key);
        self.entities += stream.lanes.len() as u64;
        self.kept_mailboxes += u64::from(stream.is_kept_mailbox());
        if is_indexed(stream) {
            let lanes = stream.lanes.iter();
            self.lanes
                .extend(lanes.map(|lane| (*lane, Arc::clone(stream))));
        }
        self.streams.insert(Named(Arc::clone(stream)), incoming);
    }

    /// Removes a stream, if it is there; what led to it.
    fn remove_stream(&mut self, key: &StreamKey) -> Bindings {
        let Some((Named(old), incoming)) = self.streams.remove_entry(key) else {
            return Bindings::new();
        };
        self.entities = self.entities.saturating_sub(old.lanes.len() as u64);
        let was_kept = u64::from(old.is_kept_mailbox());
        self.kept_mailboxes = self.kept_mailboxes.saturating_sub(was_kept);
        if is_indexed(&old) {
            for lane in &old.lanes {
                self.lanes.remove(lane);
            }
        }
        incoming
    }

    pub(super) fn add_realm(&mut self, realm: &Arc<Realm>) {
        self.realm_names.insert(realm.name.clone(), realm.id);
        let territory = Territory {
            realm: Arc::clone(realm),
            router: Router::default(),
            incoming: Bindings::new(),
        };
        self.realms.insert(realm.id, territory);
    }

    /// Adds a binding that is not there, if its ends are.
    pub(super) fn add_binding(&mut self, binding: &Arc<Binding>) {
        if !self.realms.contains_key(&binding.from) {
            return;
        }
        let Some(to) = self.incoming_mut(&binding.to) else {
            return;
        };
        let Err(place) = place_of(to, binding) else {
            return;
        };
        to.insert(place, Arc::clone(binding));
        if let Some(Territory { realm, router, .. }) = self.realms.get_mut(&binding.from) {
            router.insert(realm.rule, binding);
        }
    }

    fn remove_binding(&mut self, binding: &Arc<Binding>) {
        let Some(to) = self.incoming_mut(&binding.to) else {
            return;
        };
        let Ok(place) = place_of(to, binding) else {
            return;
        };
        to.remove(place);
        if let Some(Territory { realm, router, .. }) = self.realms.get_mut(&binding.from) {
            router.remove(realm.rule, binding);
        }
    }

    fn incoming_mut(&mut self, to: &Destination) -> Option<&mut Bindings> {
        match to {
            Destination::Stream(key) => self.streams.get_mut(key),
            Destination::Realm(id) => {
                let territory = self.realms.get_mut(id)?;
                Some(&mut territory.incoming)
            }
        }
    }
}

fn is_indexed(stream: &Stream) -> bool {
    stream.key.family != Family::Mailbox || stream.told.is_some()
}
