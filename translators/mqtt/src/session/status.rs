//! `$SYS/broker/...`: what the server says of itself, under the names that mosquitto's monitoring tools
//! read. Nothing of it is stored or routed: whoever has subscribed gets it from its own session.

use std::time::Duration;

use fairlead_canon::{Address, Message, Promise, RealmId, Terms};
use fairlead_kernel::{Io, Kernel, Meters};
use tokio::time::Instant;

use super::Session;
use super::subscriptions::Entry;
use crate::errors::Fault;
use crate::names;

const ROOT: &str = "$SYS/";

/// Between two reports, as mosquitto does it.
const EVERY: Duration = Duration::from_secs(10);

/// How a value is found.
type Find = fn(&Kernel, &Meters) -> String;

/// Where each value is. Counts are of all listeners; messages are PUBLISH packets.
const VALUES: &[(&str, Find)] = &[
    ("$SYS/broker/version", |_, _| {
        concat!("fairlead version ", env!("CARGO_PKG_VERSION")).to_owned()
    }),
    ("$SYS/broker/uptime", |kernel, _| {
        format!("{} seconds", kernel.uptime().as_secs())
    }),
    ("$SYS/broker/clients/connected", |_, of| {
        of.connections.get().to_string()
    }),
    ("$SYS/broker/clients/active", |_, of| {
        of.connections.get().to_string()
    }),
    ("$SYS/broker/bytes/received", |_, of| {
        of.received_bytes.get().to_string()
    }),
    ("$SYS/broker/bytes/sent", |_, of| {
        of.sent_bytes.get().to_string()
    }),
    ("$SYS/broker/messages/received", |_, of| {
        of.published.get().to_string()
    }),
    ("$SYS/broker/messages/sent", |_, of| {
        of.delivered.get().to_string()
    }),
    ("$SYS/broker/publish/messages/received", |_, of| {
        of.published.get().to_string()
    }),
    ("$SYS/broker/publish/messages/sent", |_, of| {
        of.delivered.get().to_string()
    }),
];

impl Entry {
    /// Whether it asks for what the server says of itself.
    fn asks_for_status(&self) -> bool {
        self.filter.starts_with(ROOT)
    }
}

impl<I: Io> Session<I> {
    /// Begins or ends the reports, after subscriptions have changed.
    pub(super) fn follow_status(&mut self) {
        let is_wanted = self.subscriptions.iter().any(Entry::asks_for_status);
        self.status_due = match self.status_due {
            Some(due) if is_wanted => Some(due),
            Some(_) | None => is_wanted.then(|| Instant::now() + EVERY),
        };
    }

    /// Reports, if it is time.
    pub(super) fn report_status(&mut self) -> Result<(), Fault> {
        let Some(due) = self.status_due.filter(|due| *due <= Instant::now()) else {
            return Ok(());
        };
        self.status_due = Some(due + EVERY);
        let asking = self.subscriptions.iter().filter(|e| e.asks_for_status());
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
        let values = VALUES.iter().filter_map(|(topic, find)| {
            let path = names::path_of(topic.as_bytes())
                .ok()
                .filter(|path| entry.matches(path))?;
            let value = find(kernel, self.caller.meters());
            Some(Message::new(
                Address::new(RealmId::SHARED, path),
                value.into(),
                terms,
            ))
        });
        values.collect()
    }
}
