//! A running store that seals by itself: to its directory and to an object store.

#![expect(clippy::unwrap_used, reason = "a test that cannot begin fails")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fairlead_canon::{Class, EntityId, Kind, Spec};
use fairlead_native::vfs::Disk;
use fairlead_native::{Inspection, Native, Settings, World};
use fairlead_objects::{Objects, Place};
use fairlead_ports::{Op, StoreError};
use fairlead_testkit::make::{A, B, append, message};
use fairlead_testkit::{Chance, Subject, Time};
use tokio::time::Instant;

/// Sealing follows a checkpoint, which comes after a second.
const PATIENCE: Duration = Duration::from_secs(60);

fn objects(dir: &Path) -> Arc<Objects> {
    let place = Place {
        url: format!("file://{}/objects", dir.display()),
        ..Place::default()
    };
    Arc::new(Objects::open(&place).unwrap())
}

fn open(dir: &Path) -> Subject {
    let settings = Settings {
        file_bytes: 64 * 1024,
        log_bytes_max: 32 * 64 * 1024,
        // So that bodies come from where they are kept.
        tail_bytes_max: 0,
        objects: Some(objects(dir)),
        ..Settings::new(dir.join("data"))
    };
    Subject::new(Arc::new(Native::open(&settings, &world()).unwrap()), ())
}

/// A store on a copy, which nothing else is needed for.
fn open_alone(dir: PathBuf) -> Subject {
    let settings = Settings {
        tail_bytes_max: 0,
        ..Settings::new(dir)
    };
    Subject::new(Arc::new(Native::open(&settings, &world()).unwrap()), ())
}

fn world() -> World {
    World::on_disk(Arc::new(Time::at(1)), Arc::new(Chance))
}

fn segments(dir: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return 0;
    };
    let inside = entries.map(|entry| entry.unwrap().path());
    inside
        .map(|path| if path.is_dir() { segments(&path) } else { 1 })
        .sum()
}

#[tokio::test]
async fn a_store_that_runs_seals_by_itself_and_keeps_everything() {
    let dir = tempfile::tempdir().unwrap();
    let (near, far) = (dir.path().join("data/sealed"), dir.path().join("objects"));
    let subject = open(dir.path());
    for (entity, class) in [(A, Class::Object), (B, Class::Local)] {
        let spec = Spec::new(Kind::Log, class);
        subject.done(vec![Op::Create { entity, spec }]).await;
    }
    let body = |n: u32| format!("{n} {}", "x".repeat(3_000));
    let (mut count, began) = (0, Instant::now());
    // The first one is recorded in the log before the second one is made.
    while segments(&near) < 2 || segments(&far) < 2 {
        assert!(began.elapsed() < PATIENCE, "nothing is sealed");
        let to = |entity: EntityId| append(entity, message(body(count)));
        match subject.commit(vec![to(A), to(B)]).await {
            Ok(_) => count += 1,
            // Faster than sealing: it makes room soon.
            Err(StoreError::Full { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
    let is_whole = async |subject: &Subject, entity| {
        let bodies = subject.bodies(entity).await;
        bodies.len() == count as usize
            && bodies
                .iter()
                .zip(0..)
                .all(|((offset, is), n)| *offset == u64::from(n) && *is == body(n))
    };
    assert!(is_whole(&subject, A).await && is_whole(&subject, B).await);
    let backup = dir.path().join("backup");
    subject.store.backup(backup.clone()).await.unwrap();
    drop(subject);
    let kept = segments(&far);
    // A log of its own: beside the original, and with its object store, nothing of that is touched.
    std::fs::rename(&backup, dir.path().join("moved")).unwrap();
    let copy = open_alone(dir.path().join("moved"));
    assert!(is_whole(&copy, A).await && is_whole(&copy, B).await);
    drop(copy);
    assert_eq!(segments(&far), kept);
    let again = open(dir.path());
    assert!(is_whole(&again, A).await && is_whole(&again, B).await);
    drop(again);
    let inspection = Inspection::open(&dir.path().join("data"), &Disk).unwrap();
    let near_alone = inspection.check(&mut |_| {}).unwrap();
    assert_eq!(near_alone.segments.count, near_alone.unread.count);
    assert!(near_alone.unread_why.is_some());
    let inspection = inspection.reaching(objects(dir.path()));
    let all = inspection.check(&mut |_| {}).unwrap();
    assert_eq!(all.segments.count, 2 * near_alone.segments.count);
    assert!(all.segments.count > 0 && all.unread.count == 0, "{all:?}");
    let (_, measures) = inspection.measure().unwrap();
    let live: u64 = measures.segments.values().map(|sum| sum.live.count).sum();
    assert!(live > 0, "{measures:?}");
}
