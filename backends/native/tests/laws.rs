//! The laws of a store, held on disk; and random operations against the reference, with restarts.

#![expect(clippy::expect_used, reason = "a test that cannot begin fails")]

use std::path::Path;
use std::sync::Arc;

use fairlead_memory::Memory;
use fairlead_native::{Native, Settings, Spare, World};
use fairlead_testkit::{Chance, Subject, Time, laws, trace};
use tempfile::TempDir;

/// Small files, so that logs of several files are the rule.
fn open(dir: &Path) -> Native {
    let world = World::on_disk(Arc::new(Time::at(1)), Arc::new(Chance));
    let settings = Settings {
        file_bytes: 4 << 20,
        spare: Spare::NOTHING,
        ..Settings::new(dir)
    };
    Native::open(&settings, &world).expect("the directory opens")
}

fn fresh() -> Subject {
    let dir = TempDir::new().expect("a directory");
    Subject::new(Arc::new(open(dir.path())), dir)
}

laws!(fresh());

#[tokio::test]
async fn random_operations_have_the_same_answers_as_in_memory() {
    for seed in 0..3 {
        let dir = TempDir::new().expect("a directory");
        let memory = Memory::new(1 << 30).timed_by(Arc::new(Time::at(1)));
        let reference = Subject::new(Arc::new(memory), ());
        let tested = Subject::new(Arc::new(open(dir.path())), ());
        let restart = |subject| {
            drop(subject);
            Subject::new(Arc::new(open(dir.path())), ())
        };
        trace::run(seed, 2_000, reference, tested, restart).await;
    }
}
