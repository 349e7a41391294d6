//! An MQTT client that is scripted packet by packet, and stops wherever a test wants it to.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::num::NonZeroU16;

use bytes::{Bytes, BytesMut};
use fairlead_canon::Text;
use fairlead_mqtt::codec::{
    self, Connect, Delivery, Packet, PacketId, Properties, Property, Publish, Qos, ReasonCode,
    Subscribe, Subscription, Version,
};
use rustix::net::{RecvFlags, recv};

use crate::Mesh;

/// One connection of a client of MQTT 5 whose session outlives it, if not [`Device::passing`].
#[derive(Debug)]
pub struct Device {
    stream: TcpStream,
    input: BytesMut,
}

/// How long a session is kept, in seconds: longer than any test.
const SESSION_SECONDS: u32 = 3_600;
const PACKET_BYTES_MAX: usize = 1 << 20;
const VERSION: Version = Version::V5;

impl Device {
    /// Connects, and says whether its session was there. It takes at most `receive_max` messages that it
    /// has not answered.
    ///
    /// # Panics
    /// When it is not let in.
    pub fn connect(mesh: &Mesh, id: &str, receive_max: u16) -> (Self, bool) {
        let receive_max = NonZeroU16::new(receive_max).expect("room for a message");
        let mut device = Self::dial(mesh, id, 0, Some(Property::ReceiveMaximum(receive_max)));
        let session_present = device.admitted();
        (device, session_present)
    }

    /// Asks to be let in, and does not wait for the answer. It promises a sign of life in `keep_alive` seconds; 0 is none.
    ///
    /// # Panics
    /// When the server does not read.
    pub fn dial(mesh: &Mesh, id: &str, keep_alive: u16, terms: Option<Property>) -> Self {
        Self::over(mesh.connect("mqtt"), id, keep_alive, terms)
    }

    /// The same over a connection that is there.
    ///
    /// # Panics
    /// When the server does not read.
    pub fn over(stream: TcpStream, id: &str, keep_alive: u16, terms: Option<Property>) -> Self {
        let kept = Property::SessionExpiry(SESSION_SECONDS);
        Self::begin(stream, id, keep_alive, terms.into_iter().chain([kept]))
    }

    /// The same for a session that ends with its connection.
    ///
    /// # Panics
    /// When the server does not read.
    pub fn passing(stream: TcpStream, id: &str, keep_alive: u16) -> Self {
        Self::begin(stream, id, keep_alive, [])
    }

    fn begin(
        stream: TcpStream,
        id: &str,
        keep_alive: u16,
        terms: impl IntoIterator<Item = Property>,
    ) -> Self {
        let mut device = Self {
            stream,
            input: BytesMut::new(),
        };
        device.send([Packet::Connect(Box::new(Connect {
            version: VERSION,
            clean_start: false,
            keep_alive,
            properties: Properties::of(terms).expect("small properties"),
            client_id: Text::from(id.to_owned()),
            will: None,
            user_name: None,
            password: None,
        }))]);
        device
    }

    /// Waits until it is let in, and says whether its session was there.
    ///
    /// # Panics
    /// When it is not let in.
    pub fn admitted(&mut self) -> bool {
        match self.next() {
            Packet::ConnAck(answer) if answer.code == ReasonCode::SUCCESS => answer.session_present,
            other => panic!("not let in: {other:?}"),
        }
    }

    /// Subscribes, and waits until that is answered.
    ///
    /// # Panics
    /// When it is refused.
    pub fn subscribe(&mut self, filter: &str, qos: Qos) {
        self.ask(filter, qos);
        self.granted(qos);
    }

    /// Asks for a subscription, and does not wait for the answer.
    ///
    /// # Panics
    /// When the server does not read.
    pub fn ask(&mut self, filter: &str, qos: Qos) {
        self.send([Packet::Subscribe(Subscribe {
            packet_id: packet_id(1),
            properties: Properties::NONE,
            subscriptions: vec![Subscription::new(Text::from(filter.to_owned()), qos)],
        })]);
    }

    /// Waits until the subscription is granted.
    ///
    /// # Panics
    /// When it is not.
    pub fn granted(&mut self, qos: Qos) {
        match self.next() {
            Packet::SubAck(answer) => assert_eq!(answer.codes, [ReasonCode(qos as u8)]),
            other => panic!("instead of SUBACK: {other:?}"),
        }
    }

    /// Says that it lives, and is answered.
    ///
    /// # Panics
    /// When it is not.
    pub fn ping(&mut self) {
        self.send([Packet::PingReq]);
        self.alive();
    }

    /// Waits until its sign of life is answered.
    ///
    /// # Panics
    /// When it is not.
    pub fn alive(&mut self) {
        match self.next() {
            Packet::PingResp => {}
            other => panic!("instead of PINGRESP: {other:?}"),
        }
    }

    /// Writes packets in one go.
    ///
    /// # Panics
    /// When the connection is gone.
    pub fn send(&mut self, packets: impl IntoIterator<Item = Packet>) {
        let mut out = BytesMut::new();
        for packet in packets {
            packet.encode(VERSION, &mut out).expect("a legal packet");
        }
        self.stream.write_all(&out).expect("the server reads");
    }

    /// The next packet.
    ///
    /// # Panics
    /// When the server sends none for [`PATIENCE`](crate::PATIENCE), or closes.
    #[expect(clippy::should_implement_trait, reason = "it does not end")]
    pub fn next(&mut self) -> Packet {
        let mut chunk = [0; 16 * 1024];
        loop {
            let packet = codec::decode(&mut self.input, VERSION, PACKET_BYTES_MAX);
            if let Some(packet) = packet.expect("a server sends legal packets") {
                return packet;
            }
            let read = self.stream.read(&mut chunk).expect("the server answers");
            assert!(read > 0, "the server closed the connection");
            self.input.extend_from_slice(&chunk[..read]);
        }
    }

    /// Whether something has arrived that was not taken yet.
    pub fn has_more(&self) -> bool {
        let look = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        !self.input.is_empty() || recv(&self.stream, &mut [0], look).is_ok()
    }

    /// Waits until something has arrived, and leaves it where it is.
    ///
    /// # Panics
    /// When nothing comes for [`PATIENCE`](crate::PATIENCE).
    pub fn wait(&self) {
        if self.input.is_empty() {
            self.stream.peek(&mut [0]).expect("the server answers");
        }
    }
}

/// A PUBLISH.
pub fn publish(topic: &str, delivery: Delivery, payload: &[u8]) -> Publish {
    Publish {
        dup: false,
        delivery,
        retain: false,
        topic: Text::from(topic.to_owned()),
        properties: Properties::NONE,
        payload: Bytes::copy_from_slice(payload),
    }
}

/// A packet identifier.
///
/// # Panics
/// When it is 0.
pub fn packet_id(id: u16) -> PacketId {
    PacketId::new(id).expect("no identifier is 0")
}
