//! Removes streams whose time is over: with their connection, their last consumer, or unused.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fairlead_topology::{Change, Lifetime, Stream, StreamKey, Topology};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::Reason;
use crate::atlas::Atlas;
use crate::declare::ask_if;
use crate::hub::Hub;
use crate::registrar::Request;

/// What is to be removed, and when. Bounded by the number of streams.
#[derive(Debug, Default)]
pub(crate) struct Janitor {
    schedule: Mutex<Schedule>,
    wake: Notify,
    /// Mailboxes removed whose owner did not come back in time.
    expired: AtomicU64,
}

/// Streams to look at, by time; each stands here at most once, with its latest time.
#[derive(Debug, Default)]
struct Schedule {
    due: BTreeMap<(Instant, u64), StreamKey>,
    times: BTreeMap<StreamKey, (Instant, u64)>,
    last: u64,
}

impl Janitor {
    /// Starts the task on the current runtime. Streams that were unused when the process stopped
    /// begin their time anew.
    pub(crate) fn start(
        atlas: Arc<Atlas>,
        hub: Arc<Hub>,
        registrar: mpsc::Sender<Request>,
    ) -> Arc<Self> {
        let janitor = Arc::new(Self::default());
        let kept: Vec<Arc<Stream>> = atlas.read(|topology| topology.streams().cloned().collect());
        kept.iter()
            .filter(|s| s.lifetime != Lifetime::LastConsumer)
            .for_each(|s| janitor.unused(s));
        tokio::spawn(Arc::clone(&janitor).run(atlas, hub, registrar));
        janitor
    }

    /// These streams went with their connection.
    pub(crate) fn remove(&self, streams: Vec<StreamKey>) {
        for key in streams {
            self.schedule(Instant::now(), key);
        }
    }

    /// A stream lost its last consumer.
    pub(crate) fn unused(&self, stream: &Stream) {
        match stream.lifetime {
            Lifetime::Forever | Lifetime::Connection(_) => {}
            Lifetime::LastConsumer => self.schedule(Instant::now(), stream.key.clone()),
            Lifetime::Unused { after_ms } => {
                let at = Instant::now().checked_add(Duration::from_millis(after_ms));
                if let Some(at) = at {
                    self.schedule(at, stream.key.clone());
                }
            }
        }
    }

    /// A stream has a consumer, who says so when he leaves. Called once he can be seen.
    pub(crate) fn used(&self, stream: &Stream) {
        let can_end = matches!(
            stream.lifetime,
            Lifetime::LastConsumer | Lifetime::Unused { .. }
        );
        if can_end {
            let mut schedule = self.schedule.lock();
            if let Some(time) = schedule.times.remove(&stream.key) {
                schedule.due.remove(&time);
            }
        }
    }

    /// Mailboxes removed because their owner did not come back in time.
    pub(crate) fn expired_mailboxes(&self) -> u64 {
        self.expired.load(Ordering::Relaxed)
    }

    fn schedule(&self, at: Instant, key: StreamKey) {
        let mut schedule = self.schedule.lock();
        schedule.last += 1;
        let time = (at, schedule.last);
        if let Some(earlier) = schedule.times.insert(key.clone(), time) {
            schedule.due.remove(&earlier);
        }
        schedule.due.insert(time, key);
        drop(schedule);
        self.wake.notify_one();
    }

    fn pop(&self) -> Option<StreamKey> {
        let mut schedule = self.schedule.lock();
        let (_, key) = schedule.due.pop_first()?;
        schedule.times.remove(&key);
        Some(key)
    }

    /// Whether the time of a stream has begun anew.
    fn awaits(&self, key: &StreamKey) -> bool {
        self.schedule.lock().times.contains_key(key)
    }

    async fn run(
        self: Arc<Self>,
        atlas: Arc<Atlas>,
        hub: Arc<Hub>,
        registrar: mpsc::Sender<Request>,
    ) {
        loop {
            let now = Instant::now();
            let next = self
                .schedule
                .lock()
                .due
                .first_key_value()
                .map(|((at, _), _)| *at);
            match next {
                Some(at) if at <= now => {
                    if let Some(key) = self.pop() {
                        self.look_at(key, (&atlas, &hub), &registrar).await;
                    }
                }
                Some(at) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(at) => {}
                        () = self.wake.notified() => {}
                    }
                }
                None => self.wake.notified().await,
            }
        }
    }

    /// Removes a stream unless somebody uses it after all.
    async fn look_at(
        self: &Arc<Self>,
        key: StreamKey,
        (atlas, hub): (&Atlas, &Arc<Hub>),
        registrar: &mpsc::Sender<Request>,
    ) {
        if !atlas.read(|topology| is_over(topology, &key, hub)) {
            return;
        }
        let is_mailbox = atlas.read(|topology| {
            let stream = topology.stream(&key);
            stream.is_some_and(|stream| stream.is_kept_mailbox())
        });
        let remove = vec![Change::RemoveStream(key.clone())];
        let (janitor, hub, name) = (Arc::clone(self), Arc::clone(hub), key.name.clone());
        // Asked again at the removal itself: whoever attaches looks at the topology when he is a
        // member, so either he is seen here or he sees that the stream is gone.
        let still_over =
            move |topology: &Topology| !janitor.awaits(&key) && is_over(topology, &key, &hub);
        match ask_if(registrar, remove, Some(Box::new(still_over))).await {
            Ok(_) => {
                self.expired
                    .fetch_add(u64::from(is_mailbox), Ordering::Relaxed);
            }
            Err(error) if error.reason == Reason::Conflict => {
                tracing::debug!(%name, "a stream whose time was over is used again");
            }
            Err(error) => {
                tracing::debug!(%error, %name, "a stream whose time is over was not removed");
            }
        }
    }
}

/// Whether nobody uses a stream that is to go when nobody does.
fn is_over(topology: &Topology, key: &StreamKey, hub: &Hub) -> bool {
    let Some(stream) = topology.stream(key) else {
        return false;
    };
    let is_used = |lane| {
        hub.get(lane)
            .is_some_and(|hot| hot.with(|queue| queue.members()) > 0)
    };
    match stream.lifetime {
        Lifetime::Forever => false,
        Lifetime::Connection(_) => true,
        Lifetime::LastConsumer | Lifetime::Unused { .. } => {
            !stream.lanes.iter().any(|lane| is_used(*lane))
        }
    }
}
