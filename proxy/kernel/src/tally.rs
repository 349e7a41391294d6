//! How much there is and was, for those who tell it to others.

use prometheus::{IntGauge, Registry};

use crate::Kernel;

/// The gauge of kept mailboxes, which is set when it is looked at.
pub(crate) fn sessions(registry: &Registry) -> Result<IntGauge, prometheus::Error> {
    let gauge = IntGauge::new(
        "fairlead_sessions",
        "Sessions that outlive their connections, whether their clients are connected or away.",
    )?;
    registry.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}

impl Kernel {
    /// Mailboxes that outlive connections.
    pub fn kept_mailboxes(&self) -> u64 {
        self.topology(fairlead_topology::Topology::kept_mailboxes)
    }

    /// Mailboxes removed, since the start, because their owner did not come back in time.
    pub fn expired_mailboxes(&self) -> u64 {
        self.janitor.expired_mailboxes()
    }

    /// Messages that made room in full queues, since the start.
    pub fn displaced_messages(&self) -> u64 {
        self.metrics.displaced().get()
    }

    /// Addresses with a latest value; `None` when the store does not tell.
    pub async fn retained_messages(&self) -> Option<u64> {
        let log = self.backing.store.open(self.latest).ok()?;
        log.marks().await.ok().map(|marks| marks.count)
    }
}
