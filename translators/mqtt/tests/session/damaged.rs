//! What a client sees where a message in the store is damaged: everything else.

use std::num::NonZeroU16;
use std::sync::Arc;

use fairlead_canon::Offset;
use fairlead_kernel::testing::{Damaging, ManualClock, Over, kernel};
use fairlead_kernel::{Family, StreamKey};
use fairlead_memory::Memory;
use fairlead_mqtt::codec::{
    Ack, Delivery, Packet, Property, Publish, Qos, ReasonCode, Subscription, Version,
};

use crate::peer::{Mesh, Peer, id, kept, message, puback, qos1, with};

type Store = Over<Memory, Damaging>;

async fn mesh() -> (Mesh, Arc<Store>) {
    let clock = Arc::new(ManualClock::at(1_000_000));
    let memory = Arc::new(Memory::new(1 << 28));
    let store = Arc::new(Over::new(Arc::clone(&memory), Damaging::default()));
    let kernel = kernel(Arc::clone(&store), Arc::clone(&clock)).await;
    (Mesh::of(kernel.unwrap(), clock, memory), store)
}

fn damage(mesh: &Mesh, store: &Store, key: &StreamKey, offset: u64) {
    let lane = mesh.kernel.topology(|t| t.stream(key).unwrap().lanes[0]);
    store.manner.damage(lane, Offset(offset));
}

async fn payload(peer: &mut Peer) -> String {
    let came = peer.next_publish().await;
    let packet_id = match came.delivery {
        Delivery::AtMostOnce => None,
        Delivery::AtLeastOnce(id) | Delivery::ExactlyOnce(id) => Some(id),
    };
    if let Some(id) = packet_id {
        peer.send(Packet::PubAck(Ack::new(id, ReasonCode::SUCCESS)))
            .await;
    }
    String::from_utf8(came.payload.to_vec()).unwrap()
}

#[tokio::test]
async fn a_session_gets_what_is_around_a_damaged_message_one_at_a_time_too() {
    let (mesh, store) = mesh().await;
    let mut reader = mesh.accepted(kept(Version::V5, "reader")).await.0;
    reader.subscribe("t", Qos::AtLeastOnce).await;
    reader.vanish().await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    for number in 1..=6 {
        let body = number.to_string();
        writer.send(qos1(number, "t", body.as_bytes())).await;
        writer.expect(puback(number, ReasonCode::SUCCESS)).await;
    }
    let mailbox = StreamKey::new(Family::Mailbox, "reader");
    for offset in [0, 2, 3] {
        damage(&mesh, &store, &mailbox, offset);
    }
    let mut connect = kept(Version::V5, "reader");
    let one = Property::ReceiveMaximum(NonZeroU16::MIN);
    connect.properties = with([Property::SessionExpiry(3600), one]);
    let (mut reader, answer) = mesh.accepted(connect).await;
    assert!(answer.session_present);
    for body in ["2", "5", "6"] {
        assert_eq!(payload(&mut reader).await, body);
    }
    reader.expect_nothing().await;
    writer.send(qos1(7, "t", b"new")).await;
    writer.expect(puback(7, ReasonCode::SUCCESS)).await;
    assert_eq!(payload(&mut reader).await, "new");
}

#[tokio::test]
async fn a_subscription_gets_what_is_retained_around_a_damaged_message() {
    let (mesh, store) = mesh().await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    for (number, topic) in (1..).zip(["s/a", "s/b", "s/c", "s/d"]) {
        let retained = Publish {
            retain: true,
            ..message(topic, Delivery::AtLeastOnce(id(number)), topic.as_bytes())
        };
        writer.send(Packet::Publish(retained)).await;
        let nobody = ReasonCode::NO_MATCHING_SUBSCRIBERS;
        writer.expect(puback(number, nobody)).await;
    }
    let latest = StreamKey::new(Family::Latest, "latest");
    for offset in [0, 2] {
        damage(&mesh, &store, &latest, offset);
    }
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce] {
        let mut reader = mesh.client(Version::V5, "reader").await;
        let wanted = Subscription::new("s/#".to_owned(), qos);
        let code = reader.try_subscribe(wanted, with([])).await;
        assert_eq!(code, ReasonCode(qos as u8));
        for topic in ["s/b", "s/d"] {
            assert_eq!(payload(&mut reader).await, topic);
        }
        reader.expect_nothing().await;
    }
}
