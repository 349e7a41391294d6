//! A compacted log in memory.

use std::sync::Arc;

use fairlead_canon::{Batch, Compaction, Kind, Spec, Timestamp};
use fairlead_memory::Memory;
use fairlead_ports::Op;
use fairlead_testkit::Subject;
use fairlead_testkit::make::{A, append, keyed, message, spec};

const RULES: Compaction = Compaction {
    lag_min_ms: 100,
    deletes_kept_ms: 1_000,
};

async fn compacted() -> Subject {
    let subject = Subject::new(Arc::new(Memory::new(1 << 30)), ());
    let spec = Spec {
        compaction: Some(RULES),
        ..spec(Kind::Log)
    };
    subject.done(vec![Op::Create { entity: A, spec }]).await;
    subject
}

/// Without a clock, a batch is appended at its own time.
fn at(time: u64, batch: Batch) -> Op {
    let time = Timestamp(time);
    append(A, Batch { time, ..batch })
}

/// A kilobyte under a key that nothing else has.
async fn fill(subject: &Subject, time: u64) {
    let filler = Batch {
        bytes: vec![b'f'; 1024].into(),
        ..keyed("filler", "f")
    };
    for _ in 0..200 {
        subject.done(vec![at(time, filler.clone())]).await;
    }
}

async fn has(subject: &Subject, body: &'static str) -> bool {
    let bodies = subject.bodies(A).await;
    bodies.iter().any(|(_, kept)| kept[..] == *body.as_bytes())
}

#[tokio::test]
async fn what_was_replaced_goes_and_offsets_stay() {
    let subject = compacted().await;
    let all = [
        at(1, keyed("a", "old")),
        at(1, keyed("b", "only")),
        at(2, keyed("a", "new")),
        at(2, message("without a key")),
    ];
    for op in all {
        subject.done(vec![op]).await;
    }
    fill(&subject, 50).await;
    assert!(has(&subject, "old").await, "too young");
    for round in 0..10 {
        fill(&subject, 500 + 200 * round).await;
    }
    let bodies = subject.bodies(A).await;
    let first: Vec<_> = bodies.iter().take(3).map(|(at, _)| *at).collect();
    assert_eq!(first, [1, 2, 3]);
    assert!(has(&subject, "only").await && has(&subject, "new").await);
    let marks = subject.marks(A).await;
    assert_eq!((marks.start.0, marks.end.0), (0, 4 + 11 * 200));
    assert!(marks.bytes < 3 * 200 * 1024, "{}", marks.bytes);
}

#[tokio::test]
async fn a_deletion_goes_after_its_time_and_not_before() {
    let subject = compacted().await;
    subject.done(vec![at(1, keyed("a", "value"))]).await;
    subject.done(vec![at(2, keyed("a", ""))]).await;
    fill(&subject, 900).await;
    assert!(!has(&subject, "value").await);
    assert!(has(&subject, "").await, "readers are to learn of it");
    fill(&subject, 1_100).await;
    assert!(!has(&subject, "").await);
}
