//! What becomes of a dead message: where it goes, and what it says of its death.

use std::collections::BTreeSet;
use std::ops::Range;

use fairlead_canon::{
    Address, Batch, DeadReason, Death, EntityId, Kind, Message, Offset, Outcome, Path, Promise,
    RealmId, Text, Timestamp,
};
use fairlead_ports::{CursorId, Entry, Op, Ops, Place, Stored, Unit};
use fairlead_topology::{AtFull, DeadLetter, Stream, Topology};

use crate::admission::Admitted;
use crate::hub::Hub;
use crate::reach::Reached;
use crate::verb::ranges;

/// One dead message on its way.
#[derive(Debug)]
pub(crate) struct Letter {
    /// Appends it to its targets, if it has any, and settles it.
    pub(crate) unit: Unit,
    /// Why it died.
    pub(crate) reason: DeadReason,
    /// It, for whoever listens where it goes.
    pub(crate) message: Option<Message>,
    /// A death before is forgotten for this one.
    pub(crate) forgets: bool,
    /// Room that was taken where it goes.
    pub(crate) admitted: Admitted,
    /// A log there asks for a key, and does not get it.
    pub(crate) lacks_key: bool,
}

/// Appends of one letter.
struct Sent {
    ops: Ops,
    admitted: Admitted,
    lacks_key: bool,
}

impl Letter {
    /// Settles what has nowhere to go.
    fn nowhere(settled: (EntityId, Range<u64>), reason: DeadReason) -> Self {
        Self {
            unit: unit(Ops::new(), settled),
            reason,
            message: None,
            forgets: false,
            admitted: Admitted::default(),
            lacks_key: false,
        }
    }
}

/// Where the dead of one stream go.
struct Way<'a> {
    topology: &'a Topology,
    hub: &'a Hub,
    stream: &'a Stream,
    route: &'a DeadLetter,
    now: Timestamp,
}

/// A letter for each of these dead messages but those that wait for room; bodies are those of `dead`,
/// in its order. Whether there is one for all.
pub(crate) fn letters(
    (topology, hub): (&Topology, &Hub),
    (entity, now): (EntityId, Timestamp),
    dead: &[Entry],
    bodies: Vec<Stored>,
) -> (Vec<Letter>, bool) {
    let stream = topology.stream_of(entity);
    let way = stream.and_then(|stream| {
        Some(Way {
            topology,
            hub,
            stream,
            route: stream.settings().dead_letter.as_ref()?,
            now,
        })
    });
    let mut bodies = bodies.into_iter().peekable();
    let mut letters = Vec::with_capacity(dead.len());
    let mut is_whole = true;
    for entry in dead {
        let end = entry.base.plus(u64::from(entry.span));
        let stored = bodies.next_if(|stored| stored.base < end);
        let messages = stored.map_or_else(Vec::new, |stored| messages_of(&stored, entry));
        let reason = entry.dead.unwrap_or(DeadReason::Rejected);
        match &way {
            Some(way) if !messages.is_empty() => {
                for (offset, message) in messages {
                    let letter = way.post((entity, offset), message, reason);
                    is_whole &= letter.is_some();
                    letters.extend(letter);
                }
            }
            // Nobody wants it any more, or it cannot be read.
            _ => letters.push(Letter::nowhere((entity, entry.base.0..end.0), reason)),
        }
    }
    (letters, is_whole)
}

/// A letter for a message that a queue had no room for; `None` when it goes nowhere.
pub(crate) fn refused(
    (topology, hub): (&Topology, &Hub),
    (entity, now): (EntityId, Timestamp),
    batch: &Batch,
) -> Option<Letter> {
    let stream = topology.stream_of(entity)?;
    let route = stream.settings().dead_letter.as_ref();
    let way = Way {
        topology,
        hub,
        stream,
        route: route.filter(|route| route.takes_refused)?,
        now,
    };
    let nowhere = Address::new(RealmId::QUEUES, Path::EMPTY);
    let message = batch.clone().into_message(&nowhere).ok()?;
    let (message, forgotten) = way.readdress(message, DeadReason::MaxLen)?;
    let sent = way.append(&message, DeadReason::MaxLen)?;
    Some(Letter {
        unit: Unit {
            ops: sent.ops,
            promise: Promise::Durable,
        },
        admitted: sent.admitted,
        lacks_key: sent.lacks_key,
        reason: DeadReason::MaxLen,
        message: Some(message),
        forgets: forgotten.is_some(),
    })
}

/// The messages of an entry, each with its offset.
fn messages_of(stored: &Stored, entry: &Entry) -> Vec<(Offset, Message)> {
    let nowhere = Address::new(RealmId::QUEUES, Path::EMPTY);
    let end = entry.base.plus(u64::from(entry.span));
    let opened = stored.batch.open(&nowhere).unwrap_or_default();
    let numbered = opened
        .into_iter()
        .map(|one| (stored.base.plus(u64::from(one.delta)), one.message));
    numbered
        .filter(|(offset, _)| (entry.base..end).contains(offset))
        .collect()
}

impl Way<'_> {
    /// A letter for one message; `None` while it waits for room.
    fn post(
        &self,
        (entity, offset): (EntityId, Offset),
        message: Message,
        reason: DeadReason,
    ) -> Option<Letter> {
        let settled = (entity, offset.0..offset.0 + 1);
        let Some((message, forgotten)) = self.readdress(message, reason) else {
            return Some(Letter::nowhere(settled, reason));
        };
        let sent = self.append(&message, reason)?;
        Some(Letter {
            unit: unit(sent.ops, settled),
            reason,
            message: Some(message),
            forgets: forgotten.is_some(),
            admitted: sent.admitted,
            lacks_key: sent.lacks_key,
        })
    }

    /// The message as it is published anew, and the death that it forgets for this one; `None` when the
    /// realm does not exist.
    fn readdress(
        &self,
        mut message: Message,
        reason: DeadReason,
    ) -> Option<(Message, Option<Death>)> {
        let realm = self.topology.realm(&self.route.realm)?.id;
        let terms = &mut message.terms;
        let life = terms.deadline.take();
        let life_ms = life.map(|end| end.0.saturating_sub(terms.accepted_at.0));
        let from = self.topology.realm_by_id(message.address.realm);
        let path = self.route.path.clone();
        if path.is_some()
            && let Some(said) = &mut message.properties
        {
            said.also_at = Box::default();
        }
        let to = Address::new(realm, path.unwrap_or_else(|| message.address.path.clone()));
        let left = std::mem::replace(&mut message.address, to);
        let forgotten = message.properties_mut().deaths.record(Death {
            stream: self.stream.key.name.clone(),
            reason,
            count: 1,
            first_at: self.now,
            last_at: self.now,
            realm: from.map_or(Text::from_static(""), |realm| realm.name.clone()),
            path: left.path,
            life_ms,
            is_first: false,
        });
        Some((message, forgotten))
    }

    /// Brings it to where it goes; `None` while it waits for room there.
    fn append(&self, message: &Message, reason: DeadReason) -> Option<Sent> {
        let reached = self.reached(message, reason);
        if reached.is_refused() && self.route.at_full == AtFull::Wait {
            return None;
        }
        let lacks_key = reached.lacks_key(message);
        let mut ops = Ops::new();
        // Its time in the new queues begins now.
        let (_, admitted) = reached.stage(message, self.now, &mut ops);
        Some(Sent {
            ops,
            admitted,
            lacks_key,
        })
    }

    /// Where it goes. A queue in which it died already is left out, unless somebody rejected it on
    /// the way: otherwise it would go round for ever.
    fn reached(&self, message: &Message, reason: DeadReason) -> Reached {
        let deaths = message.properties.as_deref().map(|p| &p.deaths);
        let is_cycle = |stream: &Stream| {
            stream.kind == Kind::Queue
                && reason != DeadReason::Rejected
                && deaths.is_some_and(|deaths| deaths.is_cycle(&stream.key.name))
        };
        let publisher: &[u8] = self.stream.key.name.as_bytes();
        let place = match self.route.at_full {
            AtFull::Drop => Place::IfRoom,
            AtFull::Wait => Place::Next,
        };
        let realm = message.address.realm;
        let further = message.properties.iter().flat_map(|said| &said.also_at);
        let further = further.map(|path| Address::new(realm, path.clone()));
        let mut reached = Reached::new(place);
        let mut seen = BTreeSet::new();
        for address in std::iter::once(message.address.clone()).chain(further) {
            let at = (&address, message, publisher);
            let is_wanted = |to: &Stream| !is_cycle(to) && seen.insert(to.key.clone());
            reached.add_all((self.topology, self.hub), at, is_wanted);
        }
        reached
    }
}

fn unit(appends: Ops, (entity, range): (EntityId, Range<u64>)) -> Unit {
    let settle = Op::Settle {
        entity,
        cursor: CursorId::DEAD,
        ranges: ranges(range),
        outcome: Outcome::Done,
    };
    Unit {
        ops: appends.into_iter().chain([settle]).collect(),
        promise: Promise::Durable,
    }
}
