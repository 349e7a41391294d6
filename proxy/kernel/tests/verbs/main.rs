//! The verbs, over the store in memory.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test says what it expects and stops where it is wrong"
)]

mod conditions;
mod damaged;
mod declaring;
mod delaying;
mod dying;
mod elsewhere;
mod expiring;
mod fates;
mod groups;
mod handing;
mod leaving;
mod moving;
mod narrowing;
mod publishing;
mod queues;
mod reading;
mod refusing;
mod showing;
mod transacting;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fairlead_canon::{
    Address, Class, Compaction, Kind, Message, Offset, Origin, Outcome, Part, Path, Pattern,
    Promise, RealmId, Terms,
};
use fairlead_kernel::testing::{ManualClock, RuntimeClock, conn_info, kernel};
use fairlead_kernel::{
    Attach, AttachmentId, Caller, Change, Content, Delivery, Event, Family, Kernel, NewStream,
    Pending, Publish, Receipt, Settings, Settle, Source, StreamKey, To, compaction_key,
};
use fairlead_memory::Memory;
use fairlead_ports::{Store, Want};

/// The origin of these tests' documents and streams.
const ORIGIN: Origin = Origin(200);

/// A mesh whose time passes only while everybody waits; the runtime has to be paused.
async fn paused_mesh() -> (Arc<Kernel>, Caller) {
    paused_mesh_over(Arc::new(Memory::new(1 << 30)), 1_000_000).await
}

async fn paused_mesh_over(store: Arc<Memory>, now_ms: u64) -> (Arc<Kernel>, Caller) {
    let clock = Arc::new(RuntimeClock::at(now_ms));
    let kernel = kernel(store, clock).await.unwrap();
    let caller = enter(&kernel);
    (kernel, caller)
}

/// Runs one process to its end: its tasks end with it. Its time is paused.
fn in_a_process<T>(life: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(life)
}

async fn pass(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

struct Mesh {
    kernel: Arc<Kernel>,
    clock: Arc<ManualClock>,
}

impl Mesh {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::at(1_000_000));
        let store = Arc::new(Memory::new(1 << 30));
        let kernel = kernel(store, Arc::clone(&clock)).await.unwrap();
        Self { kernel, clock }
    }

    fn caller(&self) -> Caller {
        enter(&self.kernel)
    }
}

fn enter(kernel: &Arc<Kernel>) -> Caller {
    let who = fairlead_canon::Principal::anonymous();
    kernel.enter(&conn_info(1), who, ("test", ORIGIN)).unwrap()
}

fn queue_key(name: &str) -> StreamKey {
    StreamKey::new(Family::Queue, name)
}

fn queue(name: &str) -> NewStream {
    let path = Path::from_segments([name]).unwrap();
    NewStream {
        at: Some(Address::new(RealmId::QUEUES, path)),
        ..NewStream::new(queue_key(name), Kind::Queue, Class::Local, ORIGIN)
    }
}

async fn declare_queue(caller: &mut Caller, name: &str) {
    caller
        .declare(vec![Change::CreateStream(queue(name))])
        .await
        .unwrap();
}

/// A log that keeps the newest message of each key, at a shared address.
async fn declare_compacted(caller: &mut Caller, name: &str) {
    let compaction = Compaction {
        lag_min_ms: 0,
        deletes_kept_ms: 0,
    };
    let log = NewStream {
        at: Some(shared(name)),
        settings: Settings {
            compaction: Some(compaction),
            ..Settings::default()
        },
        ..NewStream::new(log_key(name), Kind::Log, Class::Local, ORIGIN)
    };
    let declared = caller.declare(vec![Change::CreateStream(log)]).await;
    declared.unwrap();
}

fn log_key(name: &str) -> StreamKey {
    StreamKey::new(Family::Log, name)
}

/// What a log was told of the keys of its messages.
async fn keys_in(store: &Memory, caller: &Caller, name: &str) -> Vec<Option<Bytes>> {
    let lane = caller
        .kernel()
        .topology(|t| t.stream(&log_key(name)).unwrap().lanes[0]);
    let log = store.open(lane).unwrap();
    let chunk = log.read(Offset(0), Want::bytes(1 << 20)).await.unwrap();
    let keys = chunk
        .batches
        .into_iter()
        .flat_map(|stored| stored.batch.keys);
    keys.map(|key| key.key).collect()
}

/// What a log is told of a key.
fn told_of(key: &'static str) -> Option<Bytes> {
    Some(compaction_key(key.as_bytes()))
}

/// Messages that the tasks behind queues have left out of compacted logs for want of a key.
const KEYLESS: &str =
    "fairlead_messages_dropped_total{listener=\"tasks\",protocol=\"node\",reason=\"keyless\"}";

/// What a counter stands at.
fn counted(kernel: &Kernel, counter: &str) -> Option<u64> {
    let page = kernel.metrics_page();
    let count = page.lines().find_map(|line| line.strip_prefix(counter))?;
    count.trim().parse().ok()
}

fn with_key(message: Message, key: &'static str) -> Message {
    Message {
        key: Some(Bytes::from_static(key.as_bytes())),
        ..message
    }
}

fn to_queue(name: &str) -> Address {
    Address::new(RealmId::QUEUES, Path::from_segments([name]).unwrap())
}

fn shared(name: &str) -> Address {
    Address::shared(Path::from_segments(name.split('/')).unwrap())
}

fn pattern(text: &str) -> Pattern {
    let part = |word| match word {
        "+" => Part::One,
        "#" => Part::Many,
        word => Part::Literal(word.as_bytes().into()),
    };
    let parts = text.split('/').map(part).collect();
    Pattern {
        realm: RealmId::SHARED,
        parts,
        hides_dollar: true,
    }
}

fn message(caller: &Caller, address: &Address, body: &str) -> Message {
    let now = caller.kernel().clock().wall();
    let body = Bytes::copy_from_slice(body.as_bytes());
    Message::new(
        address.clone(),
        body,
        Terms::accepted(now, Promise::Durable),
    )
}

fn publish(caller: &mut Caller, address: &Address, body: &str) -> Pending {
    let message = message(caller, address, body);
    publish_message(caller, message)
}

fn publish_message(caller: &mut Caller, message: Message) -> Pending {
    let address = message.address.clone();
    let publish = Publish {
        to: To::Address(&address),
        content: Content::Message(message),
        promise: Promise::Durable,
        with: Vec::new(),
        own_mailbox: None,
    };
    let pending = caller.publish(publish).unwrap();
    caller.flush();
    pending
}

async fn event(caller: &mut Caller) -> Event {
    let event = tokio::time::timeout(Duration::from_secs(5), caller.event()).await;
    event.expect("an event was expected")
}

async fn receipt(caller: &mut Caller, pending: Pending) -> Receipt {
    match event(caller).await {
        Event::Receipt(done, result) if done == pending => result.unwrap(),
        other => panic!("not the receipt of {pending:?}: {other:?}"),
    }
}

async fn published(caller: &mut Caller, address: &Address, body: &str) -> Receipt {
    let pending = publish(caller, address, body);
    receipt(caller, pending).await
}

async fn consume(caller: &mut Caller, name: &str, window: u32) -> AttachmentId {
    caller
        .attach(Attach::new(Source::Stream(queue_key(name)), window))
        .await
        .unwrap()
}

async fn deliveries(caller: &mut Caller, count: usize) -> Vec<Delivery> {
    let mut all = Vec::new();
    while all.len() < count {
        match event(caller).await {
            Event::Deliveries(_, some) => all.extend(some),
            other => panic!("not deliveries: {other:?}"),
        }
    }
    assert_eq!(all.len(), count);
    all
}

fn bodies(deliveries: &[Delivery]) -> Vec<String> {
    let text = |one: &Delivery| String::from_utf8(one.message.body.clone().unwrap().to_vec());
    deliveries.iter().map(|one| text(one).unwrap()).collect()
}

fn settle(caller: &mut Caller, some: &[Delivery], outcome: Outcome) {
    let ids: Vec<_> = some.iter().map(|one| one.id).collect();
    let settle = Settle {
        ids: &ids,
        outcome,
        promise: Promise::Accepted,
        with: Vec::new(),
    };
    caller.settle(settle).unwrap();
    caller.flush();
}

/// Nothing more is there now.
fn assert_quiet(caller: &mut Caller) {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let event = caller.poll_event(&mut cx);
    assert!(event.is_pending(), "{event:?}");
}
