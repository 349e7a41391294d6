//! Real input: every stanza of this machine's package database, by one protocol in and by the two others out.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use fairlead_tests::{Client, Line, Node, Program, Record, tools};

const DATABASE: &str = "/var/lib/dpkg/status";
const MEMBERS: usize = 3;
const PUBLISHERS: usize = 6;
/// A turn is long enough for a member that has something to say.
const TURN: Duration = Duration::from_millis(50);
/// Joins and handing over take some seconds; this is far beyond.
const SILENT_TURNS_MAX: usize = 1_200;

#[test]
fn the_package_database_is_read_back_by_a_group_of_three_and_by_a_queue_at_once() {
    let Ok(database) = fs::read(DATABASE) else {
        eprintln!("skipped: this machine has no {DATABASE}");
        return;
    };
    if !tools::ready() {
        return;
    }
    let stanzas = stanzas(&database);
    let node = Node::new();
    let mesh = node.start();
    let (mqtt, kafka, amqp) = (mesh.port("mqtt"), mesh.port("kafka"), mesh.port("amqp"));
    // Two lanes for each member, so that none is idle.
    Client::start(
        Program::Librdkafka,
        &["create", &kafka, "packages", "--partitions", "6"],
    );
    Client::start(
        Program::Pika,
        &[
            "declare",
            &amqp,
            "packages",
            "--bind",
            "amq.topic",
            "packages",
        ],
    );

    let members: Vec<Client> = (0..MEMBERS)
        .map(|_| {
            Client::begin(
                Program::Librdkafka,
                &["consume", &kafka, "packages", "--group", "readers"],
            )
        })
        .collect();
    let queue = Client::start(Program::Pika, &["consume", &amqp, "packages"]);
    publish(&mqtt, &stanzas);

    let from_queue: Vec<Vec<u8>> = queue
        .arrivals(stanzas.len())
        .into_iter()
        .filter_map(|record| record.body)
        .collect();
    assert_same("queue", &stanzas, from_queue);
    assert_same("group", &stanzas, read_by_group(&members, stanzas.len()));
}

/// Several publishers, since the messages of one client to one address stay in one lane.
fn publish(port: &str, stanzas: &[&[u8]]) {
    let mut publishers: Vec<Client> = (0..PUBLISHERS)
        .map(|_| Client::start(Program::Paho, &["publish", port]))
        .collect();
    for (number, stanza) in stanzas.iter().enumerate() {
        let publisher = &mut publishers[number % PUBLISHERS];
        assert!(
            publisher.publish(&Record::new("packages", *stanza)),
            "a publisher is gone"
        );
    }
    for publisher in &mut publishers {
        publisher.finish();
    }
    let acked = |publisher: &Client| {
        std::iter::from_fn(|| publisher.line())
            .filter(|line| matches!(line, Line::Acked(_)))
            .count()
    };
    let acked: usize = publishers.iter().map(acked).sum();
    assert_eq!(acked, stanzas.len(), "not every stanza was acknowledged");
}

fn assert_same(reader: &str, stanzas: &[&[u8]], mut arrived: Vec<Vec<u8>>) {
    let mut expected = stanzas.to_vec();
    expected.sort();
    arrived.sort();
    assert!(
        arrived.iter().eq(expected.iter()),
        "the {reader} gave other bytes"
    );
}

/// Stanzas as they stand in the file, without the empty line between them.
fn stanzas(database: &[u8]) -> Vec<&[u8]> {
    let mut stanzas = Vec::new();
    let mut rest = database;
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\n\n") {
        stanzas.push(&rest[..end]);
        rest = &rest[end + 2..];
    }
    stanzas.push(rest);
    stanzas.retain(|stanza| !stanza.is_empty());
    stanzas
}

/// Bodies that the group's members get until there are `count` different positions: a member that joins late makes
/// the others hand lanes over, and what they had not committed by then is read again.
fn read_by_group(members: &[Client], count: usize) -> Vec<Vec<u8>> {
    let mut found: BTreeMap<(u32, u64), Vec<u8>> = BTreeMap::new();
    let mut silent = 0;
    while found.len() < count {
        for member in members {
            silent += 1;
            while let Some(line) = member.line_within(TURN) {
                silent = 0;
                take(&mut found, line);
            }
        }
        assert!(
            silent < SILENT_TURNS_MAX,
            "the group fell silent after {} of {count}",
            found.len()
        );
    }
    found.into_values().collect()
}

fn take(found: &mut BTreeMap<(u32, u64), Vec<u8>>, line: Line) {
    match line {
        Line::Arrived(record) => {
            let place = (
                record.partition.expect("a lane"),
                record.offset.expect("an offset"),
            );
            let body = record.body.expect("a body");
            let before = found.insert(place, body.clone());
            assert!(
                before.is_none_or(|before| before == body),
                "{place:?} changed"
            );
        }
        Line::Failed(why) => panic!("a member failed: {why}"),
        Line::Ready | Line::Acked(_) => {}
    }
}
