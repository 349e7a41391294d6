//! A mesh in memory, and a client that is scripted packet by packet.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fairlead_canon::Text;
use fairlead_kernel::testing::{CountingEntropy, ManualClock, Over, conn_info, kernel};
use fairlead_kernel::{Backing, Closed, Conn, ConnInfo, DrainWatch, Kernel, Translator};
use fairlead_memory::Memory;
use fairlead_mqtt::Mqtt;
use fairlead_mqtt::codec::{
    self, Ack, ConnAck, Connect, Delivery, Disconnect, Packet, PacketId, Properties, Property,
    Publish, Qos, ReasonCode, Subscribe, Subscription, Version, Will,
};
use fairlead_ports::{Clock, Directory, Documents, Policy, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::gone::Held;

/// How long a client waits for a packet: more than any timer of the server that a test with a paused clock waits for.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running mesh.
pub(crate) struct Mesh {
    pub(crate) kernel: Arc<Kernel>,
    pub(crate) clock: Arc<ManualClock>,
    store: Arc<Memory>,
    drain: watch::Sender<bool>,
    connections: AtomicU64,
    mqtt: Arc<dyn Translator>,
}

/// A client.
pub(crate) struct Peer {
    io: DuplexStream,
    input: BytesMut,
    version: Version,
    server: JoinHandle<Closed>,
}

impl Mesh {
    pub(crate) async fn start() -> Self {
        Self::over(Arc::new(Memory::new(1 << 28))).await
    }

    /// A mesh whose store a test can hold.
    pub(crate) async fn held() -> (Self, Arc<Over<Memory, Held>>) {
        let clock = Arc::new(ManualClock::at(1_000_000));
        let store = Arc::new(Memory::new(1 << 28));
        let held = Arc::new(Over::new(Arc::clone(&store), Held::default()));
        let kernel = kernel(Arc::clone(&held), Arc::clone(&clock));
        (Self::of(kernel.await.unwrap(), clock, store), held)
    }

    async fn over(store: Arc<Memory>) -> Self {
        let clock = Arc::new(ManualClock::at(1_000_000));
        let kernel = kernel(Arc::clone(&store), Arc::clone(&clock));
        Self::of(kernel.await.unwrap(), clock, store)
    }

    /// Another process on the same store. The time of the first one stands still from now on.
    pub(crate) async fn restarted(self) -> Self {
        Self::over(self.store).await
    }

    /// A mesh whose listener has these settings.
    pub(crate) async fn set(settings: &[(&str, &str)]) -> Self {
        Self::start().await.with(settings)
    }

    /// The same mesh, with these settings.
    pub(crate) fn with(self, settings: &[(&str, &str)]) -> Self {
        let words = settings.iter();
        let words = words.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let mqtt = Mqtt::default().configured(&words.collect()).unwrap();
        Self { mqtt, ..self }
    }

    /// A mesh under other rules.
    pub(crate) async fn under(rules: impl FnOnce(Arc<dyn Directory>) -> Arc<dyn Policy>) -> Self {
        let clock = Arc::new(ManualClock::at(1_000_000));
        let store = Arc::new(Memory::new(1 << 28));
        let backing = Backing {
            store: Arc::clone(&store) as Arc<dyn Store>,
            documents: Arc::clone(&store) as Arc<dyn Documents>,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            entropy: Arc::new(CountingEntropy::default()),
        };
        Self::of(Kernel::open(backing, rules).await.unwrap(), clock, store)
    }

    pub(crate) fn of(kernel: Arc<Kernel>, clock: Arc<ManualClock>, store: Arc<Memory>) -> Self {
        let (drain, _) = watch::channel(false);
        Self {
            kernel,
            clock,
            store,
            drain,
            connections: AtomicU64::new(1),
            mqtt: Arc::new(Mqtt::default()),
        }
    }

    /// A connection that has said nothing.
    pub(crate) fn dial(&self, version: Version) -> Peer {
        self.dial_as(version, None)
    }

    /// One of a client with a certificate of this name.
    pub(crate) fn dial_as(&self, version: Version, name: Option<&str>) -> Peer {
        let (io, far) = tokio::io::duplex(1 << 20);
        let conn = Conn {
            io: Box::new(far),
            info: ConnInfo {
                certificate_name: name.map(Text::from),
                ..conn_info(self.connections.fetch_add(1, Ordering::Relaxed))
            },
            drain: DrainWatch::new(self.drain.subscribe()),
        };
        let server = tokio::spawn(self.mqtt.serve(conn, Arc::clone(&self.kernel)));
        Peer {
            io,
            input: BytesMut::new(),
            version,
            server,
        }
    }

    /// A client with a clean session.
    pub(crate) async fn client(&self, version: Version, id: &str) -> Peer {
        self.accepted(hello(version, id)).await.0
    }

    /// A client that is let in, and the answer to its CONNECT.
    pub(crate) async fn accepted(&self, connect: Connect) -> (Peer, ConnAck) {
        let mut peer = self.dial(connect.version);
        peer.send(Packet::Connect(Box::new(connect))).await;
        match peer.next().await {
            Packet::ConnAck(answer) if answer.code == ReasonCode::SUCCESS => (peer, answer),
            other => panic!("not let in: {other:?}"),
        }
    }

    /// The process goes away.
    pub(crate) fn drain(&self) {
        self.drain.send_replace(true);
    }
}

impl Peer {
    pub(crate) fn version(&self) -> Version {
        self.version
    }

    pub(crate) async fn send(&mut self, packet: Packet) {
        let mut out = BytesMut::new();
        packet.encode(self.version, &mut out).unwrap();
        self.send_bytes(&out).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.unwrap();
    }

    /// The next packet; there has to be one, within [`PATIENCE`].
    pub(crate) async fn next(&mut self) -> Packet {
        self.try_next()
            .await
            .expect("a packet, but the server closed")
    }

    /// The next packet, or `None` when the server closed; one of both within [`PATIENCE`].
    pub(crate) async fn try_next(&mut self) -> Option<Packet> {
        loop {
            if let Some(packet) = codec::decode(&mut self.input, self.version, 1 << 28).unwrap() {
                return Some(packet);
            }
            let read = timeout(PATIENCE, self.io.read_buf(&mut self.input)).await;
            if read.expect("a packet, or the end").ok()? == 0 {
                return None;
            }
        }
    }

    #[track_caller]
    pub(crate) fn expect(&mut self, wanted: Packet) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move { assert_eq!(self.next().await, wanted, "at {place}") }
    }

    /// The code that a PUBLISH is answered with, whatever words come with it.
    pub(crate) async fn code_of(&mut self, number: u16) -> ReasonCode {
        match self.next().await {
            Packet::PubAck(ack) | Packet::PubRec(ack) if ack.packet_id == id(number) => ack.reason,
            other => panic!("the answer to {number}, not {other:?}"),
        }
    }

    pub(crate) async fn next_publish(&mut self) -> Publish {
        match self.next().await {
            Packet::Publish(publish) => publish,
            other => panic!("a publish, not {other:?}"),
        }
    }

    /// So many messages, acknowledged to the end; where they were published, sorted.
    pub(crate) async fn hear(&mut self, count: usize) -> Vec<Text> {
        let (mut heard, mut open) = (Vec::new(), 0);
        while heard.len() < count || open > 0 {
            match self.next().await {
                Packet::Publish(publish) => {
                    heard.push(publish.topic);
                    match publish.delivery {
                        Delivery::AtMostOnce => {}
                        Delivery::AtLeastOnce(id) => {
                            self.send(puback(id.get(), ReasonCode::SUCCESS)).await;
                        }
                        Delivery::ExactlyOnce(id) => {
                            open += 1;
                            self.send(pubrec(id.get(), ReasonCode::SUCCESS)).await;
                        }
                    }
                }
                Packet::PubRel(ack) => {
                    open -= 1;
                    self.send(pubcomp(ack.packet_id.get())).await;
                }
                other => panic!("a message or its PUBREL, not {other:?}"),
            }
        }
        heard.sort();
        heard
    }

    /// Nothing comes: what was ready to come at the first ping would be there before the answer to the last.
    pub(crate) async fn expect_nothing(&mut self) {
        for _ in 0..3 {
            self.send(Packet::PingReq).await;
            self.expect(Packet::PingResp).await;
        }
    }

    /// The server closed after this DISCONNECT, or (`None`) without a word.
    pub(crate) async fn expect_end(mut self, wanted: Option<ReasonCode>) -> Closed {
        let word = match self.try_next().await {
            Some(Packet::Disconnect(disconnect)) => Some(disconnect.reason),
            None => None,
            other => panic!("the end, not {other:?}"),
        };
        assert_eq!(word, wanted);
        assert_eq!(self.try_next().await, None);
        drop(self.io);
        self.server.await.unwrap()
    }

    /// Subscribes and waits for the grant.
    pub(crate) async fn subscribe(&mut self, filter: &str, qos: Qos) {
        self.subscribe_as(Subscription::new(filter.to_owned(), qos), Properties::NONE)
            .await;
    }

    pub(crate) async fn subscribe_as(&mut self, wanted: Subscription, properties: Properties) {
        let granted = ReasonCode(wanted.qos as u8);
        let code = self.try_subscribe(wanted, properties).await;
        assert_eq!(code, granted);
    }

    pub(crate) async fn try_subscribe(
        &mut self,
        wanted: Subscription,
        properties: Properties,
    ) -> ReasonCode {
        let packet_id = id(60_000);
        let subscriptions = vec![wanted];
        self.send(Packet::Subscribe(Subscribe {
            packet_id,
            properties,
            subscriptions,
        }))
        .await;
        match self.next().await {
            Packet::SubAck(answer) if answer.packet_id == packet_id => answer.codes[0],
            other => panic!("a grant, not {other:?}"),
        }
    }

    /// Goes without a word, and waits until the server has noticed.
    pub(crate) async fn vanish(self) -> Closed {
        drop(self.io);
        self.server.await.unwrap()
    }

    /// Says goodbye, and waits until the server has noticed.
    pub(crate) async fn goodbye(mut self) -> Closed {
        self.send(Packet::Disconnect(Disconnect::new(ReasonCode::SUCCESS)))
            .await;
        self.server.await.unwrap()
    }
}

pub(crate) fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

/// CONNECT for a clean session.
pub(crate) fn hello(version: Version, client_id: &str) -> Connect {
    Connect {
        version,
        clean_start: true,
        keep_alive: 0,
        properties: Properties::NONE,
        client_id: Text::from(client_id.to_owned()),
        will: None,
        user_name: None,
        password: None,
    }
}

/// CONNECT for a session that is kept for an hour (in 3.1.1: for ever).
pub(crate) fn kept(version: Version, client_id: &str) -> Connect {
    let properties = match version {
        Version::V31 | Version::V311 => Properties::NONE,
        Version::V5 => with([Property::SessionExpiry(3600)]),
    };
    Connect {
        clean_start: false,
        properties,
        ..hello(version, client_id)
    }
}

pub(crate) fn with<const N: usize>(list: [Property; N]) -> Properties {
    Properties::of(list).unwrap()
}

pub(crate) fn last_words(qos: Qos) -> Will {
    Will {
        topic: Text::from_static("wills/1"),
        payload: Bytes::from_static(b"gone"),
        qos,
        retain: false,
        properties: Properties::NONE,
    }
}

pub(crate) fn message(topic: &str, delivery: Delivery, payload: &[u8]) -> Publish {
    Publish {
        dup: false,
        delivery,
        retain: false,
        topic: Text::from(topic.to_owned()),
        properties: Properties::NONE,
        payload: Bytes::copy_from_slice(payload),
    }
}

pub(crate) fn qos0(topic: &str, payload: &[u8]) -> Packet {
    Packet::Publish(message(topic, Delivery::AtMostOnce, payload))
}

pub(crate) fn qos1(number: u16, topic: &str, payload: &[u8]) -> Packet {
    Packet::Publish(message(topic, Delivery::AtLeastOnce(id(number)), payload))
}

pub(crate) fn qos2(number: u16, topic: &str, payload: &[u8]) -> Packet {
    Packet::Publish(message(topic, Delivery::ExactlyOnce(id(number)), payload))
}

pub(crate) fn puback(number: u16, reason: ReasonCode) -> Packet {
    Packet::PubAck(Ack::new(id(number), reason))
}

pub(crate) fn pubrec(number: u16, reason: ReasonCode) -> Packet {
    Packet::PubRec(Ack::new(id(number), reason))
}

pub(crate) fn pubrel(number: u16) -> Packet {
    Packet::PubRel(Ack::new(id(number), ReasonCode::SUCCESS))
}

pub(crate) fn pubcomp(number: u16) -> Packet {
    Packet::PubComp(Ack::new(id(number), ReasonCode::SUCCESS))
}
