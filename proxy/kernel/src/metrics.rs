//! What is counted. Labels come from closed sets; counters are looked up once and held.

use std::collections::BTreeMap;
use std::sync::Arc;

use fairlead_canon::{DeadReason, Loss, LossCode, Origin};
use fairlead_ports::Condition;
use parking_lot::Mutex;
use prometheus::{
    Encoder, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::{Blame, ClosedReason, Error, Reason};

/// All metrics of the process.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    families: Arc<Families>,
    /// One for each listener, one for the operator, and one for the tasks behind queues.
    held: Mutex<Vec<Arc<Meters>>>,
    condition: IntGaugeVec,
    buried: Buried,
    displaced: IntCounter,
}

/// Dead messages that were moved on.
#[derive(Clone, Debug)]
pub(crate) struct Buried {
    /// By why they died.
    moved: [(DeadReason, IntCounter); 4],
    /// Deaths left out of a history that would have become too long.
    pub(crate) forgotten: IntCounter,
}

impl Buried {
    pub(crate) fn count(&self, why: DeadReason) {
        let counters = self.moved.iter().filter(|(reason, _)| *reason == why);
        counters.for_each(|(_, counter)| counter.inc());
    }
}

#[derive(Debug)]
struct Families {
    connections: IntGaugeVec,
    resting: IntGaugeVec,
    opened: IntCounterVec,
    closed: IntCounterVec,
    published: IntCounterVec,
    delivered: IntCounterVec,
    redelivered: IntCounterVec,
    expired: IntCounterVec,
    unrouted: IntCounterVec,
    dropped: IntCounterVec,
    received_bytes: IntCounterVec,
    sent_bytes: IntCounterVec,
    signs: IntCounterVec,
    errors: IntCounterVec,
    logins_accepted: IntCounterVec,
    logins_refused: IntCounterVec,
    banned: IntCounterVec,
    losses: IntCounterVec,
    /// The words of those from whom messages come.
    origins: Mutex<BTreeMap<Origin, &'static str>>,
}

/// The counters of one listener.
#[derive(Debug)]
pub struct Meters {
    /// Connections open.
    pub connections: IntGauge,
    /// Those of them that rest.
    pub resting: IntGauge,
    /// Connections accepted.
    pub opened: IntCounter,
    /// Messages published.
    pub published: IntCounter,
    /// Messages handed to a session for sending.
    pub delivered: IntCounter,
    /// Those of them that were possibly delivered before.
    pub redelivered: IntCounter,
    /// Messages not delivered because their deadline had passed.
    pub expired: IntCounter,
    /// Publishes that nothing was bound for.
    pub unrouted: IntCounter,
    /// Bytes read from sockets.
    pub received_bytes: IntCounter,
    /// Bytes written to sockets.
    pub sent_bytes: IntCounter,
    /// Signs of life of connections that rest: a packet came, and one was sent.
    pub signs: IntCounter,
    /// Clients let in, with or without a login.
    pub logins_accepted: IntCounter,
    /// Logins refused.
    pub logins_refused: IntCounter,
    /// Clients kept out because they came too often.
    pub banned: IntCounter,
    dropped: [IntCounter; DropReason::ALL.len()],
    closed: [IntCounter; ClosedReason::ALL.len()],
    errors_peer: [IntCounter; Reason::ALL.len()],
    errors_us: [IntCounter; Reason::ALL.len()],
    /// By whose message it was, one for each code; looked up at the first loss.
    losses: Mutex<BTreeMap<Origin, Vec<IntCounter>>>,
    protocol: &'static str,
    listener: Box<str>,
    families: Arc<Families>,
}

/// Why a message that nobody was promised did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// The reader was too slow for its queue of live messages.
    SlowReader,
    /// Above the reader's own maximum size.
    TooLargeForReader,
    /// The reader's protocol cannot hold it.
    Inexpressible,
    /// It has no key, and the log keeps the newest message of each.
    Keyless,
    /// Its reader may not have it: what it asked for is granted in part, or no more.
    NotGranted,
}

impl DropReason {
    const ALL: [Self; 5] = [
        Self::SlowReader,
        Self::TooLargeForReader,
        Self::Inexpressible,
        Self::Keyless,
        Self::NotGranted,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::SlowReader => "slow_reader",
            Self::TooLargeForReader => "too_large_for_reader",
            Self::Inexpressible => "inexpressible",
            Self::Keyless => "keyless",
            Self::NotGranted => "not_granted",
        }
    }
}

impl Metrics {
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let family = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(family.clone()))?;
            Ok::<_, prometheus::Error>(family)
        };
        let gauge = |name: &str, help: &str| {
            let family = IntGaugeVec::new(Opts::new(name, help), &["protocol", "listener"])?;
            registry.register(Box::new(family.clone()))?;
            Ok::<_, prometheus::Error>(family)
        };
        let condition = IntGaugeVec::new(
            Opts::new(
                "fairlead_store_condition",
                "1 at the condition that the store is in.",
            ),
            &["condition"],
        )?;
        registry.register(Box::new(condition.clone()))?;
        let buried = counter(
            "fairlead_messages_dead_lettered_total",
            "Dead messages moved to where their queue's dead letters go, or dropped there, by reason.",
            &["reason"],
        )?;
        let buried = |reason: DeadReason| {
            let counter = buried.get_metric_with_label_values(&[reason.word()])?;
            Ok::<_, prometheus::Error>((reason, counter))
        };
        let moved = [
            buried(DeadReason::Rejected)?,
            buried(DeadReason::Expired)?,
            buried(DeadReason::MaxLen)?,
            buried(DeadReason::DeliveryLimit)?,
        ];
        let forgotten = IntCounter::new(
            "fairlead_deaths_forgotten_total",
            "Deaths left out of the history of a message that has died too often.",
        )?;
        registry.register(Box::new(forgotten.clone()))?;
        let buried = Buried { moved, forgotten };
        let displaced = IntCounter::new(
            "fairlead_messages_displaced_total",
            "Messages that made room in full queues.",
        )?;
        registry.register(Box::new(displaced.clone()))?;
        let build = IntGaugeVec::new(
            Opts::new("fairlead_build_info", "1, labelled with the version."),
            &["version"],
        )?;
        build
            .get_metric_with_label_values(&[env!("CARGO_PKG_VERSION")])?
            .set(1);
        registry.register(Box::new(build))?;
        let one = &["protocol", "listener"][..];
        let families = Families {
            connections: gauge("fairlead_connections", "Connections open.")?,
            resting: gauge(
                "fairlead_connections_resting",
                "Connections open on which nothing has happened for a while.",
            )?,
            opened: counter(
                "fairlead_connections_opened_total",
                "Connections accepted.",
                one,
            )?,
            closed: counter(
                "fairlead_connections_closed_total",
                "Connections ended, by reason.",
                &["protocol", "listener", "reason"],
            )?,
            published: counter(
                "fairlead_messages_published_total",
                "Messages published.",
                one,
            )?,
            delivered: counter(
                "fairlead_messages_delivered_total",
                "Messages delivered.",
                one,
            )?,
            redelivered: counter(
                "fairlead_messages_redelivered_total",
                "Messages possibly delivered before.",
                one,
            )?,
            expired: counter(
                "fairlead_messages_expired_total",
                "Messages past their deadline.",
                one,
            )?,
            unrouted: counter(
                "fairlead_messages_unrouted_total",
                "Publishes nothing was bound for.",
                one,
            )?,
            dropped: counter(
                "fairlead_messages_dropped_total",
                "Messages that nobody was promised and that did not arrive, by reason.",
                &["protocol", "listener", "reason"],
            )?,
            received_bytes: counter(
                "fairlead_received_bytes_total",
                "Bytes read from sockets.",
                one,
            )?,
            sent_bytes: counter(
                "fairlead_sent_bytes_total",
                "Bytes written to sockets.",
                one,
            )?,
            signs: counter(
                "fairlead_signs_of_life_total",
                "Signs of life that were answered while their connection rested.",
                one,
            )?,
            errors: counter(
                "fairlead_errors_total",
                "Failed operations, by reason and by who has to change something.",
                &["protocol", "listener", "reason", "blame"],
            )?,
            logins_accepted: counter(
                "fairlead_logins_accepted_total",
                "Clients let in, with or without a login.",
                one,
            )?,
            logins_refused: counter("fairlead_logins_refused_total", "Logins refused.", one)?,
            banned: counter(
                "fairlead_clients_banned_total",
                "Connections refused because their client comes too often.",
                one,
            )?,
            losses: counter(
                "fairlead_translate_loss_total",
                "Fields that a conversion could not carry, by protocols of publisher and reader and code.",
                &["from", "to", "code"],
            )?,
            origins: Mutex::default(),
        };
        Ok(Self {
            registry,
            families: Arc::new(families),
            held: Mutex::new(Vec::new()),
            condition,
            buried,
            displaced,
        })
    }

    /// The counters of a listener; made on first use.
    pub(crate) fn meters(
        &self,
        protocol: &'static str,
        listener: &str,
    ) -> Result<Arc<Meters>, prometheus::Error> {
        let mut held = self.held.lock();
        let is_it = |m: &&Arc<Meters>| m.protocol == protocol && &*m.listener == listener;
        if let Some(meters) = held.iter().find(is_it) {
            return Ok(Arc::clone(meters));
        }
        let meters = Arc::new(Meters::new(&self.families, protocol, listener)?);
        held.push(Arc::clone(&meters));
        Ok(meters)
    }

    /// The counters of all listeners of a protocol that have had a client.
    pub(crate) fn meters_of(&self, protocol: &str) -> Vec<Arc<Meters>> {
        let held = self.held.lock();
        let own = held.iter().filter(|meters| meters.protocol == protocol);
        own.cloned().collect()
    }

    /// Everything, in the text format of Prometheus; the store is in this condition.
    pub(crate) fn page(&self, now: Condition) -> Result<String, prometheus::Error> {
        let all = [
            (Condition::Well, "well"),
            (Condition::Full, "full"),
            (Condition::Poisoned, "poisoned"),
        ];
        for (condition, word) in all {
            let gauge = self.condition.get_metric_with_label_values(&[word])?;
            gauge.set(i64::from(condition == now));
        }
        let mut page = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut page)?;
        Ok(String::from_utf8_lossy(&page).into_owned())
    }

    /// The counters of dead messages.
    pub(crate) fn buried(&self) -> Buried {
        self.buried.clone()
    }

    /// The counter of messages that made room in full queues.
    pub(crate) fn displaced(&self) -> &IntCounter {
        &self.displaced
    }

    /// Messages of this origin come by this protocol.
    pub(crate) fn introduce(&self, origin: Origin, protocol: &'static str) {
        self.families.origins.lock().insert(origin, protocol);
    }

    /// Where other rooms register what they count.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }
}

impl Families {
    /// A counter for each code.
    fn losses(&self, from: Origin, to: &'static str) -> Vec<IntCounter> {
        let from = self.origins.lock().get(&from).copied().unwrap_or("unknown");
        let codes = LossCode::ALL.iter();
        // Three labels were declared and three are given, so none is left out.
        codes
            .filter_map(|code| {
                let labels = &[from, to, code.name()];
                self.losses.get_metric_with_label_values(labels).ok()
            })
            .collect()
    }
}

impl Meters {
    fn new(
        families: &Arc<Families>,
        protocol: &'static str,
        listener: &str,
    ) -> Result<Self, prometheus::Error> {
        let one =
            |family: &IntCounterVec| family.get_metric_with_label_values(&[protocol, listener]);
        let by_reason = |family: &IntCounterVec, reason: &str| {
            family.get_metric_with_label_values(&[protocol, listener, reason])
        };
        let errors = |blame: &'static str| {
            lookup(Reason::ALL, |reason| {
                let labels = &[protocol, listener, reason.word(), blame];
                families.errors.get_metric_with_label_values(labels)
            })
        };
        let (connections, resting) = (&families.connections, &families.resting);
        Ok(Self {
            connections: connections.get_metric_with_label_values(&[protocol, listener])?,
            resting: resting.get_metric_with_label_values(&[protocol, listener])?,
            opened: one(&families.opened)?,
            published: one(&families.published)?,
            delivered: one(&families.delivered)?,
            redelivered: one(&families.redelivered)?,
            expired: one(&families.expired)?,
            unrouted: one(&families.unrouted)?,
            received_bytes: one(&families.received_bytes)?,
            sent_bytes: one(&families.sent_bytes)?,
            signs: one(&families.signs)?,
            logins_accepted: one(&families.logins_accepted)?,
            logins_refused: one(&families.logins_refused)?,
            banned: one(&families.banned)?,
            dropped: lookup(DropReason::ALL, |reason| {
                by_reason(&families.dropped, reason.word())
            })?,
            closed: lookup(ClosedReason::ALL, |reason| {
                by_reason(&families.closed, reason.word())
            })?,
            errors_peer: errors("peer")?,
            errors_us: errors("us")?,
            losses: Mutex::default(),
            protocol,
            listener: listener.into(),
            families: Arc::clone(families),
        })
    }

    /// Counts what one conversion of a message from `from` for a reader of this protocol lost.
    pub fn lost(&self, from: Origin, loss: Loss) {
        if loss.is_none() {
            return;
        }
        let mut losses = self.losses.lock();
        let counters = losses
            .entry(from)
            .or_insert_with(|| self.families.losses(from, self.protocol));
        for (code, counter) in LossCode::ALL.iter().zip(counters) {
            if loss.has(*code) {
                counter.inc();
            }
        }
    }

    /// Messages dropped that somebody was to have, for whatever reason.
    pub fn dropped_count(&self) -> u64 {
        let reasons = DropReason::ALL.into_iter();
        let lost = reasons.filter(|reason| *reason != DropReason::NotGranted);
        lost.map(|reason| self.dropped_for(reason)).sum()
    }

    /// Messages dropped for this reason.
    pub fn dropped_for(&self, reason: DropReason) -> u64 {
        let counters = DropReason::ALL.iter().zip(&self.dropped);
        let one = counters.filter(|(one, _)| **one == reason);
        one.map(|(_, counter)| counter.get()).sum()
    }

    /// Counts a dropped message.
    pub fn dropped(&self, reason: DropReason) {
        count(&self.dropped, &DropReason::ALL, reason);
    }

    /// Counts the end of a connection.
    pub fn closed(&self, reason: ClosedReason) {
        count(&self.closed, &ClosedReason::ALL, reason);
    }

    /// Counts a failed operation where it is handled.
    pub fn failed(&self, error: &Error) {
        let counters = match error.blame {
            Blame::Peer => &self.errors_peer,
            Blame::Us => &self.errors_us,
        };
        count(counters, &Reason::ALL, error.reason);
    }
}

fn count<T: PartialEq + Copy>(counters: &[IntCounter], all: &[T], one: T) {
    if let Some((_, counter)) = all.iter().zip(counters).find(|(reason, _)| **reason == one) {
        counter.inc();
    }
}

fn lookup<T, const N: usize>(
    all: [T; N],
    find: impl Fn(&T) -> Result<IntCounter, prometheus::Error>,
) -> Result<[IntCounter; N], prometheus::Error> {
    let found: Vec<IntCounter> = all.iter().map(find).collect::<Result<_, _>>()?;
    found.try_into().map_err(|_too_few: Vec<IntCounter>| {
        prometheus::Error::InconsistentCardinality { expect: N, got: 0 }
    })
}
