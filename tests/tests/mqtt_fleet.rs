//! Many devices at once, and one that harms nobody by what it does not do.

use fairlead_mqtt::codec::{Ack, Delivery, Packet, PacketId, Publish, Qos, ReasonCode};
use fairlead_tests::{Device, Node, allow_open_files, packet_id, publish};

const DEVICES: usize = 2_000;
const MESSAGES: usize = 5_000;
/// What the others send and take at a time.
const WINDOW: u16 = 100;
/// Messages that the client without acknowledgements takes.
const DEAF_WINDOW: u16 = 10;
const BODY: [u8; 1_000] = [7; 1_000];

#[test]
fn two_thousand_devices_connect_at_once_and_each_gets_its_message() {
    assert!(allow_open_files() > DEVICES + 100, "too few open files");
    let node = Node::new();
    let mesh = node.start();
    let dial = |number: usize| {
        let mut device = Device::dial(&mesh, &format!("device {number}"), 60, None);
        device.ask(&commands_of(number), Qos::AtLeastOnce);
        device
    };
    let mut fleet: Vec<Device> = (0..DEVICES).map(dial).collect();
    for device in &mut fleet {
        device.admitted();
        device.granted(Qos::AtLeastOnce);
    }
    let mut operator = Device::connect(&mesh, "operator", WINDOW).0;
    for number in 0..DEVICES {
        let delivery = Delivery::AtLeastOnce(packet_id(1));
        let command = publish(
            &commands_of(number),
            delivery,
            number.to_string().as_bytes(),
        );
        operator.send([Packet::Publish(command)]);
        assert!(
            matches!(operator.next(), Packet::PubAck(ack) if ack.reason == ReasonCode::SUCCESS)
        );
    }
    for (number, device) in fleet.iter_mut().enumerate() {
        let (id, command) = next_message(device);
        assert_eq!(command.payload, number.to_string());
        device.send([puback(id)]);
        device.ping();
    }
    // Labels are words of the program: none tells clients, users or topics apart.
    let page = mesh.page("/metrics");
    let series = page.lines().filter(|line| !line.starts_with('#')).count();
    assert!(series < DEVICES / 2, "{series} series: {page}");
}

#[test]
fn a_client_that_never_acknowledges_slows_nobody_and_loses_nothing() {
    let node = Node::new();
    let mesh = node.start();
    let mut deaf = Device::connect(&mesh, "deaf", DEAF_WINDOW).0;
    deaf.subscribe("news", Qos::AtLeastOnce);
    // This one does not even read.
    let mut mute = Device::connect(&mesh, "mute", WINDOW).0;
    mute.subscribe("news", Qos::AtMostOnce);
    let mut brisk = Device::connect(&mesh, "brisk", WINDOW).0;
    brisk.subscribe("news", Qos::AtLeastOnce);
    let mut writer = Device::connect(&mesh, "writer", WINDOW).0;

    for _ in 0..MESSAGES / usize::from(WINDOW) {
        let message = |id| publish("news", Delivery::AtLeastOnce(packet_id(id)), &BODY);
        writer.send((1..=WINDOW).map(|id| Packet::Publish(message(id))));
        for _ in 0..WINDOW {
            assert!(matches!(writer.next(), Packet::PubAck(_)));
            let (id, _) = next_message(&mut brisk);
            brisk.send([puback(id)]);
        }
    }
    let held: Vec<PacketId> = (0..DEAF_WINDOW)
        .map(|_| next_message(&mut deaf).0)
        .collect();
    // The answer comes instead of one message more.
    deaf.ping();

    deaf.send(held.into_iter().map(puback));
    for _ in usize::from(DEAF_WINDOW)..MESSAGES {
        let (id, _) = next_message(&mut deaf);
        deaf.send([puback(id)]);
    }
    deaf.ping();
}

fn commands_of(number: usize) -> String {
    format!("devices/{number}/commands")
}

/// A message of QoS 1.
fn next_message(device: &mut Device) -> (PacketId, Publish) {
    match device.next() {
        Packet::Publish(publish) => {
            let id = publish.delivery.packet_id().expect("QoS 1");
            (id, publish)
        }
        other => panic!("instead of a message: {other:?}"),
    }
}

fn puback(id: PacketId) -> Packet {
    Packet::PubAck(Ack::new(id, ReasonCode::SUCCESS))
}
