//! Which entities a message reaches, and the appends that bring it there.

use bytes::{BufMut, Bytes, BytesMut};
use fairlead_canon::codec::envelope;
use fairlead_canon::{Address, Batch, EntityId, EpochTag, Key, Kind, Message, Timestamp};
use fairlead_ports::{Op, Ops, Place, Target, Targets, Unit};
use fairlead_topology::{Stream, Topology};

use crate::compaction::{compaction_key, is_compacted};
use crate::lane;

/// The entities that one message reaches, each once.
#[derive(Debug, Default)]
pub(crate) struct Reached {
    /// Those that take it as it is.
    plain: Targets,
    /// Logs that keep the newest message of each key, and have to be told its key.
    keyed: Targets,
}

impl Reached {
    /// Adds the lane of a stream that a message of this publisher goes to.
    pub(crate) fn add(
        &mut self,
        stream: &Stream,
        (message, publisher): (&Message, &[u8]),
        place: Place,
    ) {
        let to = match is_compacted(stream) {
            true => &mut self.keyed,
            false => &mut self.plain,
        };
        let lane = lane::choose(stream, message, publisher);
        to.extend(lane.map(|entity| target_at(entity, place)));
    }

    /// Adds everything that an address leads to, among the wanted streams.
    pub(crate) fn add_all(
        &mut self,
        topology: &Topology,
        (address, message, publisher): (&Address, &Message, &[u8]),
        place: Place,
        is_wanted: impl Fn(&Stream) -> bool,
    ) {
        let route = topology.route(address, &message.headers);
        let streams = route.streams.iter().map(|(stream, _)| stream);
        for stream in streams.filter(|stream| stream.kind != Kind::Latest && is_wanted(stream)) {
            self.add(stream, (message, publisher), place);
        }
    }

    /// Adds an entity that takes messages as they are.
    pub(crate) fn add_entity(&mut self, entity: EntityId) {
        self.plain.push(target(entity));
    }

    /// Leaves each entity there once.
    pub(crate) fn dedup(&mut self) {
        for to in [&mut self.plain, &mut self.keyed] {
            to.sort_unstable_by_key(|target| target.entity);
            to.dedup_by_key(|target| target.entity);
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.plain.len() + self.keyed.len()
    }

    /// Whether the message lacks what one of them asks for.
    pub(crate) fn lacks_key(&self, message: &Message) -> bool {
        message.key.is_none() && !self.keyed.is_empty()
    }

    /// Stages the message for all of them, `time` being when it comes there; the bytes it takes.
    /// Without a key it is left out where one is asked for.
    pub(crate) fn stage(self, message: &Message, time: Timestamp, ops: &mut Ops) -> usize {
        let address = message.terms.latest.then(|| Key {
            key: Some(latest_key(&message.address)),
            has_value: message.body.as_ref().is_some_and(|body| !body.is_empty()),
        });
        let mut bytes = stage_append((message, address, time), self.plain, ops);
        if let Some(key) = &message.key {
            let key = Some(Key {
                key: Some(compaction_key(key)),
                has_value: message.body.is_some(),
            });
            bytes += stage_append((message, key, time), self.keyed, ops);
        }
        bytes
    }
}

/// Seals a message once for all targets; the bytes it takes.
fn stage_append(
    (message, key, time): (&Message, Option<Key>, Timestamp),
    to: Targets,
    ops: &mut Ops,
) -> usize {
    if to.is_empty() {
        return 0;
    }
    let batch = Batch {
        time,
        keys: key.into_iter().collect(),
        ..envelope::seal(message)
    };
    let bytes = batch.bytes.len();
    if to.len() <= Unit::TARGETS_MAX {
        ops.push(Op::Append { to, batch });
        return bytes;
    }
    for to in to.chunks(Unit::TARGETS_MAX) {
        ops.push(Op::Append {
            to: to.into(),
            batch: batch.clone(),
        });
    }
    bytes
}

/// The key under which an address keeps its latest value: realm and path, so that a prefix of
/// segments is a prefix of bytes.
pub(crate) fn latest_key(address: &Address) -> Bytes {
    let path = address.path.as_stored();
    let mut key = BytesMut::with_capacity(8 + path.len());
    key.put_u64(address.realm.0);
    key.put_slice(path);
    key.freeze()
}

pub(crate) fn target(entity: EntityId) -> Target {
    target_at(entity, Place::Next)
}

fn target_at(entity: EntityId, place: Place) -> Target {
    Target {
        entity,
        place,
        tag: EpochTag::default(),
    }
}
