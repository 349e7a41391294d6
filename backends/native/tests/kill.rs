//! A process that writes is killed, again and again, and everything it said was durable is there.

#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use fairlead_canon::{Kind, Offset, Promise};
use fairlead_native::{Native, Settings, Spare, World};
use fairlead_ports::{StoreError, Unit, Want};
use fairlead_testkit::make::{A, append, create, message};
use fairlead_testkit::{Chance, Subject, Time};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const ROUNDS: u64 = 10;
/// Commits that the child has under way at once.
const IN_FLIGHT: u64 = 16;
const BALLAST_BYTES: u64 = 64 * 1024;

fn open(dir: &Path) -> Subject {
    let world = World::on_disk(Arc::new(Time::at(1)), Arc::new(Chance));
    let settings = Settings {
        file_bytes: 1 << 20,
        spare: Spare {
            ballast_bytes: BALLAST_BYTES,
            ..Spare::NOTHING
        },
        ..Settings::new(dir)
    };
    Subject::new(
        Arc::new(Native::open(&settings, &world).expect("the log is whole")),
        (),
    )
}

/// The other process: reads where to write from its input, and says what is durable.
#[tokio::test]
#[ignore = "run by the test below, in a process of its own"]
async fn writer() {
    let mut dir = String::new();
    std::io::stdin().read_line(&mut dir).expect("a directory");
    let subject = open(Path::new(dir.trim()));
    match subject.commit(vec![create(A, Kind::Log)]).await {
        Ok(_) | Err(StoreError::Exists(_)) => {}
        Err(error) => panic!("{error}"),
    }
    let mut next = subject.marks(A).await.end.0;
    let mut flying = std::collections::VecDeque::new();
    let mut out = std::io::stdout();
    loop {
        let ops = [append(A, message(next.to_string()))].into();
        let promise = Promise::Durable;
        flying.push_back(subject.store.commit([Unit { ops, promise }].into()));
        next += 1;
        if flying.len() as u64 == IN_FLIGHT
            && let Some(commit) = flying.pop_front()
        {
            assert!(commit.await.iter().all(Result::is_ok));
            writeln!(out, "durable {}", next - IN_FLIGHT).expect("the test listens");
        }
    }
}

fn start(dir: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["writer", "--exact", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut input = child.stdin.take().expect("its input");
    writeln!(input, "{}", dir.display()).expect("it listens");
    child
}

/// Kills the writer after it has said so many times what is durable; returns the last it said.
fn kill_after(mut child: Child, says: usize) -> Option<u64> {
    let output = BufReader::new(child.stdout.take().expect("its output"));
    let number =
        |line: std::io::Result<String>| line.ok()?.strip_prefix("durable ")?.parse::<u64>().ok();
    let mut durable = output.lines().filter_map(number);
    let mut last = durable.by_ref().take(says).last();
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    // What it had said before it died counts as well.
    last = durable.last().or(last);
    last
}

#[tokio::test]
async fn everything_said_to_be_durable_survives_ten_kills() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut random = StdRng::seed_from_u64(1);
    for round in 0..ROUNDS {
        let says = random.random_range(1..400);
        let last = kill_after(start(dir.path()), says).expect("something was durable");
        let subject = open(dir.path());
        let end = subject.marks(A).await.end.0;
        assert!(
            end > last,
            "round {round}: {last} was durable, the log ends at {end}"
        );
        let all = subject
            .log(A)
            .read(Offset(0), Want::bytes(u32::MAX))
            .await
            .expect("it can be read")
            .batches;
        assert_eq!(all.len() as u64, end, "round {round}: no gap");
        for (at, stored) in (0_u64..).zip(all) {
            assert_eq!(
                (stored.base.0, stored.batch.bytes),
                (at, at.to_string().into()),
                "round {round}"
            );
        }
    }
    let ballast = std::fs::metadata(dir.path().join("ballast")).expect("room is set aside");
    assert_eq!(ballast.len(), BALLAST_BYTES);
}

/// Runs the test above on a file system in memory, in a place of its own to mount it. It takes neither writes past
/// its cache nor wishes to set room aside, and does not know its size.
#[test]
fn what_was_durable_survives_where_everything_goes_through_the_cache() {
    let dir = tempfile::tempdir().expect("a directory");
    let alone = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-ec", script]);
        command.arg(std::env::current_exe().expect("this test"));
        let status = command.env("TMPDIR", dir.path()).status();
        status.is_ok_and(|status| status.success())
    };
    if !alone("mount -t ramfs none $TMPDIR") {
        eprintln!("skipped: nothing may be mounted here");
        return;
    }
    let script = "mount -t ramfs none $TMPDIR
        if dd if=/dev/zero of=$TMPDIR/file bs=4096 count=1 oflag=direct; then exit 1; fi
        exec $0 --exact everything_said_to_be_durable_survives_ten_kills";
    assert!(alone(script), "the test fails there");
}
