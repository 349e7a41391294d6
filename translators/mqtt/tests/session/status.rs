//! What the server says of itself.

use std::time::Duration;

use fairlead_mqtt::codec::{Publish, Qos, Version};

use crate::peer::{Mesh, Peer, qos1};

async fn value(peer: &mut Peer) -> (String, String, bool) {
    let Publish {
        topic,
        payload,
        retain,
        ..
    } = peer.next_publish().await;
    let text = String::from_utf8(payload.to_vec()).unwrap();
    (topic.to_string(), text, retain)
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_is_told_at_once_and_every_ten_seconds() {
    let mesh = Mesh::start().await;
    let mut watcher = mesh.client(Version::V311, "watcher").await;
    watcher
        .subscribe("$SYS/broker/publish/#", Qos::AtMostOnce)
        .await;
    let at = |name: &str, count: &str, retain| {
        let topic = format!("$SYS/broker/publish/messages/{name}");
        (topic, count.to_owned(), retain)
    };
    for name in ["received", "sent"] {
        assert_eq!(value(&mut watcher).await, at(name, "0", true));
    }
    watcher.expect_nothing().await;
    let mut writer = mesh.client(Version::V311, "writer").await;
    writer.send(qos1(1, "a", b"x")).await;
    writer.next().await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(value(&mut watcher).await, at("received", "1", false));
    assert_eq!(value(&mut watcher).await, at("sent", "0", false));
    watcher.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn uptime_and_version_have_the_form_that_tools_read() {
    let mesh = Mesh::start().await;
    tokio::time::sleep(Duration::from_secs(75)).await;
    let mut watcher = mesh.client(Version::V5, "watcher").await;
    watcher
        .subscribe("$SYS/broker/uptime", Qos::AtLeastOnce)
        .await;
    assert_eq!(value(&mut watcher).await.1, "75 seconds");
    watcher.subscribe("$SYS/+/version", Qos::AtMostOnce).await;
    let (_, version, _) = value(&mut watcher).await;
    assert!(version.starts_with("fairlead version "), "{version}");
    // Who wants everything does not want this.
    let mut other = mesh.client(Version::V5, "other").await;
    other.subscribe("#", Qos::AtMostOnce).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    other.expect_nothing().await;
}
