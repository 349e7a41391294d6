//! The map of everything that exists.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{EntityId, Origin, Pattern, RealmId, SizeLimits, Text, Timestamp};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::{
    Binding, Change, Configure, Declared, Destination, Match, NewRealm, NewStream, Realm, Refused,
    Router, Rule, Stream, StreamKey,
};

mod lookup;
mod named;
mod steps;

use named::Named;

/// Everything that exists. Changed only by [`Topology::apply`] and, at start, by `restore_*`.
#[derive(Debug)]
pub struct Topology {
    /// And what leads to each.
    streams: HashMap<Named, Bindings, RandomState>,
    /// Whose lane an entity is. Mailboxes are many, and nobody asks for the plain ones.
    lanes: HashMap<EntityId, Arc<Stream>, RandomState>,
    realms: BTreeMap<RealmId, Territory>,
    realm_names: BTreeMap<Text, RealmId>,
    entries: BTreeMap<(Text, Bytes), Bytes>,
    /// Lanes of all streams.
    entities: u64,
    /// Mailboxes that outlive connections.
    kept_mailboxes: u64,
    next_entity: u64,
    next_realm: u64,
    /// What streams were limited to last: most of a kind are told the same.
    limits: Option<Arc<SizeLimits>>,
}

/// In their order. Most destinations have one: a set would take room for eleven.
type Bindings = SmallVec<[Arc<Binding>; 1]>;

#[derive(Debug)]
struct Territory {
    realm: Arc<Realm>,
    router: Router,
    /// What leads to it.
    incoming: Bindings,
}

/// What one change did, so that it can be kept and told.
#[derive(Clone, Debug)]
pub enum Applied {
    /// A stream was made.
    Stream(Arc<Stream>),
    /// A stream was altered, or given lanes.
    Altered {
        /// As it was.
        old: Arc<Stream>,
        /// As it is.
        new: Arc<Stream>,
    },
    /// A stream was removed.
    StreamGone(Arc<Stream>),
    /// A realm was made.
    Realm(Arc<Realm>),
    /// A realm was removed.
    RealmGone(Arc<Realm>),
    /// A binding was made.
    Bound(Arc<Binding>),
    /// A binding was removed.
    Unbound(Arc<Binding>),
    /// A directory entry was written or removed.
    Entry {
        /// Its name space.
        namespace: Text,
        /// Its key.
        key: Bytes,
        /// What it was.
        old: Option<Bytes>,
        /// What it is.
        new: Option<Bytes>,
    },
}

impl Default for Topology {
    /// The two fixed realms, and nothing else.
    fn default() -> Self {
        let mut topology = Self {
            streams: HashMap::default(),
            lanes: HashMap::default(),
            realms: BTreeMap::new(),
            realm_names: BTreeMap::new(),
            entries: BTreeMap::new(),
            entities: 0,
            kept_mailboxes: 0,
            next_entity: 1,
            next_realm: Self::FIRST_FREE_REALM,
            limits: None,
        };
        for (id, name, rule) in [
            (RealmId::SHARED, Realm::SHARED_NAME, Rule::Pattern),
            (RealmId::QUEUES, Realm::QUEUES_NAME, Rule::Exact),
        ] {
            topology.restore_realm(Realm {
                id,
                name: Text::from_static(name),
                rule,
                is_durable: false,
                alternate: None,
                origin: Origin(0),
                document: Bytes::new(),
            });
        }
        topology
    }
}

impl Topology {
    /// Most entities of a node. Each costs a few hundred bytes of memory for as long as it exists,
    /// and a single request may ask for many.
    pub const ENTITIES_MAX: u64 = 1 << 20;

    /// Realm numbers below are fixed.
    const FIRST_FREE_REALM: u64 = 16;

    /// Applies changes in order: all of them, or none. `now` stamps what is made.
    pub fn apply(
        &mut self,
        changes: Vec<Change>,
        now: Timestamp,
    ) -> Result<(Declared, Vec<Applied>), Refused> {
        let mut declared = Declared::default();
        let mut applied = Vec::with_capacity(changes.len());
        for change in changes {
            if let Err(refused) = self.step(change, now, &mut declared, &mut applied) {
                self.undo(applied);
                return Err(refused);
            }
        }
        Ok((declared, applied))
    }

    /// Never gives out entity counters below `next`.
    pub fn reserve_entities(&mut self, next: u64) {
        self.next_entity = self.next_entity.max(next);
    }

    /// Never gives out realm numbers below `next`.
    pub fn reserve_realms(&mut self, next: u64) {
        self.next_realm = self.next_realm.max(next);
    }

    /// Puts back a stream that was kept.
    pub fn restore_stream(&mut self, mut stream: Stream) {
        stream.limited = self.limited(stream.limits());
        for lane in &stream.lanes {
            self.next_entity = self.next_entity.max((lane.0 & ((1 << 48) - 1)) + 1);
        }
        self.add_stream(&Arc::new(stream));
    }

    /// Puts back a realm that was kept.
    pub fn restore_realm(&mut self, realm: Realm) {
        self.next_realm = self.next_realm.max(realm.id.0 + 1);
        self.add_realm(&Arc::new(realm));
    }

    /// Puts back a binding that was kept.
    pub fn restore_binding(&mut self, binding: Binding) {
        self.add_binding(&Arc::new(binding));
    }

    /// Puts back a directory entry that was kept.
    pub fn restore_entry(&mut self, namespace: Text, key: Bytes, value: Bytes) {
        self.entries.insert((namespace, key), value);
    }

    fn step(
        &mut self,
        change: Change,
        now: Timestamp,
        declared: &mut Declared,
        applied: &mut Vec<Applied>,
    ) -> Result<(), Refused> {
        match change {
            Change::CreateStream(new) => {
                let stream = self.create_stream(new, now, applied)?;
                declared.streams.push(stream);
            }
            Change::AlterStream {
                key,
                document,
                lifetime,
            } => {
                let old = self.known(&key)?;
                let altered = Stream {
                    document: kept(&document),
                    lifetime,
                    ..Stream::clone(&old)
                };
                self.replace(old, altered, applied);
            }
            Change::Configure(configure) => self.configure(configure, applied)?,
            Change::AddLanes { key, lanes } => {
                let stream = self.add_lanes(&key, lanes, applied)?;
                declared.streams.push(stream);
            }
            Change::RemoveStream(key) => {
                let stream = self.known(&key)?;
                self.unbind_all_to(&Destination::Stream(key), applied);
                self.take_step(Applied::StreamGone(stream), applied);
            }
            Change::CreateRealm(new) => {
                let realm = self.create_realm(new, applied)?;
                declared.realms.push(realm);
            }
            Change::RemoveRealm(id) => self.remove_realm(id, applied)?,
            Change::Bind(binding) => self.bind(Arc::new(binding), applied)?,
            Change::Unbind(binding) => {
                let to = self.incoming(&binding.to);
                let held = place_of(to, &binding).ok();
                let held = held.and_then(|place| to.get(place).cloned());
                if let Some(binding) = held {
                    self.take_step(Applied::Unbound(binding), applied);
                }
            }
            Change::PutEntry {
                namespace,
                key,
                value,
            } => {
                let old = self.entry(&namespace, &key).cloned();
                self.take_step(
                    Applied::Entry {
                        namespace,
                        key,
                        old,
                        new: value,
                    },
                    applied,
                );
            }
        }
        Ok(())
    }

    fn create_stream(
        &mut self,
        new: NewStream,
        now: Timestamp,
        applied: &mut Vec<Applied>,
    ) -> Result<Arc<Stream>, Refused> {
        if self.streams.contains_key(&new.key) {
            return Err(Refused::Exists(new.key.name));
        }
        let lanes = match new.settings.priority_max {
            0 => new.lanes,
            highest => u32::from(highest) + 1,
        };
        check_lanes(lanes)?;
        self.check_entities(u64::from(lanes))?;
        let lanes = (0..lanes).map(|_| self.take_entity(&new.key)).collect();
        let stream = Arc::new(Stream {
            key: new.key,
            kind: new.kind,
            class: new.class,
            lanes,
            lifetime: new.lifetime,
            limited: self.limited(new.limits),
            told: boxed(new.settings),
            origin: new.origin,
            created_at: now,
            document: kept(&new.document),
        });
        self.take_step(Applied::Stream(Arc::clone(&stream)), applied);
        if let Some(at) = new.at {
            let on = Match::Pattern(Pattern::exact(at.realm, &at.path));
            let to = Destination::Stream(stream.key.clone());
            let binding = Binding {
                from: at.realm,
                on,
                to,
                no_local: false,
                document: Bytes::new(),
            };
            self.bind(Arc::new(binding), applied)?;
        }
        Ok(stream)
    }

    fn configure(
        &mut self,
        configure: Configure,
        applied: &mut Vec<Applied>,
    ) -> Result<(), Refused> {
        let old = self.known(&configure.key)?;
        if configure.settings.priority_max != old.settings().priority_max {
            return Err(Refused::Fixed("the number of priorities"));
        }
        let was_durable = old.is_durable();
        let new = Stream {
            class: configure.class,
            limited: self.limited(configure.limits),
            told: boxed(configure.settings),
            ..Stream::clone(&old)
        };
        let to = Destination::Stream(configure.key);
        let bindings = match was_durable == new.is_durable() {
            true => Bindings::new(),
            false => Bindings::from(self.incoming(&to)),
        };
        // Bindings are kept as long as what they lead to: unbound and bound again, they are written
        // or deleted with it.
        self.unbind_all(&bindings, applied);
        self.replace(old, new, applied);
        for binding in bindings {
            self.bind(binding, applied)?;
        }
        Ok(())
    }

    fn add_lanes(
        &mut self,
        key: &StreamKey,
        lanes: u32,
        applied: &mut Vec<Applied>,
    ) -> Result<Arc<Stream>, Refused> {
        let old = self.known(key)?;
        check_lanes(lanes)?;
        self.check_entities(u64::from(lanes).saturating_sub(old.lanes.len() as u64))?;
        let mut all = old.lanes.to_vec();
        while all.len() < lanes as usize {
            all.push(self.take_entity(key));
        }
        let altered = Stream {
            lanes: all.into(),
            ..Stream::clone(&old)
        };
        Ok(self.replace(old, altered, applied))
    }

    fn replace(
        &mut self,
        old: Arc<Stream>,
        new: Stream,
        applied: &mut Vec<Applied>,
    ) -> Arc<Stream> {
        let new = Arc::new(new);
        self.take_step(
            Applied::Altered {
                old,
                new: Arc::clone(&new),
            },
            applied,
        );
        new
    }

    fn create_realm(
        &mut self,
        new: NewRealm,
        applied: &mut Vec<Applied>,
    ) -> Result<Arc<Realm>, Refused> {
        if self.realm_names.contains_key(&new.name) {
            return Err(Refused::Exists(new.name));
        }
        let id = RealmId(self.next_realm);
        self.next_realm += 1;
        let realm = Arc::new(Realm {
            id,
            name: new.name,
            rule: new.rule,
            is_durable: new.is_durable,
            alternate: new.alternate,
            origin: new.origin,
            document: new.document,
        });
        self.take_step(Applied::Realm(Arc::clone(&realm)), applied);
        Ok(realm)
    }

    fn remove_realm(&mut self, id: RealmId, applied: &mut Vec<Applied>) -> Result<(), Refused> {
        let Some(territory) = self
            .realms
            .get(&id)
            .filter(|_| id.0 >= Self::FIRST_FREE_REALM)
        else {
            return Err(Refused::Unknown(Text::from(format!("realm {}", id.0))));
        };
        let realm = Arc::clone(&territory.realm);
        let outgoing: Vec<_> = territory.router.bindings().cloned().collect();
        self.unbind_all(&outgoing, applied);
        self.unbind_all_to(&Destination::Realm(id), applied);
        self.take_step(Applied::RealmGone(realm), applied);
        Ok(())
    }

    fn bind(&mut self, binding: Arc<Binding>, applied: &mut Vec<Applied>) -> Result<(), Refused> {
        if !self.realms.contains_key(&binding.from) {
            return Err(Refused::Unknown(Text::from(format!(
                "realm {}",
                binding.from.0
            ))));
        }
        match &binding.to {
            Destination::Stream(key) => drop(self.known(key)?),
            Destination::Realm(id) if self.realms.contains_key(id) => {}
            Destination::Realm(id) => {
                return Err(Refused::Unknown(Text::from(format!("realm {}", id.0))));
            }
        }
        if place_of(self.incoming(&binding.to), &binding).is_err() {
            self.take_step(Applied::Bound(binding), applied);
        }
        Ok(())
    }

    fn unbind_all_to(&mut self, to: &Destination, applied: &mut Vec<Applied>) {
        let bindings = Bindings::from(self.incoming(to));
        self.unbind_all(&bindings, applied);
    }

    fn unbind_all(&mut self, bindings: &[Arc<Binding>], applied: &mut Vec<Applied>) {
        for binding in bindings {
            self.take_step(Applied::Unbound(Arc::clone(binding)), applied);
        }
    }

    fn known(&self, key: &StreamKey) -> Result<Arc<Stream>, Refused> {
        self.stream(key)
            .cloned()
            .ok_or_else(|| Refused::Unknown(key.name.clone()))
    }

    fn check_entities(&self, more: u64) -> Result<(), Refused> {
        if self.entities.saturating_add(more) <= Self::ENTITIES_MAX {
            return Ok(());
        }
        Err(Refused::Full {
            what: "entities",
            max: Self::ENTITIES_MAX,
        })
    }

    /// What is kept of limits; nothing of none.
    fn limited(&mut self, limits: SizeLimits) -> Option<Arc<SizeLimits>> {
        if limits == SizeLimits::default() {
            return None;
        }
        let last = self.limits.take().filter(|last| **last == limits);
        let shared = last.unwrap_or_else(|| Arc::new(limits));
        self.limits = Some(Arc::clone(&shared));
        Some(shared)
    }

    fn take_entity(&mut self, key: &StreamKey) -> EntityId {
        let counter = self.next_entity;
        self.next_entity += 1;
        EntityId::join(named::spread(key), counter)
    }
}

/// Where a binding is among others, or would be.
fn place_of(bindings: &[Arc<Binding>], binding: &Binding) -> Result<usize, usize> {
    bindings.binary_search_by(|held| Binding::cmp(held, binding))
}

/// What is plain takes no memory.
fn boxed<T: Default + PartialEq>(told: T) -> Option<Box<T>> {
    (told != T::default()).then(|| Box::new(told))
}

/// By itself: a part of what came would keep all of that.
fn kept(document: &[u8]) -> Bytes {
    Bytes::copy_from_slice(document)
}

fn check_lanes(lanes: u32) -> Result<(), Refused> {
    if (1..=NewStream::LANES_MAX).contains(&lanes) {
        return Ok(());
    }
    Err(Refused::OutOfBounds {
        what: "number of lanes",
        max: u64::from(NewStream::LANES_MAX),
    })
}

#[cfg(test)]
mod tests;
