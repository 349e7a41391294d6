//! Many who commit again as soon as they are told, on a disk and with the threads of the store.

#![expect(clippy::expect_used, reason = "a test that cannot begin fails")]

use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{Kind, Promise};
use fairlead_native::{Native, Settings, Spare, World};
use fairlead_ports::{Op, Store, Unit};
use fairlead_testkit::make::{A, append, create, message};
use fairlead_testkit::{Chance, Subject, Time};
use tempfile::TempDir;

const WRITERS: u64 = 256;
const EACH: u64 = 50;

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
async fn everybody_is_told_where_the_own_message_lies() {
    let dir = TempDir::new().expect("a directory");
    let settings = Settings {
        file_bytes: 4 << 20,
        spare: Spare::NOTHING,
        ..Settings::new(dir.path())
    };
    let world = || World::on_disk(Arc::new(Time::at(1)), Arc::new(Chance));
    let store = Arc::new(Native::open(&settings, &world()).expect("the directory opens"));
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
    let reopened = Native::open(&settings, &world()).expect("the directory opens again");
    let bodies = Subject::new(Arc::new(reopened), dir).bodies(A).await;
    assert_eq!(bodies, told);
}
