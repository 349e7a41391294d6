//! What is published by one protocol is consumed by all three, whole and in order, with clients that nobody here wrote.

use fairlead_tests::{Client, Mesh, Node, Program, Record, Seen, Tongue, Value, tools};
use serde_json::json;

const MESSAGES: usize = 1_000;
const MIB: usize = 1 << 20;

#[test]
fn what_paho_publishes_by_version_5_reaches_every_protocol() {
    every_protocol_gets(Program::Paho, Tongue::Mqtt5);
}

#[test]
fn what_paho_publishes_by_version_3_1_1_reaches_every_protocol() {
    every_protocol_gets(Program::Paho, Tongue::Mqtt311);
}

#[test]
fn what_librdkafka_publishes_reaches_every_protocol() {
    every_protocol_gets(Program::Librdkafka, Tongue::Kafka);
}

#[test]
fn what_the_java_client_publishes_reaches_every_protocol() {
    every_protocol_gets(Program::Java, Tongue::Kafka);
}

#[test]
fn what_pika_publishes_reaches_every_protocol() {
    every_protocol_gets(Program::Pika, Tongue::Amqp);
}

#[test]
fn compressed_batches_are_opened_for_readers_of_other_protocols() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    let readers = Reader::one_of_each(&mesh);
    let records: Vec<Record> = (0..50)
        .map(|number| Record::new("matrix.all", format!("record {number} ").repeat(number)))
        .collect();
    for codec in ["gzip", "snappy", "lz4", "zstd"] {
        let arguments = ["publish", &mesh.port("kafka"), "--compression", codec];
        Client::start(Program::Librdkafka, &arguments).publish_all(&records);
        for reader in &readers {
            let bodies = reader
                .client
                .arrivals(records.len())
                .into_iter()
                .map(|arrived| arrived.body);
            assert!(
                bodies.eq(records.iter().map(|sent| sent.body.clone())),
                "{codec} at {}",
                reader.name
            );
        }
    }
}

/// One consumer of each kind listens, then 1,000 messages are published and each consumer's view is judged.
fn every_protocol_gets(program: Program, from: Tongue) {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    let readers = Reader::one_of_each(&mesh);
    let records = corpus(from);
    publisher(&mesh, program, from).publish_all(&records);
    for reader in &readers {
        let arrived = reader.client.arrivals(MESSAGES);
        for (number, (sent, arrived)) in records.iter().zip(&arrived).enumerate() {
            let expected = expected(from, reader.tongue, sent);
            let seen = Seen::of(reader.tongue, arrived);
            assert!(
                seen == expected,
                "message {number} of {program:?} {from:?} at {}:\n{}",
                reader.name,
                expected.differences(&seen),
            );
            assert_life(sent, arrived);
        }
        if reader.tongue == Tongue::Kafka {
            let offsets: Vec<u64> = arrived.iter().filter_map(|record| record.offset).collect();
            assert!(
                offsets.iter().copied().eq(0..MESSAGES as u64),
                "offsets at {} are not dense",
                reader.name
            );
        }
    }
    assert_losses(&mesh, from, &records);
}

struct Reader {
    name: &'static str,
    tongue: Tongue,
    client: Client,
}

impl Reader {
    fn one_of_each(mesh: &Mesh) -> Vec<Self> {
        let (mqtt, kafka, amqp) = (mesh.port("mqtt"), mesh.port("kafka"), mesh.port("amqp"));
        Client::start(Program::Librdkafka, &["create", &kafka, "matrix.all"]);
        Client::start(
            Program::Pika,
            &["declare", &amqp, "all", "--bind", "amq.topic", "matrix.*"],
        );
        let reader = |name, tongue, program, arguments: &[&str]| Self {
            name,
            tongue,
            client: Client::start(program, arguments),
        };
        vec![
            reader(
                "paho 5",
                Tongue::Mqtt5,
                Program::Paho,
                &["consume", &mqtt, "matrix/+"],
            ),
            reader(
                "paho 3.1.1",
                Tongue::Mqtt311,
                Program::Paho,
                &["consume", &mqtt, "matrix/+", "--level", "4"],
            ),
            reader(
                "librdkafka",
                Tongue::Kafka,
                Program::Librdkafka,
                &["consume", &kafka, "matrix.all"],
            ),
            reader(
                "java",
                Tongue::Kafka,
                Program::Java,
                &["consume", &kafka, "matrix.all"],
            ),
            reader(
                "pika",
                Tongue::Amqp,
                Program::Pika,
                &["consume", &amqp, "all"],
            ),
        ]
    }
}

fn publisher(mesh: &Mesh, program: Program, from: Tongue) -> Client {
    let (mqtt, kafka, amqp) = (mesh.port("mqtt"), mesh.port("kafka"), mesh.port("amqp"));
    match (program, from) {
        (Program::Paho, Tongue::Mqtt311) => {
            Client::start(program, &["publish", &mqtt, "--level", "4"])
        }
        (Program::Paho, _) => Client::start(program, &["publish", &mqtt]),
        (Program::Pika, _) => Client::start(program, &["publish", &amqp]),
        (Program::Librdkafka | Program::Java, _) => Client::start(program, &["publish", &kafka]),
    }
}

/// 1,000 messages of this tongue with all that it can say, and bodies of 0 bytes to 1 MiB.
fn corpus(from: Tongue) -> Vec<Record> {
    let message = |number| {
        let record = Record::new("", body(number));
        match from {
            Tongue::Mqtt311 => Record {
                to: "matrix/all".into(),
                ..record
            },
            Tongue::Mqtt5 => mqtt(number, record),
            Tongue::Kafka => kafka(number, record),
            Tongue::Amqp => amqp(number, record),
        }
    };
    (0..MESSAGES).map(message).collect()
}

fn body(number: usize) -> Vec<u8> {
    let length = match number {
        999 => MIB,
        _ if number.is_multiple_of(50) => 1 << (number / 50),
        _ if number.is_multiple_of(7) => 0,
        _ => number * 37 % 2_000,
    };
    (0..length).map(|at| (at * 131 + number) as u8).collect()
}

fn mqtt(number: usize, record: Record) -> Record {
    let mut headers = vec![
        ("n".to_owned(), json!(number.to_string())),
        ("twice".to_owned(), json!("é1")),
        ("empty".to_owned(), json!("")),
        ("twice".to_owned(), json!("2")),
    ];
    if number.is_multiple_of(3) {
        headers.push(("fl-key".to_owned(), json!(format!("key {}", number % 10))));
    }
    Record {
        to: "matrix/all".into(),
        headers,
        content_type: Some("application/octet-stream".into()),
        correlation: Some(if number.is_multiple_of(2) {
            vec![0xff, 0, number as u8]
        } else {
            b"call-7".to_vec()
        }),
        reply_to: Some("replies/to/me".into()),
        expiry_ms: number.is_multiple_of(5).then_some(3_600_000),
        ..record
    }
}

fn kafka(number: usize, record: Record) -> Record {
    let text = |name: &str, value: &str| (name.to_owned(), json!(value));
    Record {
        to: "matrix.all".into(),
        body: record.body.filter(|_| number % 101 != 5),
        key: match number % 3 {
            0 => None,
            1 => Some(Vec::new()),
            _ => Some(format!("key {}", number % 10).into_bytes()),
        },
        headers: vec![
            ("n".to_owned(), json!(number.to_string())),
            text("content-type", "application/json"),
            ("twice".to_owned(), json!("1")),
            ("raw".to_owned(), json!({ "b64": "/wD+" })),
            text("message-id", "m-7"),
            ("nothing".to_owned(), Value::Null),
            text("correlation-id", "call-7"),
            ("twice".to_owned(), json!("2")),
            text("reply-to", "replies.to.me"),
        ],
        timestamp_ms: Some(1_700_000_000_123 + number as i64),
        ..record
    }
}

fn amqp(number: usize, record: Record) -> Record {
    Record {
        to: "matrix.all".into(),
        headers: vec![
            ("n".to_owned(), json!(number)),
            ("text".to_owned(), json!("é")),
            ("raw".to_owned(), json!({ "b64": "/wD+" })),
            ("yes".to_owned(), json!(true)),
            ("debt".to_owned(), json!(-7)),
            ("nothing".to_owned(), Value::Null),
        ],
        content_type: Some("application/json".into()),
        content_encoding: Some("identity".into()),
        message_id: Some(format!("m-{number}")),
        correlation: Some(b"call-7".to_vec()),
        reply_to: Some("answers".into()),
        kind: Some("order.created".into()),
        app_id: Some("matrix".into()),
        expiry_ms: number.is_multiple_of(5).then_some(3_600_000),
        timestamp_ms: Some(1_700_000_000_000 + 1_000 * number as i64),
        priority: number.is_multiple_of(2).then_some(4),
        ..record
    }
}

fn expected(from: Tongue, to: Tongue, sent: &Record) -> Seen {
    let mut expected = Seen::of(from, sent).told(from, to);
    if from == Tongue::Mqtt311 {
        expected.body = Some(expected.body.unwrap_or_default());
    }
    expected
}

/// What is left of a life is not more than was given, and not an hour less.
fn assert_life(sent: &Record, arrived: &Record) {
    if let (Some(given), Some(left)) = (sent.expiry_ms, arrived.expiry_ms) {
        assert!(
            left <= given && left + 600_000 > given,
            "{left} ms are left of {given}"
        );
    }
}

/// A loss by its code, and whether a message suffers it.
type LossCase = (&'static str, fn(&Record) -> bool);

/// The 3.1.1 reader got bodies only; what it missed has been counted by name, once per message that had it.
fn assert_losses(mesh: &Mesh, from: Tongue, sent: &[Record]) {
    let every: fn(&Record) -> bool = |_| true;
    let losses: &[LossCase] = match from {
        Tongue::Mqtt311 => &[],
        Tongue::Mqtt5 => &[
            ("HEADER", every),
            ("CONTENT_TYPE", every),
            ("CORRELATION", every),
            ("REPLY_TO", every),
            ("KEY", |record| record.header("fl-key").is_some()),
            ("EXPIRY_HIDDEN", |record| record.expiry_ms.is_some()),
        ],
        Tongue::Kafka => &[
            ("HEADER", every),
            ("EVENT_TIME", every),
            ("KEY", |record| record.key.is_some()),
            ("NULL_BODY", |record| record.body.is_none()),
        ],
        Tongue::Amqp => &[
            ("HEADER", every),
            ("CONTENT_TYPE", every),
            ("CONTENT_ENC", every),
            ("MSG_ID", every),
            ("CORRELATION", every),
            ("REPLY_TO", every),
            ("KIND", every),
            ("APP", every),
            ("PRIORITY", |record| record.priority.is_some()),
            ("EXPIRY_HIDDEN", |record| record.expiry_ms.is_some()),
        ],
    };
    for (code, loses) in losses {
        let expected = sent.iter().filter(|record| loses(record)).count();
        let counted = mesh.metric(
            "fairlead_translate_loss_total",
            &[("to", "mqtt"), ("code", code)],
        );
        assert_eq!(
            counted, expected as f64,
            "{code} for a 3.1.1 reader of {from:?}"
        );
    }
}
