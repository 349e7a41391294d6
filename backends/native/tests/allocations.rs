//! What the store allocates for a message once its buffers have grown, counted over all threads: its own, and the
//! one that calls it.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and what was counted is worth knowing"
)]

use std::alloc::System;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{Batch, EntityId, Kind, Offset, Outcome, Promise};
use fairlead_native::{Native, Settings, Spare, World};
use fairlead_ports::{Op, Store, Unit, Want};
use fairlead_testkit::make::{A, append, append_to, create, message, settle};
use fairlead_testkit::{Chance, Time};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::runtime::Runtime;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Messages of a call: what one read of a busy socket gives.
const TOGETHER: u64 = 1_000;
const CALLS: u64 = 30;
/// Calls of one message that are counted together: more time than a checkpoint takes.
const ALONE: u64 = 100;
/// Bytes of the log that stay in memory.
const TAIL: usize = 64 << 20;
/// So few that the tail is full after some calls, as that of a node is which has run for a while.
const SHORT_TAIL: usize = 1_000;

struct Counted {
    runtime: Runtime,
    store: Native,
}

impl Counted {
    fn open(dir: &Path, tail_bytes_max: usize) -> Self {
        let world = World::on_disk(Arc::new(Time::at(1)), Arc::new(Chance));
        let settings = Settings {
            tail_bytes_max,
            spare: Spare::NOTHING,
            ..Settings::new(dir)
        };
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        Self {
            runtime: runtime.enable_all().build().unwrap(),
            store: Native::open(&settings, &world).unwrap(),
        }
    }

    fn commit(&self, promise: Promise, ops: impl Iterator<Item = Op>) {
        let unit = |op| Unit {
            ops: [op].into(),
            promise,
        };
        let outcomes = self.store.commit(ops.map(unit).collect());
        let outcomes = self.runtime.block_on(outcomes);
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    }

    fn read(&self, from: u64) {
        let log = self.store.open(A).unwrap();
        let want = Want {
            count_max: u32::try_from(TOGETHER).unwrap(),
            ..Want::bytes(1 << 20)
        };
        let read = self.runtime.block_on(log.read(Offset(from), want));
        assert_eq!(read.unwrap().batches.len() as u64, TOGETHER);
    }

    /// Allocations for one of `each` messages of a call that is made again and again, in the call with the fewest:
    /// in others a checkpoint was written.
    fn count(&self, what: &str, each: u64, mut call: impl FnMut()) -> f64 {
        let mut counted = || {
            let region = Region::new(ALLOCATOR);
            call();
            let change = region.change();
            change.allocations + change.reallocations
        };
        let all: Vec<_> = (0..2 * CALLS).map(|_| counted()).collect();
        // In the first ones buffers grow.
        let counts: Vec<_> = all
            .into_iter()
            .skip(usize::try_from(CALLS).unwrap())
            .collect();
        let of_one = |count: usize, calls: u64| count as f64 / (calls * each) as f64;
        let least = of_one(counts.iter().copied().min().unwrap(), 1);
        let mean = of_one(counts.iter().sum(), CALLS);
        println!("{what}: {least:.3}, with checkpoints {mean:.3}");
        least
    }
}

fn body() -> Batch {
    Batch {
        bytes: Bytes::from_static(&[7; 100]),
        ..message("")
    }
}

/// One test, so that nothing else in this process is counted.
#[test]
fn nothing_on_the_way_of_a_message_allocates_for_each() {
    let dir = tempfile::tempdir().unwrap();
    let batch = body();
    let appends = || (0..TOGETHER).map(|_| append(A, batch.clone()));

    let log = Counted::open(&dir.path().join("log"), TAIL);
    log.commit(Promise::Durable, [create(A, Kind::Log)].into_iter());
    let append = || log.commit(Promise::Durable, appends());
    let mut counts = vec![log.count("append to a log", TOGETHER, append)];
    counts.push(log.count("read from the tail", TOGETHER, || log.read(0)));
    drop(log);
    let log = Counted::open(&dir.path().join("log"), 0);
    counts.push(log.count("read from a file", TOGETHER, || log.read(0)));
    drop(log);

    let lone = Counted::open(&dir.path().join("lone"), SHORT_TAIL);
    let create_a = create(A, Kind::Queue);
    lone.commit(Promise::Durable, [create_a].into_iter());
    let append = || (0..ALONE).for_each(|_| lone.commit(Promise::Durable, appends().take(1)));
    let mut alone = vec![lone.count("append to a queue, alone in its call", ALONE, append)];
    let mut settled = 0;
    let settle_next = || {
        for _ in 0..ALONE {
            let settle = settle(A, settled..settled + 1, Outcome::Done);
            lone.commit(Promise::Durable, std::iter::once(settle));
            settled += 1;
        }
    };
    alone.push(lone.count("settle, alone in its call", ALONE, settle_next));
    drop(lone);

    let queue = Counted::open(&dir.path().join("queue"), TAIL);
    queue.commit(Promise::Durable, [create(A, Kind::Queue)].into_iter());
    let mut first = 0;
    let through = || {
        queue.commit(Promise::Accepted, appends());
        queue.read(first);
        let offsets = first..first + TOGETHER;
        let settles = offsets.map(|at| settle(A, at..at + 1, Outcome::Done));
        queue.commit(Promise::Accepted, settles);
        first += TOGETHER;
    };
    counts.push(queue.count("append to a queue, read and settle", TOGETHER, through));
    drop(queue);

    let wide = Counted::open(&dir.path().join("wide"), TAIL);
    let entities: Vec<_> = (1..=TOGETHER).map(EntityId).collect();
    let creates = entities.iter().map(|entity| create(*entity, Kind::Queue));
    wide.commit(Promise::Durable, creates);
    let fan_out = || {
        let append = append_to(&entities, batch.clone());
        wide.commit(Promise::Durable, std::iter::once(append));
    };
    counts.push(wide.count("fan-out, for each target", TOGETHER, fan_out));

    assert!(counts.iter().all(|count| *count < 0.2), "{counts:?}");
    // The call itself, which whoever waits for it shares with the store.
    assert!(alone.iter().all(|count| *count < 1.5), "{alone:?}");
}
