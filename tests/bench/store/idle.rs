//! B14: a million entities that nobody uses.

use std::time::{Duration, Instant};

use fairlead_canon::{Class, Kind};

use crate::bench::{Bench, cpu, create, durable, mib, resident};

const ENTITIES: u64 = 1_000_000;
const TOGETHER: u64 = 10_000;
const TIME: Duration = Duration::from_secs(20);

pub(crate) fn run(bench: &Bench) {
    let store = bench.open();
    for first in (1..=ENTITIES).step_by(TOGETHER as usize) {
        let ops = (first..first + TOGETHER).map(|id| create(id, Kind::Queue, Class::Local));
        bench.commit(&*store, vec![durable(ops.collect())]);
    }
    drop(store);
    let begin = Instant::now();
    let store = bench.open();
    println!(
        "  opened in {:.2?} (bar 2 s), {:.0} MiB resident",
        begin.elapsed(),
        mib(resident())
    );
    bench.pause(Duration::from_secs(3));
    let (before, from) = (store.stats(), cpu());
    bench
        .runtime
        .block_on(async { tokio::time::sleep(TIME).await });
    let share = (cpu() - from).as_secs_f64() / TIME.as_secs_f64() * 100.0;
    let syncs = store.stats().syncs - before.syncs;
    println!("  in {TIME:?}: {syncs} syncs (bar 0), {share:.2} % of a core (bar 0.1)");
}
