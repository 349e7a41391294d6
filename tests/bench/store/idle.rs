//! B14: a million entities that nobody uses, and a node that nobody has used.

use std::io::Read as _;
use std::time::Duration;

use fairlead_canon::{Class, Kind};
use fairlead_tests::Node;
use tokio::time::Instant;

use crate::bench::{Bench, cpu, create, durable, mib, resident};

const ENTITIES: u64 = 1_000_000;
const TOGETHER: u64 = 10_000;
const TIME: Duration = Duration::from_secs(20);

/// Mebibytes that a process may have resident before its first use.
const NODE_MIB_MAX: f64 = 12.0;

pub(crate) fn run(bench: &Bench) {
    node(bench);
    let store = bench.open();
    for first in (1..=ENTITIES).step_by(TOGETHER as usize) {
        let ops = (first..first + TOGETHER).map(|id| create(id, Kind::Queue, Class::Local));
        bench.commit(&*store, vec![durable(ops)]);
    }
    drop(store);
    // In a process that has done nothing else, so that what it takes is what they cost.
    let mut other = bench.start("idle-open");
    let mut said = String::new();
    let mut output = other.stdout.take().unwrap();
    output.read_to_string(&mut said).unwrap();
    assert!(other.wait().unwrap().success());
    print!("{said}");
}

fn node(bench: &Bench) {
    let node = Node::new();
    let mesh = node.start();
    bench.pause(Duration::from_secs(3));
    let (all, own) = (mib(mesh.memory()), mib(mesh.own_memory()));
    let verdict = if all <= NODE_MIB_MAX { "met" } else { "MISSED" };
    println!(
        "  a node before its first use: {all:.1} MiB resident (bar {NODE_MIB_MAX}: {verdict}), of which {own:.1} MiB are its own \
         and the rest pages of the binary and of libraries"
    );
}

pub(crate) fn open(bench: &Bench) {
    let (begin, before) = (Instant::now(), resident());
    let store = bench.open();
    let (time, grown) = (begin.elapsed(), mib(resident() - before));
    println!(
        "  opened in {time:.2?} (bar 2 s), {grown:.1} MiB resident more than an empty process"
    );
    bench.pause(Duration::from_secs(3));
    let (before, from) = (store.stats(), cpu());
    bench.pause(TIME);
    let share = (cpu() - from).as_secs_f64() / TIME.as_secs_f64() * 100.0;
    let syncs = store.stats().syncs - before.syncs;
    println!("  in {TIME:?}: {syncs} syncs (bar 0), {share:.2} % of a core (bar 0.1)");
}
