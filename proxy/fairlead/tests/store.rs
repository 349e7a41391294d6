//! `fairlead store` on the data directory of a stopped node.
#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use fairlead_backends::{Backends, Settings, Spare};
use fairlead_canon::{
    Address, Class, Kind, Message, Origin, Path as Place, Principal, Promise, RealmId, SyncMode,
    Terms, Timestamp,
};
use fairlead_kernel::testing::{CountingEntropy, ManualClock, OpenHouse, conn_info};
use fairlead_kernel::{
    Backing, Change, Content, Event, Family, Kernel, NewStream, Publish, StreamKey, To,
};
use serde_json::Value;
use tempfile::TempDir;

struct Home(TempDir);

impl Home {
    /// A node declared the queue `orders`, took three messages for it, and stopped.
    fn stopped() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        let stores = home.open();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(publish(&stores));
        drop(runtime);
        home
    }

    fn open(&self) -> Backends {
        let settings = Settings {
            dir: self.0.path().to_owned(),
            memory_bytes_max: 1 << 20,
            tail_bytes_max: 1 << 20,
            objects: None,
            log_bytes_max: 1 << 30,
            spare: Spare::NOTHING,
            sync: SyncMode::Always,
        };
        let clock = Arc::new(ManualClock::at(1_000));
        fairlead_backends::open(&settings, clock, Arc::new(CountingEntropy::default())).unwrap()
    }

    fn store(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_fairlead"))
            .arg("store")
            .args(arguments)
            .arg("--data-dir")
            .arg(self.0.path())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn first_file(&self) -> PathBuf {
        self.0.path().join("wal/0000000000000001.wal")
    }
}

async fn publish(stores: &Backends) {
    let backing = Backing {
        store: Arc::clone(&stores.store),
        documents: Arc::clone(&stores.documents),
        clock: Arc::new(ManualClock::at(1_000)),
        entropy: Arc::new(CountingEntropy::default()),
    };
    let kernel = Kernel::open(backing, |_| Arc::new(OpenHouse))
        .await
        .unwrap();
    let origin = Origin(200);
    let mut caller = kernel
        .enter(&conn_info(1), Principal::anonymous(), ("test", origin))
        .unwrap();
    let at = Address::new(RealmId::QUEUES, Place::from_segments(["orders"]).unwrap());
    let key = StreamKey::new(Family::Queue, "orders");
    let stream = NewStream {
        at: Some(at.clone()),
        ..NewStream::new(key, Kind::Queue, Class::Local, origin)
    };
    caller
        .declare(vec![Change::CreateStream(stream)])
        .await
        .unwrap();
    for body in ["first order", "second order", "third order"] {
        let terms = Terms::accepted(Timestamp(1_000), Promise::Durable);
        let publish = Publish {
            to: To::Address(&at),
            content: Content::Message(Message::new(at.clone(), body.into(), terms)),
            promise: Promise::Durable,
            with: Vec::new(),
            own_mailbox: None,
        };
        caller.publish(publish).unwrap();
        caller.flush();
        assert!(matches!(caller.event().await, Event::Receipt(_, Ok(_))));
    }
}

fn text(output: &Output) -> String {
    let all = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&all).into_owned()
}

fn lines(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The appends of `store dump`.
fn appends(home: &Home) -> Vec<Value> {
    let mut all = lines(&home.store(&["dump", "--json"]));
    all.retain(|line| line["record"] == "append");
    all
}

#[test]
fn what_was_published_is_dumped_and_counted_and_found_whole() {
    let home = Home::stopped();
    let check = home.store(&["check"]);
    assert_eq!(check.status.code(), Some(0), "{}", text(&check));
    assert!(text(&check).contains("whole: "), "{}", text(&check));

    let appends = appends(&home);
    let body = |line: &Value| line["detail"]["messages"][0]["body"].clone();
    let bodies: Vec<_> = appends.iter().map(body).collect();
    assert_eq!(bodies, ["first order", "second order", "third order"]);
    let of = &appends[2]["detail"]["to"][0];
    assert_eq!(
        (&of["of"]["stream"], &of["offset"]),
        (&"orders".into(), &2.into())
    );

    let entity = of["of"]["entity"].as_str().unwrap();
    let readable = text(&home.store(&["dump", "--entity", entity]));
    assert!(
        readable.contains("(queue \"orders\", lane 0)"),
        "{readable}"
    );
    assert!(
        readable.contains("body \"second order\" of 12 bytes"),
        "{readable}"
    );
    let nobody = home.store(&["dump", "--entity", "999999999"]);
    assert_eq!(text(&nobody), "");

    let stat = &lines(&home.store(&["stat", "--json"]))[0];
    let entities = stat["entities"].as_array().unwrap();
    let orders = entities
        .iter()
        .find(|entity| entity["of"]["stream"] == "orders");
    assert_eq!(orders.unwrap()["count"], 3);
    assert_eq!(stat["records"]["append"]["count"], 3);
    let stat = text(&home.store(&["stat"]));
    assert!(
        stat.contains("(queue \"orders\", lane 0): queue, offsets from 0"),
        "{stat}"
    );
}

#[test]
fn damage_is_named_by_file_byte_and_entity_with_status_3() {
    let home = Home::stopped();
    let second = appends(&home)[1]["byte"].as_u64().unwrap();
    let path = home.first_file();
    flip(&path, second + 70);

    let check = home.store(&["check"]);
    assert_eq!(check.status.code(), Some(3));
    let said = text(&check);
    let frame = second / 4096 * 4096;
    let place = format!("DAMAGE in {} at byte {frame}", path.display());
    assert!(said.contains(&place), "{said}");
    assert!(said.contains(&format!("at byte {second}\n")), "{said}");
    assert!(
        said.contains("(queue \"orders\", lane 0), offsets from 1 to below 2"),
        "{said}"
    );
    let json = &lines(&home.store(&["check", "--json"]))[0];
    assert_eq!(json["damages"][0]["byte"], frame);

    // The records around it can still be printed.
    let dump = home.store(&["dump"]);
    assert_eq!(dump.status.code(), Some(3));
    assert!(text(&dump).contains("third order"), "{}", text(&dump));

    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(frame + 100).unwrap();
    let cut = home.store(&["check"]);
    assert_eq!(cut.status.code(), Some(3));
    assert!(text(&cut).contains(&place), "{}", text(&cut));
    assert!(text(&cut).contains("the file ends"), "{}", text(&cut));
}

#[test]
fn it_is_said_whether_a_node_starts_in_spite_of_the_damage() {
    let home = Home::stopped();
    let second = appends(&home)[1]["byte"].as_u64().unwrap();
    flip(&home.first_file(), second + 70);
    // A stop in order ends with a checkpoint, so no start reads this again.
    let below = text(&home.store(&["check"]));
    assert!(
        below.contains("a node starts there, and refuses"),
        "{below}"
    );
    drop(home.open());

    flip(&home.0.path().join("index.redb"), 0);
    for command in ["check", "stat", "dump"] {
        let said = text(&home.store(&[command]));
        assert!(said.contains("a node refuses to start there"), "{said}");
    }
}

fn flip(path: &Path, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path);
    let (file, mut byte) = (file.unwrap(), [0]);
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

#[test]
fn a_directory_in_use_is_refused_and_a_copy_of_it_is_not() {
    let home = Home(tempfile::tempdir().unwrap());
    let stores = home.open();
    let refused = home.store(&["check"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused);
    assert!(said.contains("open in another process"), "{said}");
    assert!(said.contains("a copy"), "{said}");

    let copy = Home(tempfile::tempdir().unwrap());
    copy_files(home.0.path(), copy.0.path());
    let check = copy.store(&["check"]);
    assert_eq!(check.status.code(), Some(0), "{}", text(&check));
    drop(stores);
}

#[test]
fn a_directory_that_is_no_data_directory_is_not_made_one() {
    let home = Home(tempfile::tempdir().unwrap());
    let check = home.store(&["check"]);
    assert_eq!(check.status.code(), Some(1));
    assert!(
        text(&check).contains("superblock is missing"),
        "{}",
        text(&check)
    );
    assert_eq!(fs::read_dir(home.0.path()).unwrap().count(), 0);
}

/// What a node needs of its directory, lock file included.
fn copy_files(from: &Path, to: &Path) {
    fs::create_dir(to.join("wal")).unwrap();
    for name in [
        "LOCK",
        "superblock",
        "index.redb",
        "wal/0000000000000001.wal",
    ] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

#[test]
fn a_refusal_stands_on_one_line_however_long_the_path() {
    let home = tempfile::tempdir().unwrap();
    for length in (1..=80).step_by(8) {
        let dir = home.path().join("d".repeat(length));
        let output = Command::new(env!("CARGO_BIN_EXE_fairlead"))
            .args(["store", "check", "--data-dir"])
            .arg(&dir)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(!output.status.success());
        let said = String::from_utf8(output.stderr).unwrap();
        let whole = said.lines().any(|line| {
            line.contains(&*dir.to_string_lossy()) && line.ends_with("superblock is missing")
        });
        assert!(whole, "{said}");
    }
}
