//! How long a data directory of 10 GB takes to open, after it was left without a goodbye.

use std::time::Instant;

use bytes::Bytes;
use fairlead_canon::{Class, EntityId, Kind, Offset};
use fairlead_ports::{Store as _, Want};

use crate::bench::{Bench, append, create, durable, mib};

const BYTES: u64 = 10_000_000_000;
const BODY: usize = 16 * 1024;
const TOGETHER: u64 = 64;
const ENTITIES: u64 = 100;

pub(crate) fn run(bench: &Bench) {
    let store = bench.open_with(|settings| settings.log_bytes_max = 24 << 30);
    let body = Bytes::from(vec![7; BODY]);
    let creates = (1..=ENTITIES).map(|id| create(id, Kind::Log, Class::Local));
    bench.commit(&*store, vec![durable(creates.collect())]);
    let begin = Instant::now();
    for round in 0..BYTES / (BODY as u64 * TOGETHER) {
        let units =
            (0..TOGETHER).map(|n| durable(vec![append([1 + (round + n) % ENTITIES], &body)]));
        bench.commit(&*store, units.collect());
    }
    println!(
        "  written in {:.0?}, {:.0} MiB on disk",
        begin.elapsed(),
        mib(bench.bytes_on_disk())
    );
    drop(store);
    let begin = Instant::now();
    let store = bench.open_with(|settings| settings.log_bytes_max = 24 << 30);
    println!("  opened in {:.2?} (bar 10 s)", begin.elapsed());
    let log = store.open(EntityId(1)).unwrap();
    let read = bench
        .runtime
        .block_on(log.read(Offset(0), Want::bytes(1 << 20)))
        .unwrap();
    assert!(
        read.batches
            .iter()
            .all(|stored| stored.batch.bytes.len() == BODY)
    );
    println!("  and its first messages are there");
}
