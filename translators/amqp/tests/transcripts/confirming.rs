use fairlead_amqp::codec::{BasicProperties, confirm};

use crate::{Mesh, hear, to};

//= confirm.select
#[tokio::test]
async fn a_thousand_publishes_in_one_write_are_confirmed_by_few_multiple_acks() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    peer.declare("jobs").await;
    peer.confirms().await;
    let persistent = BasicProperties {
        delivery_mode: Some(2),
        ..BasicProperties::default()
    };
    for _ in 0..1_000 {
        peer.put(to("", "jobs"), persistent.clone(), b"x");
    }
    peer.flush().await;
    let (mut acks, mut confirmed) = (0, 0);
    while confirmed < 1_000 {
        let ack = hear!(peer, 1, BasicAck);
        assert!(ack.delivery_tag > confirmed);
        assert!(ack.multiple || ack.delivery_tag == confirmed + 1);
        confirmed = ack.delivery_tag;
        acks += 1;
    }
    assert!(acks < 100, "{acks} acks");
    assert_eq!(peer.declare("jobs").await.message_count, 1_000);
}

#[tokio::test]
async fn numbers_start_with_confirm_select_and_are_the_channels_own() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    peer.publish("", "unbound", b"unconfirmed").await;
    peer.confirms().await;
    // Asking again changes nothing.
    peer.send(1, confirm::Select { no_wait: false }).await;
    hear!(peer, 1, ConfirmSelectOk);
    peer.publish("", "unbound", b"first").await;
    assert_eq!(hear!(peer, 1, BasicAck).delivery_tag, 1);
}

//= confirm.nack
#[tokio::test]
async fn a_publish_that_a_full_queue_refuses_is_nacked() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    let mut declare = crate::declare("small");
    declare
        .arguments
        .push("x-max-length", fairlead_canon::Value::I32(1));
    declare.arguments.push(
        "x-overflow",
        fairlead_canon::Value::Text("reject-publish".into()),
    );
    peer.send(1, declare).await;
    hear!(peer, 1, QueueDeclareOk);
    peer.confirms().await;
    peer.publish("", "small", b"fits").await;
    assert_eq!(hear!(peer, 1, BasicAck).delivery_tag, 1);
    peer.publish("", "small", b"does not").await;
    assert_eq!(hear!(peer, 1, BasicNack).delivery_tag, 2);
}
