//! A queue that nobody reads: what ten million messages of it take in memory.

use bytes::Bytes;
use fairlead_canon::{Class, Kind};

use crate::bench::{Bench, append, create, durable, mib, resident};

const MESSAGES: u64 = 10_000_000;
const TOGETHER: u64 = 1_000;

pub(crate) fn run(bench: &Bench) {
    let store = bench.open();
    let body = Bytes::from_static(&[7; 16]);
    bench.commit(
        &*store,
        vec![durable(vec![create(1, Kind::Queue, Class::Local)])],
    );
    let before = resident();
    for _ in 0..MESSAGES / TOGETHER {
        let units = (0..TOGETHER).map(|_| durable(vec![append([1], &body)]));
        bench.commit(&*store, units.collect());
    }
    let grown = mib(resident().saturating_sub(before));
    println!("  {MESSAGES} messages of 16 B: {grown:.0} MiB resident more than before");
}
