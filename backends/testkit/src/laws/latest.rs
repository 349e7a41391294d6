//! The newest message of each key.

use bytes::Bytes;
use fairlead_canon::Kind;
use fairlead_ports::StoreError;

use crate::Subject;
use crate::make::{A, append, create, keyed, message, trim};

/// A newer message takes the place of an older one, which goes.
pub async fn the_newest_message_of_a_key_is_kept(subject: &Subject) {
    subject.done(vec![create(A, Kind::Latest)]).await;
    for (key, body) in [("a", "1"), ("b", "2"), ("a", "33")] {
        subject.done(vec![append(A, keyed(key, body))]).await;
    }
    assert_eq!(
        subject.latest(A).await,
        [("a".into(), "33".into()), ("b".into(), "2".into())]
    );
    assert_eq!(subject.bodies(A).await, [(1, "2".into()), (2, "33".into())]);
    let marks = subject.marks(A).await;
    assert_eq!((marks.end.0, marks.count, marks.bytes), (3, 2, 3));
}

/// A key without a value clears, takes an offset and leaves nothing.
pub async fn a_key_without_a_value_clears(subject: &Subject) {
    subject
        .done(vec![
            create(A, Kind::Latest),
            append(A, keyed("a", "1")),
            append(A, keyed("b", "2")),
        ])
        .await;
    subject
        .done(vec![append(A, keyed("a", "")), append(A, keyed("c", ""))])
        .await;
    assert_eq!(subject.latest(A).await, [("b".into(), "2".into())]);
    let marks = subject.marks(A).await;
    assert_eq!((marks.end.0, marks.count), (4, 1));
    subject.done(vec![trim(A, 4)]).await;
    assert_eq!(subject.latest(A).await, []);
}

/// Pages follow each other without gap or overlap.
pub async fn keys_are_listed_by_prefix_in_order(subject: &Subject) {
    subject.done(vec![create(A, Kind::Latest)]).await;
    for key in ["x/2", "x/1", "y/1", "x/3", "w"] {
        subject.done(vec![append(A, keyed(key, "v"))]).await;
    }
    let log = subject.log(A);
    let page = |after: Option<&'static str>| log.latest("x/".into(), after.map(Into::into), 2);
    let keys = |page: &fairlead_ports::KeyPage| {
        page.entries
            .iter()
            .map(|(key, _)| key.clone())
            .collect::<Vec<Bytes>>()
    };
    let first = page(None).await.unwrap();
    assert_eq!(
        (keys(&first), first.is_cut),
        (vec!["x/1".into(), "x/2".into()], true)
    );
    let second = page(Some("x/2")).await.unwrap();
    assert_eq!((keys(&second), second.is_cut), (vec!["x/3".into()], false));
}

/// Without a key there is nothing to be the newest of.
pub async fn a_message_without_a_key_is_refused(subject: &Subject) {
    subject.done(vec![create(A, Kind::Latest)]).await;
    let refused = subject.commit(vec![append(A, message("x"))]).await;
    assert!(
        matches!(refused, Err(StoreError::Unsupported { .. })),
        "{refused:?}"
    );
}
