//! The log has taken what it may, or the disk is full.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use fairlead_canon::{EntityId, Kind, Outcome, Promise};
use fairlead_ports::{Appended, Condition, Op, Space, Store, StoreError, Unit, Watcher};
use fairlead_segment::{LogId, SegmentError, SegmentId, Segments};
use fairlead_testkit::Subject;
use fairlead_testkit::make::{A, B, append, create, message, put, settle, stamped, trim};
use parking_lot::Mutex;

use super::failure::ready;
use super::{open, settings, world};
use crate::limits::PRODUCERS_MAX;
use crate::settings::{Settings, Spare};
use crate::sites::Directory;
use crate::store::Native;
use crate::vfs::Vfs;
use crate::vfs::sim::{Loss, SimFs};

/// Remembers what it is told of the condition.
#[derive(Debug, Default)]
struct Moods(Mutex<Vec<Condition>>);

impl Watcher for Moods {
    fn appended(&self, _: &[Appended]) {}

    fn died(&self, _: &[EntityId]) {}

    fn condition(&self, condition: Condition) {
        self.0.lock().push(condition);
    }
}

#[tokio::test]
async fn a_full_log_refuses_appends_and_lets_consumers_go_on() {
    let fs = SimFs::default();
    let settings = Settings {
        log_bytes_max: 3 * 64 * 1024,
        ..settings()
    };
    let native = Native::open(&settings, &world(&fs, 1)).unwrap();
    let subject = Subject::new(Arc::new(native), ());
    subject.done(vec![create(A, Kind::Queue)]).await;
    // Else the file that is current when the log is full may have little room left.
    ready(&fs).await;
    let mut kept = 0;
    let full = loop {
        match subject
            .commit(vec![append(A, message(vec![1; 3000]))])
            .await
        {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(full, StoreError::Full { limit: "log" });
    assert!(kept > 10, "{kept}");
    assert_eq!(subject.commit(vec![create(B, Kind::Log)]).await, Err(full));
    // More of them than the file has room for that was current when the log was full.
    for n in 0..20 {
        let settled = settle(A, n % 5..n % 5 + 1, Outcome::Done);
        subject.done(vec![settled]).await;
    }
    subject.done(vec![trim(A, 10)]).await;
    assert_eq!(subject.marks(A).await.count, kept - 10);
}

#[tokio::test]
async fn a_full_disk_refuses_appends_until_it_has_room_again() {
    let fs = SimFs::default();
    let subject = open(&fs).unwrap();
    subject.done(vec![create(A, Kind::Log)]).await;
    ready(&fs).await;
    fs.set_full(true);
    let mut kept = 0;
    let full = loop {
        match subject
            .commit(vec![append(A, message(vec![1; 3000]))])
            .await
        {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(full, StoreError::Full { limit: "disk" });
    assert!(
        kept > 10,
        "one of the files that were ready is used: {kept}"
    );
    fs.set_full(false);
    while subject
        .commit(vec![append(A, message("again"))])
        .await
        .is_err()
    {
        tokio::task::yield_now().await;
    }
    assert_eq!(subject.marks(A).await.end.0, kept + 1);
}

#[tokio::test]
async fn a_disk_that_is_nearly_full_gives_up_its_ballast_and_takes_nothing_new_until_it_has_room() {
    let fs = SimFs::default();
    fs.set_free(100_000);
    let spare = Spare {
        bytes: 1_000,
        ballast_bytes: 200,
        ..Spare::NOTHING
    };
    let settings = Settings {
        spare,
        ..settings()
    };
    let native = Native::open(&settings, &world(&fs, 1)).unwrap();
    let moods = Arc::new(Moods::default());
    native.watch(Arc::clone(&moods) as Arc<dyn Watcher>);
    let commit = async |op: Op| {
        let ops = [op].into();
        let promise = Promise::Durable;
        native
            .commit([Unit { ops, promise }].into())
            .await
            .remove(0)
    };
    let has_ballast = || fs.open(Path::new("data/ballast")).is_ok();
    commit(create(A, Kind::Queue)).await.unwrap();
    commit(append(A, message("kept"))).await.unwrap();
    until(has_ballast).await;
    fs.set_free(999);
    native.look_at_disk();
    until(|| native.stats().condition == Condition::Full).await;
    until(|| !has_ballast()).await;
    let full = Err(StoreError::Full { limit: "disk" });
    assert_eq!(commit(append(A, message("refused"))).await, full);
    assert_eq!(commit(create(B, Kind::Log)).await, full);
    commit(put(7, "a", "goes on")).await.unwrap();
    commit(settle(A, 0..1, Outcome::Done)).await.unwrap();
    fs.set_free(1_399);
    native.look_at_disk();
    assert_eq!(
        commit(create(B, Kind::Log)).await,
        full,
        "the ballast's own room"
    );
    fs.set_free(100_000);
    until(|| native.stats().condition == Condition::Well).await;
    commit(create(B, Kind::Log)).await.unwrap();
    until(has_ballast).await;
    assert_eq!(*moods.0.lock(), [Condition::Full, Condition::Well]);
}

#[tokio::test]
async fn a_log_file_is_not_made_where_it_leaves_too_little_of_the_disk() {
    let fs = SimFs::default();
    let settings = settings();
    let room = settings.spare.bytes + settings.file_bytes;
    fs.set_free(room - 1);
    let native = Native::open(&settings, &world(&fs, 1)).unwrap();
    let subject = Subject::new(Arc::new(native), ());
    let put_one = async || subject.commit(vec![put(7, "a", "of no entity")]).await;
    let create = async || subject.commit(vec![create(A, Kind::Log)]).await;
    let files = || fs.list(Path::new("data/wal")).unwrap().len();
    until(|| files() == 2).await;
    while create().await.is_ok() {
        subject.done(vec![Op::Delete { entity: A }]).await;
    }
    assert_eq!(create().await, Err(StoreError::Full { limit: "disk" }));
    put_one().await.unwrap();
    assert_eq!(files(), 2, "the current one, and one for what frees space");
    fs.set_free(room);
    while create().await.is_err() {
        tokio::task::yield_now().await;
    }
}

/// A disk that has no room for the index to grow, and what was put before that showed.
async fn index_without_room(fs: &SimFs) -> (Subject, Arc<Native>, usize) {
    let settings = Settings {
        file_bytes: 8 << 20,
        ..settings()
    };
    let native = Arc::new(Native::open(&settings, &world(fs, 1)).unwrap());
    let subject = Subject::new(Arc::clone(&native), ());
    subject
        .done(vec![create(A, Kind::Queue), append(A, message("kept"))])
        .await;
    ready(fs).await;
    fs.set_full(true);
    // More than the file of an empty index has room for.
    let mut puts = 0;
    while native.stats().condition == Condition::Well && puts < 100 {
        let key = format!("{puts}");
        let value = Some(vec![b'x'; 60_000].into());
        subject.done(vec![put_bytes(key, value)]).await;
        puts += 1;
    }
    until(|| native.stats().condition == Condition::Full).await;
    (subject, native, puts)
}

fn put_bytes(key: String, value: Option<Bytes>) -> Op {
    Op::Put {
        space: Space(7),
        key: key.into(),
        value,
        due: None,
    }
}

async fn documents(subject: &Subject) -> usize {
    let listed = subject.documents.list(Space(7), Bytes::new(), None, 1_000);
    listed.await.unwrap().len()
}

#[tokio::test]
async fn an_index_without_room_to_grow_holds_back_what_is_new_until_it_has_room() {
    let fs = SimFs::default();
    let (subject, native, puts) = index_without_room(&fs).await;
    let full = Err(StoreError::Full { limit: "disk" });
    let refused = subject.commit(vec![append(A, message("refused"))]).await;
    assert_eq!(refused, full);
    subject.done(vec![settle(A, 0..1, Outcome::Done)]).await;
    assert_eq!(documents(&subject).await, puts, "readers go on");
    fs.set_full(false);
    until(|| native.stats().condition == Condition::Well).await;
    subject.done(vec![append(A, message("again"))]).await;
    drop((subject, native));
    let subject = open(&fs).unwrap();
    assert_eq!(documents(&subject).await, puts);
    assert_eq!(subject.bodies(A).await, [(1, "again".into())]);
}

#[tokio::test]
async fn a_crash_or_an_end_while_the_index_has_no_room_loses_nothing() {
    let fs = SimFs::default();
    let (subject, native, puts) = index_without_room(&fs).await;
    let losses = [Loss::All, Loss::Nothing, Loss::Some(1), Loss::Torn(2)];
    let crashed = losses.map(|loss| fs.after_crash(loss));
    drop((subject, native));
    for fs in crashed.into_iter().chain([fs.copy()]) {
        let subject = open(&fs).unwrap();
        assert_eq!(documents(&subject).await, puts);
        assert_eq!(subject.bodies(A).await, [(0, "kept".into())]);
    }
}

#[tokio::test]
async fn who_watches_late_is_told_what_is_the_case() {
    let fs = SimFs::default();
    fs.set_free(0);
    let spare = Spare {
        bytes: 1,
        ..Spare::NOTHING
    };
    let settings = Settings {
        spare,
        ..settings()
    };
    let native = Native::open(&settings, &world(&fs, 1)).unwrap();
    until(|| native.stats().condition == Condition::Full).await;
    let moods = Arc::new(Moods::default());
    native.watch(Arc::clone(&moods) as Arc<dyn Watcher>);
    assert_eq!(*moods.0.lock(), [Condition::Full]);
}

#[tokio::test]
async fn one_producer_too_many_is_refused_until_there_is_room() {
    let fs = SimFs::default();
    let subject = open(&fs).unwrap();
    subject
        .done(vec![create(A, Kind::Log), create(B, Kind::Log)])
        .await;
    let most = i64::try_from(PRODUCERS_MAX).unwrap();
    for producer in 0..most {
        let entity = if producer % 2 == 0 { A } else { B };
        subject
            .done(vec![append(entity, stamped(producer, 0, 0..1))])
            .await;
    }
    let full = Err(StoreError::Full { limit: "producers" });
    let one_more = || vec![append(A, stamped(most, 0, 0..1))];
    assert_eq!(subject.commit(one_more()).await, full);
    drop(subject);
    let subject = open(&fs).unwrap();
    assert_eq!(subject.commit(one_more()).await, full, "after a restart");
    subject.done(vec![append(A, stamped(0, 0, 1..2))]).await;
    subject.done(vec![append(A, message("of nobody"))]).await;
    subject.done(vec![Op::Delete { entity: B }]).await;
    subject.done(one_more()).await;
}

/// Files of a log of which all but one message in each has been consumed, on a disk that is then short.
async fn worn(fs: &SimFs) -> Subject {
    let native = Arc::new(Native::open(&settings(), &world(fs, 1)).unwrap());
    let subject = Subject::new(Arc::clone(&native), ());
    subject
        .done(vec![create(A, Kind::Queue), create(B, Kind::Log)])
        .await;
    for n in 0..100 {
        subject.done(vec![append(A, message(vec![1; 3000]))]).await;
        if n % 20 == 0 {
            subject.done(vec![append(B, message("kept"))]).await;
        }
    }
    subject.done(vec![settle(A, 0..100, Outcome::Done)]).await;
    fs.set_free(0);
    native.look_at_disk();
    subject
}

#[tokio::test]
async fn a_full_disk_gets_files_back_of_which_little_is_kept() {
    let fs = SimFs::default();
    let subject = worn(&fs).await;
    let files = || fs.list(Path::new("data/wal")).unwrap().len();
    until(|| files() == 3).await;
    assert_eq!(subject.bodies(B).await.len(), 5);
    drop(subject);
    let subject = open(&fs).unwrap();
    assert_eq!(subject.bodies(B).await.len(), 5);
}

#[test]
fn a_segment_for_which_the_disk_has_no_room_leaves_nothing_there() {
    let fs = SimFs::default();
    let directory = Directory::new(Arc::new(fs.clone()), "sealed".into());
    let log = LogId([0; 16]);
    let id = SegmentId { made: 1, random: 2 };
    fs.set_full(true);
    let parts = [Bytes::from(vec![1; 5_000])];
    let refused = directory.create(log, id, &parts);
    assert!(matches!(refused, Err(SegmentError::Unavailable { .. })));
    assert_eq!(directory.list(log).unwrap(), []);
}

async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}
