//! Publishers while the store is short of space.

use std::sync::Arc;

use fairlead_kernel::Condition;
use fairlead_kernel::testing::{Moody, Over};
use fairlead_memory::Memory;

use crate::{Mesh, hear};

fn moody() -> Arc<Over<Memory, Moody>> {
    let memory = Arc::new(Memory::new(1 << 30));
    Arc::new(Over::new(memory, Moody::default()))
}

//= connection.blocked
#[tokio::test]
async fn publishers_wait_while_space_is_short_and_consumers_do_not() {
    let store = moody();
    let mesh = Mesh::over(Arc::clone(&store)).await;
    let (mut publisher, mut consumer) = (mesh.connect().await, mesh.connect().await);
    publisher.declare("jobs").await;
    publisher.publish("", "jobs", b"before").await;
    assert_eq!(publisher.depth("jobs").await, 1);
    store.manner.say(Condition::Full);
    // Whoever does not publish is not held up.
    assert_eq!(publisher.depth("jobs").await, 1);
    publisher.publish("", "jobs", b"waits").await;
    let blocked = hear!(publisher, 0, ConnectionBlocked);
    assert_eq!(blocked.reason, crate::short("low on disk"));
    consumer.consume("jobs", true).await;
    assert_eq!(consumer.delivery().await.1.body, b"before");
    store.manner.say(Condition::Well);
    hear!(publisher, 0, ConnectionUnblocked);
    assert_eq!(consumer.delivery().await.1.body, b"waits");
    publisher.publish("", "jobs", b"after").await;
    assert_eq!(consumer.delivery().await.1.body, b"after");
}

//= connection.blocked
#[tokio::test]
async fn a_first_publish_into_a_full_store_waits_and_what_follows_stays_behind_it() {
    let store = moody();
    let mesh = Mesh::over(Arc::clone(&store)).await;
    let mut peer = mesh.connect().await;
    peer.declare("jobs").await;
    store.manner.say(Condition::Full);
    peer.confirms().await;
    peer.publish("", "jobs", b"one").await;
    peer.publish("", "jobs", b"two").await;
    hear!(peer, 0, ConnectionBlocked);
    store.manner.say(Condition::Well);
    hear!(peer, 0, ConnectionUnblocked);
    let mut confirmed = 0;
    while confirmed < 2 {
        confirmed = hear!(peer, 1, BasicAck).delivery_tag;
    }
    assert_eq!(peer.get("jobs").await.as_deref(), Some(&b"one"[..]));
    assert_eq!(peer.get("jobs").await.as_deref(), Some(&b"two"[..]));
}
