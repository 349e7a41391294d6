//! The matrix once more with the commands that people type: mosquitto_pub and mosquitto_sub, kcat, amqp-publish and
//! amqp-consume. They take a line as a message, so the lines are what is compared; `matrix.rs` has the binary bodies.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use fairlead_tests::{Client, Mesh, Node, Program, tools};

const MESSAGES: usize = 1_000;

#[test]
fn lines_from_mosquitto_pub_reach_all_three_commands() {
    all_three_get(|mesh| {
        let mut command = Command::new("mosquitto_pub");
        command.args([
            "-h",
            "127.0.0.1",
            "-p",
            &mesh.port("mqtt"),
            "-V",
            "mqttv5",
            "-q",
            "1",
            "-t",
            "typed/all",
            "-l",
        ]);
        command.args([
            "-D",
            "publish",
            "content-type",
            "text/plain",
            "-D",
            "publish",
            "user-property",
            "unit",
            "celsius",
        ]);
        command
    });
}

#[test]
fn lines_from_kcat_reach_all_three_commands() {
    all_three_get(|mesh| {
        let mut command = Command::new("kcat");
        command.args([
            "-P",
            "-b",
            &format!("127.0.0.1:{}", mesh.port("kafka")),
            "-t",
            "typed.all",
        ]);
        command.args(["-H", "content-type=text/plain", "-H", "unit=celsius"]);
        command
    });
}

#[test]
fn lines_from_amqp_publish_reach_all_three_commands() {
    all_three_get(|mesh| {
        let mut command = Command::new("amqp-publish");
        command.args([
            "-u",
            &amqp_url(mesh),
            "-e",
            "amq.topic",
            "-r",
            "typed.all",
            "-l",
            "-p",
        ]);
        command.args(["-C", "text/plain", "-H", "unit: celsius"]);
        command
    });
}

fn all_three_get(publisher: impl Fn(&Mesh) -> Command) {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    Client::start(
        Program::Librdkafka,
        &["create", &mesh.port("kafka"), "typed.all"],
    );
    Client::start(
        Program::Pika,
        &[
            "declare",
            &mesh.port("amqp"),
            "typed",
            "--bind",
            "amq.topic",
            "typed.#",
        ],
    );
    let subscriber = subscribe(&mesh);

    let lines: Vec<String> = (0..MESSAGES)
        .map(|number| format!("line {number} {}", "x".repeat(number % 300)))
        .collect();
    feed(publisher(&mesh), &lines);

    assert_lines("mosquitto_sub", &lines, subscriber);
    assert_lines("kcat", &lines, kcat(&mesh));
    assert_lines("amqp-consume", &lines, amqp_consume(&mesh));
}

/// A subscriber that is known to be subscribed.
fn subscribe(mesh: &Mesh) -> impl Iterator<Item = String> {
    let mut command = Command::new("stdbuf");
    command.args([
        "-oL",
        "mosquitto_sub",
        "-h",
        "127.0.0.1",
        "-p",
        &mesh.port("mqtt"),
        "-V",
        "mqttv5",
        "-q",
        "1",
        "-d",
    ]);
    command.args([
        "-t",
        "typed/#",
        "-C",
        &MESSAGES.to_string(),
        "-F",
        "message %C %P: %p",
    ]);
    let mut output = output(command);
    assert!(
        output.any(|line| line.starts_with("Subscribed")),
        "mosquitto_sub did not subscribe"
    );
    // More may stand among the properties: what Kafka says in headers, and a sidecar.
    output.filter_map(|line| {
        let (properties, body) = line
            .strip_prefix("message text/plain ")?
            .rsplit_once(": ")?;
        properties
            .split(' ')
            .any(|property| property == "unit:celsius")
            .then(|| body.to_owned())
    })
}

fn kcat(mesh: &Mesh) -> impl Iterator<Item = String> {
    let mut command = Command::new("kcat");
    command.args([
        "-C",
        "-q",
        "-b",
        &format!("127.0.0.1:{}", mesh.port("kafka")),
        "-t",
        "typed.all",
        "-o",
        "beginning",
    ]);
    command.args(["-c", &MESSAGES.to_string(), "-f", "message %h: %s\n"]);
    // The order of headers is the publisher's, and a sidecar may follow them.
    output(command).filter_map(|line| {
        let (headers, body) = line.strip_prefix("message ")?.split_once(": ")?;
        let said = |header| headers.split(',').any(|known| known == header);
        (said("content-type=text/plain") && said("unit=celsius")).then(|| body.to_owned())
    })
}

fn amqp_consume(mesh: &Mesh) -> impl Iterator<Item = String> {
    let mut command = Command::new("amqp-consume");
    command.args([
        "-u",
        &amqp_url(mesh),
        "-q",
        "typed",
        "-c",
        &MESSAGES.to_string(),
        "-p",
        "100",
        "--",
        "sh",
        "-c",
        "cat; echo",
    ]);
    output(command)
}

fn amqp_url(mesh: &Mesh) -> String {
    format!("amqp://127.0.0.1:{}", mesh.port("amqp"))
}

fn feed(mut publisher: Command, lines: &[String]) {
    let mut child = publisher
        .stdin(Stdio::piped())
        .spawn()
        .expect("the publisher starts");
    let mut input = child.stdin.take().expect("stdin is piped");
    for line in lines {
        writeln!(input, "{line}").expect("the publisher reads");
    }
    drop(input);
    assert!(
        child.wait().expect("it can be waited for").success(),
        "{publisher:?} failed"
    );
}

fn assert_lines(command: &str, expected: &[String], arrived: impl Iterator<Item = String>) {
    // amqp-publish keeps the end of the line, and the commands print one of their own.
    let arrived: Vec<String> = arrived.filter(|line| !line.is_empty()).collect();
    assert_eq!(
        arrived.len(),
        expected.len(),
        "{command} got {:?} .. {:?}",
        arrived.first(),
        arrived.last()
    );
    for (number, (arrived, expected)) in arrived.iter().zip(expected).enumerate() {
        assert_eq!(arrived, expected, "line {number} at {command}");
    }
}

/// The lines of a command, which is killed when they are dropped.
struct Output {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

fn output(mut command: Command) -> Output {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
    Output { child, lines }
}

impl Iterator for Output {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        self.lines.next()?.ok()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // It may have ended by itself; both calls then say so and nothing is lost.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
