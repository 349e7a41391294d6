//! The disk refuses while the store runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake};

use fairlead_canon::{EpochTag, Kind, Promise, Spec};
use fairlead_ports::{Op, Place, StoreError, Target, Unit};
use fairlead_testkit::Subject;
use fairlead_testkit::laws::transactions;
use fairlead_testkit::make::{A, append, create, message, spec};

use super::{open, settings, world};
use crate::settings::Settings;
use crate::store::Native;
use crate::vfs::sim::{Loss, SimFs};

#[tokio::test]
async fn after_a_failed_write_nothing_is_acknowledged() {
    let fs = SimFs::default();
    let native = Arc::new(Native::open(&settings(), &world(&fs, 1)).unwrap());
    let poisoned = native.poisoned();
    let subject = Subject::new(Arc::clone(&native), ());
    subject
        .done(vec![create(A, Kind::Log), append(A, message("kept"))])
        .await;
    ready(&fs).await;
    fs.fail_at(1);
    assert_eq!(
        subject.commit(vec![append(A, message("lost"))]).await,
        Err(StoreError::Poisoned)
    );
    poisoned.await;
    assert_eq!(
        subject.commit(vec![append(A, message("late"))]).await,
        Err(StoreError::Poisoned)
    );
    assert_eq!(
        subject.bodies(A).await,
        [(0, "kept".into())],
        "what was shown stays readable"
    );
    let document = subject
        .documents
        .get(fairlead_ports::Space(1), "k".into())
        .await;
    assert!(matches!(document, Ok(None) | Err(StoreError::Poisoned)));
    drop((subject, native));
    let subject = open(&fs.after_crash(Loss::All)).unwrap();
    assert_eq!(subject.bodies(A).await, [(0, "kept".into())]);
}

/// Counts how often it is woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn who_waits_for_the_log_to_fail_is_not_woken_while_it_does_not() {
    let fs = SimFs::default();
    let native = Arc::new(Native::open(&settings(), &world(&fs, 1)).unwrap());
    let (mut poisoned, wakes) = (native.poisoned(), Arc::new(Wakes::default()));
    let waker = Arc::clone(&wakes).into();
    let mut context = Context::from_waker(&waker);
    assert!(poisoned.as_mut().poll(&mut context).is_pending());
    let subject = Subject::new(Arc::clone(&native), ());
    subject.done(vec![create(A, Kind::Log)]).await;
    for body in ["one", "two"] {
        subject.done(vec![append(A, message(body))]).await;
    }
    assert_eq!(wakes.0.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_directory_is_opened_once() {
    let fs = SimFs::default();
    let first = open(&fs).unwrap();
    assert!(matches!(open(&fs), Err(crate::OpenError::Locked { .. })));
    drop(first);
    open(&fs).expect("the lock ends with the store");
}

#[tokio::test]
async fn a_promise_that_needs_no_sync_is_answered_and_shown_at_once_in_a_queue() {
    let fs = SimFs::default();
    let subject = open(&fs).unwrap();
    subject.done(vec![create(A, Kind::Queue)]).await;
    let accepted = |body: &'static str| Unit {
        ops: [append(A, message(body))].into(),
        promise: Promise::Accepted,
    };
    ready(&fs).await;
    // From here on the disk takes nothing, so whatever is seen is seen without it.
    fs.fail_at(1);
    let results = subject
        .store
        .commit(vec![accepted("one"), accepted("two")].into())
        .await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(subject.told(A).len(), 2);
    assert_eq!(
        subject.bodies(A).await,
        [(0, "one".into()), (1, "two".into())]
    );
}

/// Waits until log files are prepared, after which only commits touch the disk.
pub(super) async fn ready(fs: &SimFs) {
    while !fs
        .paths()
        .iter()
        .any(|path| path.ends_with("0000000000000003.wal"))
    {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_is_not_durable_is_not_shown_in_a_log() {
    let fs = SimFs::default();
    let subject = open(&fs).unwrap();
    subject.done(vec![create(A, Kind::Log)]).await;
    ready(&fs).await;
    fs.fail_at(1);
    let unit = Unit {
        ops: [append(A, message("x"))].into(),
        promise: Promise::Accepted,
    };
    assert!(
        subject
            .store
            .commit([unit].into())
            .await
            .iter()
            .all(Result::is_ok)
    );
    assert_eq!(
        subject.commit(vec![append(A, message("y"))]).await,
        Err(StoreError::Poisoned)
    );
    assert_eq!(
        (subject.marks(A).await.end.0, subject.told(A).len()),
        (0, 0)
    );
}

#[tokio::test]
async fn bodies_that_left_memory_are_read_from_disk_and_verified() {
    let fs = SimFs::default();
    let settings = Settings {
        tail_bytes_max: 0,
        ..settings()
    };
    let open = || {
        Subject::new(
            Arc::new(Native::open(&settings, &world(&fs, 9)).unwrap()),
            (),
        )
    };
    let subject = open();
    subject.done(vec![create(A, Kind::Log)]).await;
    for n in 0..40_u8 {
        subject.done(vec![append(A, message(vec![n; 2000]))]).await;
    }
    let bodies = subject.bodies(A).await;
    assert_eq!(bodies.len(), 40);
    assert!(
        bodies
            .iter()
            .zip(0..)
            .all(|((base, body), n)| *base == u64::from(n) && body[..] == [n; 2000])
    );
    // These are near enough to each other for one read.
    let asked = [5, 7, 6, 4].map(fairlead_canon::Offset);
    let fetched = subject.log(A).fetch(asked.to_vec()).await.unwrap();
    let bases: Vec<_> = fetched.iter().map(|stored| stored.base).collect();
    assert_eq!(bases, asked);
    let path = std::path::Path::new("data/wal/0000000000000001.wal");
    fs.damage(path, |bytes| {
        let at = bytes
            .windows(2000)
            .position(|body| body == [2; 2000])
            .unwrap();
        bytes[at + 5] ^= 4;
    });
    let log = subject.log(A);
    let read = log.fetch(vec![fairlead_canon::Offset(2)]).await;
    assert!(matches!(read, Err(StoreError::Corrupt { .. })), "{read:?}");
    assert_eq!(
        log.fetch(vec![fairlead_canon::Offset(3)])
            .await
            .unwrap()
            .len(),
        1,
        "others go on"
    );
}

#[tokio::test]
async fn a_mark_says_after_a_restart_what_was_handed_out() {
    let fs = SimFs::default();
    let subject = open(&fs).unwrap();
    subject
        .done(vec![
            create(A, Kind::Queue),
            append(A, message("1")),
            append(A, message("2")),
        ])
        .await;
    subject
        .done(vec![fairlead_ports::Op::Mark {
            entity: A,
            upto: fairlead_canon::Offset(1),
        }])
        .await;
    assert_eq!(
        subject.marks(A).await.handed_out.0,
        0,
        "not before this process began"
    );
    drop(subject);
    assert_eq!(open(&fs).unwrap().marks(A).await.handed_out.0, 1);
}

#[tokio::test]
async fn what_comes_after_a_restart_was_not_handed_out_before_it() {
    let fs = SimFs::default();
    let subject = open(&fs).unwrap();
    let ahead = fairlead_ports::Op::Mark {
        entity: A,
        upto: fairlead_canon::Offset(200),
    };
    subject
        .done(vec![create(A, Kind::Queue), append(A, message("1")), ahead])
        .await;
    drop(subject);
    let again = open(&fs).unwrap();
    again.done(vec![append(A, message("2"))]).await;
    assert_eq!(again.marks(A).await.handed_out.0, 1);
}

#[tokio::test]
async fn what_was_committed_before_a_close_is_finished_although_it_needs_more_files() {
    let fs = SimFs::default();
    let subject = open(&fs).unwrap();
    subject.done(vec![create(A, Kind::Log)]).await;
    let unit = |_| Unit {
        ops: [append(A, message(vec![1; 3000]))].into(),
        promise: Promise::Durable,
    };
    let commit = subject.store.commit((0..200).map(unit).collect());
    drop(subject);
    assert_eq!(
        commit.await.iter().filter(|result| result.is_ok()).count(),
        200
    );
    assert_eq!(open(&fs).unwrap().marks(A).await.end.0, 200);
}

#[tokio::test]
pub(super) async fn an_append_of_another_epoch_is_fenced() {
    let subject = open(&SimFs::default()).unwrap();
    let spec = Spec {
        tag: EpochTag(2),
        ..spec(Kind::Log)
    };
    subject.done(vec![Op::Create { entity: A, spec }]).await;
    let append = |tag| Op::Append {
        to: [Target {
            entity: A,
            place: Place::Next,
            tag: EpochTag(tag),
        }]
        .into(),
        batch: message("x"),
    };
    for tag in [1, 3] {
        let refused = subject.commit(vec![append(tag)]).await;
        assert_eq!(refused, Err(StoreError::Fenced), "{tag}");
    }
    subject.done(vec![append(2)]).await;
}

#[tokio::test]
pub(super) async fn readers_of_what_is_committed_stop_where_a_transaction_is_open() {
    let subject = open(&SimFs::default()).unwrap();
    transactions::a_committed_read_ends_at_the_oldest_open_transaction(&subject).await;
}
