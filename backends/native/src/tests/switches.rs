//! Entities change between the classes memory, local and object while traces run, and the store is closed
//! and opened again: the same answers and the same content as in memory alone.
//!
//! One that fails is run again, alone, by
//! `FAIRLEAD_TRACE_SEED=<seed> cargo test -p fairlead-native --lib switches`.

use std::ops::Range;
use std::sync::Arc;

use fairlead_memory::Memory;
use fairlead_placement::ByClass;
use fairlead_testkit::{Slow, Subject, Time, moves};

use super::objects;
use super::traces::{Single, each_seed};
use crate::vfs::sim::SimFs;

/// Few beside those of [`super::traces`], since in each of them much happens at once.
const SHORT: (Range<u64>, usize) = (0..3_000, 10);
const LONG: (Range<u64>, usize) = (0..60, 100);

fn memory() -> Memory {
    Memory::new(1 << 30).timed_by(Arc::new(Time::at(1)))
}

async fn run(seed: u64, commits: usize) -> u64 {
    let fs = SimFs::default();
    let open = || {
        let durable = Arc::new(Single::open(&fs, seed, Some(objects(&fs))));
        // Both take their time, so that others do something while an entity moves.
        let slow = |store, seed| Arc::new(Slow::new(store, seed)) as _;
        let memory = slow(Arc::new(memory()), !seed);
        let store = ByClass::new(memory, slow(Arc::clone(&durable) as _, seed));
        Subject::of(Arc::new(store), durable, ())
    };
    let restart = |subject| {
        drop(subject);
        open()
    };
    let reference = Subject::new(Arc::new(memory()), ());
    moves::run(seed, commits, (reference, open()), restart).await
}

#[test]
fn short_traces_with_moves_end_as_in_memory() {
    each_seed(SHORT.0, async |seed| _ = run(seed, SHORT.1).await);
}

#[test]
fn long_traces_with_moves_end_as_in_memory() {
    each_seed(LONG.0, async |seed| {
        let moves = run(seed, LONG.1).await;
        assert!(moves > 3, "seed {seed}: {moves}");
    });
}
