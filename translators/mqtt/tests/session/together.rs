//! One message for many readers, most of whom are told it in the same words.

use bytes::BytesMut;
use fairlead_mqtt::codec::{
    Delivery, Packet, Properties, Property, Publish, Qos, Subscription, SubscriptionId, Version,
};

use crate::peer::{Mesh, Peer, hello, message, qos0, with};

/// Bytes that a small reader takes.
const SMALL: u32 = 20;

fn retained(topic: &str, payload: &[u8]) -> Publish {
    Publish {
        retain: true,
        ..message(topic, Delivery::AtMostOnce, payload)
    }
}

/// In one write, so that they are read together.
async fn send_together(writer: &mut Peer, packets: &[Packet]) {
    let mut bytes = BytesMut::new();
    for packet in packets {
        packet.encode(Version::V5, &mut bytes).unwrap();
    }
    writer.send_bytes(&bytes).await;
}

async fn reader(mesh: &Mesh, name: &str, property: Property) -> Peer {
    let connect = fairlead_mqtt::codec::Connect {
        properties: with([property]),
        ..hello(Version::V5, name)
    };
    mesh.accepted(connect).await.0
}

async fn hears(reader: &mut Peer, wanted: impl IntoIterator<Item = Publish>) {
    for wanted in wanted {
        assert_eq!(reader.next_publish().await, wanted);
    }
    reader.expect_nothing().await;
}

//= MQTT-3.3.4-3
#[tokio::test]
async fn each_reader_of_a_message_is_told_it_in_words_that_fit() {
    let mesh = Mesh::start().await;
    let mut plain = Vec::new();
    for (name, version) in [
        ("a", Version::V311),
        ("b", Version::V5),
        ("c", Version::V311),
    ] {
        plain.push(mesh.client(version, name).await);
    }
    let small = SMALL.try_into().unwrap();
    let mut small = reader(&mesh, "small", Property::MaximumPacketSize(small)).await;
    let mut short = reader(&mesh, "short", Property::TopicAliasMaximum(1)).await;
    for reader in plain.iter_mut().chain([&mut small, &mut short]) {
        reader.subscribe("t/+", Qos::AtMostOnce).await;
    }
    let mut named = mesh.client(Version::V5, "named").await;
    let id = SubscriptionId::new(7).unwrap();
    let id = with([Property::SubscriptionId(id)]);
    let wanted = Subscription::new("t/+", Qos::AtMostOnce);
    named.subscribe_as(wanted, id.clone()).await;
    let mut faithful = mesh.client(Version::V5, "faithful").await;
    let wanted = Subscription {
        retain_as_published: true,
        ..Subscription::new("t/+", Qos::AtMostOnce)
    };
    faithful.subscribe_as(wanted, Properties::NONE).await;

    let sent = [
        message("t/one", Delivery::AtMostOnce, b"one"),
        retained("t/one", &[2; 30]),
        message("t/one", Delivery::AtMostOnce, b""),
    ];
    let mut writer = mesh.client(Version::V5, "writer").await;
    send_together(&mut writer, &sent.clone().map(Packet::Publish)).await;

    let usual = sent.clone().map(|one| Publish {
        retain: false,
        ..one
    });
    for reader in &mut plain {
        hears(reader, usual.clone()).await;
    }
    let [first, _too_large, last] = usual.clone();
    hears(&mut small, [first, last]).await;
    let with_id = usual.clone().map(|one| Publish {
        properties: id.clone(),
        ..one
    });
    hears(&mut named, with_id).await;
    hears(&mut faithful, sent).await;
    let alias = with([Property::TopicAlias(1)]);
    for (number, wanted) in usual.into_iter().enumerate() {
        let heard = short.next_publish().await;
        assert_eq!(heard.properties, alias);
        assert_eq!(heard.topic.is_empty(), number > 0);
        assert_eq!(heard.payload, wanted.payload);
    }
}

#[tokio::test]
async fn what_is_left_of_a_life_is_told_to_each_of_many_readers() {
    let mesh = Mesh::start().await;
    let mut old = mesh.client(Version::V311, "old").await;
    let mut new = [
        mesh.client(Version::V5, "one").await,
        mesh.client(Version::V5, "two").await,
    ];
    for reader in new.iter_mut().chain([&mut old]) {
        reader.subscribe("t", Qos::AtMostOnce).await;
    }
    let plain = message("t", Delivery::AtMostOnce, b"plain");
    let mortal = Publish {
        properties: with([Property::MessageExpiry(9)]),
        ..message("t", Delivery::AtMostOnce, b"mortal")
    };
    let sent = [plain, mortal];
    let mut writer = mesh.client(Version::V5, "writer").await;
    send_together(&mut writer, &sent.clone().map(Packet::Publish)).await;
    for reader in &mut new {
        hears(reader, sent.clone()).await;
    }
    let bare = sent.map(|one| Publish {
        properties: Properties::NONE,
        ..one
    });
    hears(&mut old, bare).await;
}

#[tokio::test]
async fn more_than_a_run_reaches_many_readers_whole_and_in_order() {
    let mesh = Mesh::start().await;
    let mut readers = Vec::new();
    for number in 0..3 {
        let mut reader = mesh.client(Version::V311, &number.to_string()).await;
        reader.subscribe("t/#", Qos::AtMostOnce).await;
        readers.push(reader);
    }
    let body = |number: u32| {
        let len = if number % 50 == 49 { 5_000 } else { 100 };
        let mut body = vec![0; len];
        body[..4].copy_from_slice(&number.to_be_bytes());
        body
    };
    let topic = |number| if number % 90 == 89 { "t/2" } else { "t/1" };
    let sent: Vec<_> = (0..200)
        .map(|number| qos0(topic(number), &body(number)))
        .collect();
    let mut writer = mesh.client(Version::V5, "writer").await;
    send_together(&mut writer, &sent).await;
    for reader in &mut readers {
        for (number, wanted) in sent.iter().enumerate() {
            assert_eq!(&reader.next().await, wanted, "{number}");
        }
        reader.expect_nothing().await;
    }
}
