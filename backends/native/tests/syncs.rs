//! What the kernel is asked to sync, counted by strace: once per frame, and nothing besides.

#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use fairlead_canon::{Kind, Promise};
use fairlead_native::{Native, Settings, Spare, World};
use fairlead_testkit::make::{A, B, append, create, message, settle};
use fairlead_testkit::{Chance, Subject, Time};

const COMMITS: u64 = 50;

fn open(dir: &Path) -> Arc<Native> {
    let world = World::on_disk(Arc::new(Time::at(1)), Arc::new(Chance));
    let settings = Settings {
        file_bytes: 4 << 20,
        spare: Spare::NOTHING,
        ..Settings::new(dir)
    };
    Arc::new(Native::open(&settings, &world).expect("the log is whole"))
}

/// The process that is traced. Says how many syncs it counted itself.
#[tokio::test]
#[ignore = "run by the test below, in a process of its own"]
async fn writer() {
    let mut dir = String::new();
    std::io::stdin().read_line(&mut dir).expect("a directory");
    let native = open(Path::new(dir.trim()));
    let subject = Subject::new(Arc::clone(&native), ());
    subject
        .done(vec![create(A, Kind::Log), create(B, Kind::Queue)])
        .await;
    for n in 0..COMMITS {
        subject.done(vec![append(A, message(n.to_string()))]).await;
        // Nobody waits for these to be durable: they ride along.
        for ops in [
            vec![append(B, message("x"))],
            vec![settle(B, n..n + 1, fairlead_canon::Outcome::Done)],
        ] {
            let taken = subject.commit_as(Promise::Accepted, ops).await;
            taken.expect("there is room");
        }
    }
    let stats = native.stats();
    println!("syncs {}", stats.syncs);
    // The last checkpoint would make a sync for what rode along since the last one.
    std::process::abort();
}

#[test]
fn every_sync_of_the_log_is_one_that_somebody_waited_for() {
    if Command::new("strace").arg("-V").output().is_err() {
        println!("skipped: there is no strace here");
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let trace = dir.path().join("trace");
    let mut child = Command::new("strace")
        .args(["-f", "-y", "-e", "trace=fdatasync,fsync,pwritev2", "-o"])
        .arg(&trace)
        .arg(std::env::current_exe().expect("this test"))
        .args(["writer", "--exact", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a process");
    let mut input = child.stdin.take().expect("its input");
    writeln!(input, "{}", dir.path().join("data").display()).expect("it listens");
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let counted: u64 = said
        .lines()
        .find_map(|line| line.strip_prefix("syncs ")?.parse().ok())
        .expect("what it counted");
    let trace = std::fs::read_to_string(&trace).expect("a trace");
    let is_sync = |line: &str| line.contains("sync(") || line.contains("RWF_DSYNC");
    let of_log = |line: &&str| is_sync(line) && line.contains(".wal>") && !line.contains("resumed");
    let traced = trace.lines().filter(of_log).count() as u64;
    assert_eq!(traced, counted, "as many as it says");
    // One for the beginning, one for the definitions, one each; a checkpoint or the 50 ms may add some.
    let waited_for = COMMITS + 2;
    assert!(
        (waited_for..waited_for + COMMITS / 2).contains(&traced),
        "{traced} syncs for {waited_for}"
    );
}
