//! Entities are made, changed and removed.

use fairlead_canon::{EpochTag, Kind, Outcome, Spec};
use fairlead_ports::{Op, Place, StoreError, Target};

use crate::Subject;
use crate::make::{A, append, create, message, settle, spec, trim};

/// A second `Create` is refused and changes nothing.
pub async fn an_entity_is_made_once(subject: &Subject) {
    subject
        .done(vec![create(A, Kind::Log), append(A, message("kept"))])
        .await;
    assert_eq!(
        subject.commit(vec![create(A, Kind::Log)]).await,
        Err(StoreError::Exists(A))
    );
    assert_eq!(subject.all(A).await.len(), 1);
}

/// Every operation on an absent entity says that it is absent.
pub async fn nothing_is_done_to_an_absent_entity(subject: &Subject) {
    let absent = Err(StoreError::NoEntity(A));
    let alter = Op::Alter {
        entity: A,
        spec: spec(Kind::Log),
    };
    for op in [
        append(A, message("")),
        settle(A, 0..1, Outcome::Done),
        trim(A, 0),
        Op::Delete { entity: A },
        alter,
    ] {
        assert_eq!(subject.commit(vec![op]).await, absent);
    }
    assert_eq!(
        subject.log(A).marks().await.err(),
        Some(StoreError::NoEntity(A))
    );
}

/// Settings change, the kind does not.
pub async fn an_altered_entity_keeps_its_kind(subject: &Subject) {
    subject.done(vec![create(A, Kind::Log)]).await;
    let alter = Op::Alter {
        entity: A,
        spec: spec(Kind::Queue),
    };
    let refused = subject.commit(vec![alter]).await;
    assert!(
        matches!(refused, Err(StoreError::Unsupported { .. })),
        "{refused:?}"
    );
}

/// Nothing of a deleted entity can be read, and its number can be used no more by old handles.
pub async fn a_deleted_entity_is_gone(subject: &Subject) {
    subject
        .done(vec![create(A, Kind::Queue), append(A, message("x"))])
        .await;
    let log = subject.log(A);
    subject.done(vec![Op::Delete { entity: A }]).await;
    assert_eq!(log.marks().await, Err(StoreError::NoEntity(A)));
    assert_eq!(
        subject.commit(vec![append(A, message("y"))]).await,
        Err(StoreError::NoEntity(A))
    );
}

/// An append must carry the entity's epoch, and the epoch never falls.
pub async fn another_epoch_is_fenced(subject: &Subject) {
    let tagged = |tag| Spec {
        tag: EpochTag(tag),
        ..spec(Kind::Log)
    };
    subject
        .done(vec![Op::Create {
            entity: A,
            spec: tagged(3),
        }])
        .await;
    let append_as = |tag| Op::Append {
        to: [Target {
            entity: A,
            place: Place::Next,
            tag: EpochTag(tag),
        }]
        .into(),
        batch: message("x"),
    };
    assert_eq!(
        subject.commit(vec![append_as(2)]).await,
        Err(StoreError::Fenced)
    );
    subject.done(vec![append_as(3)]).await;
    subject
        .done(vec![Op::Alter {
            entity: A,
            spec: tagged(4),
        }])
        .await;
    assert_eq!(
        subject.commit(vec![append_as(3)]).await,
        Err(StoreError::Fenced)
    );
    let back = Op::Alter {
        entity: A,
        spec: tagged(3),
    };
    assert_eq!(subject.commit(vec![back]).await, Err(StoreError::Fenced));
    assert_eq!(subject.marks(A).await.end.0, 1);
}
