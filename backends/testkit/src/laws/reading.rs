//! Messages are read again.

use fairlead_canon::{Batch, Codec, Kind, Offset, Outcome, Timestamp};
use fairlead_ports::{By, StoreError, View, Want};

use crate::Subject;
use crate::make::{A, append, append_at, create, message, messages, settle, stamped, trim};

/// The first batch of a read holds the offset asked for, even in its middle.
pub async fn a_read_begins_with_the_batch_that_holds_its_offset(subject: &Subject) {
    subject
        .done(vec![
            create(A, Kind::Log),
            append(A, messages(5, "a")),
            append(A, messages(5, "b")),
        ])
        .await;
    for (from, bases) in [
        (0, vec![0, 5]),
        (4, vec![0, 5]),
        (5, vec![5]),
        (9, vec![5]),
        (10, vec![]),
    ] {
        let chunk = subject
            .log(A)
            .read(Offset(from), Want::bytes(1000))
            .await
            .unwrap();
        let found: Vec<_> = chunk.batches.iter().map(|stored| stored.base.0).collect();
        assert_eq!(found, bases, "from {from}");
        assert_eq!(chunk.marks.end, Offset(10));
    }
}

/// Bounds hold, but a batch larger than the bound can be read.
pub async fn a_read_stops_at_its_bounds_but_gives_one_batch(subject: &Subject) {
    let all: Vec<_> = (0..10).map(|_| append(A, message(vec![7; 100]))).collect();
    subject
        .done(vec![create(A, Kind::Log)].into_iter().chain(all).collect())
        .await;
    let log = subject.log(A);
    let count = |bytes_max, count_max| {
        let read = log.read(
            Offset(0),
            Want {
                view: View::All,
                bytes_max,
                count_max,
            },
        );
        async { read.await.unwrap().batches.len() }
    };
    assert_eq!(count(1, 100).await, 1);
    assert_eq!(count(299, 100).await, 2);
    assert_eq!(count(300, 100).await, 3);
    assert_eq!(count(10_000, 4).await, 4);
}

/// A reader that is outside learns the bounds.
pub async fn a_read_outside_the_bounds_is_refused(subject: &Subject) {
    subject
        .done(vec![
            create(A, Kind::Log),
            append(A, message("0")),
            append(A, message("1")),
            trim(A, 1),
        ])
        .await;
    for from in [0, 3] {
        let refused = subject
            .log(A)
            .read(Offset(from), Want::bytes(1))
            .await
            .err();
        assert_eq!(
            refused,
            Some(StoreError::OutOfRange {
                start: Offset(1),
                end: Offset(2)
            })
        );
    }
}

/// Every field of a batch survives, in both codecs.
pub async fn bytes_come_back_as_they_were(subject: &Subject) {
    subject.done(vec![create(A, Kind::Log)]).await;
    let every_byte: Vec<u8> = (0..=255).collect();
    let plain = Batch {
        deadline: Some(Timestamp(99)),
        time: Timestamp(u64::MAX),
        ..message(every_byte)
    };
    let stamped = Batch {
        codec: Codec::RecordsV2,
        span: 7,
        ..stamped(5, 2, 0..3)
    };
    let empty = message("");
    for batch in [&plain, &stamped, &empty] {
        subject.done(vec![append(A, batch.clone())]).await;
    }
    let read: Vec<_> = subject
        .all(A)
        .await
        .into_iter()
        .map(|stored| stored.batch)
        .collect();
    assert_eq!(read, [plain, stamped, empty]);
}

/// A fetch gives batches in the order asked for, without those that are gone.
pub async fn a_fetch_leaves_out_what_is_gone(subject: &Subject) {
    let all: Vec<_> = (0..5).map(|n| append(A, message(n.to_string()))).collect();
    subject
        .done(
            vec![create(A, Kind::Queue)]
                .into_iter()
                .chain(all)
                .collect(),
        )
        .await;
    subject.done(vec![settle(A, 1..2, Outcome::Done)]).await;
    let fetched = subject
        .log(A)
        .fetch([4, 1, 0, 9, 3].map(Offset).to_vec())
        .await
        .unwrap();
    let bases: Vec<_> = fetched.iter().map(|stored| stored.base.0).collect();
    assert_eq!(bases, [4, 0, 3]);
}

/// Times need not grow with offsets: the first batch that is late enough counts.
pub async fn a_time_is_found_by_the_latest_time_of_batches(subject: &Subject) {
    subject.done(vec![create(A, Kind::Log)]).await;
    for time in [10, 30, 20, 40] {
        subject
            .done(vec![append(
                A,
                Batch {
                    time: Timestamp(time),
                    ..message("x")
                },
            )])
            .await;
    }
    for (time, found) in [
        (0, Some(0)),
        (10, Some(0)),
        (11, Some(1)),
        (31, Some(3)),
        (41, None),
    ] {
        let at = subject
            .log(A)
            .find(By::Time(Timestamp(time)))
            .await
            .unwrap();
        assert_eq!(at, found.map(Offset), "time {time}");
    }
}

/// A trim moves the start; a batch that straddles it stays.
pub async fn a_trimmed_log_begins_later(subject: &Subject) {
    subject
        .done(vec![
            create(A, Kind::Log),
            append(A, messages(4, "a")),
            append(A, messages(4, "b")),
        ])
        .await;
    subject.done(vec![trim(A, 6)]).await;
    let marks = subject.marks(A).await;
    assert_eq!((marks.start.0, marks.end.0, marks.bytes), (6, 8, 1));
    let chunk = subject
        .log(A)
        .read(Offset(6), Want::bytes(10))
        .await
        .unwrap();
    assert_eq!(
        chunk.batches.first().map(|stored| stored.base),
        Some(Offset(4))
    );
    let beyond = subject.commit(vec![trim(A, 9)]).await;
    assert_eq!(
        beyond,
        Err(StoreError::OutOfRange {
            start: Offset(6),
            end: Offset(8)
        })
    );
    subject.done(vec![trim(A, 8)]).await;
    let marks = subject.marks(A).await;
    assert_eq!(
        (marks.start.0, marks.end.0, marks.count, marks.bytes),
        (8, 8, 0, 0)
    );
    subject.done(vec![append_at(A, 30, message("c"))]).await;
    assert_eq!(
        subject.marks(A).await.start,
        Offset(30),
        "nothing is kept before it"
    );
}
