//! Publishing: from an address to live readers and to units for the store.

use std::slice;
use std::sync::Arc;

use fairlead_canon::{Address, Batch, EntityId, Headers, Kind, Message, Promise};
use fairlead_ports::{Action, Op, Ops, Place, StoreError, Unit};
use fairlead_topology::{Stream, StreamKey};
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::admission::Admitted;
use crate::live::Listener;
use crate::metrics::DropReason;
use crate::reach::{Reached, target};
use crate::verb::{Content, Pending, Publish, PutDocument, To};
use crate::{Caller, Error, Reason};

/// Routes that a caller remembers, for as long as neither topology nor subscriptions change.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    generation: (u64, u64),
    known: HashMap<Address, Route, RandomState>,
}

/// What is remembered of an address.
#[derive(Debug)]
struct Route {
    plan: Arc<Plan>,
    /// The policy let this caller publish there.
    is_admitted: bool,
}

/// Where messages at one address go.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) streams: Vec<(Arc<Stream>, bool)>,
    pub(crate) listeners: Vec<Listener>,
}

/// Where one publish goes.
struct Aim<'a> {
    plan: Option<Arc<Plan>>,
    /// The lane that was asked for by number, and its stream.
    lane: Option<(EntityId, &'a StreamKey)>,
    own_mailbox: Option<&'a StreamKey>,
    /// What the queues it leads to do when they are full: refuse it for themselves, or for all.
    place: Place,
}

/// What a publish comes to.
#[derive(Default)]
struct Staged {
    ops: Ops,
    bytes: usize,
    /// How many it reaches.
    matched: usize,
    /// Room that was taken in queues.
    admitted: Admitted,
    /// Whether a queue was full and refused it for itself.
    is_refused: bool,
}

impl Plan {
    pub(crate) fn new(streams: Vec<(Arc<Stream>, bool)>, listeners: Vec<Listener>) -> Self {
        Self { streams, listeners }
    }

    /// Whether it leads anywhere but to this stream.
    pub(crate) fn leads_beyond(&self, key: &StreamKey) -> bool {
        !self.listeners.is_empty() || self.streams.iter().any(|(stream, _)| stream.key != *key)
    }
}

impl Routes {
    /// Most addresses a caller remembers. A client with more pays a look-up per message.
    const KNOWN_MAX: usize = 256;

    fn remember(&mut self, address: Address, plan: Arc<Plan>) {
        if self.known.len() >= Self::KNOWN_MAX {
            self.known.clear();
        }
        let is_admitted = false;
        self.known.insert(address, Route { plan, is_admitted });
    }
}

impl Caller {
    /// Stages a publish: live readers are shown it and the store is given the rest with the next
    /// [`Caller::flush`]. A refusal means that nothing was staged.
    ///
    /// A queue that is full and refuses a message refuses it for itself alone, and the receipt says
    /// so. Where something else must be kept or not together with it (documents, a batch, the rest
    /// of a transaction), nothing is kept. A message without a key for a log that keeps the newest of
    /// each key is `Denied`.
    pub fn publish(&mut self, publish: Publish<'_>) -> Result<Pending, Error> {
        let Publish {
            to,
            ref content,
            promise,
            own_mailbox,
            ..
        } = publish;
        let headers = match content {
            Content::Message(message) => Some(&message.headers),
            Content::Batch(_) => None,
        };
        let is_alone = publish.with.is_empty() && headers.is_some() && !self.outbox.is_joint();
        let place = if is_alone { Place::IfRoom } else { Place::Next };
        let aim = Aim {
            place,
            ..self.aim(to, headers, own_mailbox)?
        };
        check_size(content.len())?;
        let mut staged = Staged::default();
        if !publish.with.is_empty() {
            staged.ops = documents(self.space, publish.with);
        }
        match publish.content {
            Content::Message(mut message) => {
                message.origin = self.origin;
                self.publish_message(message, &aim, &mut staged)?;
            }
            Content::Batch(batch) => self.publish_batch(batch, to, &aim, &mut staged)?,
        }
        Ok(self.stage_publish(staged, promise))
    }

    fn stage_publish(&mut self, staged: Staged, promise: Promise) -> Pending {
        let pending = self.outbox.next();
        let matched = u32::try_from(staged.matched).unwrap_or(u32::MAX);
        let receipt = (promise != Promise::Nothing).then_some((pending, matched));
        let promise = promise.max(Promise::Accepted);
        if !staged.admitted.is_empty() {
            self.outbox.note_admitted(staged.admitted);
        }
        if !staged.ops.is_empty() {
            let ops = staged.ops;
            let unit = Unit { ops, promise };
            self.outbox.stage(unit, staged.bytes, receipt);
        } else if receipt.is_some() {
            self.outbox.stage_receipt(pending, matched);
        }
        match (staged.is_refused, receipt) {
            (true, Some(_)) => self.outbox.refuse(pending),
            // Nobody waits to hear of it.
            (true, None) => self.meters.failed(&full()),
            (false, _) => {}
        }
        pending
    }

    /// Hands what was staged to the store and wakes live readers. Call it once per socket read.
    pub fn flush(&mut self) {
        self.show();
        if self.outbox.is_staged() {
            let store = &*self.kernel.backing.store;
            let told = (&mut *self.ready, &*self.meters);
            self.outbox.flush(store, &self.kernel.undertaker, told);
        }
    }

    /// Whether so much is under way that the connection should stop reading until
    /// [`Caller::event`] has given receipts.
    pub fn is_full(&self) -> bool {
        // Who has nothing under way would never be told that the store has caught up.
        let is_held = self.outbox.is_flying() && self.kernel.backing.store.is_busy();
        is_held || self.outbox.is_full()
    }

    /// Whether every receipt has been given and nothing is staged.
    pub fn is_settled(&self) -> bool {
        self.outbox.is_empty() && self.ready.is_empty()
    }

    /// Whether anything at all is bound to an address or listens to it.
    pub fn is_bound(&mut self, address: &Address) -> bool {
        let plan = self.plan(address, None);
        !plan.streams.is_empty() || !plan.listeners.is_empty()
    }

    fn aim<'a>(
        &mut self,
        to: To<'a>,
        headers: Option<&Headers>,
        own_mailbox: Option<&'a StreamKey>,
    ) -> Result<Aim<'a>, Error> {
        let (lane, addresses) = match to {
            To::Address(address) => (None, slice::from_ref(address)),
            To::Addresses(addresses) => (None, addresses),
            To::Lane {
                stream,
                lane,
                address,
            } => {
                let entity = self.lane_of(stream, lane)?;
                (
                    Some((entity, stream)),
                    address.map_or(&[][..], slice::from_ref),
                )
            }
        };
        let plan = match addresses {
            [] => None,
            [only] => Some(self.admitted_plan(only, headers)?),
            several => {
                for address in several {
                    self.admit(&Action::Publish(address))?;
                }
                Some(self.plan_for_all(several, headers))
            }
        };
        Ok(Aim {
            plan,
            lane,
            own_mailbox,
            place: Place::Next,
        })
    }

    fn lane_of(&self, stream: &StreamKey, lane: u32) -> Result<EntityId, Error> {
        let found = self.kernel.topology(|topology| {
            let lanes = &topology.stream(stream)?.lanes;
            usize::try_from(lane)
                .ok()
                .and_then(|lane| lanes.get(lane))
                .copied()
        });
        found.ok_or_else(|| {
            Error::peer(
                Reason::Unknown,
                format!("lane {lane} of {:?}", &*stream.name),
            )
        })
    }

    /// Where messages go at an address to which this caller may publish. What the policy let through
    /// is remembered with the route: grants are part of the topology.
    fn admitted_plan(
        &mut self,
        address: &Address,
        headers: Option<&Headers>,
    ) -> Result<Arc<Plan>, Error> {
        if let Some(route) = self.routes().known.get(address)
            && route.is_admitted
        {
            return Ok(Arc::clone(&route.plan));
        }
        let asked_at = self.routes().generation;
        self.admit(&Action::Publish(address))?;
        let plan = self.plan(address, headers);
        let routes = self.routes();
        // Not if the grants have changed since the policy was asked.
        let is_current = routes.generation == asked_at;
        if let Some(route) = routes.known.get_mut(address) {
            route.is_admitted = is_current;
        }
        Ok(plan)
    }

    pub(crate) fn plan(&mut self, address: &Address, headers: Option<&Headers>) -> Arc<Plan> {
        if let Some(route) = self.routes().known.get(address) {
            return Arc::clone(&route.plan);
        }
        let none = Headers::default();
        let kernel = &self.kernel;
        let route = kernel.topology(|t| t.route(address, headers.unwrap_or(&none)));
        let listeners = kernel.subscriptions.listeners(address);
        let plan = Arc::new(Plan::new(route.streams, listeners));
        if !route.by_headers {
            self.routes().remember(address.clone(), Arc::clone(&plan));
        }
        plan
    }

    /// The routes that still hold.
    fn routes(&mut self) -> &mut Routes {
        let kernel = &self.kernel;
        let generation = (kernel.atlas.generation(), kernel.subscriptions.generation());
        let routes = self.routes.get_or_insert_default();
        if routes.generation != generation {
            routes.known.clear();
            routes.generation = generation;
        }
        routes
    }

    fn publish_message(
        &mut self,
        message: Message,
        aim: &Aim<'_>,
        staged: &mut Staged,
    ) -> Result<(), Error> {
        let mut reached = self.reached(&message, aim);
        if reached.lacks_key(&message) {
            return Err(keyless());
        }
        if reached.is_refused() && aim.place != Place::IfRoom {
            return Err(full());
        }
        self.meters.published.inc();
        if let Some((entity, _)) = aim.lane {
            reached.add_entity(entity);
        }
        staged.is_refused = reached.is_refused();
        staged.matched = reached.count() + usize::from(staged.is_refused);
        if message.terms.latest {
            reached.add_entity(self.kernel.latest);
        }
        reached.send_on(&message, &self.kernel.undertaker);
        let time = message.terms.accepted_at;
        (staged.bytes, staged.admitted) = reached.stage(&message, time, &mut staged.ops);
        let plan = aim.plan.as_ref();
        if let Some(plan) = plan.filter(|plan| !plan.listeners.is_empty()) {
            staged.matched += self.serve_live(message, plan);
        }
        if staged.matched == 0 {
            self.meters.unrouted.inc();
        }
        Ok(())
    }

    /// A batch goes to its lane as it is; whatever else is bound gets its messages one by one.
    fn publish_batch(
        &mut self,
        batch: Batch,
        to: To<'_>,
        aim: &Aim<'_>,
        staged: &mut Staged,
    ) -> Result<(), Error> {
        self.meters.published.inc_by(u64::from(batch.count));
        let (entity, address) = match (aim.lane, to) {
            (Some((entity, _)), To::Lane { address, .. }) => (entity, address),
            _ => return Err(Error::us(Reason::Unsupported, "a batch without a lane")),
        };
        staged.bytes = batch.bytes.len();
        staged.matched = 1;
        // Others see what is in a transaction at its end.
        if let (Some(plan), Some(address)) = (&aim.plan, address)
            && !batch.flags.transactional
            && (plan.streams.len() > 1 || !plan.listeners.is_empty())
        {
            let opened = batch.open(address).map_err(|damage| {
                Error::peer(Reason::Malformed, format!("record batch: {damage}"))
            })?;
            let mut reached = 0;
            for opened in opened {
                self.meters.lost(self.origin, opened.loss);
                let message = Message {
                    origin: self.origin,
                    ..opened.message
                };
                let to = self.reached(&message, aim);
                if to.lacks_key(&message) {
                    return Err(keyless());
                }
                if to.is_refused() {
                    return Err(full());
                }
                reached = reached.max(to.count());
                let time = message.terms.accepted_at;
                let (bytes, admitted) = to.stage(&message, time, &mut staged.ops);
                staged.bytes += bytes;
                staged.admitted.join(admitted);
                reached = reached.max(self.serve_live(message, plan));
            }
            staged.matched += reached;
        }
        if staged.ops.len() >= Unit::OPS_MAX {
            let detail = "a batch whose messages are bound one by one has too many of them";
            return Err(Error::peer(Reason::TooLarge, detail));
        }
        let expected = match batch.flags.transactional {
            true => Some(self.kernel.transactions.admit(&batch, entity)?),
            false => None,
        };
        let to = [target(entity)].into();
        let own = expected.into_iter().chain([Op::Append { to, batch }]);
        staged.ops.insert_many(0, own);
        Ok(())
    }

    /// Where one message goes, the lane that was asked for by number apart.
    fn reached(&self, message: &Message, aim: &Aim<'_>) -> Reached {
        let mut reached = Reached::new(aim.place);
        for (stream, no_local) in aim.plan.iter().flat_map(|plan| &plan.streams) {
            let is_own = *no_local && aim.own_mailbox == Some(&stream.key);
            let is_done = aim.lane.is_some_and(|(_, key)| *key == stream.key);
            if !is_own && !is_done && stream.kind != Kind::Latest {
                let publisher = self.publisher.as_deref().unwrap_or(&self.inbox.who.client);
                let by = (message, &publisher.as_bytes()[..]);
                reached.add(&self.kernel.hub, stream, by);
            }
        }
        reached
    }

    /// Stages a message for everything that it is bound to but the stream of a lane where it is
    /// already; the bytes it takes, and the room that was taken for it. `Full` when there is none. Where a
    /// key is asked for and it has none it is left out, and counted.
    pub(crate) fn stage_beyond(
        &self,
        lane: (EntityId, &StreamKey),
        (message, plan): (&Message, &Arc<Plan>),
        ops: &mut Ops,
    ) -> Result<(usize, Admitted), Error> {
        let aim = Aim {
            plan: Some(Arc::clone(plan)),
            lane: Some(lane),
            own_mailbox: None,
            place: Place::Next,
        };
        let reached = self.reached(message, &aim);
        if reached.is_refused() {
            return Err(full());
        }
        if reached.lacks_key(message) {
            self.meters.dropped(DropReason::Keyless);
        }
        Ok(reached.stage(message, message.terms.accepted_at, ops))
    }
}

pub(crate) fn documents(space: fairlead_ports::Space, with: Vec<PutDocument>) -> Ops {
    let mut ops = Ops::new();
    for document in &with {
        if let Some(version) = document.expect {
            ops.push(Op::Expect {
                space,
                key: document.key.clone(),
                version,
            });
        }
    }
    for PutDocument {
        key, value, due, ..
    } in with
    {
        ops.push(Op::Put {
            space,
            key,
            value,
            due,
        });
    }
    ops
}

pub(crate) fn check_size(bytes: usize) -> Result<(), Error> {
    let max = fairlead_canon::limits::BODY_BYTES_MAX;
    if bytes > max {
        let detail = format!("{bytes} bytes, at most {max} are kept");
        return Err(Error::peer(Reason::TooLarge, detail));
    }
    Ok(())
}

fn full() -> Error {
    StoreError::Full { limit: "entity" }.into()
}

fn keyless() -> Error {
    let detail = "a compacted log takes no message without a key";
    Error::peer(Reason::Denied, detail)
}
