//! Transactions and administration through Apache Kafka's own client, and exactly-once copying over `kill -9`.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use fairlead_tests::{Mesh, Node, tools};

/// Records to copy, in transactions of twenty.
const RECORDS: usize = 1_000;

/// What apache/kafka did in each scenario; `java/README.md` says how that was recorded.
const RECORDED: &str = "java/outcomes.txt";

#[test]
fn what_came_of_each_scenario_is_what_apache_kafka_made_of_it() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    let output = tools::java("Outcomes")
        .arg(mesh.port("kafka"))
        .output()
        .expect("the JVM starts");
    let ours = String::from_utf8(output.stdout).expect("lines are text");
    let theirs = fs::read_to_string(tools::home().join(RECORDED)).expect("it was recorded");
    let pairs = ours.lines().zip(theirs.lines());
    let differences: Vec<String> = pairs
        .filter(|(ours, theirs)| ours != theirs)
        .map(|(ours, theirs)| format!("theirs: {theirs}\nours:   {ours}"))
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert_eq!(ours.lines().count(), theirs.lines().count(), "{ours}");
}

#[test]
fn a_topic_is_copied_exactly_once_while_the_server_is_killed() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mut mesh = node.start();
    let expected: Vec<String> = (0..RECORDS).map(|n| format!("record {n}")).collect();
    fill(&mesh, &expected);
    let mut round = 0;
    // Each round dies a little later than the one before, until one is not hindered any more.
    while !copies(mesh, 2 + round) {
        mesh = node.start();
        round += 1;
    }
    assert!(round >= 3, "it was killed {round} times only");
    let copied = kcat(&node.start(), &["-C", "-t", "to", "-e", "-o", "beginning"]);
    assert_eq!(copied.lines().count(), RECORDS, "lost or doubled");
    assert!(copied.lines().eq(expected.iter().map(String::as_str)));
}

/// Lets the copier make so many commits and kills the server; whether the copier was done before.
fn copies(mesh: Mesh, commits: usize) -> bool {
    let mut copier = tools::java("Copy")
        .args([&*mesh.port("kafka"), "from", "to", &RECORDS.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the JVM starts");
    let said = copier.stdout.take().expect("stdout is piped");
    let mut left = commits;
    let mut is_done = false;
    for line in BufReader::new(said).lines() {
        let line = line.expect("lines are text");
        assert!(!line.starts_with("failed"), "{line}");
        is_done = line == "done";
        left -= usize::from(line.starts_with("committed"));
        if is_done || left == 0 {
            break;
        }
    }
    mesh.kill();
    end(copier);
    is_done
}

fn end(mut child: Child) {
    child.kill().expect("a child can be killed");
    child.wait().expect("a child can be waited for");
}

fn fill(mesh: &Mesh, records: &[String]) {
    let mut child = Command::new("kcat")
        .args(["-b", &format!("127.0.0.1:{}", mesh.port("kafka"))])
        .args(["-P", "-t", "from"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("kcat starts");
    let mut input = child.stdin.take().expect("stdin is piped");
    for record in records {
        writeln!(input, "{record}").expect("kcat listens");
    }
    drop(input);
    assert!(child.wait().expect("kcat ends").success());
}

/// What kcat, which shows committed records only, says.
fn kcat(mesh: &Mesh, arguments: &[&str]) -> String {
    let output = Command::new("kcat")
        .args(["-b", &format!("127.0.0.1:{}", mesh.port("kafka")), "-q"])
        .args(arguments)
        .output()
        .expect("kcat starts");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("records are text")
}
