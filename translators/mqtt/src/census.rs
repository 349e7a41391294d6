//! What all listeners count together, for clients that ask how the server is. Nothing here is done
//! for each connection but at its beginning and end, and for each turn of one that moves.

mod loads;

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use fairlead_kernel::{Kernel, Meters};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use crate::NAME;
pub(crate) use loads::{LOADS, Loads, SPANS};

/// Between two looks at what changes all the time, as long as mosquitto's own interval.
const EVERY: Duration = Duration::from_secs(10);

/// The counts of all listeners of a process.
#[derive(Debug, Default)]
pub(crate) struct Census {
    sockets: AtomicU64,
    connects: AtomicU64,
    connected: AtomicU64,
    connected_max: AtomicU64,
    /// Those of them whose session outlives the connection.
    kept: AtomicU64,
    /// Of sessions that end with their connections.
    subscriptions: AtomicU64,
    shared: AtomicU64,
    received: Flow,
    sent: Flow,
    /// Of sessions that outlive their connections, and when they were counted.
    kept_subscriptions: Mutex<Option<(Instant, Subscribed)>>,
    is_sampled: AtomicBool,
    sampled: Mutex<Sampled>,
}

/// How many subscriptions there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subscribed {
    /// Those that a client has for itself.
    pub(crate) own: u64,
    /// Those that it has in groups.
    pub(crate) shared: u64,
}

/// Packets in one direction.
#[derive(Debug, Default)]
struct Flow {
    packets: AtomicU64,
    publishes: AtomicU64,
    payload: AtomicU64,
}

/// Packets of one connection in one direction, not counted yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) packets: u32,
    pub(crate) publishes: u32,
    /// Bytes of what they publish.
    pub(crate) payload: u64,
}

/// What is looked at now and then.
#[derive(Clone, Debug, Default)]
struct Sampled {
    retained: u64,
    memory: u64,
    memory_max: u64,
    loads: Loads,
}

/// All of it at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Status {
    pub(crate) uptime: Duration,
    /// Since the start.
    pub(crate) counts: Counts,
    pub(crate) connected: u64,
    /// Sessions that wait for their client.
    pub(crate) disconnected: u64,
    /// Sessions that ended because their client did not come back in time.
    pub(crate) expired: u64,
    pub(crate) connected_max: u64,
    pub(crate) subscribed: Subscribed,
    pub(crate) retained: u64,
    pub(crate) memory: u64,
    pub(crate) memory_max: u64,
    pub(crate) loads: Loads,
}

/// What only grows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) sockets: u64,
    pub(crate) connects: u64,
    pub(crate) packets_received: u64,
    pub(crate) packets_sent: u64,
    pub(crate) publishes_received: u64,
    pub(crate) publishes_sent: u64,
    pub(crate) publishes_dropped: u64,
    pub(crate) payload_received: u64,
    pub(crate) payload_sent: u64,
    pub(crate) bytes_received: u64,
    pub(crate) bytes_sent: u64,
}

impl Census {
    /// A client's socket was accepted. With the first one of a process begins the task that looks at
    /// what is looked at now and then; it ends with the kernel.
    pub(crate) fn opened(self: &Arc<Self>, kernel: &Arc<Kernel>) {
        add(&self.sockets, 1);
        if !self.is_sampled.swap(true, Ordering::Relaxed) {
            // Nobody waits for the task: it ends by itself.
            drop(tokio::spawn(sample(
                Arc::downgrade(self),
                Arc::downgrade(kernel),
            )));
        }
    }

    /// A CONNECT came.
    pub(crate) fn asked(&self) {
        add(&self.connects, 1);
        add(&self.received.packets, 1);
    }

    pub(crate) fn received(&self, traffic: Traffic) {
        self.received.add(traffic);
    }

    pub(crate) fn sent(&self, traffic: Traffic) {
        self.sent.add(traffic);
    }

    /// What `count` finds of sessions that outlive their connections, unless that was found within so long.
    pub(crate) fn kept_subscriptions(
        &self,
        within: Duration,
        count: impl FnOnce() -> Subscribed,
    ) -> Subscribed {
        let mut kept = self.kept_subscriptions.lock();
        let now = Instant::now();
        match *kept {
            Some((at, found)) if now < at + within => found,
            Some(_) | None => {
                let found = count();
                *kept = Some((now, found));
                found
            }
        }
    }

    /// How it is now, when sessions that outlive their connections have these subscriptions.
    pub(crate) fn status(&self, kernel: &Kernel, kept_subscriptions: Subscribed) -> Status {
        let sampled = self.sampled.lock().clone();
        let (connected, kept) = (get(&self.connected), get(&self.kept));
        Status {
            uptime: kernel.uptime(),
            counts: self.counts(kernel),
            connected,
            disconnected: kernel.kept_mailboxes().saturating_sub(kept),
            expired: kernel.expired_mailboxes(),
            connected_max: get(&self.connected_max),
            subscribed: Subscribed {
                own: get(&self.subscriptions) + kept_subscriptions.own,
                shared: get(&self.shared) + kept_subscriptions.shared,
            },
            retained: sampled.retained,
            memory: sampled.memory,
            memory_max: sampled.memory_max,
            loads: sampled.loads,
        }
    }

    fn counts(&self, kernel: &Kernel) -> Counts {
        let meters = kernel.meters_of(NAME);
        let sum = |of: fn(&Meters) -> u64| meters.iter().map(|one| of(one)).sum::<u64>();
        // A sign of life of a client that rests is counted by whoever answers it: one packet each way.
        let signs = sum(|one| one.signs.get());
        Counts {
            sockets: get(&self.sockets),
            connects: get(&self.connects),
            packets_received: get(&self.received.packets) + signs,
            packets_sent: get(&self.sent.packets) + signs,
            publishes_received: get(&self.received.publishes),
            publishes_sent: get(&self.sent.publishes),
            publishes_dropped: sum(Meters::dropped_count) + kernel.displaced_messages(),
            payload_received: get(&self.received.payload),
            payload_sent: get(&self.sent.payload),
            bytes_received: sum(|one| one.received_bytes.get()),
            bytes_sent: sum(|one| one.sent_bytes.get()),
        }
    }

    async fn look(&self, kernel: &Kernel) {
        let counts = self.counts(kernel);
        let retained = kernel.retained_messages().await;
        let memory = memory();
        let mut sampled = self.sampled.lock();
        sampled.loads.note(&counts, Instant::now());
        sampled.retained = retained.unwrap_or(sampled.retained);
        sampled.memory = memory.unwrap_or(sampled.memory);
        sampled.memory_max = sampled.memory_max.max(sampled.memory);
    }
}

async fn sample(census: Weak<Census>, kernel: Weak<Kernel>) {
    while let (Some(census), Some(kernel)) = (census.upgrade(), kernel.upgrade()) {
        census.look(&kernel).await;
        drop((census, kernel));
        sleep(EVERY).await;
    }
}

/// Memory of the process that no file stands behind, in bytes; `None` where the system does not tell.
fn memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

impl Flow {
    fn add(&self, traffic: Traffic) {
        if traffic.packets == 0 {
            return;
        }
        add(&self.packets, traffic.packets.into());
        if traffic.publishes > 0 {
            add(&self.publishes, traffic.publishes.into());
            add(&self.payload, traffic.payload);
        }
    }
}

impl Traffic {
    pub(crate) fn packet(&mut self) {
        self.packets = self.packets.wrapping_add(1);
    }

    pub(crate) fn publish(&mut self, payload: usize) {
        self.publishes = self.publishes.wrapping_add(1);
        self.payload += payload as u64;
    }

    pub(crate) fn join(&mut self, more: Self) {
        self.packets = self.packets.wrapping_add(more.packets);
        self.publishes = self.publishes.wrapping_add(more.publishes);
        self.payload += more.payload;
    }
}

fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}

fn get(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

/// One client that is there; gone from the counts when dropped.
#[derive(Debug)]
pub(crate) struct Presence {
    census: Arc<Census>,
    subscriptions: u16,
    shared: u16,
    is_kept: bool,
}

impl Presence {
    pub(crate) fn of(census: Arc<Census>) -> Self {
        let connected = census.connected.fetch_add(1, Ordering::Relaxed) + 1;
        census.connected_max.fetch_max(connected, Ordering::Relaxed);
        Self {
            census,
            subscriptions: 0,
            shared: 0,
            is_kept: false,
        }
    }

    pub(crate) fn census(&self) -> &Census {
        &self.census
    }

    /// Its session outlives the connection.
    pub(crate) fn kept(&mut self) {
        if !std::mem::replace(&mut self.is_kept, true) {
            add(&self.census.kept, 1);
        }
    }

    /// It has so many subscriptions of its own, and so many in groups. Those of a session that outlives the
    /// connection are counted where they are kept.
    pub(crate) fn subscribed(&mut self, own: u16, shared: u16) {
        if self.is_kept {
            return;
        }
        add(&self.census.subscriptions, own.into());
        add(&self.census.shared, shared.into());
        self.census.leave(self.subscriptions, self.shared);
        (self.subscriptions, self.shared) = (own, shared);
    }
}

impl Census {
    fn leave(&self, subscriptions: u16, shared: u16) {
        let of = Ordering::Relaxed;
        self.subscriptions.fetch_sub(subscriptions.into(), of);
        self.shared.fetch_sub(shared.into(), of);
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.census.leave(self.subscriptions, self.shared);
        self.census.connected.fetch_sub(1, Ordering::Relaxed);
        self.census
            .kept
            .fetch_sub(self.is_kept.into(), Ordering::Relaxed);
    }
}
