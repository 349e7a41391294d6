//! B9, B10 and the million: entities created, used once, and destroyed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fairlead_canon::{Class, Kind, Offset};
use fairlead_memory::Memory;
use fairlead_ports::{Op, Store};
use tokio::time::Instant;

use crate::bench::{Bench, append, cpu, create, delete, durable, mib, resident, settle};

const ENTITIES: u64 = 1_000_000;
/// Operations of one call: what one read of a busy socket would give.
const TOGETHER: u64 = 1_000;

pub(crate) fn run(bench: &Bench) {
    let memory: Arc<dyn Store> = Arc::new(Memory::new(1 << 30));
    lives(bench, &*memory, Class::Memory);
    let native = bench.open();
    let empty = bench.bytes_on_disk();
    lives(bench, &*native, Class::Local);
    let data = mib(bench.bytes_on_disk().saturating_sub(empty));
    println!("  local:  disk after all of it {data:.0} MiB more than before");
}

fn lives(bench: &Bench, store: &dyn Store, class: Class) {
    let name = if class == Class::Memory {
        "memory"
    } else {
        "local"
    };
    let body = Bytes::from_static(&[7; 100]);
    let before = resident();
    let on_disk = [bench.bytes_of_index(), bench.bytes_on_disk()];
    let made = each(bench, store, |id| create(id, Kind::Queue, class));
    println!("  {name}: created   {}", told(made));
    settled(bench);
    let live = resident().saturating_sub(before);
    match class {
        Class::Memory => {
            let verdict = within(live / ENTITIES, 256);
            println!(
                "  {name}: live and empty, {} B resident each ({verdict})",
                live / ENTITIES
            );
        }
        Class::Local | Class::Object => {
            let [index, all] = on_disk;
            let grown = [bench.bytes_of_index() - index, bench.bytes_on_disk() - all];
            durably(made.1, live, grown);
        }
    }
    let used = each(bench, store, |id| append([id], &body));
    println!("  {name}: appended  {}", told(used));
    let done = each(bench, store, |id| settle(id, Offset(0)));
    println!("  {name}: settled   {}", told(done));
    let gone = each(bench, store, delete);
    println!("  {name}: destroyed {}", told(gone));
    settled(bench);
    let left = resident().saturating_sub(before);
    println!(
        "  {name}: all gone, {} B resident each are left",
        left / ENTITIES
    );
}

/// What B10 asks of those that are kept on disk, once a checkpoint has them.
fn durably(cpu: Duration, live: u64, on_disk: [u64; 2]) {
    let nanos = u64::try_from(cpu.as_nanos()).unwrap() / ENTITIES;
    let verdict = within(nanos, 5_000);
    println!("  local: created, {nanos} ns CPU each ({verdict})");
    let (grown, verdict) = (live >> 20, within(live >> 20, 64));
    println!("  local: live and empty, {grown} MiB more resident ({verdict})");
    let [index, all] = on_disk.map(|bytes| bytes / ENTITIES);
    let verdict = within(index, 300);
    println!(
        "  local: behind a checkpoint, {index} B of index each ({verdict}), {all} B with log files to be used again"
    );
}

fn within(figure: u64, bar: u64) -> String {
    let verdict = if figure <= bar { "met" } else { "MISSED" };
    format!("bar {bar}: {verdict}")
}

/// Time for checkpoints to be made, so that what is idle is cold.
fn settled(bench: &Bench) {
    bench.pause(Duration::from_secs(4));
}

fn each(bench: &Bench, store: &dyn Store, op: impl Fn(u64) -> Op) -> (Duration, Duration) {
    let (begin, from) = (Instant::now(), cpu());
    for first in (1..=ENTITIES).step_by(TOGETHER as usize) {
        let units = (first..first + TOGETHER).map(|id| durable(vec![op(id)]));
        bench.commit(store, units.collect());
    }
    (begin.elapsed(), cpu() - from)
}

fn told((time, cpu): (Duration, Duration)) -> String {
    let each = cpu.as_secs_f64() * 1e6 / ENTITIES as f64;
    format!("{:>6.1} s, {each:.2} us CPU each", time.as_secs_f64())
}
