//! What clients are told at a limit of the node (`proxy/docs/limits.md`).

use std::process::{Command, Stdio};

use fairlead_tests::{Mesh, Node, tools};
use serde_json::{Value, json};

/// More than any disk has free.
const SHORT_OF_SPACE: &str = "[store]\nfree_bytes_min = 1125899906842624\n";

#[test]
fn publishers_are_told_of_a_full_disk_and_readers_go_on() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    assert_eq!(said("prepare", &mesh), [json!({"kept": [16, null]})]);
    mesh.kill();
    node.configure(SHORT_OF_SPACE);
    let mesh = node.start();
    // Quota exceeded, a code that producers try again after, and a pause until there is room.
    let expected = [
        json!({"protocol": "mqtt", "told": 0x97, "read": "before"}),
        json!({"protocol": "kafka", "told": "KAFKA_STORAGE_ERROR", "read": "before"}),
        json!({"protocol": "amqp", "told": "low on disk", "read": "before"}),
    ];
    assert_eq!(said("try", &mesh), expected, "{}", node.log());
}

/// What `clients/full.py` says, line by line.
fn said(verb: &str, mesh: &Mesh) -> Vec<Value> {
    let output = Command::new(tools::home().join(".tools/venv/bin/python"))
        .arg(tools::home().join("clients/full.py"))
        .arg(verb)
        .args(["mqtt", "kafka", "amqp"].map(|door| mesh.port(door)))
        .stderr(Stdio::inherit())
        .output()
        .expect("Python starts");
    let lines = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
    lines.collect::<Result<_, _>>().expect("lines are JSON")
}
