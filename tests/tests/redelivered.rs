//! `kill -9` right after a message arrived: whoever got it is told that it comes again, and of nothing else.

use fairlead_mqtt::codec::{Delivery, Packet, Publish, Qos};
use fairlead_tests::{Client, Device, Mesh, Node, Program, Record, packet_id, publish, tools};

/// Each has a mailbox of its own, and has got nothing before.
const READERS: usize = 40;

#[test]
fn what_arrived_right_before_a_kill_comes_again_as_a_duplicate_and_what_follows_does_not() {
    let node = Node::new();
    let mesh = node.start();
    let mut readers = connect(&mesh, 1);
    for (number, reader) in readers.iter_mut().enumerate() {
        reader.subscribe("again", qos(number));
    }
    say(&mesh, 1, "first");
    for reader in &mut readers {
        assert_eq!(told(reader.next()), ("first".to_owned(), false));
    }
    mesh.kill();

    let mesh = node.start();
    say(&mesh, 2, "second");
    for (number, reader) in connect(&mesh, 2).iter_mut().enumerate() {
        assert_eq!(told(reader.next()), ("first".to_owned(), true), "{number}");
        assert_eq!(
            told(reader.next()),
            ("second".to_owned(), false),
            "{number}"
        );
    }
}

#[test]
fn what_a_consumer_got_right_before_a_kill_is_redelivered_and_what_follows_is_not() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    let port = mesh.port("amqp");
    let declare = ["declare", &port, "held", "--bind", "amq.topic", "held"];
    drop(Client::start(Program::Pika, &declare));
    let consumer = Client::start(Program::Pika, &["consume", &port, "held", "--hold"]);
    tell(&mesh, "first");
    assert_eq!(consumer.arrival().redelivered, Some(false));
    mesh.kill();

    let mesh = node.start();
    tell(&mesh, "second");
    let port = mesh.port("amqp");
    let consumer = Client::start(Program::Pika, &["consume", &port, "held", "--hold"]);
    for (body, is_redelivered) in [("first", true), ("second", false)] {
        let came = consumer.arrival();
        assert_eq!(came.body.as_deref(), Some(body.as_bytes()));
        assert_eq!(came.redelivered, Some(is_redelivered), "{body}");
    }
}

fn connect(mesh: &Mesh, receive_max: u16) -> Vec<Device> {
    let one = |number| Device::connect(mesh, &format!("reader {number}"), receive_max).0;
    (0..READERS).map(one).collect()
}

/// Publishes to all in one go: nothing that comes behind it takes anything to the disk.
fn say(mesh: &Mesh, number: u16, what: &str) {
    let (mut speaker, _) = Device::connect(mesh, "speaker", 1);
    let delivery = Delivery::ExactlyOnce(packet_id(number));
    speaker.send([Packet::Publish(publish("again", delivery, what.as_bytes()))]);
    assert!(matches!(speaker.next(), Packet::PubRec(_)));
}

/// The same by the other protocol.
fn tell(mesh: &Mesh, what: &str) {
    let port = mesh.port("amqp");
    Client::begin(Program::Pika, &["publish", &port]).publish_all(&[Record::new("held", what)]);
}

/// What a PUBLISH carries, and its DUP.
fn told(packet: Packet) -> (String, bool) {
    match packet {
        Packet::Publish(Publish { payload, dup, .. }) => {
            (String::from_utf8_lossy(&payload).into_owned(), dup)
        }
        other => panic!("instead of a message: {other:?}"),
    }
}

fn qos(number: usize) -> Qos {
    [Qos::AtLeastOnce, Qos::ExactlyOnce][number % 2]
}
