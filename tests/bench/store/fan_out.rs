//! B11: one message of 1 KiB to many durable queues is stored once.

use std::time::Duration;

use bytes::Bytes;
use fairlead_canon::{Class, Kind};

use crate::bench::{Bench, append, cpu, create, durable};

/// Copies in each measurement.
const COPIES: u64 = 2_000_000;

pub(crate) fn run(bench: &Bench) {
    let store = bench.open();
    let body = Bytes::from(vec![7; 1024]);
    let mut next = 1;
    for targets in [1_000_u64, 10_000] {
        let entities = next..next + targets;
        next += targets;
        let creates = entities
            .clone()
            .map(|entity| create(entity, Kind::Queue, Class::Local));
        bench.commit(&*store, vec![durable(creates)]);
        let first = bench.commit(
            &*store,
            vec![durable(vec![append(entities.clone(), &body)])],
        );
        // The queues are in the index, and files for the log are ready.
        bench.pause(Duration::from_secs(3));
        let rounds = COPIES / targets;
        let begin = cpu();
        let mut last = first.clone();
        for _ in 0..rounds {
            last = bench.commit(
                &*store,
                vec![durable(vec![append(entities.clone(), &body)])],
            );
        }
        let spent = cpu() - begin;
        let bytes = (last[0].lsn.0 - first[0].lsn.0) / rounds;
        let bar = (1.1 * (1024.0 + 16.0 * targets as f64)) as u64 + 4096;
        let each = spent.as_secs_f64() * 1e6 / (rounds * targets) as f64;
        println!(
            "  to {targets:>6} queues: {bytes:>7} bytes of log (bar {bar}), {each:.2} us CPU per target (bar 0.3)"
        );
    }
}
