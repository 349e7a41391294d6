//! What an entity has in memory besides its batches is bounded.

use fairlead_canon::{DeadReason, Kind, Offset, Outcome, Spec};
use fairlead_ports::{CursorId, Decision, Op, Place, Placement, StoreError};
use fairlead_testkit::Subject;
use fairlead_testkit::make::{
    A, append, append_to, create, end_txn, marker, message, messages, settle, settle_for, spec,
    transacted, trim,
};

use super::open;
use crate::limits::{CURSORS_MAX, OPEN_TXNS_MAX, STRETCHES_MAX};
use crate::vfs::sim::SimFs;

const MAX: u64 = STRETCHES_MAX as u64;
const FULL: StoreError = StoreError::Full {
    limit: "stretches of an entity",
};

fn fresh() -> Subject {
    open(&SimFs::default()).unwrap()
}

/// A queue of one batch.
async fn queue_of(messages_in_it: u64) -> Subject {
    let subject = fresh();
    let count = u32::try_from(messages_in_it).unwrap();
    let batch = append(A, messages(count, "x"));
    subject.done(vec![create(A, Kind::Queue), batch]).await;
    subject
}

#[tokio::test]
async fn a_queue_settled_in_order_or_around_its_head_keeps_nothing_of_it() {
    let subject = fresh();
    subject.done(vec![create(A, Kind::Queue)]).await;
    for _ in 0..=2 * MAX {
        subject.done(vec![append(A, message("x"))]).await;
    }
    // All but the first, the last one first.
    for at in (1..=2 * MAX).rev() {
        subject
            .done(vec![settle(A, at..at + 1, Outcome::Done)])
            .await;
    }
    subject.done(vec![append(A, message("y"))]).await;
    assert_eq!(subject.marks(A).await.count, 2);
}

#[tokio::test]
async fn a_queue_with_too_many_holes_takes_nothing_new_until_they_close() {
    let subject = queue_of(2 * MAX).await;
    let hole = |n: u64| settle(A, 2 * n..2 * n + 1, Outcome::Done);
    subject.done((0..MAX - 1).map(hole).collect()).await;
    subject.done(vec![append(A, message("y"))]).await;
    subject.done(vec![hole(MAX - 1)]).await;
    let refused = subject.commit(vec![append(A, message("z"))]).await;
    assert_eq!(refused.unwrap_err(), FULL);
    let mut if_room = append(A, message("z"));
    if let Op::Append { to, .. } = &mut if_room {
        to[0].place = Place::IfRoom;
    }
    let taken = subject.done(vec![if_room]).await;
    assert_eq!(taken.placed[0].how, Placement::Refused);
    // Readers go on.
    subject.done(vec![settle(A, 1..2, Outcome::Done)]).await;
    subject.done(vec![append(A, message("z"))]).await;
}

#[tokio::test]
async fn what_came_back_equally_often_or_died_of_one_thing_is_one_stretch() {
    let subject = fresh();
    let spec = Spec {
        keeps_dead: true,
        ..spec(Kind::Queue)
    };
    subject.done(vec![Op::Create { entity: A, spec }]).await;
    for _ in 0..2 * MAX {
        subject.done(vec![append(A, message("x"))]).await;
    }
    for at in 0..MAX {
        let back = settle(A, at..at + 1, Outcome::Returned);
        let dead = Outcome::Dead(DeadReason::Expired);
        let dead = settle(A, MAX + at..MAX + at + 1, dead);
        subject
            .done(vec![back, dead, append(A, message("y"))])
            .await;
    }
    let log = subject.log(A);
    let dead = log.backlog(CursorId::DEAD, Offset(0), 10_000);
    assert_eq!(dead.await.unwrap().len() as u64, MAX);
}

#[tokio::test]
async fn a_log_with_too_many_aborted_transactions_takes_nothing_new_until_they_are_trimmed() {
    let subject = fresh();
    subject.done(vec![create(A, Kind::Log)]).await;
    for n in 0..MAX {
        let producer = i64::try_from(n % 32).unwrap();
        let sequence = i32::try_from(n / 32).unwrap();
        let begin = append(A, transacted(producer, 0, sequence..sequence + 1));
        subject.done(vec![begin]).await;
        let end = end_txn(producer, 0, Decision::Abort);
        subject.done(vec![append(A, marker()), end]).await;
    }
    let refused = subject.commit(vec![append(A, message("z"))]).await;
    assert_eq!(refused.unwrap_err(), FULL);
    // Whatever is open can still be ended.
    subject.done(vec![append(A, marker())]).await;
    subject.done(vec![trim(A, 10)]).await;
    subject.done(vec![append(A, message("z"))]).await;
}

#[tokio::test]
async fn a_log_has_so_many_cursors_and_no_more() {
    let subject = fresh();
    let batch = append_to(&[A], messages(2 * u32::try_from(MAX).unwrap(), "x"));
    subject.done(vec![create(A, Kind::Log), batch]).await;
    let cursors = CURSORS_MAX as u64;
    let settle = |cursor: u64, at: u64| settle_for(A, cursor, at..at + 1, Outcome::Done);
    for cursor in 1..=cursors {
        subject.done(vec![settle(cursor, 0)]).await;
    }
    let full = StoreError::Full {
        limit: "cursors of a log",
    };
    let one_more = subject.commit(vec![settle(cursors + 1, 0)]).await;
    assert_eq!(one_more.unwrap_err(), full);
    subject
        .done((1..=MAX - cursors).map(|n| settle(1, 2 * n)).collect())
        .await;
    let too_much = subject.commit(vec![settle(1, 2 * MAX - 1)]).await;
    assert_eq!(too_much.unwrap_err(), full);
}

#[tokio::test]
async fn one_more_open_transaction_waits_for_the_end_of_another() {
    let subject = fresh();
    subject.done(vec![create(A, Kind::Log)]).await;
    let begin = |producer: i64| append(A, transacted(producer, 0, 0..1));
    let most = i64::try_from(OPEN_TXNS_MAX).unwrap();
    subject.done((0..most).map(begin).collect()).await;
    let full = StoreError::Full {
        limit: "open transactions",
    };
    assert_eq!(subject.commit(vec![begin(most)]).await.unwrap_err(), full);
    subject.done(vec![end_txn(0, 0, Decision::Commit)]).await;
    subject.done(vec![begin(most)]).await;
}
