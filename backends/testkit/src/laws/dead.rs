//! Messages that died in a queue.

use fairlead_canon::{DeadReason, EntityId, Kind, Offset, Outcome, Overflow, SizeLimits, Spec};
use fairlead_ports::{CursorId, Op, StoreError};

use crate::Subject;
use crate::make::{A, B, append, create, message, messages, settle, settle_for, spec, trim};

const DEAD: u64 = CursorId::DEAD.0;

/// Keeps the dead, and at most so many others.
fn keeping(entity: EntityId, count_max: Option<u64>) -> Op {
    let limits = SizeLimits {
        count_max,
        bytes_max: None,
        overflow: Overflow::DropHead,
    };
    let spec = Spec {
        keeps_dead: true,
        limits,
        ..spec(Kind::Queue)
    };
    Op::Create { entity, spec }
}

async fn dead(subject: &Subject) -> Vec<(u64, u32, DeadReason)> {
    let backlog = subject.backlog(A, DEAD).await;
    let seen = backlog.iter().map(|entry| {
        let reason = entry.dead.expect("a reason");
        (entry.base.0, entry.span, reason)
    });
    seen.collect()
}

async fn alive(subject: &Subject) -> Vec<(u64, u32)> {
    let backlog = subject.backlog(A, 0).await;
    assert!(backlog.iter().all(|entry| entry.dead.is_none()));
    let seen = backlog.iter().map(|entry| (entry.base.0, entry.span));
    seen.collect()
}

/// It leaves the queue and waits for whoever moves it on, with its reason.
pub async fn a_dead_message_waits_to_be_moved_on(subject: &Subject) {
    subject
        .done(vec![
            keeping(A, None),
            append(A, messages(5, "five")),
            append(A, message("six")),
            append(A, message("seven")),
        ])
        .await;
    subject
        .done(vec![
            settle(A, 1..3, Outcome::Dead(DeadReason::Rejected)),
            settle(A, 3..4, Outcome::Dead(DeadReason::Expired)),
            settle(A, 5..6, Outcome::Dead(DeadReason::DeliveryLimit)),
            settle(A, 6..7, Outcome::Done),
        ])
        .await;
    let expected = [
        (1, 2, DeadReason::Rejected),
        (3, 1, DeadReason::Expired),
        (5, 1, DeadReason::DeliveryLimit),
    ];
    assert_eq!(dead(subject).await, expected);
    assert_eq!(alive(subject).await, [(0, 1), (4, 1)]);
    let fetched = subject.log(A).fetch(vec![Offset(5)]).await.unwrap();
    let body = fetched.first().map(|stored| stored.batch.bytes.clone());
    assert_eq!(body, Some("six".into()));
    let page = subject.log(A).backlog(CursorId::DEAD, Offset(2), 1).await;
    let page: Vec<_> = page
        .unwrap()
        .iter()
        .map(|it| (it.base.0, it.span))
        .collect();
    assert_eq!(page, [(2, 1)]);
    assert_eq!(subject.died(), [], "whoever settled knows");
}

/// To the queue it is settled; it goes when it is settled as dead, however.
pub async fn a_dead_message_goes_when_it_is_settled_as_dead(subject: &Subject) {
    subject
        .done(vec![
            keeping(A, None),
            append(A, messages(5, "five")),
            append(A, message("six")),
            settle(A, 1..4, Outcome::Dead(DeadReason::Rejected)),
        ])
        .await;
    subject
        .done(vec![
            settle(A, 1..3, Outcome::Returned),
            settle(A, 1..6, Outcome::Dead(DeadReason::MaxLen)),
            settle(A, 1..3, Outcome::Done),
        ])
        .await;
    let (rejected, displaced) = (DeadReason::Rejected, DeadReason::MaxLen);
    let expected = [(1, 3, rejected), (4, 1, displaced), (5, 1, displaced)];
    assert_eq!(dead(subject).await, expected);
    subject
        .done(vec![
            settle_for(A, DEAD, 0..4, Outcome::Returned),
            settle_for(A, DEAD, 0..4, Outcome::Done),
            settle_for(A, DEAD, 4..5, Outcome::Dead(DeadReason::Expired)),
        ])
        .await;
    assert_eq!(dead(subject).await, [(5, 1, displaced)]);
    subject
        .done(vec![settle_for(A, DEAD, 5..6, Outcome::Done)])
        .await;
    let fetched = subject.log(A).fetch(vec![Offset(5)]).await.unwrap();
    assert!(fetched.is_empty(), "it is gone");
    assert_eq!(alive(subject).await, [(0, 1)]);
    subject.done(vec![settle(A, 0..1, Outcome::Done)]).await;
    let marks = subject.marks(A).await;
    assert_eq!((marks.start.0, marks.count, marks.bytes), (6, 0, 0));
}

/// Without a route nobody would move it on.
pub async fn a_queue_that_keeps_none_forgets_its_dead(subject: &Subject) {
    subject
        .done(vec![create(A, Kind::Queue), append(A, message("x"))])
        .await;
    subject
        .done(vec![settle(A, 0..1, Outcome::Dead(DeadReason::Rejected))])
        .await;
    assert_eq!(dead(subject).await, []);
    assert_eq!(subject.marks(A).await.start.0, 1);
}

/// It counts neither as a message nor, once nothing of its batch is left, in bytes.
pub async fn a_dead_message_makes_room(subject: &Subject) {
    subject
        .done(vec![keeping(A, Some(3)), append(A, messages(3, "abc"))])
        .await;
    let kill = |range| settle(A, range, Outcome::Dead(DeadReason::Rejected));
    subject.done(vec![kill(0..2)]).await;
    let marks = subject.marks(A).await;
    assert_eq!((marks.count, marks.bytes), (1, 3));
    subject.done(vec![append(A, messages(2, "de"))]).await;
    assert_eq!(alive(subject).await, [(2, 1), (3, 2)]);
    subject.done(vec![kill(2..3)]).await;
    let marks = subject.marks(A).await;
    assert_eq!((marks.count, marks.bytes), (2, 2));
    assert_eq!(dead(subject).await, [(0, 3, DeadReason::Rejected)]);
    assert_eq!(subject.died(), []);
}

/// Nobody asked for it, so somebody has to be told.
pub async fn what_is_dropped_at_the_head_dies_and_the_watcher_is_told(subject: &Subject) {
    subject
        .done(vec![
            keeping(A, Some(2)),
            append(A, message("0")),
            append(A, message("1")),
        ])
        .await;
    subject.done(vec![append(A, message("2"))]).await;
    subject.done(vec![append(A, messages(2, "34"))]).await;
    let dropped = [0, 1, 2].map(|at| (at, 1, DeadReason::MaxLen));
    assert_eq!(dead(subject).await, dropped);
    assert_eq!(alive(subject).await, [(3, 2)]);
    assert_eq!(subject.marks(A).await.count, 2);
    assert_eq!(subject.died(), [A, A]);
}

/// What is not a queue keeps no dead: its head is gone, and no reader has settled it.
pub async fn what_is_dropped_at_the_head_of_a_log_is_gone(subject: &Subject) {
    let Op::Create { entity, spec } = keeping(A, Some(2)) else {
        unreachable!("it creates")
    };
    let kind = Kind::Log;
    let spec = Spec { kind, ..spec };
    subject.done(vec![Op::Create { entity, spec }]).await;
    for body in ["0", "1", "2"] {
        subject.done(vec![append(A, message(body))]).await;
    }
    assert_eq!(subject.marks(A).await.start, Offset(1));
    assert_eq!(alive(subject).await, [(1, 1), (2, 1)]);
    assert_eq!(subject.died(), []);
}

/// Nothing below the new start is there any more.
pub async fn a_purge_takes_the_dead_along(subject: &Subject) {
    subject
        .done(vec![
            keeping(A, None),
            append(A, messages(3, "abc")),
            append(A, message("d")),
        ])
        .await;
    subject
        .done(vec![
            settle(A, 1..2, Outcome::Dead(DeadReason::Expired)),
            settle(A, 3..4, Outcome::Dead(DeadReason::Expired)),
            trim(A, 3),
        ])
        .await;
    assert_eq!(dead(subject).await, [(3, 1, DeadReason::Expired)]);
    assert_eq!(alive(subject).await, []);
    let marks = subject.marks(A).await;
    assert_eq!((marks.start.0, marks.count, marks.bytes), (3, 0, 0));
}

/// Elsewhere a message does not die.
pub async fn only_a_queue_has_dead_messages(subject: &Subject) {
    subject
        .done(vec![create(A, Kind::Log), create(B, Kind::Latest)])
        .await;
    for entity in [A, B] {
        let refused = subject
            .commit(vec![settle_for(entity, DEAD, 0..1, Outcome::Done)])
            .await;
        assert!(
            matches!(refused, Err(StoreError::Unsupported { .. })),
            "{refused:?}"
        );
    }
}
