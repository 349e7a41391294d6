//! Transactions of producers.

use fairlead_canon::{EntityId, Kind, Offset, Overflow, ProducerId, SizeLimits, Spec};
use fairlead_ports::{Aborted, Chunk, Decision, Op, StoreError, View, Want};

use crate::Subject;
use crate::make::{
    A, B, append, append_to, create, end_txn, marker, message, spec, stamped, transacted, trim,
};

const COMMITTED: Want = Want {
    bytes_max: u32::MAX,
    count_max: u32::MAX,
    view: View::Committed,
};

async fn committed(subject: &Subject, entity: EntityId, from: u64) -> Chunk {
    let read = subject.log(entity).read(Offset(from), COMMITTED).await;
    read.expect("the offset can be read")
}

fn bases(chunk: &Chunk) -> Vec<u64> {
    chunk.batches.iter().map(|stored| stored.base.0).collect()
}

fn aborted(producer: i64, first: u64, last: u64) -> Aborted {
    Aborted {
        producer: ProducerId(producer),
        first: Offset(first),
        last: Offset(last),
    }
}

/// What is open hides itself and everything behind it, from those who ask for what is committed.
pub async fn a_committed_read_ends_at_the_oldest_open_transaction(subject: &Subject) {
    subject
        .done(vec![
            create(A, Kind::Log),
            append(A, message("0")),
            append(A, transacted(1, 0, 0..2)),
            append(A, transacted(2, 0, 0..1)),
            append(A, message("4")),
        ])
        .await;
    let chunk = committed(subject, A, 0).await;
    assert_eq!(bases(&chunk), [0]);
    assert_eq!((chunk.marks.stable.0, chunk.marks.end.0), (1, 5));
    let behind = committed(subject, A, 3).await;
    assert_eq!(bases(&behind), [], "behind what is stable");
    assert_eq!(subject.all(A).await.len(), 4, "who asks for all sees all");

    subject
        .done(vec![append(A, marker()), end_txn(1, 0, Decision::Commit)])
        .await;
    let chunk = committed(subject, A, 0).await;
    assert_eq!((bases(&chunk), chunk.marks.stable.0), (vec![0, 1], 3));
    assert_eq!(chunk.aborted, []);

    // The next one of the same producer begins where its first batch lies.
    subject.done(vec![append(A, transacted(1, 0, 2..3))]).await;
    subject
        .done(vec![append(A, marker()), end_txn(2, 0, Decision::Commit)])
        .await;
    assert_eq!(subject.marks(A).await.stable.0, 6);
    subject
        .done(vec![append(A, marker()), end_txn(1, 0, Decision::Commit)])
        .await;
    let marks = subject.marks(A).await;
    assert_eq!((marks.stable, marks.end), (Offset(9), Offset(9)));
    assert_eq!(bases(&committed(subject, A, 7).await), [7, 8]);
}

/// A reader of what is committed learns what to pass over, if it touches what was read.
pub async fn an_aborted_transaction_is_told_with_its_bounds(subject: &Subject) {
    subject
        .done(vec![
            create(A, Kind::Log),
            append(A, message("0")),
            append(A, transacted(1, 0, 0..2)),
            append(A, transacted(2, 0, 0..1)),
            append(A, transacted(1, 0, 2..3)),
            append(A, marker()),
            end_txn(1, 0, Decision::Abort),
            append(A, message("6")),
            append(A, marker()),
            end_txn(2, 0, Decision::Abort),
        ])
        .await;
    let chunk = committed(subject, A, 0).await;
    assert_eq!(chunk.aborted, [aborted(1, 1, 5), aborted(2, 3, 7)]);
    assert_eq!(chunk.batches.len(), 7, "they are read all the same");
    let later = committed(subject, A, 6).await;
    assert_eq!(later.aborted, [aborted(2, 3, 7)]);
    let one = Want {
        count_max: 1,
        ..COMMITTED
    };
    let first = subject.log(A).read(Offset(0), one).await.unwrap();
    assert_eq!(first.aborted, [], "none touches the first batch");
    let all = subject.log(A).read(Offset(0), Want::bytes(u32::MAX)).await;
    assert_eq!(all.unwrap().aborted, [], "only who asked is told");
}

/// One operation ends it everywhere; a copier ends it where its marker has come.
pub async fn a_transaction_ends_in_all_that_it_touched_or_in_one(subject: &Subject) {
    subject
        .done(vec![create(A, Kind::Log), create(B, Kind::Log)])
        .await;
    subject
        .done(vec![append_to(&[A, B], transacted(1, 0, 0..1))])
        .await;
    let in_one = Op::EndTxn {
        producer: ProducerId(1),
        epoch: 0,
        decision: Decision::Abort,
        entity: Some(B),
    };
    subject.done(vec![in_one]).await;
    assert_eq!(subject.marks(A).await.stable.0, 0);
    assert_eq!(subject.marks(B).await.stable.0, 1);
    subject
        .done(vec![append_to(&[A, B], transacted(1, 0, 1..2))])
        .await;
    subject
        .done(vec![
            append_to(&[A, B], marker()),
            end_txn(1, 0, Decision::Abort),
        ])
        .await;
    let here = committed(subject, A, 0).await;
    assert_eq!(here.aborted, [aborted(1, 0, 2)]);
    let there = committed(subject, B, 0).await;
    assert_eq!(there.aborted, [aborted(1, 0, 0), aborted(1, 1, 2)]);
}

/// A coordinator that is not sure may end it once more.
pub async fn the_end_of_none_is_taken(subject: &Subject) {
    subject
        .done(vec![create(A, Kind::Log), end_txn(7, 3, Decision::Commit)])
        .await;
    subject
        .done(vec![
            append(A, stamped(7, 3, 0..1)),
            end_txn(7, 0, Decision::Abort),
        ])
        .await;
    assert_eq!(subject.marks(A).await.stable.0, 1);
}

/// Nor does anything else of its unit take effect.
pub async fn an_older_epoch_cannot_end_what_a_newer_one_opened(subject: &Subject) {
    subject
        .done(vec![
            create(A, Kind::Log),
            append(A, transacted(1, 2, 0..1)),
        ])
        .await;
    let late = vec![append(A, marker()), end_txn(1, 1, Decision::Commit)];
    assert_eq!(subject.commit(late).await, Err(StoreError::ProducerFenced));
    let marks = subject.marks(A).await;
    assert_eq!((marks.stable.0, marks.end.0), (0, 1));
    let within = vec![
        append(A, transacted(3, 5, 0..1)),
        end_txn(3, 4, Decision::Commit),
    ];
    assert_eq!(
        subject.commit(within).await,
        Err(StoreError::ProducerFenced)
    );
}

/// Whoever takes over aborts with a newer epoch; the old instance is refused from then on.
pub async fn a_newer_epoch_that_ends_it_shuts_the_older_one_out(subject: &Subject) {
    subject
        .done(vec![
            create(A, Kind::Log),
            append(A, transacted(1, 0, 0..1)),
        ])
        .await;
    subject
        .done(vec![append(A, marker()), end_txn(1, 1, Decision::Abort)])
        .await;
    let zombie = subject
        .commit(vec![append(A, transacted(1, 0, 1..2))])
        .await;
    assert_eq!(zombie, Err(StoreError::ProducerFenced));
    subject.done(vec![append(A, transacted(1, 1, 0..1))]).await;
    assert_eq!(subject.marks(A).await.stable.0, 2);
}

/// What cannot be hidden from readers is refused, and so is what nobody could end.
pub async fn only_a_log_takes_a_transaction_and_only_of_somebody(subject: &Subject) {
    subject
        .done(vec![create(A, Kind::Log), create(B, Kind::Queue)])
        .await;
    let mut of_nobody = message("x");
    of_nobody.flags.transactional = true;
    for refused in [append(B, transacted(1, 0, 0..1)), append(A, of_nobody)] {
        let refused = subject.commit(vec![refused]).await;
        assert!(
            matches!(refused, Err(StoreError::Unsupported { .. })),
            "{refused:?}"
        );
    }
}

/// Otherwise what filled it could never be ended.
pub async fn a_marker_finds_its_place_in_a_full_entity(subject: &Subject) {
    let limits = SizeLimits {
        count_max: Some(1),
        bytes_max: None,
        overflow: Overflow::Reject,
    };
    let spec = Spec {
        limits,
        ..spec(Kind::Log)
    };
    subject
        .done(vec![
            Op::Create { entity: A, spec },
            append(A, transacted(1, 0, 0..1)),
        ])
        .await;
    let more = subject
        .commit(vec![append(A, transacted(1, 0, 1..2))])
        .await;
    assert_eq!(more, Err(StoreError::Full { limit: "entity" }));
    subject
        .done(vec![append(A, marker()), end_txn(1, 0, Decision::Commit)])
        .await;
    assert_eq!(subject.marks(A).await.stable.0, 2);
}

/// They touch nothing that can be read. What is open stays so when its beginning goes.
pub async fn aborted_ones_below_the_start_are_forgotten(subject: &Subject) {
    subject
        .done(vec![
            create(A, Kind::Log),
            append(A, transacted(1, 0, 0..1)),
            append(A, marker()),
            end_txn(1, 0, Decision::Abort),
            append(A, transacted(1, 0, 1..2)),
        ])
        .await;
    subject
        .done(vec![append(A, message("3")), trim(A, 3)])
        .await;
    assert_eq!(subject.marks(A).await.stable.0, 3);
    subject
        .done(vec![append(A, marker()), end_txn(1, 0, Decision::Abort)])
        .await;
    let chunk = committed(subject, A, 3).await;
    assert_eq!(chunk.aborted, [aborted(1, 2, 4)]);
}

/// What is made anew under its number has nothing to do with it.
pub async fn a_deleted_entity_has_no_open_transaction(subject: &Subject) {
    subject
        .done(vec![
            create(A, Kind::Log),
            append(A, transacted(1, 5, 0..1)),
        ])
        .await;
    subject
        .done(vec![
            Op::Delete { entity: A },
            create(A, Kind::Log),
            end_txn(1, 0, Decision::Abort),
            append(A, transacted(1, 0, 0..1)),
        ])
        .await;
    assert_eq!(subject.marks(A).await.stable.0, 0);
    subject.done(vec![end_txn(1, 0, Decision::Commit)]).await;
    let chunk = committed(subject, A, 0).await;
    assert_eq!((bases(&chunk), chunk.aborted), (vec![0], vec![]));
}
