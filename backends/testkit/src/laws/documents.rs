//! Small values change together with messages.

use bytes::Bytes;
use fairlead_canon::{Kind, Offset, Timestamp};
use fairlead_ports::{Document, Space, StoreError, Version};

use crate::Subject;
use crate::make::{A, append, clear, create, expect, message, put, put_due};

fn keys(documents: Vec<Document>) -> Vec<Bytes> {
    documents.into_iter().map(|document| document.key).collect()
}

/// Each write gives another version, none of them 0; absent is 0.
pub async fn a_version_changes_with_each_write(subject: &Subject) {
    subject
        .done(vec![expect(1, "k", Version(0)), put(1, "k", "v")])
        .await;
    let first = subject.document(1, "k").await.unwrap();
    assert_ne!(first.version, Version(0));
    subject.done(vec![put(1, "k", "v")]).await;
    let second = subject.document(1, "k").await.unwrap();
    assert!(second.version > first.version);
    subject
        .done(vec![expect(1, "k", second.version), clear(1, "k")])
        .await;
    assert_eq!(subject.document(1, "k").await, None);
    subject.done(vec![expect(1, "k", Version(0))]).await;
}

/// A condition that does not hold keeps everything out.
pub async fn an_expectation_that_fails_keeps_the_unit_out(subject: &Subject) {
    subject
        .done(vec![create(A, Kind::Log), put(1, "seen", "")])
        .await;
    let unit = vec![
        expect(1, "seen", Version(0)),
        append(A, message("twice")),
        put(1, "other", ""),
    ];
    assert_eq!(subject.commit(unit).await, Err(StoreError::Conflict));
    assert_eq!(subject.marks(A).await.end, Offset(0));
    assert_eq!(subject.document(1, "other").await, None);
    // Of two units that expect the same, the second one fails.
    let unit = || fairlead_ports::Unit {
        ops: vec![expect(1, "new", Version(0)), put(1, "new", "")].into(),
        promise: fairlead_canon::Promise::Durable,
    };
    let results = subject.store.commit(vec![unit(), unit()].into()).await;
    assert!(
        matches!(results.as_slice(), [Ok(_), Err(StoreError::Conflict)]),
        "{results:?}"
    );
}

/// A list stays in its space and prefix, in key order, behind its mark.
pub async fn keys_are_listed_by_prefix_and_space(subject: &Subject) {
    let all = vec![
        put(1, "b2", "v"),
        put(1, "b1", "v"),
        put(2, "b3", "v"),
        put(1, "a", "v"),
        put(1, "b3", "v"),
    ];
    subject.done(all).await;
    let list = |after: Option<&'static str>, max| {
        subject
            .documents
            .list(Space(1), "b".into(), after.map(Into::into), max)
    };
    assert_eq!(keys(list(None, 10).await.unwrap()), ["b1", "b2", "b3"]);
    assert_eq!(keys(list(None, 2).await.unwrap()), ["b1", "b2"]);
    assert_eq!(keys(list(Some("b2"), 10).await.unwrap()), ["b3"]);
}

/// Timers are told in their order; a new value replaces the old timer.
pub async fn due_documents_come_earliest_first(subject: &Subject) {
    subject
        .done(vec![
            put_due(1, "late", 30),
            put_due(2, "early", 10),
            put_due(1, "moved", 5),
            put(1, "never", ""),
        ])
        .await;
    subject
        .done(vec![
            put_due(1, "moved", 20),
            put_due(1, "gone", 1),
            clear(1, "gone"),
        ])
        .await;
    let due = |now, max| subject.documents.due(Timestamp(now), max);
    assert_eq!(keys(due(9, 10).await.unwrap()), Vec::<Bytes>::new());
    assert_eq!(keys(due(20, 10).await.unwrap()), ["early", "moved"]);
    assert_eq!(keys(due(99, 2).await.unwrap()), ["early", "moved"]);
    assert_eq!(keys(due(99, 9).await.unwrap()), ["early", "moved", "late"]);
}
