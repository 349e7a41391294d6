//! DUP of what is sent.

use fairlead_mqtt::codec::{Delivery, Packet, Publish, Qos, ReasonCode, Version};

use crate::peer::{Mesh, id, message, puback, pubrec, qos0, qos1, qos2};

//= MQTT-3.3.1-2
#[tokio::test]
async fn a_message_of_qos_0_has_no_dup_although_it_was_sent_before() {
    let mesh = Mesh::start().await;
    let mut first = mesh.client(Version::V5, "first").await;
    first.subscribe("$share/g/t", Qos::AtLeastOnce).await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    writer.send(qos1(1, "t", b"x")).await;
    writer.expect(puback(1, ReasonCode::SUCCESS)).await;
    assert_eq!(first.next_publish().await.payload, "x");
    for version in [Version::V31, Version::V5] {
        let mut other = mesh.client(version, "other").await;
        other.subscribe("$share/g/t", Qos::AtMostOnce).await;
        first.vanish().await;
        other.expect(qos0("t", b"x")).await;
        first = mesh.client(Version::V5, "first").await;
        first.subscribe("$share/g/t", Qos::AtLeastOnce).await;
        other.goodbye().await;
        writer.send(qos1(1, "t", b"x")).await;
        writer.expect(puback(1, ReasonCode::SUCCESS)).await;
        assert_eq!(first.next_publish().await.payload, "x");
    }
}

//= MQTT-3.3.1-2
#[tokio::test]
async fn readers_of_qos_0_are_told_no_dup_alone_and_side_by_side() {
    let mesh = Mesh::start().await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    let mut readers = Vec::new();
    for name in ["first", "second"] {
        // In 3.1 the flag is read where there is none.
        let mut reader = mesh.client(Version::V31, name).await;
        reader.subscribe("t", Qos::AtMostOnce).await;
        readers.push(reader);
        writer.send(qos0("t", b"x")).await;
        for reader in &mut readers {
            reader.expect(qos0("t", b"x")).await;
        }
    }
}

//= MQTT-3.3.1-3
#[tokio::test]
async fn a_first_delivery_has_no_dup_whatever_its_publish_had() {
    let mesh = Mesh::start().await;
    let mut reader = mesh.client(Version::V5, "reader").await;
    reader.subscribe("t", Qos::ExactlyOnce).await;
    let mut writer = mesh.client(Version::V5, "writer").await;
    for (publish, answer, delivery) in [
        (
            Delivery::AtLeastOnce(id(7)),
            puback(7, ReasonCode::SUCCESS),
            qos1(1, "t", b"x"),
        ),
        (
            Delivery::ExactlyOnce(id(8)),
            pubrec(8, ReasonCode::SUCCESS),
            qos2(2, "t", b"x"),
        ),
    ] {
        let repeated = Publish {
            dup: true,
            ..message("t", publish, b"x")
        };
        writer.send(Packet::Publish(repeated)).await;
        writer.expect(answer).await;
        reader.expect(delivery).await;
    }
}
