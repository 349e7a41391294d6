use fairlead_amqp::codec::{BasicProperties, Method, basic, channel, queue};

use crate::{Mesh, Peer, hear, short, to};

async fn filled(mesh: &Mesh, count: u8) -> Peer {
    let mut peer = mesh.connect().await;
    peer.declare("jobs").await;
    for n in 0..count {
        peer.publish("", "jobs", &[n]).await;
    }
    assert_eq!(peer.declare("jobs").await.message_count, u32::from(count));
    peer
}

fn qos(prefetch_count: u16, global: bool) -> basic::Qos {
    basic::Qos {
        prefetch_count,
        global,
        ..basic::Qos::default()
    }
}

//= basic.qos.prefetch-count
#[tokio::test]
async fn no_more_is_delivered_than_the_prefetch_until_something_is_acked() {
    let mesh = Mesh::new().await;
    let mut peer = filled(&mesh, 5).await;
    peer.send(1, qos(2, false)).await;
    hear!(peer, 1, BasicQosOk);
    peer.consume("jobs", false).await;
    for tag in [1, 2] {
        assert_eq!(peer.delivery().await.0.delivery_tag, tag);
    }
    let ack = basic::Ack {
        delivery_tag: 2,
        multiple: true,
    };
    // The answer to a declare comes before any delivery beyond the window would.
    assert_eq!(peer.declare("other").await.message_count, 0);
    peer.send(1, ack).await;
    for tag in [3, 4] {
        assert_eq!(peer.delivery().await.0.delivery_tag, tag);
    }
}

//= basic.qos.global
#[tokio::test]
async fn a_global_prefetch_is_shared_by_the_consumers_of_a_channel() {
    let mesh = Mesh::new().await;
    let mut peer = filled(&mesh, 12).await;
    peer.declare("other").await;
    peer.send(1, qos(4, true)).await;
    hear!(peer, 1, BasicQosOk);
    peer.consume("jobs", false).await;
    let mut bodies = Vec::new();
    for _ in 0..4 {
        bodies.push(peer.delivery().await.1.body);
    }
    for n in 0..4_u8 {
        peer.publish("", "other", &[n, n]).await;
    }
    assert_eq!(peer.declare("other").await.consumer_count, 0);
    peer.consume("other", false).await;
    // Four are unsettled, so nothing comes: the next that is heard is the answer to this.
    assert_eq!(peer.declare("third").await.message_count, 0);
    for delivery_tag in 1..=4 {
        let ack = basic::Ack {
            delivery_tag,
            multiple: false,
        };
        peer.send(1, ack).await;
        bodies.push(peer.delivery().await.1.body);
    }
    assert_eq!(peer.declare("third").await.message_count, 0);
    let of_other = bodies.iter().filter(|body| body.len() == 2).count();
    assert!(of_other >= 2, "each queue in its turn: {bodies:?}");
    // More room for the consumers that there are.
    peer.send(1, qos(6, true)).await;
    let mut heard = 0;
    while heard < 3 {
        match peer.method(1).await {
            Method::BasicDeliver(_) => {
                peer.content().await;
            }
            Method::BasicQosOk(_) => {}
            other => panic!("{other:?}"),
        }
        heard += 1;
    }
    assert_eq!(peer.declare("third").await.message_count, 0);
}

//= basic.ack.unknown
#[tokio::test]
async fn a_tag_that_is_settled_or_was_never_given_closes_the_channel() {
    let mesh = Mesh::new().await;
    let mut peer = filled(&mesh, 1).await;
    peer.consume("jobs", false).await;
    peer.delivery().await;
    let ack = basic::Ack {
        delivery_tag: 1,
        multiple: false,
    };
    peer.send(1, ack.clone()).await;
    peer.send(1, ack).await;
    let text = peer.closes_channel(406).await;
    assert_eq!(text, "PRECONDITION_FAILED - unknown delivery tag 1");
}

//= basic.ack.multiple
#[tokio::test]
async fn an_ack_of_several_settles_up_to_its_tag_and_tag_0_settles_all() {
    let mesh = Mesh::new().await;
    let mut peer = filled(&mesh, 5).await;
    peer.consume("jobs", false).await;
    for _ in 0..5 {
        peer.delivery().await;
    }
    let ack = |delivery_tag| basic::Ack {
        delivery_tag,
        multiple: true,
    };
    peer.send(1, ack(2)).await;
    peer.send(1, ack(0)).await;
    // Nothing is left to be settled, which is no error for tag 0 and one for another tag.
    peer.send(1, ack(0)).await;
    peer.send(1, channel::Close::default()).await;
    hear!(peer, 1, ChannelCloseOk);
    peer.open_channel(1).await;
    assert_eq!(peer.declare("jobs").await.message_count, 0);
    peer.send(1, ack(9)).await;
    peer.closes_channel(406).await;
}

//= basic.nack.requeue
#[tokio::test]
async fn what_is_nacked_with_requeue_comes_again_and_is_marked_and_without_it_is_gone() {
    let mesh = Mesh::new().await;
    let mut peer = filled(&mesh, 1).await;
    peer.consume("jobs", false).await;
    peer.delivery().await;
    let nack = |delivery_tag, requeue| basic::Nack {
        delivery_tag,
        requeue,
        ..basic::Nack::default()
    };
    peer.send(1, nack(1, true)).await;
    let (again, _) = peer.delivery().await;
    assert_eq!((again.delivery_tag, again.redelivered), (2, true));
    peer.send(1, nack(2, false)).await;
    let left = peer.declare("jobs").await;
    assert_eq!(left.message_count, 0);
}

//= basic.reject.requeue
#[tokio::test]
async fn a_rejected_message_goes_back_when_asked_to() {
    let mesh = Mesh::new().await;
    let mut peer = filled(&mesh, 1).await;
    peer.consume("jobs", false).await;
    peer.delivery().await;
    let reject = basic::Reject {
        delivery_tag: 1,
        requeue: true,
    };
    peer.send(1, reject).await;
    assert!(peer.delivery().await.0.redelivered);
}

//= basic.recover.requeue
#[tokio::test]
async fn recover_returns_everything_unsettled_on_the_channel() {
    let mesh = Mesh::new().await;
    let mut peer = filled(&mesh, 2).await;
    let get = basic::Get {
        queue: short("jobs"),
        ..basic::Get::default()
    };
    for _ in 0..2 {
        peer.send(1, get.clone()).await;
        hear!(peer, 1, BasicGetOk);
        peer.content().await;
    }
    assert_eq!(peer.declare("jobs").await.message_count, 0);
    peer.send(1, basic::Recover { requeue: true }).await;
    hear!(peer, 1, BasicRecoverOk);
    assert_eq!(peer.declare("jobs").await.message_count, 2);
    peer.send(1, basic::Recover { requeue: false }).await;
    peer.closes_connection(540).await;
}

//= basic.consume.no-ack
#[tokio::test]
async fn without_acknowledgement_everything_comes_and_the_queue_is_empty() {
    let mesh = Mesh::new().await;
    let mut peer = filled(&mesh, 20).await;
    peer.consume("jobs", true).await;
    for n in 0..20 {
        assert_eq!(peer.delivery().await.1.body, [n]);
    }
    assert_eq!(peer.declare("jobs").await.message_count, 0);
}

#[tokio::test]
async fn what_an_ended_channel_held_goes_back_in_its_old_order() {
    let mesh = Mesh::new().await;
    let mut peer = filled(&mesh, 3).await;
    peer.consume("jobs", false).await;
    for _ in 0..3 {
        peer.delivery().await;
    }
    peer.send(1, channel::Close::default()).await;
    hear!(peer, 1, ChannelCloseOk);
    peer.open_channel(1).await;
    peer.consume("jobs", true).await;
    for n in 0..3 {
        let (deliver, content) = peer.delivery().await;
        assert_eq!((content.body, deliver.redelivered), (vec![n], true));
    }
}

//= basic.cancel.unsettled
#[tokio::test]
async fn what_a_cancelled_consumer_holds_can_still_be_settled() {
    let mesh = Mesh::new().await;
    let mut peer = filled(&mesh, 2).await;
    peer.send(1, qos(1, false)).await;
    hear!(peer, 1, BasicQosOk);
    let consumer_tag = peer.consume("jobs", false).await;
    peer.delivery().await;
    let cancel = basic::Cancel {
        consumer_tag: consumer_tag.clone(),
        no_wait: false,
    };
    peer.send(1, cancel).await;
    assert_eq!(hear!(peer, 1, BasicCancelOk).consumer_tag, consumer_tag);
    let ack = basic::Ack {
        delivery_tag: 1,
        multiple: false,
    };
    peer.send(1, ack).await;
    assert_eq!(peer.declare("jobs").await.message_count, 1);
    assert_eq!(peer.get("jobs").await, Some(vec![1]));
}

//= basic.cancel.notify
#[tokio::test]
async fn a_consumer_is_told_when_its_queue_is_deleted() {
    let mesh = Mesh::new().await;
    let mut peer = filled(&mesh, 0).await;
    let tag = peer.consume("jobs", false).await;
    let mut other = mesh.connect().await;
    let delete = queue::Delete {
        queue: short("jobs"),
        ..queue::Delete::default()
    };
    other.send(1, delete).await;
    hear!(other, 1, QueueDeleteOk);
    assert_eq!(hear!(peer, 1, BasicCancel).consumer_tag, tag);
}

//= basic.consume.consumer-tag
#[tokio::test]
async fn a_consumer_tag_is_unique_in_its_channel() {
    let mesh = Mesh::new().await;
    let mut peer = filled(&mesh, 0).await;
    let consume = basic::Consume {
        queue: short("jobs"),
        consumer_tag: short("me"),
        ..basic::Consume::default()
    };
    peer.send(1, consume.clone()).await;
    hear!(peer, 1, BasicConsumeOk);
    peer.send(1, consume).await;
    peer.closes_connection(530).await;
}

//= basic.consume.exclusive
#[tokio::test]
async fn an_exclusive_consumer_is_alone() {
    let mesh = Mesh::new().await;
    let mut peer = filled(&mesh, 0).await;
    let consume = basic::Consume {
        queue: short("jobs"),
        exclusive: true,
        ..basic::Consume::default()
    };
    peer.send(1, consume).await;
    hear!(peer, 1, BasicConsumeOk);
    let mut other = mesh.connect().await;
    let consume = basic::Consume {
        queue: short("jobs"),
        ..basic::Consume::default()
    };
    other.send(1, consume).await;
    let text = other.closes_channel(403).await;
    assert_eq!(
        text,
        "ACCESS_REFUSED - queue 'jobs' in vhost '/' in exclusive use"
    );
}

#[tokio::test]
async fn consumers_of_two_connections_share_a_queue() {
    let mesh = Mesh::new().await;
    let mut one = filled(&mesh, 0).await;
    let mut two = mesh.connect().await;
    one.consume("jobs", true).await;
    two.consume("jobs", true).await;
    let mut publisher = mesh.connect().await;
    for n in 0..2_u8 {
        publisher.publish("", "jobs", &[n]).await;
    }
    let (first, second) = (one.delivery().await.1.body, two.delivery().await.1.body);
    assert_ne!(first, second);
}

//= basic.consume.direct-reply-to
//= queue.declare.direct-reply-to
#[tokio::test]
async fn a_direct_reply_finds_the_channel_that_asked() {
    let mesh = Mesh::new().await;
    let mut server = filled(&mesh, 0).await;
    server.consume("jobs", true).await;
    let mut client = mesh.connect().await;
    let tag = client.consume("amq.rabbitmq.reply-to", true).await;
    let request = BasicProperties {
        reply_to: Some(short("amq.rabbitmq.reply-to")),
        correlation_id: Some(short("7")),
        ..BasicProperties::default()
    };
    client.put(to("", "jobs"), request, b"question");
    client.flush().await;
    let (_, question) = server.delivery().await;
    let reply_to = question.properties.reply_to.unwrap();
    assert_ne!(reply_to, short("amq.rabbitmq.reply-to"));
    let passive = queue::Declare {
        passive: true,
        queue: reply_to.clone(),
        ..queue::Declare::default()
    };
    server.send(1, passive).await;
    assert_eq!(hear!(server, 1, QueueDeclareOk).consumer_count, 1);
    server
        .publish("", reply_to.as_str().unwrap(), b"answer")
        .await;
    let (deliver, answer) = client.delivery().await;
    assert_eq!(
        (deliver.consumer_tag, answer.body),
        (tag, b"answer".to_vec())
    );
}

#[tokio::test]
async fn a_direct_reply_needs_its_consumer_and_no_acknowledgement() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    let request = BasicProperties {
        reply_to: Some(short("amq.rabbitmq.reply-to")),
        ..BasicProperties::default()
    };
    peer.put(to("", "jobs"), request, b"");
    peer.flush().await;
    peer.closes_channel(406).await;
    let mut peer = mesh.connect().await;
    let consume = basic::Consume {
        queue: short("amq.rabbitmq.reply-to"),
        ..basic::Consume::default()
    };
    peer.send(1, consume).await;
    peer.closes_channel(406).await;
}
