//! `kill -9` while messages die, wait for their time, or stand in a queue with limits: each is where it belongs, once.

use std::collections::BTreeSet;
use std::time::Duration;

use fairlead_tests::{Client, Dice, Line, Mesh, Node, Program, Record, tools};
use serde_json::json;

const MESSAGES: usize = 1_500;
const MARKER: &[u8] = b"no more";
const KILLS: usize = 8;

#[test]
fn what_dies_is_in_the_grave_once_whenever_the_server_is_killed() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mut mesh = node.start();
    let to_grave = r#"{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "grave"}"#;
    declare(&mesh, &["grave"]);
    declare(&mesh, &["jobs", "--arguments", to_grave]);
    let mut dice = Dice::new(7);
    let lives = (0..MESSAGES).map(|number| Record {
        expiry_ms: Some(200 + dice.below(8_000) as u64),
        ..to_queue("jobs", number.to_string().as_bytes())
    });
    let lives: Vec<Record> = lives.collect();
    publish(&mesh, &lives);
    for _ in 0..KILLS {
        let rejecting = Client::start(
            Program::Pika,
            &["consume", &mesh.port("amqp"), "jobs", "--reject"],
        );
        // Another moment in each round; what it does not get in time expires.
        let enough = dice.below(150);
        let heard = (0..enough).map_while(|_| rejecting.line_within(Duration::from_millis(200)));
        assert!(
            heard
                .into_iter()
                .all(|line| matches!(line, Line::Arrived(_)))
        );
        mesh.kill();
        drop(rejecting);
        mesh = node.start();
    }
    assert_once(&mesh, "grave");
}

#[test]
fn what_is_published_later_arrives_once_whenever_the_server_is_killed() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mut mesh = node.start();
    let delayed = ["x-delayed-message", r#"{"x-delayed-type": "direct"}"#];
    declare(
        &mesh,
        &[
            "due",
            "--exchange",
            "later",
            delayed[0],
            delayed[1],
            "--bind",
            "later",
            "due",
        ],
    );
    let mut dice = Dice::new(11);
    let waiting = (0..MESSAGES).map(|number| Record {
        exchange: Some("later".to_owned()),
        headers: vec![("x-delay".to_owned(), json!(dice.below(6_000)))],
        ..Record::new("due", number.to_string())
    });
    publish(&mesh, &waiting.collect::<Vec<_>>());
    for _ in 0..KILLS {
        // The first answers of a started server come while it catches up with what is due.
        declare(&mesh, &["another"]);
        mesh.kill();
        mesh = node.start();
    }
    assert_once(&mesh, "due");
}

#[test]
fn limits_priorities_and_times_of_queues_hold_over_kills() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mut mesh = node.start();
    let queues = [
        ("short", r#"{"x-max-length": 5}"#),
        ("small", r#"{"x-max-length-bytes": 20}"#),
        (
            "shut",
            r#"{"x-max-length": 20, "x-overflow": "reject-publish"}"#,
        ),
        ("ranked", r#"{"x-max-priority": 9}"#),
        (
            "brief",
            r#"{"x-message-ttl": 3000, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "grave"}"#,
        ),
    ];
    declare(&mesh, &["grave"]);
    for (queue, arguments) in queues {
        declare(&mesh, &[queue, "--arguments", arguments]);
    }
    for numbers in [10..20, 20..30] {
        let to_all = |number: u8| queues.map(|(queue, _)| numbered(queue, number));
        publish(&mesh, &numbers.flat_map(to_all).collect::<Vec<_>>());
        mesh.kill();
        mesh = node.start();
    }

    let mut refused = Client::start(Program::Pika, &["publish", &mesh.port("amqp")]);
    assert!(refused.publish(&numbered("shut", 30)) && refused.flush());
    assert!(matches!(refused.line(), Some(Line::Failed(_))));
    let by_rank = (0..10).rev().flat_map(|rank| [10 + rank, 20 + rank]);
    let left: [(&str, Vec<u8>); 6] = [
        ("short", (25..30).collect()),
        ("small", (20..30).collect()),
        ("shut", (10..30).collect()),
        ("ranked", by_rank.collect()),
        ("grave", (10..30).collect()),
        ("brief", Vec::new()),
    ];
    let consume = |queue| Client::start(Program::Pika, &["consume", &mesh.port("amqp"), queue]);
    // One after the other: what is brief has died when all of the grave is there.
    let readers = left.each_ref().map(|(queue, numbers)| {
        let reader = consume(*queue);
        let arrivals = reader.arrivals(numbers.len()).into_iter();
        let arrived: Vec<_> = arrivals.map(|record| record.body).collect();
        let kept: Vec<_> = numbers.iter().map(|it| numbered(queue, *it).body).collect();
        assert_eq!(arrived, kept, "{queue}");
        reader
    });
    // And nothing else.
    publish(
        &mesh,
        &left.each_ref().map(|(queue, _)| to_queue(queue, MARKER)),
    );
    for reader in &readers {
        assert_eq!(reader.arrival().body.as_deref(), Some(MARKER));
    }
}

/// A message that tells its number, which is its priority in the queue that has those.
fn numbered(queue: &str, number: u8) -> Record {
    Record {
        priority: (queue == "ranked").then_some(number % 10),
        ..to_queue(queue, number.to_string().as_bytes())
    }
}

fn declare(mesh: &Mesh, what: &[&str]) {
    let port = mesh.port("amqp");
    let arguments: Vec<&str> = ["declare", &port].iter().chain(what).copied().collect();
    Client::start(Program::Pika, &arguments);
}

fn to_queue(queue: &str, body: &[u8]) -> Record {
    Record {
        exchange: Some(String::new()),
        ..Record::new(queue, body)
    }
}

fn publish(mesh: &Mesh, records: &[Record]) {
    Client::start(Program::Pika, &["publish", &mesh.port("amqp")]).publish_all(records);
}

/// Every message comes to this queue, and none a second time.
fn assert_once(mesh: &Mesh, queue: &str) {
    let reader = Client::start(Program::Pika, &["consume", &mesh.port("amqp"), queue]);
    let mut seen = BTreeSet::new();
    let mut note = |record: Record| {
        let body = record.body.unwrap_or_default();
        assert!(
            seen.insert(body.clone()),
            "{} came twice",
            body.escape_ascii()
        );
    };
    (0..MESSAGES).for_each(|_| note(reader.arrival()));
    publish(mesh, &[to_queue(queue, MARKER)]);
    note(reader.arrival());
    assert!(seen.contains(MARKER) && seen.len() == MESSAGES + 1);
}
