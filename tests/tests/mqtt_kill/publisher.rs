//! A client that publishes, and is interrupted in one phase.

use std::collections::BTreeMap;

use fairlead_mqtt::codec::{Ack, Delivery, Packet, PacketId, Qos, ReasonCode};
use fairlead_tests::{Device, Mesh, publish};

use crate::{MESSAGES, WINDOW, id_of};

/// A publisher with its own topic.
pub(crate) struct Publisher {
    pub(crate) topic: String,
    pub(crate) qos: Qos,
    stop: Stop,
    /// Number of the next message.
    next: usize,
    under_way: BTreeMap<PacketId, Step>,
    device: Option<Device>,
}

/// What it has done with a whole window when it is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// PUBLISH sent, no answer seen.
    Published,
    /// PUBREC seen, PUBREL not sent.
    Received,
    /// PUBREL sent, PUBCOMP not seen.
    Released,
    /// It is not interrupted.
    Never,
}

/// What it knows of a packet identifier in use.
#[derive(Clone, Copy, Debug)]
enum Step {
    Published(usize),
    Released,
}

impl Publisher {
    pub(crate) fn in_every_phase() -> Vec<Self> {
        [
            (Qos::AtLeastOnce, Stop::Published),
            (Qos::ExactlyOnce, Stop::Published),
            (Qos::ExactlyOnce, Stop::Received),
            (Qos::ExactlyOnce, Stop::Released),
        ]
        .into_iter()
        .map(|(qos, stop)| Self::new(format!("in/{}/{stop:?}", qos as u8), qos, stop))
        .collect()
    }

    /// Publishes all messages of a topic, and ends.
    pub(crate) fn publish_all(mesh: &Mesh, topic: &str, qos: Qos) {
        let mut publisher = Self::new(topic.to_owned(), qos, Stop::Never);
        publisher.connect(mesh);
        while publisher.next < MESSAGES {
            publisher.publish_window();
            publisher.complete();
        }
    }

    fn new(topic: String, qos: Qos, stop: Stop) -> Self {
        Self {
            topic,
            qos,
            stop,
            next: 0,
            under_way: BTreeMap::new(),
            device: None,
        }
    }

    /// Ends what was interrupted last and begins a window, up to the packets that are not to be answered.
    pub(crate) fn prepare(&mut self, mesh: &Mesh) {
        self.finish(mesh);
        if matches!(self.stop, Stop::Received | Stop::Released) {
            self.publish_window();
            for _ in 0..WINDOW {
                match self.device().next() {
                    Packet::PubRec(ack) => self.note(ack.packet_id, Step::Released),
                    other => panic!("instead of PUBREC: {other:?}"),
                }
            }
        }
    }

    /// Writes the packets whose answer it will not see, if these are its phase.
    pub(crate) fn race(&mut self) -> Option<&Device> {
        match self.stop {
            Stop::Published => self.publish_window(),
            Stop::Received | Stop::Never => return None,
            Stop::Released => self.repeat(),
        }
        self.device.as_ref()
    }

    /// Connects, and completes what was interrupted.
    pub(crate) fn finish(&mut self, mesh: &Mesh) {
        let session_present = self.connect(mesh);
        let is_first = self.next == 0;
        assert!(session_present || is_first, "{}: no session", self.topic);
        self.repeat();
        self.complete();
    }

    /// Whether its session was there.
    fn connect(&mut self, mesh: &Mesh) -> bool {
        let id = format!("publisher of {}", self.topic);
        let (device, session_present) = Device::connect(mesh, &id, WINDOW);
        self.device = Some(device);
        session_present
    }

    /// Goes on until nothing is under way.
    fn complete(&mut self) {
        while !self.under_way.is_empty() {
            match self.device().next() {
                Packet::PubAck(ack) | Packet::PubComp(ack) => {
                    self.under_way.remove(&ack.packet_id);
                }
                Packet::PubRec(ack) => {
                    assert!(!ack.reason.is_failure(), "{}: {ack:?}", self.topic);
                    self.note(ack.packet_id, Step::Released);
                    self.device().send([pubrel(ack.packet_id)]);
                }
                other => panic!("{}: {other:?}", self.topic),
            }
        }
    }

    fn publish_window(&mut self) {
        let window = self.next..MESSAGES.min(self.next + usize::from(WINDOW));
        self.next = window.end;
        let packets: Vec<Packet> = window
            .map(|number| {
                self.note(id_of(number), Step::Published(number));
                self.message(number, false)
            })
            .collect();
        self.device().send(packets);
    }

    /// Sends again whatever was not answered, in order.
    fn repeat(&mut self) {
        let packets: Vec<Packet> = self
            .under_way
            .iter()
            .map(|(id, step)| match step {
                Step::Published(number) => self.message(*number, true),
                Step::Released => pubrel(*id),
            })
            .collect();
        self.device().send(packets);
    }

    fn message(&self, number: usize, dup: bool) -> Packet {
        let id = id_of(number);
        let delivery = match self.qos {
            Qos::ExactlyOnce => Delivery::ExactlyOnce(id),
            Qos::AtLeastOnce | Qos::AtMostOnce => Delivery::AtLeastOnce(id),
        };
        let mut message = publish(&self.topic, delivery, number.to_string().as_bytes());
        message.dup = dup;
        Packet::Publish(message)
    }

    fn note(&mut self, id: PacketId, step: Step) {
        self.under_way.insert(id, step);
    }

    fn device(&mut self) -> &mut Device {
        self.device.as_mut().expect("it is connected")
    }
}

fn pubrel(id: PacketId) -> Packet {
    Packet::PubRel(Ack::new(id, ReasonCode::SUCCESS))
}
