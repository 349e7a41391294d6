//! An interruption in each phase of the exchanges of QoS 1 and 2, in both directions: 1,000 messages stop in each
//! phase, and each is there in the end, in order, at QoS 2 once. The server is killed, hands over to a next process, or
//! has each connection taken over by another one of the same client.
//!
//! In every round each client brings a window of messages to its phase. Then the clients whose phase is that a packet
//! is on its way write it, all at once, and are interrupted at some moment of that.

mod publisher;
mod subscriber;

use fairlead_mqtt::codec::{Delivery, Packet, Qos};
use fairlead_tests::{Device, Dice, Mesh, Node, packet_id, publish};

use publisher::Publisher;
use subscriber::Subscriber;

/// Messages of each client.
const MESSAGES: usize = 1_000;
/// Of these, how many are in the same phase at one interruption.
const WINDOW: u16 = 50;
/// The last message of each topic.
const MARKER: &[u8] = b"no more";
/// Receive Maximum of who only reads.
const ALL_AT_ONCE: u16 = 1_000;

/// What comes between the packets of an exchange.
#[derive(Clone, Copy, Debug)]
enum Interruption {
    /// `kill -9` of the server, and another one.
    Kill,
    /// A next process takes over from the one that runs.
    HandOver,
    /// The client connects once more, beside the connection that it has.
    TakeOver,
}

impl Interruption {
    /// The server that clients connect to next.
    fn strike(self, node: &Node, mesh: Mesh) -> Mesh {
        match self {
            Self::Kill => {
                mesh.kill();
                node.start()
            }
            Self::HandOver => node.upgrade().ready(),
            Self::TakeOver => mesh,
        }
    }
}

#[test]
fn every_message_arrives_in_whatever_phase_the_server_is_killed() {
    every_message_arrives(Interruption::Kill);
}

#[test]
fn every_message_arrives_in_whatever_phase_the_server_hands_over() {
    every_message_arrives(Interruption::HandOver);
}

#[test]
fn every_message_arrives_in_whatever_phase_its_connection_is_taken_over() {
    every_message_arrives(Interruption::TakeOver);
}

fn every_message_arrives(interruption: Interruption) {
    let node = Node::new();
    let mut mesh = node.start();
    let mut dice = Dice::new(0x5eed);
    let mut publishers = Publisher::in_every_phase();
    let mut subscribers = Subscriber::in_every_phase();
    let mut auditor = Subscriber::of_all("in/#");
    auditor.subscribe(&mesh);
    for subscriber in &mut subscribers {
        subscriber.subscribe(&mesh);
        Publisher::publish_all(&mesh, &subscriber.topic, subscriber.qos);
    }

    for _ in 0..MESSAGES / usize::from(WINDOW) {
        publishers.iter_mut().for_each(|one| one.prepare(&mesh));
        subscribers.iter_mut().for_each(|one| one.prepare(&mesh));
        let mut writing: Vec<&Device> = Vec::new();
        writing.extend(publishers.iter_mut().filter_map(Publisher::race));
        writing.extend(subscribers.iter_mut().filter_map(Subscriber::race));
        // At once, or when one of them has been answered, or all.
        match dice.below(3) {
            0 => {}
            1 => writing[dice.below(writing.len())].wait(),
            _ => writing.iter().for_each(|device| device.wait()),
        }
        mesh = interruption.strike(&node, mesh);
    }

    for publisher in &mut publishers {
        publisher.finish(&mesh);
        mark(&mesh, &publisher.topic);
    }
    auditor.finish(&mesh, publishers.len());
    for publisher in &publishers {
        assert_all(
            &auditor.heard(&publisher.topic),
            publisher.qos,
            &publisher.topic,
        );
    }
    for subscriber in &mut subscribers {
        mark(&mesh, &subscriber.topic);
        subscriber.finish(&mesh, 1);
        let heard = subscriber.heard(&subscriber.topic);
        assert_all(&heard, subscriber.qos, &subscriber.topic);
    }
}

/// Whoever has heard this has heard all before it.
fn mark(mesh: &Mesh, topic: &str) {
    let (mut device, _) = Device::connect(mesh, "marker", WINDOW);
    let delivery = Delivery::AtLeastOnce(packet_id(1));
    device.send([Packet::Publish(publish(topic, delivery, MARKER))]);
    assert!(matches!(device.next(), Packet::PubAck(_)));
}

/// The packet identifier of a message: the same few again and again, as with most clients.
fn id_of(number: usize) -> fairlead_mqtt::codec::PacketId {
    let id = number % usize::from(WINDOW) + 1;
    packet_id(u16::try_from(id).expect("a small number"))
}

/// None is missing and all are in order; at QoS 2 none came twice.
fn assert_all(heard: &[usize], qos: Qos, topic: &str) {
    let mut first = Vec::new();
    let mut repeated = Vec::new();
    for number in heard {
        match first.contains(number) {
            true => repeated.push(*number),
            false => first.push(*number),
        }
    }
    assert!(
        first.iter().copied().eq(0..MESSAGES),
        "{topic}: of {MESSAGES} arrived {} in this order: {first:?}",
        first.len()
    );
    if qos == Qos::ExactlyOnce {
        assert!(repeated.is_empty(), "{topic}: arrived again: {repeated:?}");
    }
    println!(
        "{topic}: {} of {MESSAGES}, {} repeated",
        first.len(),
        repeated.len()
    );
}
