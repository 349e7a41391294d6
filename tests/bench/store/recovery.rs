//! How long a data directory of 10 GB takes to open after `kill -9` in the middle of writing.

use std::io::{BufRead as _, BufReader};

use bytes::Bytes;
use fairlead_canon::{Class, EntityId, Kind, Offset};
use fairlead_native::Native;
use fairlead_ports::{Store as _, Want};
use tokio::time::Instant;

use crate::bench::{Bench, append, create, durable, mib};

const BYTES: u64 = 10_000_000_000;
const BODY: usize = 16 * 1024;
const TOGETHER: u64 = 64;
const ENTITIES: u64 = 100;
/// Entities beside those that hold the bytes.
const OTHERS: u64 = 1_000_000;

pub(crate) fn run(bench: &Bench) {
    let mut writer = bench.start("recovery-write");
    let mut said = BufReader::new(writer.stdout.take().unwrap()).lines();
    println!("  written: {}", said.next().unwrap().unwrap());
    writer.kill().unwrap();
    writer.wait().unwrap();
    println!(
        "  killed with {:.0} MiB on disk",
        mib(bench.bytes_on_disk())
    );
    let begin = Instant::now();
    let store = open(bench);
    println!("  opened in {:.2?} (bar 2 s, and 10 s)", begin.elapsed());
    for entity in 1..=ENTITIES {
        let log = store.open(EntityId(entity)).unwrap();
        let read = log.read(Offset(0), Want::bytes(1 << 20));
        let read = bench.runtime.block_on(read).unwrap();
        let is_whole = |stored: &fairlead_ports::Stored| stored.batch.bytes.len() == BODY;
        assert!(read.batches.iter().all(is_whole));
        assert!(read.marks.end.0 * ENTITIES * BODY as u64 > BYTES / 2);
    }
    println!("  and what was written is there");
}

/// Writes until it is killed; says so when there is enough.
pub(crate) fn write(bench: &Bench) {
    let store = open(bench);
    let body = Bytes::from(vec![7; BODY]);
    for first in (1..ENTITIES + OTHERS).step_by(10_000) {
        let last = (first + 9_999).min(ENTITIES + OTHERS);
        let creates = (first..=last).map(|id| create(id, Kind::Log, Class::Local));
        bench.commit(&*store, vec![durable(creates)]);
    }
    let begin = Instant::now();
    let enough = BYTES / (BODY as u64 * TOGETHER);
    for round in 0..enough * 2 {
        if round == enough {
            println!(
                "{OTHERS} entities and {BYTES} bytes in {:.0?}",
                begin.elapsed()
            );
        }
        let entity = |n| 1 + (round + n) % ENTITIES;
        let units = (0..TOGETHER).map(|n| durable(vec![append([entity(n)], &body)]));
        bench.commit(&*store, units.collect());
    }
}

fn open(bench: &Bench) -> std::sync::Arc<Native> {
    bench.open_with(|settings| settings.log_bytes_max = 32 << 30)
}
