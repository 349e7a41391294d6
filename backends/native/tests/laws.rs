//! The laws of a store, held on disk; random operations against the reference, with restarts; and many writers
//! who commit again as soon as they are told.

#![expect(clippy::expect_used, reason = "a test that cannot begin fails")]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{Kind, Promise};
use fairlead_memory::Memory;
use fairlead_native::{Native, Settings, Spare, World};
use fairlead_ports::{Op, Store as _, Unit};
use fairlead_testkit::make::{A, append, create, message};
use fairlead_testkit::{Chance, Subject, Time, laws, trace};
use tempfile::TempDir;

const WRITERS: u64 = 256;
const EACH: u64 = 50;

/// Small files, so that logs of several files are the rule.
fn open(dir: &Path) -> Native {
    let world = World::on_disk(Arc::new(Time::at(1)), Arc::new(Chance));
    let settings = Settings {
        file_bytes: 4 << 20,
        spare: Spare::NOTHING,
        ..Settings::new(dir)
    };
    Native::open(&settings, &world).expect("the directory opens")
}

fn fresh() -> Subject {
    let dir = TempDir::new().expect("a directory");
    Subject::new(Arc::new(open(dir.path())), dir)
}

laws!(fresh());

#[tokio::test]
async fn random_operations_have_the_same_answers_as_in_memory() {
    for seed in 0..3 {
        let dir = TempDir::new().expect("a directory");
        let memory = Memory::new(1 << 30).timed_by(Arc::new(Time::at(1)));
        let reference = Subject::new(Arc::new(memory), ());
        let tested = Subject::new(Arc::new(open(dir.path())), ());
        let restart = |subject| {
            drop(subject);
            Subject::new(Arc::new(open(dir.path())), ())
        };
        trace::run(seed, 2_000, reference, tested, restart).await;
    }
}

/// Commits one operation; returns where it lies.
async fn commit(store: &Native, op: Op) -> u64 {
    let unit = Unit {
        ops: [op].into(),
        promise: Promise::Durable,
    };
    let outcomes = store.commit([unit].into()).await;
    let outcome = outcomes.into_iter().next().expect("one unit");
    let placed = outcome.expect("it is kept").placed;
    placed.first().map_or(0, |placed| placed.base.0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_in_a_crowd_is_told_where_the_own_message_lies() {
    let dir = TempDir::new().expect("a directory");
    let store = Arc::new(open(dir.path()));
    commit(&store, create(A, Kind::Log)).await;
    let write = |writer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let mut told = Vec::new();
            for count in 0..EACH {
                let body = Bytes::from(format!("{writer} {count}"));
                let offset = commit(&store, append(A, message(body.clone()))).await;
                told.push((offset, body));
            }
            told
        })
    };
    let writers: Vec<_> = (0..WRITERS).map(write).collect();
    let mut told = Vec::new();
    for writer in writers {
        told.extend(writer.await.expect("a writer"));
    }
    told.sort();
    let offsets = told.iter().map(|(offset, _)| *offset);
    assert!(
        offsets.eq(0..WRITERS * EACH),
        "each has an offset of its own"
    );
    drop(store);
    let reopened = Subject::new(Arc::new(open(dir.path())), ());
    let bodies = reopened.bodies(A).await;
    assert_eq!(bodies, told);
}
