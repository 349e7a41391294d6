//! Topics and a queue change class while three clients publish to them and one reads.

use fairlead_tests::{Client, Load, Mesh, Node, Program, tools};

const TOPICS: [&str; 3] = ["load.mqtt", "load.kafka", "load.amqp"];

#[test]
fn classes_change_under_load_without_a_gap_and_without_a_loss() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    has_object_store(&node);
    let mesh = node.start();
    let mut load = Load::prepare(&mesh);
    let reader = Client::start(
        Program::Librdkafka,
        &["consume", &mesh.port("kafka"), "load.amqp"],
    );
    let (mesh, reader) = load.round(mesh, 300, |mesh| {
        for class in ["memory", "local", "memory", "object", "local"] {
            move_all(&node, class);
        }
        (mesh, reader)
    });
    // One more round on what has moved, so that everybody has gone on.
    load.round(mesh, 300, Mesh::kill);
    drop(reader);
    load.audit(&node.start());
}

#[test]
fn a_reader_sees_every_offset_once_while_its_topic_moves() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    let mut load = Load::prepare(&mesh);
    let topic = TOPICS[2];
    let reader = Client::start(
        Program::Librdkafka,
        &["consume", &mesh.port("kafka"), topic],
    );
    let mesh = load.round(mesh, 300, |mesh| {
        for class in ["memory", "local", "memory"] {
            let said = set_class(&node, "topics", topic, class);
            let totals = format!("{topic} is of class {class}: ");
            assert!(said.contains(&totals), "{said}");
            assert!(said.contains(" bytes copied in "), "{said}");
        }
        mesh
    });
    load.audit(&mesh);
    for offset in 0.. {
        let record = reader.arrival();
        assert_eq!(record.offset, Some(offset));
        if record.body.as_deref() == Some(b"end of the load") {
            break;
        }
    }
}

#[test]
fn what_cannot_be_is_refused_in_words() {
    let node = Node::new();
    let mesh = node.start();
    if !tools::ready() {
        return;
    }
    let _load = Load::prepare(&mesh);
    for (arguments, says) in [
        (
            vec!["load.mqtt", "memory"],
            "say that this loss is accepted",
        ),
        (
            vec!["load.mqtt", "object"],
            "class object without an object store",
        ),
        (vec!["nobody", "local"], "no such stream"),
    ] {
        let (status, said) = node.run(&[vec!["topics", "set-class"], arguments].concat());
        assert!(!status.success(), "{said}");
        assert!(said.contains(says), "{said}");
    }
}

fn move_all(node: &Node, class: &str) {
    for topic in TOPICS {
        set_class(node, "topics", topic, class);
    }
    set_class(node, "queues", "load", class);
}

fn set_class(node: &Node, family: &str, name: &str, class: &str) -> String {
    let (status, said) = node.run(&[family, "set-class", name, class, "--accept-loss"]);
    assert!(
        status.success(),
        "{name} to {class}: {said}\n{}",
        node.log()
    );
    said
}

/// A directory in place of an object store.
fn has_object_store(node: &Node) {
    let objects = node.data_dir().with_file_name("objects");
    let url = format!("file://{}", objects.display());
    node.configure(&format!("\n[store]\nobjects = \"{url}\"\n"));
}
