//! The one task that changes the topology: a declaration is applied, kept, and then answered.

use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{EntityId, Kind, Promise, SizeLimits, Spec};
use fairlead_ports::{Clock, Documents, Op, Ops, Space, Store, StoreError, Unit};
use fairlead_topology::{Applied, Change, Declared, Stream, Topology};
use tokio::sync::{mpsc, oneshot};

use crate::atlas::Atlas;
use crate::hub::Hub;
use crate::{Error, Reason};

/// The name space of definitions.
const SPACE: Space = Space(1);
/// Holds the counters that are never given out again; sorts before every definition.
const COUNTERS: Bytes = Bytes::from_static(b"\0counters");
/// Entity numbers are reserved in blocks, so that making an entity does not write a counter.
const BLOCK: u64 = 1_000;
/// Declarations that wait; beyond it callers wait.
const WAITING_MAX: usize = 1_024;
/// Documents read at a time at start.
const PAGE: usize = 4_096;

/// A declaration.
pub(crate) struct Request {
    pub(crate) changes: Vec<Change>,
    /// Asked while nobody can look at the topology; if it says no, the answer is `Conflict`.
    pub(crate) only_if: Option<Proviso>,
    /// Where the answer goes.
    pub(crate) reply: oneshot::Sender<Result<Declared, Error>>,
}

/// Under which a declaration holds.
pub(crate) type Proviso = Box<dyn FnOnce(&Topology) -> bool + Send>;

/// The task's state.
pub(crate) struct Registrar {
    pub(crate) atlas: Arc<Atlas>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Entity numbers below are reserved on disk.
    pub(crate) reserved: u64,
}

/// The stream that a document of the store defines, for those who look at a store while no kernel
/// runs on it; `None` when it is about something else or cannot be read.
pub fn defined(space: Space, value: &[u8]) -> Option<Stream> {
    if space != SPACE {
        return None;
    }
    fairlead_topology::decode_stream(value).ok().flatten()
}

impl Registrar {
    /// Starts the task on the current runtime; it ends when the sender is dropped.
    pub(crate) fn start(self) -> mpsc::Sender<Request> {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        tokio::spawn(self.run(receiver));
        sender
    }

    async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(request) = requests.recv().await {
            let result = self.declare(request.changes, request.only_if).await;
            // The asker may be gone; what it declared stays.
            drop(request.reply.send(result));
        }
    }

    async fn declare(
        &mut self,
        changes: Vec<Change>,
        only_if: Option<Proviso>,
    ) -> Result<Declared, Error> {
        let now = self.clock.wall();
        let atlas = Arc::clone(&self.atlas);
        // Handed to the store before others see it: whoever publishes to a new stream comes after.
        let (declared, applied, kept) = atlas.write(|topology| {
            if only_if.is_some_and(|holds| !holds(topology)) {
                return Err(Error::peer(Reason::Conflict, "its condition does not hold"));
            }
            let (declared, applied) = topology.apply(changes, now)?;
            match self.unit(&applied, topology) {
                // What ends with its connection is nowhere but here.
                Ok(unit) if unit.ops.is_empty() => Ok((declared, applied, None)),
                Ok(unit) => Ok((declared, applied, Some(self.store.commit(vec![unit])))),
                Err(error) => {
                    topology.undo(applied);
                    Err(error)
                }
            }
        })?;
        let kept = match kept {
            Some(kept) => kept
                .await
                .pop()
                .unwrap_or(Err(StoreError::Unavailable))
                .map(drop),
            None => Ok(()),
        };
        match kept {
            Ok(()) => {
                let gone = applied.iter().filter_map(removed);
                gone.flat_map(|stream| &stream.lanes)
                    .for_each(|lane| self.hub.remove(*lane));
                for stream in applied.iter().filter_map(made) {
                    self.hub.pin(&*self.store, stream).await?;
                }
                Ok(declared)
            }
            Err(error) => {
                self.atlas.write(|topology| topology.undo(applied));
                Err(error.into())
            }
        }
    }

    /// Everything that has to be kept of these steps, as one unit.
    fn unit(&mut self, applied: &[Applied], topology: &Topology) -> Result<Unit, Error> {
        let mut ops = Ops::new();
        let mut promise = Promise::Accepted;
        for step in applied {
            entity_ops(step, &mut ops);
            let document = fairlead_topology::encode(step, topology)
                .map_err(|error| Error::us(Reason::TooLarge, error.to_string()))?;
            if let Some((key, value)) = document {
                ops.push(Op::Put {
                    space: SPACE,
                    key,
                    value,
                    due: None,
                });
                promise = Promise::Durable;
            }
        }
        if promise == Promise::Durable && topology.next_entity() > self.reserved {
            self.reserved = topology.next_entity() + BLOCK;
            let value = Some(Bytes::copy_from_slice(&self.reserved.to_be_bytes()));
            ops.push(Op::Put {
                space: SPACE,
                key: COUNTERS,
                value,
                due: None,
            });
        }
        Ok(Unit { ops, promise })
    }
}

/// Reads the definitions that were kept; also tells up to where entity numbers are reserved.
pub(crate) async fn restore(documents: &dyn Documents) -> Result<(Topology, u64), Error> {
    let mut topology = Topology::default();
    let mut reserved = 0;
    let mut after = None;
    loop {
        let page = documents
            .list(SPACE, Bytes::new(), after.take(), PAGE)
            .await?;
        for document in &page {
            if document.key == COUNTERS {
                let counter = document.value.as_ref().try_into().map(u64::from_be_bytes);
                reserved = counter.map_err(|_cause| damaged("the counters"))?;
                topology.reserve_entities(reserved);
                continue;
            }
            fairlead_topology::decode(&document.value, &mut topology)
                .map_err(|error| damaged(&error.to_string()))?;
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after = Some(last.key.clone()),
            _ => return Ok((topology, reserved)),
        }
    }
}

fn damaged(what: &str) -> Error {
    Error::us(Reason::Corrupt, format!("kept definitions: {what}"))
}

fn entity_ops(step: &Applied, ops: &mut Ops) {
    match step {
        Applied::Stream(stream) => {
            let create = |entity: &EntityId| Op::Create {
                entity: *entity,
                spec: spec(stream),
            };
            ops.extend(stream.lanes.iter().map(create));
        }
        Applied::Altered { old, new } => {
            let (was, spec) = (spec(old), spec(new));
            for entity in new.lanes.iter().copied() {
                if !old.lanes.contains(&entity) {
                    ops.push(Op::Create { entity, spec });
                } else if was != spec {
                    ops.push(Op::Alter { entity, spec });
                }
            }
        }
        Applied::StreamGone(stream) => {
            ops.extend(
                stream
                    .lanes
                    .iter()
                    .map(|entity| Op::Delete { entity: *entity }),
            );
        }
        Applied::Realm(_)
        | Applied::RealmGone(_)
        | Applied::Bound(_)
        | Applied::Unbound(_)
        | Applied::Entry { .. } => {}
    }
}

fn spec(stream: &Stream) -> Spec {
    // What is ready in a queue is not for the store to know.
    let limits = if stream.kind == Kind::Log || stream.lets_oldest_go() {
        SizeLimits::default()
    } else {
        stream.limits
    };
    let settings = stream.settings();
    Spec {
        limits,
        sync: settings.sync,
        retention: settings.retention,
        compaction: settings.compaction,
        keeps_dead: settings.dead_letter.is_some(),
        ..Spec::new(stream.kind, stream.class)
    }
}

fn made(step: &Applied) -> Option<&Arc<Stream>> {
    match step {
        Applied::Stream(stream) => Some(stream),
        Applied::StreamGone(_)
        | Applied::Altered { .. }
        | Applied::Realm(_)
        | Applied::RealmGone(_)
        | Applied::Bound(_)
        | Applied::Unbound(_)
        | Applied::Entry { .. } => None,
    }
}

fn removed(step: &Applied) -> Option<&Arc<Stream>> {
    match step {
        Applied::StreamGone(stream) => Some(stream),
        Applied::Stream(_)
        | Applied::Altered { .. }
        | Applied::Realm(_)
        | Applied::RealmGone(_)
        | Applied::Bound(_)
        | Applied::Unbound(_)
        | Applied::Entry { .. } => None,
    }
}
