//! Deliveries end.

use fairlead_canon::{DeadReason, Kind, Outcome};
use fairlead_ports::StoreError;

use crate::Subject;
use crate::make::{A, append, create, message, messages, settle, settle_for, trim};

async fn queue_of(subject: &Subject, kind: Kind, count: usize) {
    let all = (0..count).map(|n| append(A, message(n.to_string())));
    subject
        .done(std::iter::once(create(A, kind)).chain(all).collect())
        .await;
}

async fn stretches(subject: &Subject, cursor: u64) -> Vec<(u64, u32, u16)> {
    let backlog = subject.backlog(A, cursor).await;
    backlog
        .iter()
        .map(|entry| (entry.base.0, entry.span, entry.requeued))
        .collect()
}

/// Done and dead messages leave the backlog; settling them again changes nothing.
pub async fn a_settled_message_is_never_seen_again(subject: &Subject) {
    queue_of(subject, Kind::Queue, 5).await;
    subject
        .done(vec![
            settle(A, 1..3, Outcome::Done),
            settle(A, 4..5, Outcome::Dead(DeadReason::Rejected)),
        ])
        .await;
    assert_eq!(stretches(subject, 0).await, [(0, 1, 0), (3, 1, 0)]);
    subject
        .done(vec![
            settle(A, 0..4, Outcome::Returned),
            settle(A, 0..100, Outcome::Done),
        ])
        .await;
    subject.done(vec![settle(A, 1..3, Outcome::Returned)]).await;
    assert_eq!(stretches(subject, 0).await, []);
    let marks = subject.marks(A).await;
    assert_eq!(
        (marks.start.0, marks.end.0, marks.count, marks.bytes),
        (5, 5, 0, 0)
    );
}

/// What comes back is where it was, and says how often.
pub async fn a_returned_message_keeps_its_place_and_counts(subject: &Subject) {
    queue_of(subject, Kind::Queue, 3).await;
    subject
        .done(vec![
            settle(A, 1..2, Outcome::Returned),
            settle(A, 1..3, Outcome::Returned),
        ])
        .await;
    assert_eq!(
        stretches(subject, 0).await,
        [(0, 1, 0), (1, 1, 2), (2, 1, 1)]
    );
    let fetched = subject
        .log(A)
        .fetch(vec![fairlead_canon::Offset(1)])
        .await
        .unwrap();
    assert_eq!(fetched.first().map(|stored| stored.requeued), Some(2));
}

/// A batch of several messages goes when the last of them does.
pub async fn part_of_a_batch_can_be_settled(subject: &Subject) {
    subject
        .done(vec![
            create(A, Kind::Queue),
            append(A, messages(10, "ten")),
            append(A, message("one")),
        ])
        .await;
    subject
        .done(vec![
            settle(A, 2..4, Outcome::Done),
            settle(A, 5..6, Outcome::Returned),
        ])
        .await;
    let expected = [(0, 2, 0), (4, 1, 0), (5, 1, 1), (6, 4, 0), (10, 1, 0)];
    assert_eq!(stretches(subject, 0).await, expected);
    assert_eq!(subject.marks(A).await.count, 9);
    subject.done(vec![settle(A, 0..10, Outcome::Done)]).await;
    assert_eq!(stretches(subject, 0).await, [(10, 1, 0)]);
    let marks = subject.marks(A).await;
    assert_eq!((marks.start.0, marks.count, marks.bytes), (10, 1, 3));
}

/// Settling in one cursor of a log removes nothing for another.
pub async fn cursors_on_a_log_do_not_see_each_other(subject: &Subject) {
    queue_of(subject, Kind::Log, 4).await;
    subject
        .done(vec![
            settle_for(A, 1, 0..3, Outcome::Done),
            settle_for(A, 2, 0..1, Outcome::Returned),
        ])
        .await;
    assert_eq!(stretches(subject, 1).await, [(3, 1, 0)]);
    assert_eq!(
        stretches(subject, 2).await,
        [(0, 1, 1), (1, 1, 0), (2, 1, 0), (3, 1, 0)]
    );
    assert_eq!(subject.all(A).await.len(), 4);
    subject.done(vec![trim(A, 2)]).await;
    assert_eq!(stretches(subject, 2).await, [(2, 1, 0), (3, 1, 0)]);
}

/// A queue is settled once for all.
pub async fn a_queue_has_one_cursor(subject: &Subject) {
    queue_of(subject, Kind::Queue, 1).await;
    let refused = subject
        .commit(vec![settle_for(A, 1, 0..1, Outcome::Done)])
        .await;
    assert!(
        matches!(refused, Err(StoreError::Unsupported { .. })),
        "{refused:?}"
    );
}

/// A purge is a trim to the end; what comes later is untouched.
pub async fn a_purge_leaves_later_messages(subject: &Subject) {
    queue_of(subject, Kind::Queue, 4).await;
    subject
        .done(vec![trim(A, 4), append(A, message("later"))])
        .await;
    assert_eq!(stretches(subject, 0).await, [(4, 1, 0)]);
    assert_eq!(subject.bodies(A).await, [(4, "later".into())]);
}
