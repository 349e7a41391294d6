//! One way through the store, or through the kernel to one in memory, for a given number of messages: what
//! `tests/bench/instructions` counts.
#![expect(clippy::unwrap_used, reason = "a benchmark ends where it fails")]

#[path = "store/bench.rs"]
#[expect(dead_code, reason = "the store benchmark uses the rest")]
mod bench;

use std::sync::Arc;

use bench::{Bench, append, create, durable, settle};
use bytes::Bytes;
use fairlead_canon::{
    Address, Class, EntityId, Kind, Message, Offset, Origin, Path, Principal, Promise, RealmId,
    Terms, Timestamp,
};
use fairlead_kernel::testing::{ManualClock, conn_info, kernel};
use fairlead_kernel::{Caller, Change, Content, Event, Family, NewStream, Publish, StreamKey, To};
use fairlead_memory::Memory;
use fairlead_native::Native;
use fairlead_ports::{Op, Store, Unit, Want};

/// Messages of one call: what one read of a busy socket gives.
const TOGETHER: u64 = 1_000;
const BODY: Bytes = Bytes::from_static(&[7; 100]);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap();
    let Some(messages) = arguments.next().and_then(|count| count.parse::<u64>().ok()) else {
        // Cargo runs every benchmark; this one is for the script.
        return;
    };
    let bench = Bench::new();
    if path == "publish" {
        return bench.runtime.block_on(publish(messages / TOGETHER));
    }
    let store = bench.open();
    let creates = (1..=TOGETHER).map(|id| create(id, kind(&path), Class::Local));
    bench.commit(&*store, vec![durable(creates)]);
    for round in 0..messages / TOGETHER {
        step(&bench, &store, &path, round);
    }
}

fn kind(path: &str) -> Kind {
    if ["log", "calls", "read"].contains(&path) {
        Kind::Log
    } else {
        Kind::Queue
    }
}

fn step(bench: &Bench, store: &Native, path: &str, round: u64) {
    let each = |unit: &dyn Fn(u64) -> Unit| (0..TOGETHER).map(unit).collect::<Vec<_>>();
    match path {
        "log" => drop(bench.commit(store, each(&|_| accepted(vec![append([1], &BODY)])))),
        "calls" => calls(bench, store),
        "queue" => {
            bench.commit(store, each(&|_| accepted(vec![append([1], &BODY)])));
            let first = round * TOGETHER;
            bench.commit(store, each(&|n| accepted([settle(1, Offset(first + n))])));
        }
        "fan-out" => drop(bench.commit(store, vec![accepted(vec![append(1..=TOGETHER, &BODY)])])),
        "read" => read(bench, store, round),
        _ => unreachable!("no path {path}"),
    }
}

/// A thousand writers with one message each, as the store meets those who wait for each receipt.
fn calls(bench: &Bench, store: &Native) {
    bench.runtime.block_on(async {
        let call = |_| store.commit([durable([append([1], &BODY)])].into());
        let calls: Vec<_> = (0..TOGETHER).map(call).collect();
        for receipt in calls {
            assert!(receipt.await.iter().all(Result::is_ok));
        }
    });
}

/// Reads the same thousand messages again and again.
fn read(bench: &Bench, store: &Native, round: u64) {
    if round == 0 {
        let units = (0..TOGETHER).map(|_| durable(vec![append([1], &BODY)]));
        bench.commit(store, units.collect());
    }
    let log = store.open(EntityId(1)).unwrap();
    let read = bench
        .runtime
        .block_on(log.read(Offset(0), Want::bytes(1 << 20)))
        .unwrap();
    assert_eq!(read.batches.len(), usize::try_from(TOGETHER).unwrap());
}

/// Publishes to a queue without limits, and waits for the receipts of each round.
async fn publish(rounds: u64) {
    let clock = Arc::new(ManualClock::at(1));
    let kernel = kernel(Arc::new(Memory::new(1 << 30)), clock).await.unwrap();
    let origin = Origin(200);
    let entered = kernel.enter(&conn_info(1), Principal::anonymous(), ("test", origin));
    let mut caller = entered.unwrap();
    let address = Address::new(RealmId::QUEUES, Path::from_segments(["a"]).unwrap());
    let key = StreamKey::new(Family::Queue, "a");
    let queue = NewStream {
        at: Some(address.clone()),
        ..NewStream::new(key, Kind::Queue, Class::Memory, origin)
    };
    let declared = caller.declare(vec![Change::CreateStream(queue)]);
    declared.await.unwrap();
    for _ in 0..rounds {
        for _ in 0..TOGETHER {
            publish_one(&mut caller, &address);
        }
        caller.flush();
        while !caller.is_settled() {
            let event = caller.event().await;
            assert!(matches!(event, Event::Receipt(_, Ok(_))), "{event:?}");
        }
    }
}

fn publish_one(caller: &mut Caller, address: &Address) {
    let terms = Terms::accepted(Timestamp(1), Promise::Durable);
    let publish = Publish {
        to: To::Address(address),
        content: Content::Message(Message::new(address.clone(), BODY, terms)),
        promise: Promise::Durable,
        with: Vec::new(),
        own_mailbox: None,
    };
    caller.publish(publish).unwrap();
}

fn accepted(ops: impl IntoIterator<Item = Op>) -> Unit {
    Unit {
        promise: Promise::Accepted,
        ..durable(ops)
    }
}
