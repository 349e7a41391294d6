//! What nobody should send: each door refuses it, says why, keeps its memory and serves the others.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use fairlead_tests::{Client, Dice, Mesh, Node, Program, Record, allow_open_files, tools};

const DOORS: [&str; 3] = ["mqtt", "kafka", "amqp"];
const MEMORY_BYTES_MAX: u64 = 200_000_000;
const SILENT: usize = 1_000;
const RANDOM: usize = 200;
/// Metrics pages read while a refusal is not yet counted.
const PAGES_MAX: usize = 500;
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

#[test]
fn bad_input_costs_no_memory_and_harms_nobody_else() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    let witnesses = Witness::one_of_each(&mesh);

    for door in DOORS {
        random_bytes(&mesh, door);
        half_frames(&mesh, door);
    }
    let refused = [
        ("kafka", kafka_metadata_of_two_billion_topics()),
        ("amqp", amqp_start_ok_with_nested_tables(10_000)),
        ("mqtt", mqtt_publish_of_256_mib()),
        ("mqtt", [mqtt_connect(), mqtt_publish_of_256_mib()].concat()),
    ];
    for (door, bytes) in &refused {
        let before = closed_as_malformed(&mesh, door);
        assert_refused(&mesh, door, bytes);
        // The peer learns of the end before it is counted: asking is the pace of waiting.
        let is_counted = (0..PAGES_MAX).any(|_| closed_as_malformed(&mesh, door) > before);
        assert!(is_counted, "a refusal at {door} is not counted");
    }

    assert!(
        allow_open_files() > SILENT * DOORS.len() + 200,
        "too few open files"
    );
    let silent: Vec<TcpStream> = DOORS
        .into_iter()
        .flat_map(|door| (0..SILENT).map(move |_| door))
        .map(|door| mesh.connect(door))
        .collect();
    for witness in &witnesses {
        witness.hears(&mesh);
    }
    drop(silent);

    let peak = mesh.peak_memory();
    assert!(
        peak < MEMORY_BYTES_MAX,
        "{} MB resident at the peak",
        peak / 1_000_000
    );
    let log = node.log();
    for door in DOORS {
        let listener = format!("listener=\"{door}\"");
        let says_why =
            |line: &str| line.contains(&listener) && line.contains("reason=\"malformed\" detail=");
        assert!(
            log.lines().any(says_why),
            "no refusal at {door} is logged with its reason:\n{log}"
        );
    }
}

/// A client that was there before, and whose messages go on.
struct Witness {
    program: Program,
    consumer: Client,
}

impl Witness {
    fn one_of_each(mesh: &Mesh) -> Vec<Self> {
        let (mqtt, kafka, amqp) = (mesh.port("mqtt"), mesh.port("kafka"), mesh.port("amqp"));
        Client::start(Program::Librdkafka, &["create", &kafka, "witness"]);
        Client::start(
            Program::Pika,
            &[
                "declare",
                &amqp,
                "witness",
                "--bind",
                "amq.topic",
                "witness",
            ],
        );
        [
            (Program::Paho, vec!["consume", mqtt.as_str(), "witness"]),
            (
                Program::Librdkafka,
                vec!["consume", kafka.as_str(), "witness"],
            ),
            (Program::Pika, vec!["consume", amqp.as_str(), "witness"]),
        ]
        .into_iter()
        .map(|(program, arguments)| Self {
            program,
            consumer: Client::start(program, &arguments),
        })
        .collect()
    }

    /// A message by the witness' own protocol arrives. Each witness also hears those of the others, so it reads on.
    fn hears(&self, mesh: &Mesh) {
        let door = match self.program {
            Program::Paho => "mqtt",
            Program::Pika => "amqp",
            Program::Librdkafka | Program::Java => "kafka",
        };
        Client::start(self.program, &["publish", &mesh.port(door)])
            .publish_all(&[Record::new("witness", door)]);
        while self.consumer.arrival().body.as_deref() != Some(door.as_bytes()) {}
    }
}

fn random_bytes(mesh: &Mesh, door: &str) {
    let mut dice = Dice::new(SEED);
    for round in 0..RANDOM {
        let bytes: Vec<u8> = (0..round * 10 + 1).map(|_| dice.byte()).collect();
        send_and_hang_up(mesh, door, &bytes);
    }
}

/// Every proper beginning of a legal opening.
fn half_frames(mesh: &Mesh, door: &str) {
    let opening = match door {
        "mqtt" => mqtt_connect(),
        "kafka" => kafka_api_versions(),
        _ => [b"AMQP\x00\x00\x09\x01".to_vec(), amqp_start_ok(&[])].concat(),
    };
    for length in 0..opening.len() {
        send_and_hang_up(mesh, door, &opening[..length]);
    }
}

/// The server may close at any point; what matters is that it does close.
fn send_and_hang_up(mesh: &Mesh, door: &str, bytes: &[u8]) {
    let mut stream = mesh.connect(door);
    if stream.write_all(bytes).is_ok() && stream.shutdown(Shutdown::Write).is_ok() {
        assert!(
            is_closed(&mut stream),
            "{door} keeps a connection whose peer has hung up"
        );
    }
}

fn assert_refused(mesh: &Mesh, door: &str, bytes: &[u8]) {
    let mut stream = mesh.connect(door);
    // A server that refuses before it has read everything resets the connection, which may already show here.
    if stream.write_all(bytes).is_ok() {
        assert!(is_closed(&mut stream), "{door} waits on");
    }
}

/// Reads until the peer closes or resets; `false` when it does neither within the patience of the connection.
fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.read_to_end(&mut Vec::new()) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

fn closed_as_malformed(mesh: &Mesh, door: &str) -> f64 {
    let labels = [("protocol", door), ("reason", "malformed")];
    mesh.metric("fairlead_connections_closed_total", &labels)
}

fn mqtt_connect() -> Vec<u8> {
    b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01w".to_vec()
}

/// The fixed header of the largest packet there is, and a little of what it announces.
fn mqtt_publish_of_256_mib() -> Vec<u8> {
    [b"\x30\xff\xff\xff\x7f\x00\x01a".as_slice(), &[0; 1_000]].concat()
}

fn kafka_api_versions() -> Vec<u8> {
    kafka_frame(18, 0, &[])
}

fn kafka_metadata_of_two_billion_topics() -> Vec<u8> {
    kafka_frame(3, 1, &2_000_000_000_i32.to_be_bytes())
}

fn kafka_frame(api: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let head = [
        &api.to_be_bytes()[..],
        &version.to_be_bytes(),
        &7_i32.to_be_bytes(),
        b"\x00\x03bad",
    ]
    .concat();
    let length = i32::try_from(head.len() + body.len()).expect("a small frame");
    [&length.to_be_bytes()[..], &head, body].concat()
}

fn amqp_start_ok_with_nested_tables(depth: usize) -> Vec<u8> {
    // Inside out: an entry is an empty name, the letter of a table, and the table.
    let mut table = Vec::new();
    for _ in 0..depth {
        table.extend_from_slice(&[0, b'F', 0, 0, 0, 0]);
    }
    for level in 0..depth {
        let inside = u32::try_from((depth - level - 1) * 6).expect("60 kB");
        table[level * 6 + 2..level * 6 + 6].copy_from_slice(&inside.to_be_bytes());
    }
    [b"AMQP\x00\x00\x09\x01".to_vec(), amqp_start_ok(&table)].concat()
}

/// connection.start-ok with these client properties, by PLAIN as guest.
fn amqp_start_ok(properties: &[u8]) -> Vec<u8> {
    let mut method = vec![0, 10, 0, 11];
    method.extend_from_slice(
        &u32::try_from(properties.len())
            .expect("60 kB")
            .to_be_bytes(),
    );
    method.extend_from_slice(properties);
    method.extend_from_slice(b"\x05PLAIN\x00\x00\x00\x0c\x00guest\x00guest\x05en_US");
    let length = u32::try_from(method.len()).expect("60 kB");
    [&[1, 0, 0][..], &length.to_be_bytes(), &method, &[0xce]].concat()
}
