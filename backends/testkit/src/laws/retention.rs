//! What goes by itself, and what the cleaner takes.

use fairlead_canon::{Batch, Kind, Offset, Outcome, Retention, Spec, Timestamp};
use fairlead_ports::{CursorId, Decision, Op, StoreError, Stored, Want};

use crate::Subject;
use crate::make::{A, B, append, create, end_txn, message, messages, settle_for, spec, transacted};

const CLEANER: u64 = CursorId::CLEANER.0;

fn kept(kind: Kind, retention: Retention) -> Op {
    let spec = Spec {
        retention,
        ..spec(kind)
    };
    Op::Create { entity: A, spec }
}

fn bytes(bytes: u64) -> Retention {
    Retention {
        age_ms: None,
        bytes: Some(bytes),
    }
}

/// Counted from when the message came there; a batch may ask for less. The clock stands at 1.
pub async fn the_age_of_a_queue_bounds_deadlines(subject: &Subject) {
    let age = Retention {
        age_ms: Some(50),
        bytes: None,
    };
    let until = |deadline| Batch {
        deadline: Some(Timestamp(deadline)),
        ..message("x")
    };
    subject
        .done(vec![
            kept(Kind::Queue, age),
            append(A, message("x")),
            append(A, until(20)),
            append(A, until(80)),
        ])
        .await;
    let expected = [51, 20, 51].map(|at| Some(Timestamp(at)));
    let entries = subject.backlog(A, 0).await;
    let deadlines: Vec<_> = entries.iter().map(|entry| entry.deadline).collect();
    assert_eq!(deadlines, expected);
    let told: Vec<_> = subject.told(A).iter().map(|it| it.deadline).collect();
    assert_eq!(told, expected);
    let bodies = subject.all(A).await;
    let said = bodies.last().and_then(|stored| stored.batch.deadline);
    assert_eq!(said, Some(Timestamp(80)), "the batch is kept as it came");
}

/// The oldest batches go; the newest stays, however large.
pub async fn a_log_forgets_its_oldest_bytes(subject: &Subject) {
    subject.done(vec![kept(Kind::Log, bytes(10))]).await;
    for _ in 0..4 {
        subject.done(vec![append(A, messages(2, "four"))]).await;
    }
    let marks = subject.marks(A).await;
    assert_eq!((marks.start.0, marks.end.0, marks.bytes), (4, 8, 8));
    let gone = subject.log(A).read(Offset(3), Want::bytes(1)).await.err();
    let (start, end) = (Offset(4), Offset(8));
    assert_eq!(gone, Some(StoreError::OutOfRange { start, end }));
    subject.done(vec![append(A, message(vec![7; 100]))]).await;
    let marks = subject.marks(A).await;
    assert_eq!((marks.start.0, marks.count, marks.bytes), (8, 1, 100));
}

/// Who reads what is committed has not seen it yet.
pub async fn nothing_from_an_open_transaction_on_is_forgotten(subject: &Subject) {
    subject
        .done(vec![
            kept(Kind::Log, bytes(3)),
            append(A, message("old")),
            append(A, transacted(1, 0, 0..1)),
            append(A, message("new")),
        ])
        .await;
    assert_eq!(subject.marks(A).await.start.0, 1);
    subject
        .done(vec![
            end_txn(1, 0, Decision::Commit),
            append(A, message("end")),
        ])
        .await;
    assert_eq!(subject.marks(A).await.start.0, 3);
}

/// A reader passes over the gap; offsets stay.
pub async fn the_cleaner_removes_whole_batches_and_leaves_gaps(subject: &Subject) {
    subject
        .done(vec![
            create(A, Kind::Log),
            append(A, messages(2, "a")),
            append(A, messages(3, "bb")),
            append(A, messages(2, "cc")),
            append(A, message("d")),
        ])
        .await;
    subject
        .done(vec![settle_for(A, CLEANER, 1..6, Outcome::Done)])
        .await;
    let bases =
        |batches: Vec<Stored>| -> Vec<u64> { batches.iter().map(|stored| stored.base.0).collect() };
    assert_eq!(bases(subject.all(A).await), [0, 5, 7]);
    let gap = subject.log(A).read(Offset(3), Want::bytes(100)).await;
    assert_eq!(bases(gap.unwrap().batches), [5, 7]);
    let marks = subject.marks(A).await;
    assert_eq!(
        (marks.start.0, marks.end.0, marks.count, marks.bytes),
        (0, 8, 5, 4)
    );
    subject
        .done(vec![settle_for(A, CLEANER, 0..2, Outcome::Done)])
        .await;
    assert_eq!(subject.marks(A).await.start.0, 0, "the start stays");
    subject.done(vec![create(B, Kind::Queue)]).await;
    let refused = subject
        .commit(vec![settle_for(B, CLEANER, 0..1, Outcome::Done)])
        .await;
    assert!(
        matches!(refused, Err(StoreError::Unsupported { .. })),
        "{refused:?}"
    );
}
