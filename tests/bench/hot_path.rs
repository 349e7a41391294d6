//! How long one message takes on the way through the store: `cargo bench -p fairlead-tests --bench hot_path`. Each
//! iteration is one call with [`TOGETHER`] messages, as one read of a busy socket gives; divide by it. What a message
//! allocates is counted, and limited, by `allocations` of the native store's tests.
#![expect(clippy::unwrap_used, reason = "a benchmark ends where it fails")]

#[path = "store/bench.rs"]
#[expect(dead_code, reason = "the store benchmark uses the rest")]
mod bench;

use bench::{Bench, append, create, durable, settle};
use bytes::Bytes;
use divan::Bencher;
use fairlead_canon::{Class, EntityId, Kind, Offset, Promise};
use fairlead_ports::{Op, Store, Unit, Want};
use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

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
    bench.commit(&*store, vec![durable(creates)]);
    let units = || vec![accepted(vec![append(1..=TOGETHER, &BODY)])];
    bencher
        .with_inputs(units)
        .bench_local_values(|units| bench.commit(&*store, units));
}

#[divan::bench]
fn read_from_the_tail(bencher: Bencher<'_, '_>) {
    read(bencher, 64 << 20);
}

#[divan::bench]
fn read_from_a_file(bencher: Bencher<'_, '_>) {
    read(bencher, 0);
}

fn read(bencher: Bencher<'_, '_>, tail_bytes_max: usize) {
    let bench = Bench::new();
    let store = bench.open_with(|settings| settings.tail_bytes_max = tail_bytes_max);
    bench.commit(
        &*store,
        vec![durable(vec![create(1, Kind::Log, Class::Local)])],
    );
    // The newest frames stay in memory whatever the settings say.
    for _ in 0..8 {
        let units = (0..TOGETHER).map(|_| durable([append([1], &BODY)]));
        bench.commit(&*store, units.collect());
    }
    let want = Want {
        count_max: TOGETHER as u32,
        ..Want::bytes(1 << 20)
    };
    let log = store.open(EntityId(1)).unwrap();
    bencher.bench_local(|| bench.runtime.block_on(log.read(Offset(0), want)));
}

fn accepted(ops: impl IntoIterator<Item = Op>) -> Unit {
    Unit {
        promise: Promise::Accepted,
        ..durable(ops)
    }
}
