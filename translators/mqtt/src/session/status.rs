//! `$SYS/broker/...`: what the server says of itself, under the names that mosquitto's monitoring tools
//! read. Nothing of it is stored or routed: whoever has subscribed gets it from its own session.

use bytes::Bytes;
use fairlead_canon::{Address, Message, Promise, RealmId, Terms};
use fairlead_kernel::{Io, Kernel};
use tokio::time::Instant;

use super::Session;
use super::share;
use super::subscriptions::{Entry, Subscriptions};
use crate::census::{LOADS, SPANS, Status, Subscribed};
use crate::errors::Fault;
use crate::names;

const ROOT: &str = "$SYS/";

/// How a value is found.
type Find = fn(&Status) -> String;

/// Where each value is, under `$SYS/broker/`. Counts are of all listeners.
const VALUES: &[(&str, Find)] = &[
    ("version", |_| {
        concat!("fairlead version ", env!("CARGO_PKG_VERSION")).to_owned()
    }),
    ("uptime", |of| format!("{} seconds", of.uptime.as_secs())),
    ("clients/total", |of| {
        (of.connected + of.disconnected).to_string()
    }),
    ("clients/connected", |of| of.connected.to_string()),
    ("clients/active", |of| of.connected.to_string()),
    ("clients/disconnected", |of| of.disconnected.to_string()),
    ("clients/inactive", |of| of.disconnected.to_string()),
    ("clients/expired", |of| of.expired.to_string()),
    ("clients/maximum", |of| of.connected_max.to_string()),
    ("messages/received", |of| {
        of.counts.packets_received.to_string()
    }),
    ("messages/sent", |of| of.counts.packets_sent.to_string()),
    ("publish/messages/received", |of| {
        of.counts.publishes_received.to_string()
    }),
    ("publish/messages/sent", |of| {
        of.counts.publishes_sent.to_string()
    }),
    ("publish/messages/dropped", |of| {
        of.counts.publishes_dropped.to_string()
    }),
    ("publish/bytes/received", |of| {
        of.counts.payload_received.to_string()
    }),
    ("publish/bytes/sent", |of| {
        of.counts.payload_sent.to_string()
    }),
    ("bytes/received", |of| of.counts.bytes_received.to_string()),
    ("bytes/sent", |of| of.counts.bytes_sent.to_string()),
    ("subscriptions/count", |of| of.subscribed.own.to_string()),
    ("shared_subscriptions/count", |of| {
        of.subscribed.shared.to_string()
    }),
    ("retained messages/count", |of| of.retained.to_string()),
    ("heap/current", |of| of.memory.to_string()),
    ("heap/maximum", |of| of.memory_max.to_string()),
];

impl Entry {
    /// Whether it asks for what the server says of itself.
    fn asks_for_status(&self) -> bool {
        self.filter.starts_with(ROOT)
    }
}

/// Subscriptions of all sessions that outlive their connections.
fn kept_subscriptions(kernel: &Kernel) -> Subscribed {
    // Copies, so that nobody who declares something waits until all are read.
    let documents: Vec<Bytes> = kernel.topology(|topology| {
        let kept = topology.streams().filter(|stream| stream.is_kept_mailbox());
        kept.map(|stream| stream.document.clone()).collect()
    });
    let counts = documents.iter().filter_map(Subscriptions::count_in);
    counts.fold(Subscribed::default(), |all, one| Subscribed {
        own: all.own + one.own,
        shared: all.shared + one.shared,
    })
}

/// Every name and what is told under it.
fn values(status: &Status) -> impl Iterator<Item = (String, String)> {
    let plain = VALUES.iter().map(|(name, find)| {
        let topic = format!("{ROOT}broker/{name}");
        (topic, find(status))
    });
    let loads = LOADS.iter().zip(&status.loads.averages);
    let loads = loads.flat_map(|((name, _), averages)| {
        SPANS.iter().zip(averages).map(move |(minutes, average)| {
            let topic = format!("{ROOT}broker/load/{name}/{minutes}min");
            (topic, format!("{average:.2}"))
        })
    });
    plain.chain(loads)
}

impl<I: Io> Session<I> {
    /// Counts the subscriptions, and begins or ends the reports, after they have changed.
    pub(super) fn subscriptions_changed(&mut self) {
        let all = self.subscriptions.len();
        let shared = self.subscriptions.iter();
        let shared = shared.filter(|e| share::is_shared(&e.filter)).count();
        // There are at most a few thousand.
        let count = |count| u16::try_from(count).unwrap_or(u16::MAX);
        self.presence.subscribed(count(all - shared), count(shared));
        let is_wanted = self.subscriptions.iter().any(Entry::asks_for_status);
        self.status_due = match self.status_due.take() {
            Some(due) if is_wanted => Some(due),
            Some(_) | None => {
                is_wanted.then(|| Box::new(Instant::now() + self.settings.sys_interval))
            }
        };
    }

    /// Reports, if it is time.
    pub(super) fn report_status(&mut self) -> Result<(), Fault> {
        let due = self.status_due.as_deref_mut();
        let Some(due) = due.filter(|due| **due <= Instant::now()) else {
            return Ok(());
        };
        *due += self.settings.sys_interval;
        self.look_at_grants();
        let granted = self.subscriptions.iter().filter(|e| !e.is_suspended());
        let asking = granted.filter(|e| e.asks_for_status());
        let asking: Vec<Entry> = asking.cloned().collect();
        for entry in &asking {
            for message in self.status(entry) {
                self.send_fresh(&message, &entry.grant())?;
            }
        }
        Ok(())
    }

    /// What a subscription asks for, as it is at this moment.
    pub(super) fn status(&self, entry: &Entry) -> Vec<Message> {
        if !entry.asks_for_status() {
            return Vec::new();
        }
        let kernel = self.caller.kernel();
        let terms = Terms::accepted(kernel.clock().wall(), Promise::Nothing);
        let census = self.presence.census();
        let within = self.settings.sys_interval;
        let kept = census.kept_subscriptions(within, || kept_subscriptions(kernel));
        let status = census.status(kernel, kept);
        let wanted = values(&status).filter_map(|(topic, value)| {
            let path = names::path_of(topic.as_bytes()).ok()?;
            let address = Address::new(RealmId::SHARED, path);
            let is_wanted = entry.matches(&address.path);
            is_wanted.then(|| Message::new(address, value.into(), terms))
        });
        wanted
            .filter(|message| self.is_heard(entry, message))
            .collect()
    }
}
