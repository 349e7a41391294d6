//! What the server says of itself.

use std::time::Duration;

use fairlead_mqtt::codec::{Connect, Delivery, Packet, Property, Publish, Qos, Version};

use crate::peer::{Mesh, Peer, kept, message, qos1, with};

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

/// What is told under these names, in this order.
async fn told(watcher: &mut Peer, root: &str, names: &[&str]) -> Vec<String> {
    let mut values = Vec::new();
    for name in names {
        let (topic, value, _) = value(watcher).await;
        assert_eq!(topic, format!("$SYS/broker/{root}/{name}"));
        values.push(value);
    }
    values
}

/// CONNECT for a session that outlives its connection by a minute.
fn kept_a_minute(id: &str) -> Connect {
    Connect {
        properties: with([Property::SessionExpiry(60)]),
        ..kept(Version::V5, id)
    }
}

fn retained(topic: &str, payload: &[u8]) -> Packet {
    Packet::Publish(Publish {
        retain: true,
        ..message(topic, Delivery::AtMostOnce, payload)
    })
}

/// As long as two reports are apart.
async fn interval() {
    tokio::time::sleep(Duration::from_secs(10)).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_is_told_at_once_and_every_ten_seconds() {
    let mesh = Mesh::start().await;
    let mut watcher = mesh.client(Version::V311, "watcher").await;
    watcher
        .subscribe("$SYS/broker/publish/messages/#", Qos::AtMostOnce)
        .await;
    let at = |name: &str, count: &str, retain| {
        let topic = format!("$SYS/broker/publish/messages/{name}");
        (topic, count.to_owned(), retain)
    };
    for name in ["received", "sent", "dropped"] {
        assert_eq!(value(&mut watcher).await, at(name, "0", true));
    }
    watcher.expect_nothing().await;
    let mut writer = mesh.client(Version::V311, "writer").await;
    writer.send(qos1(1, "a", b"x")).await;
    writer.next().await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(value(&mut watcher).await, at("received", "1", false));
    // The three values that were told before.
    assert_eq!(value(&mut watcher).await, at("sent", "3", false));
    assert_eq!(value(&mut watcher).await, at("dropped", "0", false));
    watcher.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn the_interval_is_a_setting() {
    let mesh = Mesh::set(&[("sys_interval", "3")]).await;
    let mut watcher = mesh.client(Version::V5, "watcher").await;
    watcher.subscribe("$SYS/+/uptime", Qos::AtMostOnce).await;
    for seconds in ["0", "3", "6"] {
        assert_eq!(value(&mut watcher).await.1, format!("{seconds} seconds"));
    }
}

#[tokio::test(start_paused = true)]
async fn clients_are_counted_while_they_are_there_and_kept_sessions_while_they_are_not() {
    const NAMES: &[&str] = &[
        "total",
        "connected",
        "active",
        "disconnected",
        "inactive",
        "expired",
        "maximum",
    ];
    let mesh = Mesh::start().await;
    let mut watcher = mesh.client(Version::V5, "watcher").await;
    let mut passer_by = mesh.client(Version::V5, "passer-by").await;
    passer_by.subscribe("a", Qos::AtLeastOnce).await;
    let mut pump = mesh.accepted(kept_a_minute("pump")).await.0;
    pump.subscribe("a", Qos::AtLeastOnce).await;
    watcher.subscribe("$SYS/+/clients/#", Qos::AtMostOnce).await;
    let all = told(&mut watcher, "clients", NAMES).await;
    assert_eq!(all, ["3", "3", "3", "0", "0", "0", "3"]);

    passer_by.goodbye().await;
    pump.goodbye().await;
    interval().await;
    let all = told(&mut watcher, "clients", NAMES).await;
    assert_eq!(all, ["2", "1", "1", "1", "1", "0", "3"]);

    let pump = mesh.accepted(kept_a_minute("pump")).await.0;
    interval().await;
    let all = told(&mut watcher, "clients", NAMES).await;
    assert_eq!(all, ["2", "2", "2", "0", "0", "0", "3"]);

    pump.goodbye().await;
    for _ in 0..6 {
        interval().await;
        told(&mut watcher, "clients", NAMES).await;
    }
    interval().await;
    let all = told(&mut watcher, "clients", NAMES).await;
    assert_eq!(all, ["1", "1", "1", "0", "0", "1", "3"]);
}

#[tokio::test(start_paused = true)]
async fn subscriptions_and_retained_messages_are_counted() {
    let mesh = Mesh::start().await;
    let mut watcher = mesh.client(Version::V5, "watcher").await;
    watcher.subscribe("$SYS/+/+/count", Qos::AtMostOnce).await;
    let three = async |watcher: &mut Peer| {
        let mut values = Vec::new();
        for name in ["subscriptions", "shared_subscriptions", "retained messages"] {
            let (topic, count, _) = value(watcher).await;
            assert_eq!(topic, format!("$SYS/broker/{name}/count"));
            values.push(count);
        }
        values
    };
    assert_eq!(three(&mut watcher).await, ["0", "0", "0"]);
    let mut pump = mesh.client(Version::V5, "pump").await;
    for (filter, qos) in [
        ("a/#", Qos::AtMostOnce),
        ("b", Qos::ExactlyOnce),
        ("b", Qos::AtLeastOnce),
        ("$share/shift/c", Qos::AtLeastOnce),
    ] {
        pump.subscribe(filter, qos).await;
    }
    for topic in ["d/1", "d/2", "d/2"] {
        pump.send(retained(topic, b"on")).await;
    }
    pump.expect_nothing().await;
    interval().await;
    interval().await;
    three(&mut watcher).await;
    assert_eq!(three(&mut watcher).await, ["3", "1", "2"]);
    pump.send(retained("d/1", b"")).await;
    pump.goodbye().await;
    interval().await;
    interval().await;
    three(&mut watcher).await;
    assert_eq!(three(&mut watcher).await, ["1", "0", "1"]);
}

#[tokio::test(start_paused = true)]
async fn subscriptions_of_a_kept_session_are_counted_while_its_client_is_away() {
    let mesh = Mesh::start().await;
    // For longer than this test: the first process must not end it behind the back of the next.
    let mut pump = mesh.accepted(kept(Version::V5, "pump")).await.0;
    pump.subscribe("a/#", Qos::AtLeastOnce).await;
    pump.subscribe("b", Qos::AtMostOnce).await;
    pump.subscribe("$share/shift/c", Qos::AtLeastOnce).await;
    pump.goodbye().await;
    let mesh = mesh.restarted().await;
    let mut watcher = mesh.client(Version::V5, "watcher").await;
    let filter = "$SYS/broker/+/count";
    watcher.subscribe(filter, Qos::AtMostOnce).await;
    let three = async |watcher: &mut Peer| {
        let (own, shared) = (value(watcher).await, value(watcher).await);
        value(watcher).await;
        (own.1, shared.1)
    };
    let both = |own: &str, shared: &str| (own.to_owned(), shared.to_owned());
    assert_eq!(three(&mut watcher).await, both("2", "1"));

    let mut pump = mesh.accepted(kept_a_minute("pump")).await.0;
    pump.subscribe("d", Qos::AtMostOnce).await;
    interval().await;
    assert_eq!(three(&mut watcher).await, both("4", "1"), "with its own");
    pump.goodbye().await;
    for _ in 0..7 {
        interval().await;
        three(&mut watcher).await;
    }
    interval().await;
    assert_eq!(three(&mut watcher).await, both("1", "0"), "it has expired");
}

#[tokio::test(start_paused = true)]
async fn packets_and_bytes_are_counted_and_averaged() {
    let mesh = Mesh::start().await;
    let mut watcher = mesh.client(Version::V311, "watcher").await;
    let mut writer = mesh.client(Version::V311, "writer").await;
    for id in 1..=6 {
        writer.send(qos1(id, "a", b"12345678")).await;
        writer.next().await;
    }
    watcher
        .subscribe("$SYS/+/publish/bytes/received", Qos::AtMostOnce)
        .await;
    assert_eq!(value(&mut watcher).await.1, "48");
    watcher
        .subscribe("$SYS/broker/messages/+", Qos::AtMostOnce)
        .await;
    // Two CONNECT, six PUBLISH and the first SUBSCRIBE; two CONNACK, six PUBACK, a SUBACK and a report.
    let all = told(&mut watcher, "messages", &["received", "sent"]).await;
    assert_eq!(all, ["9", "10"]);
    let filter = "$SYS/+/load/publish/received/1min";
    watcher.subscribe(filter, Qos::AtMostOnce).await;
    assert_eq!(value(&mut watcher).await.1, "0.00");
    let load = loop {
        let (topic, load, _) = value(&mut watcher).await;
        if topic.ends_with("1min") && load != "0.00" {
            break load;
        }
    };
    // 36 a minute, for a sixth of one: 36 * (1 - e^(-1/6)).
    assert_eq!(load, "5.53");
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
