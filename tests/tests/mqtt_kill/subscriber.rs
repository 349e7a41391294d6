//! A client that reads, and is interrupted in one phase.

use std::collections::BTreeSet;

use fairlead_mqtt::codec::{Ack, Delivery, Packet, PacketId, Publish, Qos, ReasonCode};
use fairlead_tests::{Device, Mesh};

use crate::{ALL_AT_ONCE, MARKER, WINDOW};

/// A subscriber, and what it keeps from one connection to the next.
pub(crate) struct Subscriber {
    pub(crate) topic: String,
    pub(crate) qos: Qos,
    stop: Stop,
    /// Messages that came and whose PUBREL has not: what says whether a PUBLISH is a repetition.
    held: BTreeSet<PacketId>,
    /// The messages that it brought to its phase last.
    window: BTreeSet<PacketId>,
    /// What the application was given: topic and payload.
    heard: Vec<(String, Vec<u8>)>,
    /// How much it takes that is not completed.
    receive_max: u16,
    /// What came on this connection and is not completed.
    open: BTreeSet<PacketId>,
    device: Option<Device>,
}

/// What it has done with a whole window when it is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// PUBLISH seen, no answer sent.
    Arrived,
    /// PUBREC or PUBACK sent, nothing seen after it.
    Answered,
    /// PUBREL seen, PUBCOMP not sent.
    Released,
    /// PUBCOMP sent.
    Completed,
    /// It is not interrupted.
    Never,
}

impl Subscriber {
    pub(crate) fn in_every_phase() -> Vec<Self> {
        [
            (Qos::AtLeastOnce, Stop::Arrived),
            (Qos::AtLeastOnce, Stop::Answered),
            (Qos::ExactlyOnce, Stop::Arrived),
            (Qos::ExactlyOnce, Stop::Answered),
            (Qos::ExactlyOnce, Stop::Released),
            (Qos::ExactlyOnce, Stop::Completed),
        ]
        .into_iter()
        .map(|(qos, stop)| Self::new(format!("out/{}/{stop:?}", qos as u8), qos, stop))
        .collect()
    }

    /// One that is told everything under a filter.
    pub(crate) fn of_all(filter: &str) -> Self {
        Self::new(filter.to_owned(), Qos::ExactlyOnce, Stop::Never)
    }

    fn new(topic: String, qos: Qos, stop: Stop) -> Self {
        Self {
            topic,
            qos,
            stop,
            held: BTreeSet::new(),
            window: BTreeSet::new(),
            heard: Vec::new(),
            receive_max: WINDOW,
            open: BTreeSet::new(),
            device: None,
        }
    }

    pub(crate) fn subscribe(&mut self, mesh: &Mesh) {
        let (mut device, _) = Device::connect(mesh, &self.topic, WINDOW);
        device.subscribe(&self.topic, self.qos);
    }

    /// Ends what was interrupted last, and takes a window of messages up to its phase.
    pub(crate) fn prepare(&mut self, mesh: &Mesh) {
        self.connect(mesh, WINDOW);
        let before = std::mem::take(&mut self.window);
        let mut released = 0;
        while match self.stop {
            Stop::Arrived | Stop::Answered => self.window.len() < usize::from(WINDOW),
            Stop::Released | Stop::Completed | Stop::Never => released < usize::from(WINDOW),
        } {
            match self.next() {
                Packet::Publish(publish) => {
                    let is_left = id_of(&publish).is_some_and(|id| before.contains(&id));
                    self.hear(&publish);
                    if !is_left {
                        self.window.extend(id_of(&publish));
                    }
                    if is_left || !matches!(self.stop, Stop::Arrived | Stop::Answered) {
                        self.send(answer(&publish));
                    }
                }
                Packet::PubRel(ack) => {
                    self.held.remove(&ack.packet_id);
                    match self.window.contains(&ack.packet_id) {
                        true => released += 1,
                        false => self.send(Some(pubcomp(ack.packet_id))),
                    }
                }
                other => panic!("{}: {other:?}", self.topic),
            }
        }
    }

    /// Writes the packets after which it will see nothing more, if these are its phase; gives back the device if
    /// they are always answered.
    pub(crate) fn race(&mut self) -> Option<&Device> {
        let answers: Vec<Packet> = match (self.stop, self.qos) {
            (Stop::Answered, Qos::ExactlyOnce) => {
                self.window.iter().map(|id| pubrec(*id)).collect()
            }
            (Stop::Answered, _) => self.window.iter().map(|id| puback(*id)).collect(),
            (Stop::Completed, _) => self.window.iter().map(|id| pubcomp(*id)).collect(),
            (Stop::Arrived | Stop::Released | Stop::Never, _) => return None,
        };
        self.send(answers);
        // What follows the others is the next message, if there is one.
        let is_answered = (self.stop, self.qos) == (Stop::Answered, Qos::ExactlyOnce);
        self.device.as_ref().filter(|_| is_answered)
    }

    /// Takes everything up to the markers of so many topics.
    pub(crate) fn finish(&mut self, mesh: &Mesh, markers: usize) {
        self.connect(mesh, ALL_AT_ONCE);
        while self
            .heard
            .iter()
            .filter(|(_, payload)| payload == MARKER)
            .count()
            < markers
        {
            match self.next() {
                Packet::Publish(publish) => {
                    self.hear(&publish);
                    self.send(answer(&publish));
                }
                Packet::PubRel(ack) => {
                    self.held.remove(&ack.packet_id);
                    self.send(Some(pubcomp(ack.packet_id)));
                }
                other => panic!("{}: {other:?}", self.topic),
            }
        }
    }

    /// The messages of a topic, as the application was given them.
    pub(crate) fn heard(&self, topic: &str) -> Vec<usize> {
        let of_topic = self
            .heard
            .iter()
            .filter(|(of, payload)| of == topic && payload != MARKER);
        of_topic
            .map(|(_, payload)| str::from_utf8(payload).expect("a text"))
            .map(|text| text.parse().expect("a number"))
            .collect()
    }

    fn connect(&mut self, mesh: &Mesh, receive_max: u16) {
        let (device, session_present) = Device::connect(mesh, &self.topic, receive_max);
        assert!(session_present, "{}: no session", self.topic);
        self.device = Some(device);
        self.receive_max = receive_max;
        self.open.clear();
    }

    /// Gives a message to the application, unless it is known to be a repetition.
    fn hear(&mut self, publish: &Publish) {
        let message = (publish.topic.to_string(), publish.payload.to_vec());
        // Whoever hears all hears what was published again, too: that is another message.
        let is_again = self.stop != Stop::Never && self.heard.contains(&message);
        assert!(
            publish.dup || !is_again,
            "{}: {publish:?} hides that it is sent again",
            self.topic
        );
        let is_known = match publish.delivery {
            Delivery::ExactlyOnce(id) => !self.held.insert(id),
            Delivery::AtLeastOnce(_) | Delivery::AtMostOnce => false,
        };
        if !is_known {
            self.heard.push(message);
        }
    }

    fn next(&mut self) -> Packet {
        let packet = self.device().next();
        if let Packet::Publish(publish) = &packet {
            self.open.extend(id_of(publish));
            let (open, max) = (self.open.len(), usize::from(self.receive_max));
            assert!(open <= max, "{}: {open} above {max}", self.topic);
        }
        packet
    }

    fn send(&mut self, packets: impl IntoIterator<Item = Packet>) {
        let packets: Vec<Packet> = packets.into_iter().collect();
        for packet in &packets {
            if let Packet::PubAck(ack) | Packet::PubComp(ack) = packet {
                self.open.remove(&ack.packet_id);
            }
        }
        self.device().send(packets);
    }

    fn device(&mut self) -> &mut Device {
        self.device.as_mut().expect("it is connected")
    }
}

fn id_of(publish: &Publish) -> Option<PacketId> {
    publish.delivery.packet_id()
}

/// PUBACK or PUBREC.
fn answer(publish: &Publish) -> Option<Packet> {
    match publish.delivery {
        Delivery::AtMostOnce => None,
        Delivery::AtLeastOnce(id) => Some(puback(id)),
        Delivery::ExactlyOnce(id) => Some(pubrec(id)),
    }
}

fn puback(id: PacketId) -> Packet {
    Packet::PubAck(Ack::new(id, ReasonCode::SUCCESS))
}

fn pubrec(id: PacketId) -> Packet {
    Packet::PubRec(Ack::new(id, ReasonCode::SUCCESS))
}

fn pubcomp(id: PacketId) -> Packet {
    Packet::PubComp(Ack::new(id, ReasonCode::SUCCESS))
}
