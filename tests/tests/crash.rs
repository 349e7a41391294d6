//! `kill -9` under load, again and again on one data directory: what was acknowledged is there afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use fairlead_tests::{Client, Line, Mesh, Node, Program, Record, tools};

const ROUNDS: usize = 10;
/// Lanes of the topic that the publisher with keys writes to; the two others have one.
const LANES: u32 = 3;
const KEYS: usize = 10;
const MARKER: &[u8] = b"end of the load";

/// The three who publish, each to an address of its own that is a topic too, and all bound to one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Publisher {
    Mqtt,
    Kafka,
    Amqp,
}

const PUBLISHERS: [Publisher; 3] = [Publisher::Mqtt, Publisher::Kafka, Publisher::Amqp];

/// What a publisher sent as its `number`-th message of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sent {
    publisher: Publisher,
    round: usize,
    number: usize,
}

#[test]
fn what_was_acknowledged_survives_ten_kills_under_load() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mut acked = BTreeSet::new();
    for round in 0..ROUNDS {
        let mesh = node.start();
        if round == 0 {
            prepare(&mesh);
        }
        // Another moment in each round, from the first commits to a warm log.
        let deadly = 100 + 137 * round;
        acked.extend(load(mesh, round, deadly, Mesh::kill));
    }
    audit(&node.start(), &acked);
}

#[test]
fn a_flipped_byte_below_what_was_synced_is_refused_by_file_and_offset() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    prepare(&mesh);
    load(mesh, 0, 500, Mesh::kill);
    let log = first_log_file(&node);
    let mut bytes = fs::read(&log).expect("the log can be read");
    let written = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .expect("something was written");
    let flipped = written / 2;
    bytes[flipped] ^= 1;
    fs::write(&log, bytes).expect("the log can be written");

    let (status, said) = node.refuses_to_start();
    assert!(!status.success(), "it started on a damaged log");
    let name = log
        .file_name()
        .and_then(|name| name.to_str())
        .expect("a name");
    assert!(
        said.contains(name),
        "the file {name} is not named in: {said}"
    );
    assert!(said.contains("offset"), "no offset is named in: {said}");
}

fn prepare(mesh: &Mesh) {
    let kafka = mesh.port("kafka");
    for publisher in PUBLISHERS {
        let lanes = lanes(publisher).to_string();
        Client::start(
            Program::Librdkafka,
            &["create", &kafka, topic(publisher), "--partitions", &lanes],
        );
    }
    Client::start(
        Program::Pika,
        &[
            "declare",
            &mesh.port("amqp"),
            "load",
            "--bind",
            "amq.topic",
            "load.#",
        ],
    );
}

/// Three clients publish as fast as they can; after `enough` acknowledgements the mesh is struck.
/// Gives back all that was acknowledged until the clients ended.
fn load(mesh: Mesh, round: usize, enough: usize, strike: impl FnOnce(Mesh)) -> BTreeSet<Sent> {
    let mut clients: Vec<(Publisher, Client)> = PUBLISHERS
        .into_iter()
        .map(|publisher| (publisher, start(&mesh, publisher, round)))
        .collect();
    let mut acked = BTreeSet::new();
    while acked.len() < enough {
        for (publisher, client) in &clients {
            match client.line_within(Duration::from_millis(5)) {
                Some(Line::Acked(number)) => drop(acked.insert(Sent {
                    publisher: *publisher,
                    round,
                    number,
                })),
                Some(other) => panic!("{publisher:?} said {other:?} before the strike"),
                None => {}
            }
        }
    }
    strike(mesh);
    for (publisher, client) in &mut clients {
        client.kill();
        while let Some(line) = client.line() {
            if let Line::Acked(number) = line {
                acked.insert(Sent {
                    publisher: *publisher,
                    round,
                    number,
                });
            }
        }
    }
    acked
}

fn start(mesh: &Mesh, publisher: Publisher, round: usize) -> Client {
    let mut client = match publisher {
        Publisher::Mqtt => Client::start(Program::Paho, &["publish", &mesh.port("mqtt")]),
        Publisher::Kafka => Client::start(Program::Librdkafka, &["publish", &mesh.port("kafka")]),
        Publisher::Amqp => Client::start(Program::Pika, &["publish", &mesh.port("amqp")]),
    };
    client.feed((0..).map(move |number| {
        record(Sent {
            publisher,
            round,
            number,
        })
    }));
    client
}

/// Everything acknowledged is in its topic, in the order of its key and without a gap in the offsets, and in the queue.
fn audit(mesh: &Mesh, acked: &BTreeSet<Sent>) {
    let kafka = mesh.port("kafka");
    let markers: Vec<Record> = PUBLISHERS
        .into_iter()
        .flat_map(|publisher| (0..lanes(publisher)).map(move |lane| marker(publisher, lane)))
        .collect();
    Client::start(Program::Librdkafka, &["publish", &kafka]).publish_all(&markers);

    let mut found = BTreeSet::new();
    for publisher in PUBLISHERS {
        let reader = Client::start(Program::Librdkafka, &["consume", &kafka, topic(publisher)]);
        let lanes = read_lanes(&reader, lanes(publisher));
        for (lane, records) in &lanes {
            let offsets = records.iter().filter_map(|record| record.offset);
            assert!(
                offsets.eq(0..records.len() as u64),
                "offsets of {publisher:?} lane {lane} are not dense"
            );
        }
        found.extend(in_order(lanes.into_values().flatten()));
    }
    assert_holds("the topics", &found, acked);

    let queue = Client::start(Program::Pika, &["consume", &mesh.port("amqp"), "load"]);
    let mut ended = 0;
    let until_markers = std::iter::from_fn(|| {
        let record = queue.arrival();
        ended += usize::from(record.body.as_deref() == Some(MARKER));
        (ended < markers.len()).then_some(record)
    });
    assert_holds("the queue", &in_order(until_markers), acked);
}

fn assert_holds(place: &str, found: &BTreeSet<Sent>, acked: &BTreeSet<Sent>) {
    let lost: Vec<&Sent> = acked.difference(found).collect();
    assert!(
        lost.is_empty(),
        "{} of {} acknowledged are not in {place}: {:?} ..",
        lost.len(),
        acked.len(),
        lost.first()
    );
}

/// The records of each lane up to its marker.
fn read_lanes(reader: &Client, count: u32) -> BTreeMap<u32, Vec<Record>> {
    let mut lanes: BTreeMap<u32, Vec<Record>> = BTreeMap::new();
    let mut ended = 0;
    while ended < count {
        let record = reader.arrival();
        ended += u32::from(record.body.as_deref() == Some(MARKER));
        lanes
            .entry(record.partition.expect("a lane"))
            .or_default()
            .push(record);
    }
    lanes
}

/// What these records say was sent, after a check that each publisher's key came in the order it was sent.
fn in_order(records: impl Iterator<Item = Record>) -> BTreeSet<Sent> {
    let mut latest: BTreeMap<(Publisher, usize), Sent> = BTreeMap::new();
    let mut found = BTreeSet::new();
    for sent in records.filter_map(|record| sent(&record)) {
        let key = if sent.publisher == Publisher::Kafka {
            sent.number % KEYS
        } else {
            0
        };
        let before = latest.insert((sent.publisher, key), sent);
        assert!(
            before.is_none_or(|before| before < sent),
            "{before:?} came before {sent:?}"
        );
        found.insert(sent);
    }
    found
}

fn topic(publisher: Publisher) -> &'static str {
    match publisher {
        Publisher::Mqtt => "load.mqtt",
        Publisher::Kafka => "load.kafka",
        Publisher::Amqp => "load.amqp",
    }
}

fn lanes(publisher: Publisher) -> u32 {
    if publisher == Publisher::Kafka {
        LANES
    } else {
        1
    }
}

fn marker(publisher: Publisher, lane: u32) -> Record {
    Record {
        partition: Some(lane),
        ..Record::new(topic(publisher), MARKER)
    }
}

fn record(sent: Sent) -> Record {
    let padding = "x".repeat(sent.number % 500);
    let to = topic(sent.publisher);
    let to = if sent.publisher == Publisher::Mqtt {
        to.replace('.', "/")
    } else {
        to.to_owned()
    };
    let key = (sent.publisher == Publisher::Kafka)
        .then(|| format!("key {}", sent.number % KEYS).into_bytes());
    Record {
        key,
        ..Record::new(
            to,
            format!(
                "{} {} {} {padding}",
                topic(sent.publisher),
                sent.round,
                sent.number
            ),
        )
    }
}

/// The reverse of [`record`]; `None` for a marker.
fn sent(record: &Record) -> Option<Sent> {
    let body = String::from_utf8(record.body.clone()?).ok()?;
    let mut words = body.split(' ');
    let name = words.next()?;
    let publisher = PUBLISHERS
        .into_iter()
        .find(|publisher| topic(*publisher) == name)?;
    Some(Sent {
        publisher,
        round: words.next()?.parse().ok()?,
        number: words.next()?.parse().ok()?,
    })
}

fn first_log_file(node: &Node) -> PathBuf {
    let mut files = Vec::new();
    let mut folders = vec![node.data_dir()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the data directory can be read") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "wal") {
                files.push(path);
            }
        }
    }
    files.into_iter().min().expect("the store has a log")
}
