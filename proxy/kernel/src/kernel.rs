//! The kernel: what all callers share.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fairlead_canon::{Class, EntityId, Kind, Origin, Pattern, Principal, SizeLimits, Text};
use fairlead_ports::{
    Action, BoxFuture, Clock, ConnInfo, Directory, Documents, Entropy, Login, Policy, Progress,
    Store, Verdict,
};
use fairlead_topology::{Change, Family, NewStream, Stream, StreamKey, Topology};
use prometheus::IntGauge;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::arrivals::Arrivals;
use crate::atlas::{Atlas, AtlasDirectory};
use crate::caller::Caller;
use crate::claim::Claims;
use crate::coming::Comings;
use crate::condition::Conditions;
use crate::delay::Delays;
use crate::ground::Ground;
use crate::group::Groups;
use crate::house::{House, Keyless};
use crate::hub::Hub;
use crate::janitor::Janitor;
use crate::live::Subscriptions;
use crate::metrics::{Meters, Metrics};
use crate::moving::Moving;
use crate::registrar::{Registrar, Request, restore};
use crate::roll::Roll;
use crate::tally;
use crate::txn::Transactions;
use crate::undertaker::Undertaker;
use crate::{Depth, Error, Extent, Reason};

/// What a kernel stands on.
#[derive(Clone, Debug)]
pub struct Backing {
    /// Where messages live.
    pub store: Arc<dyn Store>,
    /// Where documents live; units of `store` write them.
    pub documents: Arc<dyn Documents>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// The verbs' home. One per process, shared by all connections.
#[derive(Debug)]
pub struct Kernel {
    pub(crate) backing: Backing,
    pub(crate) atlas: Arc<Atlas>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) arrivals: Arc<Arrivals>,
    pub(crate) subscriptions: Arc<Subscriptions>,
    pub(crate) claims: Arc<Claims>,
    pub(crate) comings: Comings,
    pub(crate) groups: Arc<Groups>,
    pub(crate) transactions: Arc<Transactions>,
    pub(crate) janitor: Arc<Janitor>,
    pub(crate) undertaker: Arc<Undertaker>,
    pub(crate) delays: Arc<Delays>,
    pub(crate) conditions: Arc<Conditions>,
    pub(crate) policy: Arc<dyn Policy>,
    pub(crate) roll: Arc<Roll>,
    pub(crate) metrics: Metrics,
    sessions: IntGauge,
    pub(crate) registrar: mpsc::Sender<Request>,
    pub(crate) ground: Ground,
    /// Holds the latest value of every address.
    pub(crate) latest: EntityId,
    callers: AtomicU64,
    opened: Instant,
}

/// One stream with its sizes, for lists.
#[derive(Clone, Debug)]
pub struct Overview {
    /// The stream.
    pub stream: Arc<Stream>,
    /// Sum over its lanes.
    pub depth: Depth,
    /// Bytes kept, summed over its lanes.
    pub bytes: u64,
}

impl Kernel {
    /// Reads what was kept and starts the background tasks on the current runtime. `policy` is made
    /// from the directory of users that was read.
    pub async fn open(
        backing: Backing,
        policy: impl FnOnce(Arc<dyn Directory>) -> Arc<dyn Policy>,
    ) -> Result<Arc<Self>, Error> {
        let (topology, reserved) = restore(&*backing.documents).await?;
        let atlas = Arc::new(Atlas::new(topology));
        let arrivals = Arc::new(Arrivals::default());
        let undertaker = Arc::new(Undertaker::default());
        let hub = Arc::new(Hub::new(
            Arc::clone(&arrivals),
            Arc::clone(&undertaker),
            Arc::clone(&backing.clock),
        ));
        backing
            .store
            .watch(Arc::clone(&hub) as Arc<dyn fairlead_ports::Watcher>);
        let directory: Arc<dyn Directory> = Arc::new(AtlasDirectory(Arc::clone(&atlas)));
        let policy = policy(directory);
        let roll = Arc::new(Roll::new(Arc::clone(&policy)));
        let ground = Ground {
            atlas: Arc::clone(&atlas),
            hub: Arc::clone(&hub),
            roll: Arc::clone(&roll),
            store: Arc::clone(&backing.store),
            clock: Arc::clone(&backing.clock),
        };
        let registrar = Registrar {
            ground: ground.clone(),
            reserved,
            moving: Moving::default(),
        };
        let registrar = registrar.start();
        let own = (&*atlas, &registrar);
        let plain = SizeLimits::default();
        let latest = own_stream(own, "latest", (Kind::Latest, plain)).await?;
        let delayed = own_stream(own, "delayed", (Kind::Queue, Delays::LIMITS)).await?;
        let delays = Arc::new(Delays::new(delayed));
        hub.delays(&delays);
        let conditions = Arc::clone(hub.conditions());
        let janitor = Janitor::start(Arc::clone(&atlas), Arc::clone(&hub), registrar.clone());
        let subscriptions = Arc::new(Subscriptions::default());
        let unmeasured =
            |error: prometheus::Error| Error::us(Reason::Unavailable, error.to_string());
        let metrics = Metrics::new().map_err(unmeasured)?;
        let sessions = tally::sessions(metrics.registry()).map_err(unmeasured)?;
        let house = House {
            atlas: Arc::clone(&atlas),
            hub: Arc::clone(&hub),
            store: Arc::clone(&backing.store),
            clock: Arc::clone(&backing.clock),
            subscriptions: Arc::clone(&subscriptions),
            undertaker: Arc::clone(&undertaker),
            latest,
            buried: metrics.buried(),
            displaced: metrics.displaced().clone(),
            meters: metrics.meters("node", "tasks").map_err(unmeasured)?,
            keyless: Keyless::default(),
        };
        house.start(&delays).await?;
        let transactions = Transactions::open(backing.clone(), metrics.registry()).await?;
        Ok(Arc::new(Self {
            backing,
            atlas,
            hub,
            arrivals,
            subscriptions,
            claims: Arc::new(Claims::default()),
            comings: Comings::default(),
            groups: Groups::start(),
            transactions,
            janitor,
            undertaker,
            delays,
            conditions,
            policy,
            roll,
            metrics,
            sessions,
            registrar,
            ground,
            latest,
            callers: AtomicU64::new(1),
            opened: Instant::now(),
        }))
    }

    /// The login mechanisms that this connection may use, best first.
    pub fn mechanisms(&self, conn: &ConnInfo) -> &'static [&'static str] {
        self.policy.mechanisms(conn)
    }

    /// Begins a login conversation.
    pub fn greet(&self, conn: &ConnInfo, mechanism: &str) -> Result<Box<dyn Login>, Error> {
        self.policy.login(conn, mechanism).ok_or_else(|| {
            Error::peer(
                Reason::Unsupported,
                format!("login mechanism {mechanism:?}"),
            )
        })
    }

    /// How much of what a pattern matches the rules let somebody read; `Denied` where that is nothing.
    pub fn may_subscribe(&self, who: &Principal, pattern: &Pattern) -> Result<Extent, Error> {
        match self.policy.admit(who, &Action::Subscribe(pattern)) {
            Verdict::Yes => Ok(Extent::Whole),
            Verdict::Part(_) => Ok(Extent::Part),
            Verdict::No(denied) => Err(denied.into()),
        }
    }

    /// Lets a principal in. `protocol` and `origin` are those of its translator, whose name space
    /// of documents the caller sees.
    pub fn enter(
        self: &Arc<Self>,
        conn: &ConnInfo,
        who: Principal,
        (protocol, origin): (&'static str, Origin),
    ) -> Result<Caller, Error> {
        let meters = self.meters(protocol, &conn.listener)?;
        let id = self.callers.fetch_add(1, Ordering::Relaxed);
        let caller = Caller::new(Arc::clone(self), id, (who, origin), meters);
        let admitted = caller.admit(&Action::Connect(conn));
        if let Err(denied) = admitted.and_then(|()| self.roll.enter(&caller)) {
            caller.meters.logins_refused.inc();
            return Err(denied);
        }
        caller.meters.logins_accepted.inc();
        self.introduce(protocol, origin);
        Ok(caller)
    }

    /// Names the protocol by which messages of an origin come, before any of its connections does.
    pub fn introduce(&self, protocol: &'static str, origin: Origin) {
        self.metrics.introduce(origin, protocol);
    }

    /// The counters of a listener; looked up once per connection and held.
    pub fn meters(&self, protocol: &'static str, listener: &str) -> Result<Arc<Meters>, Error> {
        let found = self.metrics.meters(protocol, listener);
        found.map_err(|error| Error::us(Reason::Unavailable, error.to_string()))
    }

    /// The counters of all listeners of a protocol.
    pub fn meters_of(&self, protocol: &str) -> Vec<Arc<Meters>> {
        self.metrics.meters_of(protocol)
    }

    /// All metrics, in the text format of Prometheus.
    pub fn metrics_page(&self) -> String {
        let sessions = i64::try_from(self.kept_mailboxes());
        self.sessions.set(sessions.unwrap_or(i64::MAX));
        self.metrics
            .page(self.condition())
            .unwrap_or_else(|error| format!("# {error}\n"))
    }

    /// Copies what the durable store holds into a directory of the node's disk, while it goes on.
    /// Resolves to the bytes copied.
    pub fn backup(&self, to: PathBuf) -> BoxFuture<'static, io::Result<u64>> {
        self.backing.store.backup(to)
    }

    /// The last change of a stream's class for which it was copied, if nothing was since.
    pub fn progress(&self, stream: &Stream) -> Option<Progress> {
        let lane = stream.lanes.first()?;
        self.backing.store.progress(*lane)
    }

    /// Where other rooms register what they count.
    pub fn metrics_registry(&self) -> &prometheus::Registry {
        self.metrics.registry()
    }

    /// How long it has been open.
    pub fn uptime(&self) -> Duration {
        self.opened.elapsed()
    }

    /// The clock that stamps messages.
    pub fn clock(&self) -> &dyn Clock {
        &*self.backing.clock
    }

    /// Randomness for names and numbers.
    pub fn entropy(&self) -> &dyn Entropy {
        &*self.backing.entropy
    }

    /// Looks at what exists; `look` is short and does not wait.
    pub fn topology<R>(&self, look: impl FnOnce(&Topology) -> R) -> R {
        self.atlas.read(look)
    }

    /// A caller for the operator's own commands.
    pub fn operator(self: &Arc<Self>) -> Result<Caller, Error> {
        let who = Principal {
            name: Text::from_static("operator"),
            ..Principal::anonymous()
        };
        let id = self.callers.fetch_add(1, Ordering::Relaxed);
        Ok(Caller::new(
            Arc::clone(self),
            id,
            (who, Origin(0)),
            self.meters("operator", "admin")?,
        ))
    }

    /// The wanted streams with their sizes, by name, after `after`, at most `max`.
    pub async fn overview(
        &self,
        wants: impl Fn(&Stream) -> bool,
        after: Option<&str>,
        max: usize,
    ) -> Vec<Overview> {
        let mut streams: Vec<Arc<Stream>> = self.topology(|topology| {
            let own = topology.streams().filter(|stream| wants(stream.as_ref()));
            own.filter(|s| after.is_none_or(|after| &*s.key.name > after))
                .cloned()
                .collect()
        });
        streams.sort_unstable_by(|a, b| a.key.name.cmp(&b.key.name));
        streams.truncate(max);
        let mut overviews = Vec::with_capacity(streams.len());
        for stream in streams {
            overviews.push(self.measure(stream).await);
        }
        overviews
    }

    async fn measure(&self, stream: Arc<Stream>) -> Overview {
        // A stream that is removed meanwhile counts as empty.
        let (depth, bytes) = self.sizes_of(&stream).await.unwrap_or_default();
        Overview {
            stream,
            depth,
            bytes,
        }
    }

    /// How much is in a queue or mailbox, summed over its lanes.
    pub(crate) async fn depth_of(&self, stream: &Stream) -> Result<Depth, Error> {
        self.sizes_of(stream).await.map(|(depth, _)| depth)
    }

    /// How much is in the lanes of a stream, and how many bytes.
    async fn sizes_of(&self, stream: &Stream) -> Result<(Depth, u64), Error> {
        let (mut depth, mut bytes) = (Depth::default(), 0);
        for lane in &stream.lanes {
            let log = self.backing.store.open(*lane)?;
            let marks = log.marks().await?;
            let damaged = self.hub.damaged().count(*lane, &*log).await?;
            let (unsettled, members) = match self.hub.get(*lane) {
                Some(hot) => {
                    let number = hot.number_of(*lane);
                    hot.with(|queue| (queue.unsettled(number) as u64, queue.members()))
                }
                None => (0, 0),
            };
            depth.ready += marks.count.saturating_sub(unsettled + damaged);
            depth.damaged += damaged;
            depth.unsettled += unsettled;
            // The lanes of a queue have their consumers in common.
            depth.consumers = depth
                .consumers
                .max(u32::try_from(members).unwrap_or(u32::MAX));
            bytes += marks.bytes;
        }
        Ok((depth, bytes))
    }
}

/// The entity of a stream of the kernel's own; made at the first start.
async fn own_stream(
    (atlas, registrar): (&Atlas, &mpsc::Sender<Request>),
    name: &'static str,
    (kind, limits): (Kind, SizeLimits),
) -> Result<EntityId, Error> {
    let key = StreamKey::new(Family::Latest, name);
    if atlas.read(|topology| topology.stream(&key).is_none()) {
        let new = NewStream {
            limits,
            ..NewStream::new(key.clone(), kind, Class::Local, Origin(0))
        };
        crate::declare::ask(registrar, vec![Change::CreateStream(new)]).await?;
    }
    let lane = atlas.read(|topology| topology.stream(&key)?.lanes.first().copied());
    lane.ok_or_else(|| Error::us(Reason::Unavailable, format!("stream {name} has no lane")))
}
