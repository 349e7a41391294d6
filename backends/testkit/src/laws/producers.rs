//! Idempotent producers.

use fairlead_canon::{Batch, Kind, Stamp};
use fairlead_ports::{Committed, Placement, StoreError};

use crate::Subject;
use crate::make::{A, B, append, append_at, append_to, create, stamped, trim};

fn placed(result: Result<Committed, StoreError>) -> Vec<(u64, Placement)> {
    result
        .unwrap()
        .placed
        .iter()
        .map(|placed| (placed.base.0, placed.how))
        .collect()
}

/// The last five batches are known again, and give their first offset.
pub async fn a_batch_that_comes_again_is_a_duplicate(subject: &Subject) {
    subject.done(vec![create(A, Kind::Log)]).await;
    for first in 0..6 {
        subject
            .done(vec![append(A, stamped(1, 0, first..first + 1))])
            .await;
    }
    let again = |first| subject.commit(vec![append(A, stamped(1, 0, first..first + 1))]);
    assert_eq!(placed(again(5).await), [(5, Placement::Duplicate)]);
    assert_eq!(placed(again(1).await), [(1, Placement::Duplicate)]);
    assert_eq!(
        again(0).await,
        Err(StoreError::OutOfSequence { last: 5, got: 0 })
    );
    assert_eq!(subject.marks(A).await.end.0, 6);
    // Also within one unit, which sees its own earlier operations.
    let unit = vec![
        append(A, stamped(1, 0, 6..7)),
        append(A, stamped(1, 0, 6..7)),
    ];
    assert_eq!(
        placed(subject.commit(unit).await),
        [(6, Placement::New), (6, Placement::Duplicate)]
    );
}

/// What does not follow is refused; what does afterwards is taken.
pub async fn a_gap_is_out_of_sequence(subject: &Subject) {
    subject
        .done(vec![create(A, Kind::Log), append(A, stamped(1, 0, 0..3))])
        .await;
    let gap = subject.commit(vec![append(A, stamped(1, 0, 4..5))]).await;
    assert_eq!(gap, Err(StoreError::OutOfSequence { last: 2, got: 4 }));
    subject.done(vec![append(A, stamped(1, 0, 3..5))]).await;
}

/// A new epoch shuts the old one out.
pub async fn a_lower_epoch_is_fenced_and_a_higher_one_begins_at_zero(subject: &Subject) {
    subject
        .done(vec![create(A, Kind::Log), append(A, stamped(1, 1, 0..1))])
        .await;
    let old = subject.commit(vec![append(A, stamped(1, 0, 1..2))]).await;
    assert_eq!(old, Err(StoreError::ProducerFenced));
    let late = subject.commit(vec![append(A, stamped(1, 2, 1..2))]).await;
    assert_eq!(late, Err(StoreError::OutOfSequence { last: -1, got: 1 }));
    subject.done(vec![append(A, stamped(1, 2, 0..1))]).await;
    let old = subject.commit(vec![append(A, stamped(1, 1, 1..2))]).await;
    assert_eq!(old, Err(StoreError::ProducerFenced));
}

/// After the largest sequence comes 0.
pub async fn the_sequence_wraps_to_zero(subject: &Subject) {
    let mut last = stamped(1, 0, 0..1);
    last.stamp = last.stamp.map(|stamp| Stamp {
        first: i32::MAX,
        last: i32::MAX,
        ..stamp
    });
    subject
        .done(vec![create(A, Kind::Log), append(A, last)])
        .await;
    subject.done(vec![append(A, stamped(1, 0, 0..1))]).await;
    assert_eq!(subject.marks(A).await.end.0, 2);
}

/// A copier's batches were judged where they come from.
pub async fn a_placed_batch_is_recorded_and_not_judged(subject: &Subject) {
    subject
        .done(vec![
            create(A, Kind::Log),
            append_at(A, 5, stamped(1, 0, 7..9)),
        ])
        .await;
    subject
        .done(vec![append_at(A, 10, stamped(1, 0, 20..21))])
        .await;
    let again = subject.commit(vec![append(A, stamped(1, 0, 20..21))]).await;
    assert_eq!(placed(again), [(10, Placement::Duplicate)]);
    let next = subject.commit(vec![append(A, stamped(1, 0, 21..22))]).await;
    assert_eq!(placed(next), [(11, Placement::New)]);
}

/// A batch may be a duplicate in one entity and new in another.
pub async fn each_entity_judges_by_itself(subject: &Subject) {
    subject
        .done(vec![create(A, Kind::Log), create(B, Kind::Log)])
        .await;
    let batch: Batch = stamped(1, 0, 0..2);
    subject.done(vec![append(A, batch.clone())]).await;
    let both = subject.commit(vec![append_to(&[A, B], batch)]).await;
    assert_eq!(
        placed(both),
        [(0, Placement::Duplicate), (0, Placement::New)]
    );
    assert_eq!(
        (subject.marks(A).await.end.0, subject.marks(B).await.end.0),
        (2, 2)
    );
}

/// [`fairlead_ports::Log::writers`] tells the latest batches of each, by offset.
pub async fn what_is_remembered_is_told_also_of_batches_that_are_gone(subject: &Subject) {
    subject.done(vec![create(A, Kind::Log)]).await;
    for first in 0..6 {
        subject
            .done(vec![append(A, stamped(1, 0, first..first + 1))])
            .await;
    }
    subject.done(vec![append(A, stamped(2, 3, 0..4))]).await;
    subject.done(vec![trim(A, 5)]).await;
    let told = subject.log(A).writers().await.expect("it is there");
    let told: Vec<_> = told
        .batches
        .into_iter()
        .map(|(base, stamp)| {
            (
                base.0,
                stamp.producer.0,
                stamp.epoch,
                stamp.first,
                stamp.last,
            )
        })
        .collect();
    let ones = (1..6).map(|at: i32| (at.unsigned_abs().into(), 1, 0, at, at));
    let expected: Vec<(u64, i64, i16, i32, i32)> = ones.chain([(6, 2, 3, 0, 3)]).collect();
    assert_eq!(told, expected);
}
