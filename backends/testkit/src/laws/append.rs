//! Messages are appended.

use bytes::Bytes;
use fairlead_canon::{Batch, EpochTag, Kind, Offset, Overflow, Promise, SizeLimits, Spec};
use fairlead_ports::{Op, Place, Placement, StoreError, Target, Unit};

use crate::Subject;
use crate::make::{
    A, B, append, append_at, append_to, create, expect, message, messages, put, spec, stamped,
};
use fairlead_ports::Version;

/// Offsets begin at 0 and grow by what each batch takes.
pub async fn offsets_are_dense_and_grow_by_span(subject: &Subject) {
    subject.done(vec![create(A, Kind::Log)]).await;
    let mut bases = Vec::new();
    for count in [1, 3, 2] {
        let committed = subject.done(vec![append(A, messages(count, "x"))]).await;
        bases.extend(
            committed
                .placed
                .iter()
                .map(|placed| (placed.base.0, placed.how)),
        );
    }
    assert_eq!(
        bases,
        [
            (0, Placement::New),
            (1, Placement::New),
            (4, Placement::New)
        ]
    );
    let marks = subject.marks(A).await;
    assert_eq!(
        (marks.start.0, marks.end.0, marks.count, marks.bytes),
        (0, 6, 6, 3)
    );
}

/// All targets of an append get the batch, each at its own offset.
pub async fn one_body_reaches_every_target(subject: &Subject) {
    subject
        .done(vec![
            create(A, Kind::Log),
            create(B, Kind::Queue),
            append(A, message("first")),
        ])
        .await;
    let committed = subject
        .done(vec![append_to(&[A, B], message("both"))])
        .await;
    let placed: Vec<_> = committed
        .placed
        .iter()
        .map(|placed| (placed.entity, placed.base.0))
        .collect();
    assert_eq!(placed, [(A, 1), (B, 0)]);
    assert_eq!(subject.bodies(A).await.last(), Some(&(1, "both".into())));
    assert_eq!(subject.bodies(B).await, [(0, "both".into())]);
}

/// An entity that is named twice gets the batch twice, one behind the other.
pub async fn an_entity_that_is_named_twice_gets_it_twice(subject: &Subject) {
    subject
        .done(vec![create(A, Kind::Log), create(B, Kind::Queue)])
        .await;
    let committed = subject
        .done(vec![append_to(&[A, B, A], message("again"))])
        .await;
    let placed = committed.placed.iter();
    let placed: Vec<_> = placed.map(|it| (it.entity, it.base.0)).collect();
    assert_eq!(placed, [(A, 0), (B, 0), (A, 1)]);
    assert_eq!(subject.marks(A).await.end.0, 2);
}

/// An operation that fails takes the whole unit with it, the ones before it included.
pub async fn a_unit_is_all_or_nothing(subject: &Subject) {
    subject.done(vec![create(A, Kind::Log)]).await;
    let unit = vec![
        put(1, "k", "v"),
        append(A, message("x")),
        create(B, Kind::Log),
        append(crate::make::C, message("y")),
    ];
    assert_eq!(
        subject.commit(unit).await,
        Err(StoreError::NoEntity(crate::make::C))
    );
    assert_eq!(subject.marks(A).await.end, Offset(0));
    assert_eq!(subject.document(1, "k").await, None);
    assert_eq!(
        subject.log(B).marks().await.err(),
        Some(StoreError::NoEntity(B))
    );
}

/// A later unit of a call sees what an earlier one did, and a refused one does not stop the rest.
pub async fn units_of_a_call_take_effect_in_order(subject: &Subject) {
    let unit = |ops: Vec<Op>| Unit {
        ops: ops.into(),
        promise: Promise::Durable,
    };
    let results = subject
        .store
        .commit(
            vec![
                unit(vec![create(A, Kind::Log)]),
                unit(vec![append(A, message("1"))]),
                unit(vec![create(A, Kind::Log)]),
                unit(vec![append(A, message("2")), append(A, message("3"))]),
            ]
            .into(),
        )
        .await;
    let are_ok: Vec<_> = results.iter().map(Result::is_ok).collect();
    assert_eq!(are_ok, [true, true, false, true]);
    assert_eq!(
        subject.bodies(A).await,
        [(0, "1".into()), (1, "2".into()), (2, "3".into())]
    );
}

/// The order of calls counts, not that of awaiting.
pub async fn calls_take_effect_in_the_order_in_which_they_are_made(subject: &Subject) {
    subject.done(vec![create(A, Kind::Log)]).await;
    let unit = |body: String| Unit {
        ops: [append(A, message(body))].into(),
        promise: Promise::Durable,
    };
    let mut calls: Vec<_> = (0..50)
        .map(|n| subject.store.commit([unit(n.to_string())].into()))
        .collect();
    calls.reverse();
    for call in calls {
        assert!(call.await.iter().all(Result::is_ok));
    }
    let bodies: Vec<_> = subject
        .bodies(A)
        .await
        .into_iter()
        .map(|(_, body)| body)
        .collect();
    assert_eq!(
        bodies,
        (0..50)
            .map(|n| Bytes::from(n.to_string()))
            .collect::<Vec<_>>()
    );
}

/// A batch can be placed at or above the end.
pub async fn a_placed_batch_leaves_a_gap_but_never_overlaps(subject: &Subject) {
    subject
        .done(vec![
            create(A, Kind::Log),
            append_at(A, 10, messages(2, "a")),
            append_at(A, 20, message("b")),
        ])
        .await;
    let refused = subject.commit(vec![append_at(A, 20, message("c"))]).await;
    assert_eq!(
        refused,
        Err(StoreError::OutOfRange {
            start: Offset(10),
            end: Offset(21)
        })
    );
    let committed = subject.done(vec![append(A, message("d"))]).await;
    assert_eq!(
        committed.placed.first().map(|placed| placed.base),
        Some(Offset(21))
    );
    let bases: Vec<_> = subject
        .bodies(A)
        .await
        .into_iter()
        .map(|(base, _)| base)
        .collect();
    assert_eq!(bases, [10, 20, 21]);
}

/// At its limit an entity refuses, drops its oldest, or drops the newest.
pub async fn a_full_entity_does_as_its_overflow_says(subject: &Subject) {
    let limited = |overflow, bytes_max| Spec {
        limits: SizeLimits {
            count_max: Some(2),
            bytes_max,
            overflow,
        },
        ..spec(Kind::Queue)
    };
    let cases = [
        (A, Overflow::Reject),
        (B, Overflow::DropHead),
        (crate::make::C, Overflow::DropNew),
    ];
    for (entity, overflow) in cases {
        subject
            .done(vec![Op::Create {
                entity,
                spec: limited(overflow, Some(10)),
            }])
            .await;
        subject
            .done(vec![
                append(entity, message("1")),
                append(entity, message("2")),
            ])
            .await;
    }
    let refused = subject.commit(vec![append(A, message("3"))]).await;
    assert_eq!(refused, Err(StoreError::Full { limit: "entity" }));
    // Where it was asked for, the others take what one of them refuses.
    let to = [A, crate::make::C].map(|entity| Target {
        entity,
        place: Place::IfRoom,
        tag: EpochTag::default(),
    });
    let batch = message("3");
    let to = to.into_iter().collect();
    let passed = subject.done(vec![Op::Append { to, batch }]).await;
    let how: Vec<_> = passed.placed.iter().map(|placed| placed.how).collect();
    assert_eq!(how, [Placement::Refused, Placement::Dropped]);
    assert_eq!(subject.marks(A).await.end, Offset(2));
    subject.done(vec![append(B, message("3"))]).await;
    assert_eq!(subject.bodies(B).await, [(1, "2".into()), (2, "3".into())]);
    let dropped = subject
        .done(vec![append(crate::make::C, message("3"))])
        .await;
    assert_eq!(
        dropped.placed.first().map(|placed| placed.how),
        Some(Placement::Dropped)
    );
    assert_eq!(subject.marks(crate::make::C).await.end, Offset(2));
    // What is larger than the limit never fits, whatever is dropped for it.
    let dropped = subject.done(vec![append(B, message("eleven bytes"))]).await;
    assert_eq!(
        dropped.placed.first().map(|placed| placed.how),
        Some(Placement::Dropped)
    );
    assert_eq!(subject.bodies(B).await.len(), 2);
}

/// A document that is too large is refused with everything beside it.
pub async fn what_is_too_large_is_refused_whole(subject: &Subject) {
    subject.done(vec![create(A, Kind::Log)]).await;
    let large = Op::Put {
        space: fairlead_ports::Space(1),
        key: "k".into(),
        value: Some(vec![0; 1024 * 1024 + 1].into()),
        due: None,
    };
    let refused = subject.commit(vec![append(A, message("x")), large]).await;
    assert!(
        matches!(refused, Err(StoreError::TooLarge { .. })),
        "{refused:?}"
    );
    assert_eq!(subject.marks(A).await.end, Offset(0));
}

/// The watcher hears of what is new, and of nothing else.
pub async fn the_watcher_hears_of_each_batch_in_order(subject: &Subject) {
    subject
        .done(vec![create(A, Kind::Queue), append(A, stamped(1, 0, 0..2))])
        .await;
    subject.done(vec![append(A, stamped(1, 0, 0..2))]).await;
    let refused = subject
        .commit(vec![append(A, message("x")), expect(1, "k", Version(9))])
        .await;
    assert_eq!(refused, Err(StoreError::Conflict));
    subject.done(vec![append(A, message("four"))]).await;
    let told: Vec<_> = subject
        .told(A)
        .iter()
        .map(|told| (told.base.0, told.span, told.bytes))
        .collect();
    assert_eq!(told, [(0, 2, 5), (2, 1, 4)]);
}

/// A batch that contradicts itself is refused, also where its contradiction would not matter.
pub async fn a_batch_that_contradicts_itself_is_refused(subject: &Subject) {
    subject.done(vec![create(A, Kind::Log)]).await;
    let plain = || messages(2, "x");
    let key = || fairlead_canon::Key {
        key: Some("k".into()),
        has_value: true,
    };
    let long = fairlead_canon::Key {
        key: Some(vec![0; 65_536].into()),
        has_value: true,
    };
    let cases = [
        Batch {
            count: 0,
            ..plain()
        },
        Batch { span: 1, ..plain() },
        Batch {
            keys: vec![key()],
            ..plain()
        },
        Batch {
            keys: vec![key(), long],
            ..plain()
        },
        Batch {
            flags: fairlead_canon::BatchFlags {
                transactional: true,
                control: false,
            },
            ..plain()
        },
    ];
    for batch in cases {
        let refused = subject.commit(vec![append(A, batch)]).await;
        let is_refused = matches!(
            refused,
            Err(StoreError::Unsupported { .. } | StoreError::TooLarge { .. })
        );
        assert!(is_refused, "{refused:?}");
    }
    let beyond = subject.commit(vec![append_at(A, u64::MAX, plain())]).await;
    assert!(
        matches!(beyond, Err(StoreError::OutOfRange { .. })),
        "{beyond:?}"
    );
    assert_eq!(subject.marks(A).await.end, Offset(0));
}
