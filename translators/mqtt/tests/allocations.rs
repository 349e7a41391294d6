//! What one message allocates on its way through a session, the kernel and a memory store, from a
//! publisher to a subscriber, counted over all threads once every buffer has its size.

#![cfg(test)]

use std::alloc::System;
use std::sync::Arc;

use bytes::BytesMut;
use fairlead_canon::Text;
use fairlead_kernel::testing::{ManualClock, conn_info, kernel};
use fairlead_kernel::{Conn, DrainWatch, Kernel, Translator};
use fairlead_memory::Memory;
use fairlead_mqtt::Mqtt;
use fairlead_mqtt::codec::{
    Ack, Connect, Delivery, Packet, PacketId, Properties, Publish, Qos, ReasonCode, Subscribe,
    Subscription, Version,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::watch;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const VERSION: Version = Version::V311;

/// Messages of one write, as one read of a busy socket gives.
const TOGETHER: u16 = 20;
/// As many rounds are run before they are counted.
const ROUNDS: u16 = 500;

/// A client that says and hears bytes it knows beforehand, so that it allocates nothing.
struct Peer {
    io: DuplexStream,
    heard: Vec<u8>,
}

impl Peer {
    async fn connect(kernel: &Arc<Kernel>, drain: &watch::Sender<bool>, id: &str) -> Self {
        let (io, far) = tokio::io::duplex(1 << 16);
        let conn = Conn {
            io: Box::new(far),
            info: conn_info(1),
            drain: DrainWatch::new(drain.subscribe()),
        };
        tokio::spawn(Mqtt::default().serve(conn, Arc::clone(kernel)));
        let mut peer = Self {
            io,
            heard: vec![0; 1 << 16],
        };
        let connect = Connect {
            version: VERSION,
            clean_start: true,
            keep_alive: 0,
            properties: Properties::NONE,
            client_id: Text::from(id.to_owned()),
            will: None,
            user_name: None,
            password: None,
        };
        let connack = [0x20, 2, 0, 0];
        peer.say(&encoded([Packet::Connect(Box::new(connect))]))
            .await;
        assert_eq!(peer.hear(connack.len()).await, connack);
        peer
    }

    async fn subscribe(&mut self, qos: Qos) {
        let subscribe = Subscribe {
            packet_id: PacketId::MAX,
            properties: Properties::NONE,
            subscriptions: vec![Subscription::new(Text::from_static("t"), qos)],
        };
        self.say(&encoded([Packet::Subscribe(subscribe)])).await;
        let suback = [0x90, 3, 0xff, 0xff, qos as u8];
        assert_eq!(self.hear(suback.len()).await, suback);
    }

    async fn say(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.unwrap();
    }

    async fn hear(&mut self, count: usize) -> &[u8] {
        let heard = &mut self.heard[..count];
        self.io.read_exact(heard).await.unwrap();
        heard
    }
}

fn encoded(packets: impl IntoIterator<Item = Packet>) -> BytesMut {
    let mut bytes = BytesMut::new();
    for packet in packets {
        packet.encode(VERSION, &mut bytes).unwrap();
    }
    bytes
}

fn id(number: u16) -> PacketId {
    PacketId::new(number + 1).unwrap()
}

fn publish(delivery: Delivery) -> Packet {
    Packet::Publish(Publish {
        dup: false,
        delivery,
        retain: false,
        topic: Text::from_static("t"),
        properties: Properties::NONE,
        payload: vec![7; 100].into(),
    })
}

fn puback(number: u16) -> Packet {
    Packet::PubAck(Ack::new(id(number), ReasonCode::SUCCESS))
}

/// Allocations per message of one publisher and one subscriber, at QoS 0 or 1.
async fn allocations_per_message(qos: Qos) -> f64 {
    let store = Arc::new(Memory::new(1 << 28));
    let kernel = kernel(store, Arc::new(ManualClock::at(1))).await.unwrap();
    let (drain, _) = watch::channel(false);
    let mut publisher = Peer::connect(&kernel, &drain, "publisher").await;
    let mut subscriber = Peer::connect(&kernel, &drain, "subscriber").await;
    subscriber.subscribe(qos).await;

    let said = (0..TOGETHER).map(|number| match qos {
        Qos::AtMostOnce => publish(Delivery::AtMostOnce),
        Qos::AtLeastOnce | Qos::ExactlyOnce => publish(Delivery::AtLeastOnce(id(number))),
    });
    let said = encoded(said);
    let answered = encoded((0..TOGETHER).map(puback));
    let mut region = Region::new(ALLOCATOR);
    for round in 0..2 * ROUNDS {
        if round == ROUNDS {
            region.reset();
        }
        publisher.say(&said).await;
        let delivered = subscriber.hear(said.len()).await;
        if qos == Qos::AtLeastOnce {
            // The packet ids are those of the mailbox; the answers repeat them.
            let size = said.len() / usize::from(TOGETHER);
            let heads = delivered.chunks(size).map(|packet| &packet[5..7]);
            let mut answers = answered.clone();
            for (answer, id) in answers.chunks_mut(4).zip(heads) {
                answer[2..].copy_from_slice(id);
            }
            subscriber.say(&answers).await;
            assert_eq!(publisher.hear(answered.len()).await, answered);
        }
    }
    let counted = region.change();
    // Of QoS 1 one a round is the client's.
    let own = usize::from(qos as u8) * usize::from(ROUNDS);
    let counted = counted.allocations + counted.reallocations - own;
    counted as f64 / f64::from(ROUNDS) / f64::from(TOGETHER)
}

// One test for both: whoever runs beside it is counted as well.
#[tokio::test]
async fn a_session_allocates_nothing_per_message_but_what_the_kernel_and_the_store_hold() {
    let at_most_once = allocations_per_message(Qos::AtMostOnce).await;
    println!("QoS 0: {at_most_once:.2} allocations per message");
    // The message that all its readers share; the rest is per read and per write.
    assert!(at_most_once < 1.4, "{at_most_once}");
    let at_least_once = allocations_per_message(Qos::AtLeastOnce).await;
    println!("QoS 1: {at_least_once:.2} allocations per message");
    // What the store keeps, and its reference count.
    assert!(at_least_once < 3.8, "{at_least_once}");
}
