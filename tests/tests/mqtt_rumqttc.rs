//! rumqttc, of MQTT 5: its event loop reconnects when it is polled on, repeats what was not acknowledged, and leaves
//! acknowledgements to whoever asks for that.

use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use fairlead_tests::{Node, PATIENCE, Relay};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{LastWill, Packet, Publish};
use rumqttc::v5::{Client as Handle, Event, MqttOptions};

/// How long it waits before it tries a server again that is away.
const PAUSE: Duration = Duration::from_millis(100);

/// A client whose connection a thread of its own drives.
struct Driven {
    handle: Handle,
    incoming: Receiver<Packet>,
}

impl Driven {
    fn start(options: MqttOptions) -> Self {
        let (handle, mut connection) = Handle::new(options, 100);
        let (sender, incoming) = channel();
        let drive = move || {
            for event in connection.iter() {
                let heard = match event {
                    Ok(Event::Incoming(packet)) => sender.send(packet),
                    Ok(Event::Outgoing(_)) => continue,
                    // The next turn connects again.
                    Err(_) => {
                        thread::park_timeout(PAUSE);
                        continue;
                    }
                };
                if heard.is_err() {
                    return;
                }
            }
        };
        thread::Builder::new()
            .name("rumqttc".into())
            .spawn(drive)
            .expect("a thread starts");
        Self { handle, incoming }
    }

    /// The next packet of a kind; others are passed over.
    fn next<T>(&self, wanted: impl Fn(Packet) -> Option<T>) -> T {
        loop {
            let packet = self
                .incoming
                .recv_timeout(PATIENCE)
                .expect("the server answers");
            if let Some(found) = wanted(packet) {
                return found;
            }
        }
    }

    /// Whether there was a session.
    fn connected(&self) -> bool {
        self.next(|packet| match packet {
            Packet::ConnAck(answer) => Some(answer.session_present),
            _ => None,
        })
    }

    fn subscribe(&self, filter: &str, qos: QoS) {
        self.handle.subscribe(filter, qos).expect("it is driven");
        self.next(|packet| matches!(packet, Packet::SubAck(_)).then_some(()));
    }

    fn publish(&self, topic: &str, qos: QoS, body: &str) {
        let body = body.to_owned();
        self.handle
            .publish(topic, qos, false, body)
            .expect("it is driven");
    }

    /// Waits for the end of as many exchanges.
    fn completed(&self, count: usize) {
        for _ in 0..count {
            self.next(|packet| {
                matches!(packet, Packet::PubAck(_) | Packet::PubComp(_)).then_some(())
            });
        }
    }

    fn heard(&self) -> Publish {
        self.next(|packet| match packet {
            Packet::Publish(publish) => Some(publish),
            _ => None,
        })
    }

    /// Goes without a goodbye.
    fn vanish(self) {
        let Self { handle, incoming } = self;
        drop(incoming);
        // Its answer finds nobody, and the thread ends.
        handle
            .publish("farewell", QoS::AtLeastOnce, false, "")
            .expect("it is driven");
    }
}

fn options(id: &str, port: &str) -> MqttOptions {
    let port = port.parse().expect("a port");
    let mut options = MqttOptions::new(id, "127.0.0.1", port);
    options.set_clean_start(false);
    options.set_session_expiry_interval(Some(3_600));
    options
}

fn is(heard: &Publish, topic: &str, body: &str, retain: bool) -> bool {
    heard.topic == topic && heard.payload == body && heard.retain == retain
}

#[test]
fn rumqttc_lives_through_a_crash() {
    let (node, relay) = (Node::new(), Relay::new());
    let mesh = node.start();
    relay.lead_to(Some(mesh.address("mqtt")));
    let mut pump = options("pump", &relay.port());
    pump.set_last_will(LastWill::new(
        "wills/pump",
        "gone",
        QoS::AtLeastOnce,
        true,
        None,
    ));
    let pump = Driven::start(pump);
    assert!(!pump.connected());
    let desk = Driven::start(options("desk", &relay.port()));
    desk.connected();
    desk.handle
        .publish("set/1", QoS::AtLeastOnce, true, "kept")
        .expect("it is driven");
    desk.completed(1);
    pump.subscribe("set/+", QoS::AtLeastOnce);
    assert!(is(&pump.heard(), "set/1", "kept", true));
    // Not QoS 2: rumqttc forgets which packet identifiers wait for their PUBREL when a connection breaks, and breaks
    // every later one when the server repeats the PUBREL, as MQTT-4.4.0-1 has it.
    pump.subscribe("orders/#", QoS::AtLeastOnce);
    desk.publish("orders/1", QoS::ExactlyOnce, "first");
    desk.completed(1);
    assert!(is(&pump.heard(), "orders/1", "first", false));

    relay.lead_to(None);
    mesh.kill();
    // They wait in the client.
    for number in 0..50 {
        desk.publish("orders/2", QoS::ExactlyOnce, &number.to_string());
    }
    let mesh = node.start();
    relay.lead_to(Some(mesh.address("mqtt")));
    assert!(pump.connected());
    assert!(desk.connected());
    desk.completed(50);
    let mut heard = pump.heard();
    if heard.payload == "first" {
        // Its exchange was cut by the crash, after rumqttc had handed it on.
        heard = pump.heard();
    }
    for number in 0..50 {
        assert!(
            is(&heard, "orders/2", &number.to_string(), false),
            "{heard:?}"
        );
        if number < 49 {
            heard = pump.heard();
        }
    }

    desk.subscribe("wills/+", QoS::AtLeastOnce);
    pump.vanish();
    assert!(is(&desk.heard(), "wills/pump", "gone", false));
    desk.subscribe("wills/#", QoS::AtLeastOnce);
    assert!(is(&desk.heard(), "wills/pump", "gone", true));
}

#[test]
fn rumqttc_publishes_and_hears_at_qos_2() {
    let node = Node::new();
    let mesh = node.start();
    let pump = Driven::start(options("pump", &mesh.port("mqtt")));
    pump.subscribe("orders/#", QoS::ExactlyOnce);
    let desk = Driven::start(options("desk", &mesh.port("mqtt")));
    for number in 0..100 {
        desk.publish("orders/1", QoS::ExactlyOnce, &number.to_string());
    }
    for number in 0..100 {
        assert!(is(&pump.heard(), "orders/1", &number.to_string(), false));
    }
    desk.completed(100);
}

#[test]
fn what_rumqttc_leaves_unacknowledged_comes_again_after_a_crash() {
    let (node, relay) = (Node::new(), Relay::new());
    let mesh = node.start();
    relay.lead_to(Some(mesh.address("mqtt")));
    let mut pump = options("pump", &relay.port());
    pump.set_manual_acks(true);
    let pump = Driven::start(pump);
    pump.connected();
    pump.subscribe("orders/#", QoS::AtLeastOnce);
    let desk = Driven::start(options("desk", &mesh.port("mqtt")));
    for number in 0..10 {
        desk.publish("orders/1", QoS::AtLeastOnce, &number.to_string());
    }
    desk.completed(10);
    let first: Vec<Publish> = (0..10).map(|_| pump.heard()).collect();
    for publish in first.iter().take(5) {
        pump.handle.ack(publish).expect("it is driven");
    }

    relay.lead_to(None);
    mesh.kill();
    let mesh = node.start();
    relay.lead_to(Some(mesh.address("mqtt")));
    assert!(pump.connected());
    // An acknowledgement that the server had not kept at the crash is lost with it, as QoS 1 allows.
    let mut again = pump.heard();
    while first
        .iter()
        .take(5)
        .any(|publish| publish.pkid == again.pkid)
    {
        again = pump.heard();
    }
    let rest: Vec<Publish> = std::iter::once(again)
        .chain((0..4).map(|_| pump.heard()))
        .collect();
    for (again, publish) in rest.iter().zip(first.iter().skip(5)) {
        assert_eq!(
            (&again.payload, again.pkid),
            (&publish.payload, publish.pkid)
        );
    }
}
