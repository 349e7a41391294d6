//! What a store does by itself as time passes.

#![expect(clippy::expect_used, reason = "a test that cannot begin fails")]

use std::path::Path;
use std::sync::Arc;

use fairlead_canon::{Batch, Compaction, EntityId, Kind, Retention, Spec, Timestamp};
use fairlead_native::{Native, Settings, Spare, World};
use fairlead_ports::{Op, Placement};
use fairlead_testkit::make::{A, B, append, keyed, message, put, spec, stamped};
use fairlead_testkit::{Chance, Subject, Time};
use tempfile::TempDir;

/// Looks at a store before a test gives up; between two of them it makes something durable.
const LOOKS_MAX: usize = 100_000;

fn open(dir: &Path, time: &Arc<Time>) -> Subject {
    let world = World::on_disk(Arc::clone(time) as _, Arc::new(Chance));
    let settings = Settings {
        file_bytes: 4 << 20,
        spare: Spare::NOTHING,
        ..Settings::new(dir)
    };
    let native = Native::open(&settings, &world).expect("the directory opens");
    Subject::new(Arc::new(native), ())
}

fn log(entity: EntityId, age_ms: Option<u64>, compaction: Option<Compaction>) -> Op {
    let retention = Retention {
        age_ms,
        bytes: None,
    };
    let spec = Spec {
        retention,
        compaction,
        ..spec(Kind::Log)
    };
    Op::Create { entity, spec }
}

fn at(time: u64, batch: Batch) -> Batch {
    Batch {
        time: Timestamp(time),
        ..batch
    }
}

async fn wait_for<F: Future<Output = bool>>(subject: &Subject, reached: impl Fn() -> F) {
    for _ in 0..LOOKS_MAX {
        if reached().await {
            return;
        }
        subject.done(vec![put(1, "look", "again")]).await;
    }
    assert!(reached().await, "it does not happen");
}

async fn starts_at(subject: &Subject, entity: EntityId, start: u64) {
    wait_for(subject, || async {
        subject.marks(entity).await.start.0 == start
    })
    .await;
}

#[tokio::test]
async fn a_log_that_nobody_touches_forgets_what_is_too_old() {
    let dir = TempDir::new().expect("a directory");
    let time = Arc::new(Time::at(1_000));
    let subject = open(dir.path(), &time);
    subject
        .done(vec![
            log(A, Some(100), None),
            append(A, at(1_000, message("a"))),
            append(A, at(1_050, message("b"))),
            append(A, at(1_200, message("c"))),
        ])
        .await;
    assert_eq!(subject.marks(A).await.start.0, 0);
    time.set(1_160);
    starts_at(&subject, A, 2).await;
    time.set(1_301);
    starts_at(&subject, A, 3).await;
}

#[tokio::test]
async fn what_is_due_is_known_after_a_restart() {
    let dir = TempDir::new().expect("a directory");
    let time = Arc::new(Time::at(1_000));
    let subject = open(dir.path(), &time);
    subject
        .done(vec![
            log(A, Some(100), None),
            log(B, Some(500), None),
            append(A, at(1_000, message("a"))),
            append(B, at(1_000, message("b"))),
        ])
        .await;
    drop(subject);
    time.set(1_200);
    let subject = open(dir.path(), &time);
    starts_at(&subject, A, 1).await;
    assert_eq!(subject.marks(B).await.start.0, 0);
    drop(subject);
    time.set(1_600);
    let subject = open(dir.path(), &time);
    starts_at(&subject, B, 1).await;
}

#[tokio::test]
async fn a_compacted_log_loses_what_was_replaced() {
    let dir = TempDir::new().expect("a directory");
    let time = Arc::new(Time::at(1_000));
    let subject = open(dir.path(), &time);
    let rules = Compaction {
        lag_min_ms: 0,
        deletes_kept_ms: 1_000,
    };
    subject.done(vec![log(A, None, Some(rules))]).await;
    for (key, body) in [("a", "1"), ("b", "1"), ("a", "2"), ("b", ""), ("c", "1")] {
        subject
            .done(vec![append(A, at(1_000, keyed(key, body)))])
            .await;
    }
    time.set(20_000);
    let left = || async {
        let bodies = subject.bodies(A).await.into_iter();
        bodies.map(|(at, _)| at).collect::<Vec<_>>() == [2, 4]
    };
    wait_for(&subject, left).await;
    assert_eq!(subject.marks(A).await.end.0, 5);
}

const WEEK_MS: u64 = 7 * 24 * 60 * 60 * 1000;

async fn known(subject: &Subject, entity: EntityId) -> usize {
    let writers = subject.log(entity).writers().await;
    writers.expect("the entity is there").producers.len()
}

#[tokio::test]
async fn a_producer_that_writes_nothing_for_a_week_is_forgotten() {
    let dir = TempDir::new().expect("a directory");
    let time = Arc::new(Time::at(1_000));
    let subject = open(dir.path(), &time);
    let first = || append(A, stamped(7, 0, 0..1));
    let ops = vec![log(A, None, None), first(), append(A, stamped(8, 0, 0..1))];
    subject.done(ops).await;
    time.set(1_000 + WEEK_MS - 1);
    let again = subject.done(vec![first()]).await.placed;
    assert_eq!(again[0].how, Placement::Duplicate);
    subject.done(vec![append(A, stamped(8, 0, 1..2))]).await;
    drop(subject);
    time.set(1_000 + WEEK_MS);
    let subject = open(dir.path(), &time);
    wait_for(&subject, || async { known(&subject, A).await == 1 }).await;
    let new = subject.done(vec![append(A, stamped(7, 0, 5..6))]).await;
    assert_eq!(new.placed[0].how, Placement::New, "its sequence began anew");
    time.set(1_000 + 3 * WEEK_MS);
    wait_for(&subject, || async { known(&subject, A).await == 0 }).await;
}
