//! `kill -9` under load, again and again on one data directory: what was acknowledged is there afterwards.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fairlead_tests::{Client, Line, Load, Manner, Mesh, Node, Program, Readers, tools};
use serde_json::Value;

/// Kills on one data directory: about two seconds each.
const ROUNDS: usize = 200;
/// Every so often the log may become warm before it is struck.
const LONG_EVERY: usize = 25;

/// Kills while somebody reads.
const READ_ROUNDS: usize = 10;

/// A topic of the load with one lane.
const TOPIC: &str = "load.amqp";
/// Where all of the load goes.
const QUEUE: &str = "load";
/// What librdkafka makes of CORRUPT_MESSAGE.
const TOLD_OF_DAMAGE: &str = "INVALID_MSG";
/// A byte of a frame's header that its checksum covers.
const HEADER_BYTE: u64 = 30;
/// Log behind a checkpoint, so that something is lost with it.
const UNCHECKPOINTED: u64 = 64 * 1024;
/// Checkpoints come once a second, and a round takes a fraction of that.
const TRIES: usize = 30;
/// Some way into the log, and more than anything else that is written but the index.
const WRITABLE: u64 = 64 * 1024;
/// How a process ends whose log is poisoned.
const POISONED: i32 = 75;
/// How long a reader is listened to at a time.
const TURN: Duration = Duration::from_millis(5);

#[test]
fn what_was_acknowledged_survives_two_hundred_kills_under_load() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let first = node.start();
    let mut load = Load::prepare(&first);
    load.round(first, 20, Mesh::kill);
    for round in 1..ROUNDS {
        // Another moment in each round.
        let enough = if round.is_multiple_of(LONG_EVERY) {
            1_500
        } else {
            10 + 7 * (round % LONG_EVERY)
        };
        load.round(node.start(), enough, Mesh::kill);
    }
    load.audit(&node.start());
}

#[test]
fn what_readers_did_not_acknowledge_comes_again_and_what_was_confirmed_does_not() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let first = node.start();
    let mut load = Load::prepare(&first);
    let mut readers = Readers::prepare(&first);
    load.round(first, 300, Mesh::kill);
    for round in 1..READ_ROUNDS {
        let manner = match round % 3 {
            0 => Manner::Holds,
            _ => Manner::Takes,
        };
        readers.read(node.start(), manner, |mesh| {
            load.round(mesh, 50 * round, Mesh::kill)
        });
    }
    let mesh = node.start();
    load.audit(&mesh);
    readers.audit(&mesh, &load);
}

#[test]
fn a_node_on_a_backup_made_under_load_has_what_was_acknowledged_before() {
    if !tools::ready() {
        return;
    }
    let (node, copy) = (Node::new(), Node::new());
    let mesh = node.start();
    let mut load = Load::prepare(&mesh);
    let mesh = load.round(mesh, 100, |mesh| mesh);
    let before = load.clone();
    let to = copy.data_dir();
    let (status, said) = load.round(mesh, 10, |mesh| {
        let backup = node.run(&["store", "backup", to.to_str().expect("a path")]);
        mesh.kill();
        backup
    });
    assert!(status.success(), "{said}");

    let (status, found) = copy.look("check");
    assert!(status.success(), "{found:?}");
    before.audit(&copy.start());
}

#[test]
fn a_flipped_byte_above_the_checkpoint_is_refused_by_file_and_offset() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let (file, byte, load) = log_above_a_checkpoint(&node);
    flip(&file, byte + HEADER_BYTE);

    let (status, said) = node.refuses_to_start();
    assert!(!status.success(), "it started on a damaged log");
    let named = format!("damage in {} at byte {byte}:", file.display());
    assert!(said.contains(&named), "it does not say {named:?}: {said}");

    let (_, found) = node.look("check");
    let [lsn, records] = ["lsn", "records"].map(|field| found[0]["cut"][field].as_u64());
    let (lsn, records) = (lsn.expect("a place"), records.expect("a price"));
    let truncate = |records: u64| {
        let (lsn, records) = (lsn.to_string(), records.to_string());
        node.run(&[
            "store",
            "check",
            "--truncate-at",
            &lsn,
            "--accept-loss",
            &records,
        ])
    };
    let (status, said) = truncate(records + 1);
    assert!(!status.success(), "{said}");
    assert!(
        !node.refuses_to_start().0.success(),
        "it was cut off all the same"
    );
    let (status, said) = truncate(records);
    assert!(status.success(), "{said}");
    node.start().stop();
    assert_a_prefix_is_left(&node, &load);
}

#[test]
fn a_log_that_cannot_be_written_ends_the_process_with_75_and_loses_nothing() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start_undaunted();
    let mut load = Load::prepare(&mesh);
    let status = load.round(mesh, 100, |mesh| {
        mesh.cannot_write_beyond(WRITABLE);
        mesh.ended()
    });
    assert_eq!(status.code(), Some(POISONED), "{}", node.log());
    load.audit(&node.start());
}

#[test]
fn a_flipped_byte_below_the_checkpoint_is_named_by_who_lost_what_and_loses_nothing_else() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    let mut load = Load::prepare(&mesh);
    load.round(mesh, 300, Mesh::kill);
    // A stop in order ends with a checkpoint of everything.
    assert!(node.start().stop().success());
    let lost = append_in_the_middle(&node, TOPIC);
    let (topic, queue) = (entity(&node, TOPIC), entity(&node, QUEUE));
    let (file, byte) = (lost.file.display().to_string(), lost.byte);
    flip(&lost.file, byte + lost.len - 1);

    let (status, found) = node.look("check");
    assert!(!status.success(), "{found:?}");
    let [damage] = found[0]["damages"].as_array().expect("a list").as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(damage["file"], *file);
    assert_eq!(damage["record_byte"], byte);
    let entities = damage["entities"].as_array().expect("a list");
    let is_lost = |entity: &&Value| {
        let offsets =
            [&entity["from"], &entity["below"]].map(|offset| offset.as_u64().expect("a number"));
        entity["of"]["stream"] == TOPIC && offsets == [lost.offset, lost.offset + 1]
    };
    assert_eq!(entities.iter().filter(is_lost).count(), 1, "{damage}");

    let number = |value: &Value| value.as_u64().expect("a number");
    let mesh = node.start();
    assert_read_around(&mesh, &load, lost.offset, number(&topic["end"]));
    assert_all_but_one_are_delivered(&mesh, &load, number(&queue["count"]));
}

#[test]
fn a_damaged_index_is_refused_by_name_and_made_anew_from_the_log() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    let mut load = Load::prepare(&mesh);
    load.round(mesh, 200, Mesh::kill);
    assert!(node.start().stop().success());
    let index = node.data_dir().join("index.redb");
    flip(&index, 0);

    let (status, said) = node.refuses_to_start();
    assert!(!status.success(), "it started on a damaged index");
    let named = format!("damage in {}:", index.display());
    assert!(said.contains(&named), "it does not say {named:?}: {said}");
    assert!(said.contains("--rebuild-index"), "{said}");

    let (status, said) = node.run(&["store", "check", "--rebuild-index"]);
    assert!(status.success(), "{said}");
    load.audit(&node.start());
}

/// A reader of a topic gets what was published up to the offset whose bytes are not those that were kept, is told of it
/// there, and may go on behind it.
fn assert_read_around(mesh: &Mesh, load: &Load, lost: u64, end: u64) {
    let reader = |first: u64| {
        let (port, first) = (mesh.port("kafka"), first.to_string());
        let arguments = ["consume", &port, TOPIC, "--from", &first];
        Client::start(Program::Librdkafka, &arguments)
    };
    let assert_read = |reader: &Client, offsets: Range<u64>| {
        for offset in offsets {
            let record = reader.arrival();
            assert_eq!(record.offset, Some(offset));
            assert!(load.has_sent(&record), "nobody published {record:?}");
        }
    };
    let before = reader(0);
    assert_read(&before, 0..lost);
    match before.line() {
        Some(Line::Failed(said)) => assert!(said.contains(TOLD_OF_DAMAGE), "{said}"),
        other => panic!("the damage was passed over: {other:?}"),
    }
    // A client reads ahead, and may ask again before it says so.
    assert!(mesh.metric("fairlead_store_corrupt_total", &[]) >= 1.0);
    assert_read(&reader(lost + 1), lost + 1..end);
}

/// A consumer of a queue gets every message of so many but one.
fn assert_all_but_one_are_delivered(mesh: &Mesh, load: &Load, count: u64) {
    let consumer = Client::start(Program::Pika, &["consume", &mesh.port("amqp"), QUEUE]);
    for _ in 1..count {
        let record = consumer.arrival();
        assert!(load.has_sent(&record), "nobody published {record:?}");
    }
    assert!(consumer.line_within(TURN).is_none(), "the damage came too");
}

/// What `stat` says of a topic with one lane, or of a queue.
fn entity(node: &Node, stream: &str) -> Value {
    let (status, found) = node.look("stat");
    assert!(status.success(), "{found:?}");
    let entities = found[0]["entities"].as_array().expect("a list");
    let found = entities
        .iter()
        .find(|entity| entity["of"]["stream"] == stream);
    found.expect("it is there").clone()
}

/// What a topic has left are its first records, as they were published.
fn assert_a_prefix_is_left(node: &Node, load: &Load) {
    let count = entity(node, TOPIC)["end"].as_u64().expect("a number");
    let mesh = node.start();
    let reader = Client::start(
        Program::Librdkafka,
        &["consume", &mesh.port("kafka"), TOPIC],
    );
    for offset in 0..count {
        let record = reader.arrival();
        assert_eq!(record.offset, Some(offset));
        assert!(load.has_sent(&record), "nobody published {record:?}");
    }
}

/// A log of whose end no checkpoint was taken before the node was killed: its file, and the byte where the next start
/// begins to read it. Behind that are so many frames that some were synced before the last.
fn log_above_a_checkpoint(node: &Node) -> (PathBuf, u64, Load) {
    let mesh = node.start();
    let mut load = Load::prepare(&mesh);
    load.round(mesh, 200, Mesh::kill);
    for _ in 0..TRIES {
        let (status, found) = node.look("check");
        assert!(status.success(), "{found:?}");
        let report = &found[0];
        let [begin, end, proven] = ["begin", "end", "proven"].map(|place| &report[place]);
        let [from, to, durable] =
            [begin, end, proven].map(|place| place["byte"].as_u64().expect("a place"));
        let is_in_one_file = begin["file"] == end["file"] && begin["file"] == proven["file"];
        // Rot in the very last frame cannot be told from a write that was cut off.
        if is_in_one_file && durable > from && to - from >= UNCHECKPOINTED {
            let file = begin["file"].as_str().expect("a name");
            return (file.into(), from, load);
        }
        println!("too little is durable behind a checkpoint: {report}");
        load.round(node.start(), 200, Mesh::kill);
    }
    panic!("each of {TRIES} kills came right behind a checkpoint");
}

/// A record of one message to a topic.
struct Appended {
    file: PathBuf,
    byte: u64,
    len: u64,
    offset: u64,
}

fn append_in_the_middle(node: &Node, topic: &str) -> Appended {
    let (status, records) = node.look("dump");
    assert!(status.success());
    let offset = |record: &Value| {
        let targets = record["detail"]["to"].as_array()?;
        let target = targets
            .iter()
            .find(|target| target["of"]["stream"] == topic)?;
        target["offset"].as_u64()
    };
    let appended: Vec<_> = records
        .iter()
        .filter_map(|record| Some((record, offset(record)?)))
        .collect();
    let (record, offset) = appended[appended.len() / 2];
    let number = |field: &str| record[field].as_u64().expect("a number");
    let name = record["file"].as_str().expect("a name");
    Appended {
        file: node.data_dir().join("wal").join(name),
        byte: number("byte"),
        len: number("len"),
        offset,
    }
}

fn flip(file: &Path, byte: u64) {
    let file = File::options().read(true).write(true).open(file);
    let file = file.expect("the log can be written");
    let mut content = [0];
    file.read_exact_at(&mut content, byte)
        .expect("the log can be read");
    file.write_all_at(&[!content[0]], byte)
        .expect("the log can be written");
}
