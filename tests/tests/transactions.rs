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

#[test]
fn a_topic_is_copied_exactly_once_while_both_topics_change_their_class() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    let expected: Vec<String> = (0..RECORDS).map(|n| format!("record {n}")).collect();
    fill(&mesh, &expected);
    let mut classes = ["memory", "local"].iter().cycle();
    let (mut commits, mut moves) = (0, 0);
    let mut first = copier(&mesh);
    let is_done = follow(&mut first, |_| {
        commits += 1;
        // Every third transaction is given up, so some move with the topics.
        if commits % 4 == 0 {
            let class = classes.next().expect("it goes on for ever");
            moves += 1;
            for topic in ["from", "to"] {
                set_class(&node, topic, class);
            }
        }
        true
    });
    end(first);
    assert!(is_done && moves >= 8, "{moves} moves in {commits} commits");
    let copied = || kcat(&mesh, &["-C", "-t", "to", "-e", "-o", "beginning"]);
    assert!(copied().lines().eq(expected.iter().map(String::as_str)));
    // The group's positions are there as well: whoever copies again has nothing to do.
    let mut second = copier(&mesh);
    assert!(follow(&mut second, |line| panic!(
        "copied once more: {line}"
    )));
    end(second);
    assert_eq!(copied().lines().count(), RECORDS, "copied again");
}

fn set_class(node: &Node, topic: &str, class: &str) {
    let (status, said) = node.run(&["topics", "set-class", topic, class, "--accept-loss"]);
    assert!(
        status.success(),
        "{topic} to {class}: {said}\n{}",
        node.log()
    );
}

/// Lets the copier make so many commits and kills the server; whether the copier was done before.
fn copies(mesh: Mesh, commits: usize) -> bool {
    let mut left = commits;
    let mut copier = copier(&mesh);
    let is_done = follow(&mut copier, |_| {
        left -= 1;
        left > 0
    });
    mesh.kill();
    end(copier);
    is_done
}

fn copier(mesh: &Mesh) -> Child {
    tools::java("Copy")
        .args([&*mesh.port("kafka"), "from", "to", &RECORDS.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the JVM starts")
}

/// Calls `committed` with each commit that the copier tells of, until that says no; whether the copier
/// was done before.
fn follow(copier: &mut Child, mut committed: impl FnMut(&str) -> bool) -> bool {
    let said = copier.stdout.take().expect("stdout is piped");
    for line in BufReader::new(said).lines() {
        let line = line.expect("lines are text");
        assert!(!line.starts_with("failed"), "{line}");
        if line == "done" {
            return true;
        }
        if line.starts_with("committed") && !committed(&line) {
            break;
        }
    }
    false
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
