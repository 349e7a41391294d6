//! A copy of a store that goes on working.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fairlead_canon::{Kind, Outcome, Promise};
use fairlead_ports::{Store, Unit};
use fairlead_testkit::Subject;
use fairlead_testkit::make::{A, B, append, create, message, put, settle};

use super::{settings, world};
use crate::inspect::Inspection;
use crate::settings::Settings;
use crate::store::Native;
use crate::vfs::sim::SimFs;

fn open_in(fs: &SimFs, dir: &str) -> Arc<Native> {
    let settings = Settings {
        dir: dir.into(),
        ..settings()
    };
    Arc::new(Native::open(&settings, &world(fs, fs.operations() + 7)).unwrap())
}

#[tokio::test]
async fn a_backup_opens_with_what_was_there_and_the_store_goes_on() {
    let fs = SimFs::default();
    let native = open_in(&fs, "data");
    let subject = Subject::new(Arc::clone(&native), ());
    subject
        .done(vec![create(A, Kind::Queue), put(7, "a", "b")])
        .await;
    for n in 0..40_u8 {
        subject.done(vec![append(A, message(vec![n; 3000]))]).await;
    }
    subject.done(vec![settle(A, 0..20, Outcome::Done)]).await;
    let backup = native.backup("copy".into()).await.unwrap();
    assert!(backup > 100_000, "{backup}");
    subject.done(vec![append(A, message("not in it"))]).await;
    let inspection = Inspection::open(Path::new("copy"), &fs).unwrap();
    let report = inspection.check(&mut |_| {}).unwrap();
    assert!(report.damages.is_empty(), "{report:?}");
    drop(inspection);
    let copy = Subject::new(open_in(&fs, "copy"), ());
    let marks = copy.marks(A).await;
    assert_eq!((marks.end.0, marks.count), (40, 20));
    assert_eq!(copy.bodies(A).await[0], (20, vec![20; 3000].into()));
    copy.done(vec![append(A, message("goes on"))]).await;
    let again = native.backup("copy".into()).await.unwrap_err().to_string();
    assert_eq!(
        again,
        "copy: a copy goes into a directory that is empty, or not there yet"
    );
}

fn runtime_alone() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
}

/// One thread commits, settles and brings about checkpoints; what was durable when a backup began is
/// in it.
#[test]
fn backups_under_load_hold_everything_that_was_durable_when_they_began() {
    let fs = SimFs::default();
    let native = open_in(&fs, "data");
    let runtime = runtime_alone();
    let unit = |op| Unit {
        ops: [op].into(),
        promise: Promise::Durable,
    };
    let (durable, is_over) = (AtomicU64::new(0), AtomicU64::new(0));
    let creations = [create(A, Kind::Queue), create(B, Kind::Log)];
    runtime.block_on(native.commit(creations.map(unit).into_iter().collect()));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 0;
            while is_over.load(Ordering::Relaxed) == 0 {
                let first = append(A, message(vec![1; 2000]));
                let ops = vec![
                    unit(first),
                    unit(settle(A, n..n + 1, Outcome::Done)),
                    unit(append(B, message("x"))),
                ];
                let done = runtime.block_on(native.commit(ops.into()));
                assert!(done.iter().all(Result::is_ok), "{done:?}");
                n += 1;
                durable.store(n, Ordering::Release);
            }
        });
        for round in 0..8 {
            while durable.load(Ordering::Acquire) < round * 40 {
                std::thread::yield_now();
            }
            let before = durable.load(Ordering::Acquire);
            let dir = format!("copy{round}");
            let inner = runtime_alone();
            inner.block_on(native.backup(dir.clone().into())).unwrap();
            let copy = Subject::new(open_in(&fs, &dir), ());
            let bodies = inner.block_on(copy.bodies(B));
            assert!(
                bodies.len() as u64 >= before,
                "round {round}: {} of {before}",
                bodies.len()
            );
            let queue = inner.block_on(copy.marks(A));
            assert!(queue.count <= 1, "round {round}: {queue:?}");
        }
        is_over.store(1, Ordering::Relaxed);
    });
}
