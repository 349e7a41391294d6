//! A queue that asks for it is confirmed before the sync: `kill -9` takes nothing of it.

use fairlead_tests::{Client, Node, Program, Record, tools};
use serde_json::Value;

const QUEUE: &str = "soon";
const MESSAGES: usize = 100;

#[test]
fn a_queue_that_is_synced_now_and_then_loses_nothing_to_a_kill() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    let port = mesh.port("amqp");
    let asked = r#"{"x-fairlead-sync": "interval"}"#;
    let declared = ["declare", &port, QUEUE, "--arguments", asked];
    Client::start(Program::Pika, &declared);
    let to_queue = |number: usize| Record {
        exchange: Some(String::new()),
        ..Record::new(QUEUE, number.to_string())
    };
    let records: Vec<_> = (0..MESSAGES).map(to_queue).collect();
    Client::start(Program::Pika, &["publish", &port]).publish_all(&records);
    mesh.kill();
    let (status, lines) = node.look("dump");
    assert!(status.success());
    assert!(lines.iter().any(is_weak), "{lines:?}");
    let mesh = node.start();
    let reader = Client::start(Program::Pika, &["consume", &mesh.port("amqp"), QUEUE]);
    let bodies = reader.arrivals(MESSAGES).into_iter().map(|it| it.body);
    let published = records.into_iter().map(|it| it.body);
    assert!(bodies.eq(published));
}

/// Whether it says that something was made whose receipts do not wait for the sync.
fn is_weak(line: &Value) -> bool {
    let said = line.to_string();
    said.contains("create") && said.contains("sync: Interval")
}
