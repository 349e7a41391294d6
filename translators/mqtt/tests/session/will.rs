use std::time::Duration;

use fairlead_canon::{Principal, Text};
use fairlead_kernel::testing::conn_info;
use fairlead_kernel::{ClosedReason, Translator};
use fairlead_mqtt::Mqtt;
use fairlead_mqtt::codec::{
    Connect, Disconnect, Packet, Property, Qos, ReasonCode, UserProperty, Version, Will,
};

use tokio::time::Instant;

use crate::peer::{Mesh, Peer, hello, kept, last_words, with};

async fn watcher(mesh: &Mesh) -> Peer {
    let mut watcher = mesh.client(Version::V5, "watcher").await;
    watcher.subscribe("wills/#", Qos::AtMostOnce).await;
    watcher
}

fn mortal(connect: Connect) -> Connect {
    Connect {
        will: Some(last_words(Qos::AtLeastOnce)),
        ..connect
    }
}

fn delayed(seconds: u32) -> Connect {
    let properties = with([Property::WillDelay(seconds)]);
    let will = Will {
        properties,
        ..last_words(Qos::AtLeastOnce)
    };
    Connect {
        will: Some(will),
        ..kept(Version::V5, "mortal")
    }
}

//= MQTT-3.1.2-7
//= MQTT-3.1.2-8
#[tokio::test]
async fn the_will_of_a_client_that_vanishes_is_published() {
    let mesh = Mesh::start().await;
    let mut watcher = watcher(&mesh).await;
    for version in [Version::V311, Version::V5] {
        // Between two packets, and in the middle of one.
        for last in [&[][..], &[0x30, 5]] {
            let mut peer = mesh.accepted(mortal(hello(version, "mortal"))).await.0;
            peer.send_bytes(last).await;
            peer.vanish().await;
            assert_eq!(watcher.next_publish().await.payload, "gone");
        }
    }
}

//= MQTT-3.1.2-8
#[tokio::test]
async fn a_will_has_the_qos_that_was_asked_for() {
    let mesh = Mesh::start().await;
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
        let mut watcher = mesh.client(Version::V5, "watcher").await;
        watcher.subscribe("wills/#", Qos::ExactlyOnce).await;
        let mortal = Connect {
            will: Some(last_words(qos)),
            ..hello(Version::V5, "mortal")
        };
        mesh.accepted(mortal).await.0.vanish().await;
        assert_eq!(watcher.next_publish().await.delivery.qos(), qos);
        watcher.goodbye().await;
    }
}

//= MQTT-3.1.2-10
//= MQTT-3.14.4-3
#[tokio::test]
async fn a_goodbye_counts_although_the_client_is_seen_to_come_back_before() {
    let mesh = Mesh::start().await;
    let mut watcher = watcher(&mesh).await;
    for version in [Version::V311, Version::V5] {
        let mut peer = mesh.accepted(mortal(kept(version, "mortal"))).await.0;
        let (mqtt, who) = (Mqtt::default(), Principal::anonymous());
        let next = (mqtt.name(), mqtt.origin());
        let mut next = mesh.kernel.enter(&conn_info(1_000), who, next).unwrap();
        let goodbye = Packet::Disconnect(Disconnect::new(ReasonCode::SUCCESS));
        // Both have happened when the server looks.
        let (claimed, ()) = tokio::join!(next.claim(b"mortal"), peer.send(goodbye));
        claimed.unwrap();
        assert_eq!(peer.expect_end(None).await.reason, ClosedReason::Goodbye);
        watcher.expect_nothing().await;
    }
}

//= MQTT311-3.1.2-12
#[tokio::test]
async fn a_client_without_a_will_leaves_in_silence() {
    let mesh = Mesh::start().await;
    let mut watcher = mesh.client(Version::V5, "watcher").await;
    watcher.subscribe("#", Qos::AtMostOnce).await;
    let peer = mesh.client(Version::V311, "mortal").await;
    peer.vanish().await;
    watcher.expect_nothing().await;
}

//= MQTT-3.1.2-10
//= MQTT-3.14.4-3
#[tokio::test]
async fn only_a_normal_goodbye_takes_the_will_with_it() {
    let mesh = Mesh::start().await;
    let mut watcher = watcher(&mesh).await;
    mesh.accepted(mortal(hello(Version::V5, "mortal")))
        .await
        .0
        .goodbye()
        .await;
    watcher.expect_nothing().await;
    for reason in [ReasonCode::DISCONNECT_WITH_WILL, ReasonCode::UNSPECIFIED] {
        let mut peer = mesh.accepted(mortal(hello(Version::V5, "mortal"))).await.0;
        peer.send(Packet::Disconnect(Disconnect::new(reason))).await;
        assert_eq!(watcher.next_publish().await.payload, "gone");
    }
}

//= MQTT-3.1.2-8
//= MQTT-4.12.0-7
#[tokio::test]
async fn a_client_that_is_thrown_out_has_its_will_published() {
    let mesh = Mesh::start().await;
    let mut watcher = watcher(&mesh).await;
    let mut peer = mesh.accepted(mortal(hello(Version::V5, "mortal"))).await.0;
    peer.send_bytes(&[0xf0, 0]).await;
    peer.expect_end(Some(ReasonCode::PROTOCOL_ERROR)).await;
    assert_eq!(watcher.next_publish().await.payload, "gone");
    let first = mesh.accepted(mortal(hello(Version::V5, "mortal"))).await.0;
    mesh.accepted(hello(Version::V5, "mortal")).await;
    first.expect_end(Some(ReasonCode::SESSION_TAKEN_OVER)).await;
    assert_eq!(watcher.next_publish().await.payload, "gone");
}

//= MQTT-3.1.2-8
//= MQTT-3.1.2-22
//= MQTT-3.2.2-22
#[tokio::test(start_paused = true)]
async fn a_silent_client_is_thrown_out_after_one_and_a_half_keep_alives() {
    let mesh = Mesh::start().await;
    let mut watcher = watcher(&mesh).await;
    let connect = Connect {
        keep_alive: 10,
        ..mortal(hello(Version::V5, "mortal"))
    };
    let mut peer = mesh.accepted(connect).await.0;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(14)).await;
        peer.expect_nothing().await;
    }
    watcher.expect_nothing().await;
    let silent_since = Instant::now();
    peer.expect_end(Some(ReasonCode::KEEP_ALIVE_TIMEOUT)).await;
    assert_eq!(silent_since.elapsed().as_secs(), 15);
    assert_eq!(watcher.next_publish().await.payload, "gone");
}

/// Both times go on.
async fn pass(mesh: &Mesh, seconds: u64) {
    mesh.clock.advance(seconds * 1000);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

//= MQTT-3.1.3-9
#[tokio::test(start_paused = true)]
async fn a_delayed_will_waits_and_a_client_that_is_back_in_time_has_none() {
    let mesh = Mesh::start().await;
    let mut watcher = watcher(&mesh).await;
    mesh.accepted(delayed(10)).await.0.vanish().await;
    pass(&mesh, 9).await;
    watcher.expect_nothing().await;
    let (peer, answer) = mesh.accepted(delayed(10)).await;
    assert!(answer.session_present);
    pass(&mesh, 60).await;
    watcher.expect_nothing().await;
    peer.vanish().await;
    pass(&mesh, 11).await;
    assert_eq!(watcher.next_publish().await.payload, "gone");
    // What is published cannot be taken back, and is not published again.
    let (peer, _) = mesh.accepted(delayed(10)).await;
    peer.goodbye().await;
    pass(&mesh, 60).await;
    watcher.expect_nothing().await;
}

//= MQTT-3.1.2-8
#[tokio::test(start_paused = true)]
async fn a_delayed_will_is_published_when_its_session_ends_before() {
    let mesh = Mesh::start().await;
    let mut watcher = watcher(&mesh).await;
    for seconds in [0, 2] {
        let connect = Connect {
            properties: with([Property::SessionExpiry(seconds)]),
            ..delayed(5)
        };
        mesh.accepted(connect).await.0.vanish().await;
        if seconds > 0 {
            pass(&mesh, seconds.into()).await;
        }
        pass(&mesh, 1).await;
        assert_eq!(watcher.next_publish().await.payload, "gone", "{seconds}");
    }
}

//= MQTT-3.1.3-9
#[tokio::test(start_paused = true)]
async fn a_client_that_takes_its_session_over_has_no_delayed_will_published() {
    let mesh = Mesh::start().await;
    let mut watcher = watcher(&mesh).await;
    let first = mesh.accepted(delayed(10)).await.0;
    let second = mesh.accepted(kept(Version::V5, "mortal")).await.0;
    first.expect_end(Some(ReasonCode::SESSION_TAKEN_OVER)).await;
    pass(&mesh, 60).await;
    second.vanish().await;
    pass(&mesh, 60).await;
    watcher.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_begins_anew_has_no_old_will() {
    let mesh = Mesh::start().await;
    let mut watcher = watcher(&mesh).await;
    mesh.accepted(delayed(10)).await.0.vanish().await;
    mesh.client(Version::V5, "mortal").await.goodbye().await;
    pass(&mesh, 60).await;
    watcher.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_delayed_will_outlives_the_process() {
    let mesh = Mesh::start().await;
    for client in ["back", "mortal"] {
        let connect = Connect {
            client_id: Text::from_static(client),
            ..delayed(10)
        };
        mesh.accepted(connect).await.0.vanish().await;
    }
    let mesh = mesh.restarted().await;
    let mut watcher = watcher(&mesh).await;
    mesh.client(Version::V5, "back").await;
    pass(&mesh, 11).await;
    assert_eq!(watcher.next_publish().await.payload, "gone");
    watcher.expect_nothing().await;
}

#[tokio::test]
async fn a_will_for_a_reserved_topic_is_refused_while_there_is_somebody_to_tell() {
    let mesh = Mesh::start().await;
    let mut connect = mortal(hello(Version::V5, "mortal"));
    connect.will.as_mut().unwrap().topic = Text::from_static("$SYS/x");
    let mut peer = mesh.dial(Version::V5);
    peer.send(Packet::Connect(Box::new(connect))).await;
    let Packet::ConnAck(answer) = peer.next().await else {
        panic!("CONNACK")
    };
    assert_eq!(answer.code, ReasonCode::TOPIC_NAME_INVALID);
}

//= MQTT-3.1.2-14
//= MQTT-3.1.2-15
#[tokio::test]
async fn a_retained_will_is_retained_and_another_is_not() {
    let mesh = Mesh::start().await;
    for retain in [true, false] {
        let mut connect = mortal(hello(Version::V5, "mortal"));
        let will = connect.will.as_mut().unwrap();
        will.retain = retain;
        will.topic = Text::from(format!("wills/{retain}"));
        mesh.accepted(connect).await.0.vanish().await;
    }
    let mut watcher = watcher(&mesh).await;
    let came = watcher.next_publish().await;
    assert_eq!((&*came.topic, came.retain), ("wills/true", true));
    watcher.expect_nothing().await;
}

//= MQTT-3.1.3-10
#[tokio::test]
async fn a_will_keeps_the_order_of_its_user_properties() {
    let mesh = Mesh::start().await;
    let mut watcher = watcher(&mesh).await;
    let pair = |name, value| {
        let (name, value) = (Text::from_static(name), Text::from_static(value));
        Property::User(UserProperty { name, value })
    };
    let properties = with([pair("b", "1"), pair("a", "2"), pair("b", "3")]);
    let will = Will {
        properties: properties.clone(),
        ..last_words(Qos::AtMostOnce)
    };
    let connect = Connect {
        will: Some(will),
        ..hello(Version::V5, "mortal")
    };
    mesh.accepted(connect).await.0.vanish().await;
    assert_eq!(watcher.next_publish().await.properties, properties);
}
