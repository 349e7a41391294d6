//! The one task that changes what outlives a connection: a declaration is applied, kept, and then answered.
//! Those that move what streams hold are answered by themselves.

use bytes::Bytes;
use fairlead_canon::Promise;
use fairlead_ports::{Documents, Op, Ops, Space, Unit};
use fairlead_topology::{Applied, Change, Declared, Stream, Topology};
use tokio::sync::{mpsc, oneshot};

use crate::ground::{Begun, Ground, entity_ops};
use crate::moving::{Moving, moved};
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
    pub(crate) ground: Ground,
    /// Entity numbers below are reserved on disk.
    pub(crate) reserved: u64,
    pub(crate) moving: Moving,
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
        loop {
            let has_room = self.moving.has_room();
            tokio::select! {
                Some(held) = self.moving.ended() => self.take_all(held).await,
                request = requests.recv(), if has_room => match request {
                    Some(request) => self.take(request).await,
                    None => break,
                },
            }
        }
        while let Some(held) = self.moving.ended().await {
            self.take_all(held).await;
        }
    }

    async fn take_all(&mut self, requests: impl IntoIterator<Item = Request>) {
        for request in requests {
            self.take(request).await;
        }
    }

    async fn take(&mut self, request: Request) {
        if self.moving.concerns(&request.changes) {
            return self.moving.hold(request);
        }
        let ground = &self.ground;
        let moved = ground
            .atlas
            .read(|topology| moved(&request.changes, topology));
        let (reply, begun) = (request.reply, self.begin(request.changes, request.only_if));
        let ground = self.ground.clone();
        let end = async move {
            let result = match begun {
                Ok(begun) => ground.end(begun).await,
                Err(error) => Err(error),
            };
            // The asker may be gone; what it declared stays.
            drop(reply.send(result));
        };
        match moved.is_empty() {
            true => end.await,
            false => self.moving.start(moved, end),
        }
    }

    fn begin(&mut self, changes: Vec<Change>, only_if: Option<Proviso>) -> Result<Begun, Error> {
        let reserved = &mut self.reserved;
        let change = |topology: &mut Topology, now| {
            if only_if.is_some_and(|holds| !holds(topology)) {
                return Err(Error::peer(Reason::Conflict, "its condition does not hold"));
            }
            Ok(topology.apply(changes, now)?)
        };
        self.ground.begin(change, |applied, topology| {
            unit(applied, topology, reserved)
        })
    }
}

/// Everything that has to be kept of these steps, as one unit.
fn unit(applied: &[Applied], topology: &Topology, reserved: &mut u64) -> Result<Unit, Error> {
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
    // What makes no entity may take long: later numbers must not wait for it to be reserved.
    let makes_any = ops.iter().any(|op| matches!(op, Op::Create { .. }));
    if makes_any && promise == Promise::Durable && topology.next_entity() > *reserved {
        *reserved = topology.next_entity() + BLOCK;
        let value = Some(Bytes::copy_from_slice(&reserved.to_be_bytes()));
        ops.push(Op::Put {
            space: SPACE,
            key: COUNTERS,
            value,
            due: None,
        });
    }
    Ok(Unit { ops, promise })
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
