//! What one message costs on the way through the store, with the allocations it makes:
//! `cargo bench -p fairlead-tests --bench hot_path`. Each iteration is one call with [`TOGETHER`] messages, as one read
//! of a busy socket gives; divide by it.
#![expect(clippy::unwrap_used, reason = "a benchmark ends where it fails")]

#[path = "store/bench.rs"]
#[expect(dead_code, reason = "the store benchmark uses the rest")]
mod bench;

use bench::{Bench, append, create, durable, settle};
use bytes::Bytes;
use divan::{AllocProfiler, Bencher};
use fairlead_canon::{Class, EntityId, Kind, Offset, Promise};
use fairlead_ports::{Ops, Store, Unit, Want};
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: AllocProfiler<MiMalloc> = AllocProfiler::new(MiMalloc);

/// Messages of one call.
const TOGETHER: u64 = 1_000;
const BODY: Bytes = Bytes::from_static(&[7; 100]);

fn main() {
    divan::main();
}

#[divan::bench]
fn append_to_a_log(bencher: Bencher<'_, '_>) {
    let bench = Bench::new();
    let store = bench.open();
    bench.commit(
        &*store,
        vec![durable(vec![create(1, Kind::Log, Class::Local)])],
    );
    let units = || {
        (0..TOGETHER)
            .map(|_| accepted(vec![append([1], &BODY)]))
            .collect()
    };
    bencher
        .with_inputs(units)
        .bench_local_values(|units| bench.commit(&*store, units));
}

#[divan::bench]
fn append_to_a_queue_and_settle(bencher: Bencher<'_, '_>) {
    let bench = Bench::new();
    let store = bench.open();
    bench.commit(
        &*store,
        vec![durable(vec![create(1, Kind::Queue, Class::Local)])],
    );
    let mut next = 0..;
    let units = || {
        let both = |_| {
            let offset = Offset(next.next().unwrap());
            [
                accepted(vec![append([1], &BODY)]),
                accepted(vec![settle(1, offset)]),
            ]
        };
        (0..TOGETHER).flat_map(both).collect()
    };
    bencher
        .with_inputs(units)
        .bench_local_values(|units| bench.commit(&*store, units));
}

#[divan::bench]
fn fan_out_to_a_thousand_queues(bencher: Bencher<'_, '_>) {
    let bench = Bench::new();
    let store = bench.open();
    let creates = (1..=TOGETHER).map(|id| create(id, Kind::Queue, Class::Local));
    bench.commit(&*store, vec![durable(creates.collect())]);
    let units = || vec![accepted(vec![append(1..=TOGETHER, &BODY)])];
    bencher
        .with_inputs(units)
        .bench_local_values(|units| bench.commit(&*store, units));
}

#[divan::bench]
fn read_from_the_tail(bencher: Bencher<'_, '_>) {
    let bench = Bench::new();
    let store = bench.open();
    bench.commit(
        &*store,
        vec![durable(vec![create(1, Kind::Log, Class::Local)])],
    );
    let units = (0..TOGETHER).map(|_| durable(vec![append([1], &BODY)]));
    bench.commit(&*store, units.collect());
    let log = store.open(EntityId(1)).unwrap();
    bencher.bench_local(|| {
        bench
            .runtime
            .block_on(log.read(Offset(0), Want::bytes(1 << 20)))
    });
}

fn accepted(ops: impl Into<Ops>) -> Unit {
    Unit {
        promise: Promise::Accepted,
        ..durable(ops)
    }
}
