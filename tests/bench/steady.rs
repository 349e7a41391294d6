//! One way through the store, for a given number of messages: what `tests/bench/instructions` counts.
#![expect(clippy::unwrap_used, reason = "a benchmark ends where it fails")]

#[path = "store/bench.rs"]
#[expect(dead_code, reason = "the store benchmark uses the rest")]
mod bench;

use bench::{Bench, append, create, durable, settle};
use bytes::Bytes;
use fairlead_canon::{Class, EntityId, Kind, Offset, Promise};
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
    let store = bench.open();
    let creates = (1..=TOGETHER).map(|id| create(id, kind(&path), Class::Local));
    bench.commit(&*store, vec![durable(creates)]);
    for round in 0..messages / TOGETHER {
        step(&bench, &store, &path, round);
    }
}

fn kind(path: &str) -> Kind {
    if path == "log" || path == "read" {
        Kind::Log
    } else {
        Kind::Queue
    }
}

fn step(bench: &Bench, store: &Native, path: &str, round: u64) {
    let each = |unit: &dyn Fn(u64) -> Unit| (0..TOGETHER).map(unit).collect::<Vec<_>>();
    match path {
        "log" => drop(bench.commit(store, each(&|_| accepted(vec![append([1], &BODY)])))),
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

fn accepted(ops: impl IntoIterator<Item = Op>) -> Unit {
    Unit {
        promise: Promise::Accepted,
        ..durable(ops)
    }
}
