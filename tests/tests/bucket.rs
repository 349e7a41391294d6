//! A topic in a real S3-compatible store: moved there under load, read after a crash, and moved back.

use fairlead_tests::{Bucket, Client, Line, Mesh, Node, PATIENCE, Program, tools};
use tokio::time::Instant;

/// The least that can be configured; what is above half of it is sealed.
const LOG_BYTES: u64 = 512 << 20;
/// Of a mebibyte each: some more than half of the log.
const RECORDS: usize = 360;
/// How many are there when the topic begins to move.
const BEFORE_THE_MOVE: usize = 100;
const TOPIC: &str = "far";

#[test]
fn a_topic_moves_into_an_object_store_under_load_and_back() {
    if !tools::ready() || !tools::has_object_store() {
        return;
    }
    let (bucket, mut node) = (Bucket::start(), Node::new());
    bucket.admit(&mut node);
    let (status, said) = node.run_alone(&["store", "selfcheck", &bucket.url(), "--rounds", "16"]);
    assert!(status.success(), "{said}");
    let url = bucket.url();
    node.configure(&format!(
        "\n[store]\nobjects = \"{url}\"\nlog_bytes_max = {LOG_BYTES}\n"
    ));

    let mesh = node.start();
    fill(&node, &mesh);
    wait_until("a segment is in the bucket", || bucket.segments() > 0);
    mesh.kill();
    let mesh = node.start();
    reread(&mesh);
    assert!(mesh.stop().success());
    let (status, found) = node.look("check");
    assert!(status.success() && found[0]["whole"] == true, "{found:?}");
    assert!(in_objects(&node) > 0);

    let mesh = node.start();
    set_class(&node, "local");
    assert!(mesh.stop().success());
    while in_objects(&node) > 0 {
        move_a_little(&node);
    }
    drop(bucket);
    reread(&node.start());
}

/// Publishes all records, and moves the topic in the middle of that.
fn fill(node: &Node, mesh: &Mesh) {
    let kafka = mesh.port("kafka");
    Client::start(Program::Librdkafka, &["create", &kafka, TOPIC]);
    let count = RECORDS.to_string();
    let publisher = Client::start(
        Program::Librdkafka,
        &["fill", &kafka, TOPIC, "--count", &count],
    );
    acknowledged(&publisher, BEFORE_THE_MOVE);
    set_class(node, "object");
    acknowledged(&publisher, RECORDS - BEFORE_THE_MOVE);
}

/// Reads all records from the first on; the reader compares each with what was published.
fn reread(mesh: &Mesh) {
    let count = RECORDS.to_string();
    let reader = Client::start(
        Program::Librdkafka,
        &["reread", &mesh.port("kafka"), TOPIC, "--count", &count],
    );
    acknowledged(&reader, RECORDS);
}

fn acknowledged(client: &Client, count: usize) {
    for _ in 0..count {
        match client.line() {
            Some(Line::Acked(_)) => {}
            other => panic!("waited for a record, got {other:?}"),
        }
    }
}

fn set_class(node: &Node, class: &str) {
    let (status, said) = node.run(&["topics", "set-class", TOPIC, class]);
    assert!(status.success(), "to {class}: {said}\n{}", node.log());
}

/// What has yet to move goes on at the next start, about a file at a time.
fn move_a_little(node: &Node) {
    let moved = || node.log().matches("log files were sealed").count();
    let before = moved();
    let mesh = node.start();
    wait_until("something has moved", || moved() > before);
    assert!(mesh.stop().success());
}

/// Segments of a stopped node that are in the object store.
fn in_objects(node: &Node) -> u64 {
    let (status, found) = node.look("stat");
    assert!(status.success(), "{found:?}");
    let segments = &found[0]["segments"]["object store"]["segments"];
    segments["count"].as_u64().unwrap_or(0)
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        std::thread::yield_now();
    }
}
