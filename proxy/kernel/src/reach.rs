//! Which entities a message reaches, and the appends that bring it there.

use bytes::{BufMut, Bytes, BytesMut};
use fairlead_canon::codec::envelope;
use fairlead_canon::{Address, EntityId, EpochTag, Key, Kind, Message, Timestamp};
use fairlead_ports::{Op, Ops, Place, Target, Targets, Unit};
use fairlead_topology::{Stream, Topology};
use smallvec::SmallVec;

use crate::admission::Admitted;
use crate::compaction::{compaction_key, is_compacted};
use crate::hub::Hub;
use crate::lane;
use crate::undertaker::Undertaker;

/// The entities that one message reaches, each once.
#[derive(Debug)]
pub(crate) struct Reached {
    /// What those that have no room do: refuse it for themselves, or for all.
    place: Place,
    /// Those that take it as it is.
    plain: Targets,
    /// Logs that keep the newest message of each key, and have to be told its key.
    keyed: Targets,
    /// Room that was taken in queues.
    admitted: Admitted,
    /// Whether a queue is full and refuses it.
    is_refused: bool,
    /// Such queues, where they want it elsewhere then.
    refusing: SmallVec<[EntityId; 1]>,
}

impl Reached {
    /// Nothing so far.
    pub(crate) fn new(place: Place) -> Self {
        Self {
            place,
            plain: Targets::new(),
            keyed: Targets::new(),
            admitted: Admitted::default(),
            is_refused: false,
            refusing: SmallVec::new(),
        }
    }

    /// Adds the lane of a stream that a message of this publisher goes to, if there is room.
    pub(crate) fn add(
        &mut self,
        hub: &Hub,
        stream: &Stream,
        (message, publisher): (&Message, &[u8]),
    ) {
        let Some(entity) = lane::choose(stream, message, publisher) else {
            return;
        };
        let bytes = u32::try_from(message.body_len()).unwrap_or(u32::MAX);
        if stream.limits_ready() && !self.admitted.take(hub, entity, bytes) {
            self.is_refused = true;
            let route = stream.settings().dead_letter.as_ref();
            let is_wanted = route.is_some_and(|route| route.takes_refused);
            return self.refusing.extend(is_wanted.then_some(entity));
        }
        let to = match is_compacted(stream) {
            true => &mut self.keyed,
            false => &mut self.plain,
        };
        let place = self.place;
        to.push(Target {
            place,
            ..target(entity)
        });
    }

    /// Adds everything that an address leads to, among the wanted streams.
    pub(crate) fn add_all(
        &mut self,
        (topology, hub): (&Topology, &Hub),
        (address, message, publisher): (&Address, &Message, &[u8]),
        mut is_wanted: impl FnMut(&Stream) -> bool,
    ) {
        let route = topology.route(address, &message.headers);
        let streams = route.streams.iter().map(|(stream, _)| stream);
        let streams = streams.filter(|stream| stream.kind != Kind::Latest);
        for stream in streams.filter(|stream| is_wanted(stream)) {
            self.add(hub, stream, (message, publisher));
        }
    }

    /// Adds an entity that takes messages as they are.
    pub(crate) fn add_entity(&mut self, entity: EntityId) {
        self.plain.push(target(entity));
    }

    /// Whether a queue that it leads to is full and refuses it.
    pub(crate) fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// How many there are, without those that refuse it.
    pub(crate) fn count(&self) -> usize {
        self.plain.len() + self.keyed.len()
    }

    /// Whether the message lacks what one of them asks for.
    pub(crate) fn lacks_key(&self, message: &Message) -> bool {
        message.key.is_none() && !self.keyed.is_empty()
    }

    /// Sends the message from queues that have refused it to where they want it then.
    pub(crate) fn send_on(&self, message: &Message, undertaker: &Undertaker) {
        for entity in &self.refusing {
            undertaker.refused(*entity, envelope::seal(message));
        }
    }

    /// Stages the message for all of them, `time` being when it comes there; the bytes it takes, and
    /// the room that was taken for it. Without a key it is left out where one is asked for.
    pub(crate) fn stage(
        self,
        message: &Message,
        time: Timestamp,
        ops: &mut Ops,
    ) -> (usize, Admitted) {
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
        (bytes, self.admitted)
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
    let mut batch = envelope::seal(message);
    batch.time = time;
    batch.keys.extend(key);
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
    Target {
        entity,
        place: Place::Next,
        tag: EpochTag::default(),
    }
}
