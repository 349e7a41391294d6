//! Subscriptions of which a part is granted: each message is asked about.

use bytes::BytesMut;
use fairlead_canon::Text;
use fairlead_kernel::{Extent, Family, StreamKey, Translator};
use fairlead_mqtt::Mqtt;
use fairlead_mqtt::codec::{
    Connect, Delivery, Packet, Properties, Property, Publish, Qos, ReasonCode, Subscription,
    SubscriptionId, Version, Will,
};

use crate::grants::{grant, mesh};
use crate::peer::{
    Mesh, Peer, hello, id, kept, last_words, message, puback, pubcomp, pubrel, qos2, with,
};
use crate::subscribe::unsubscribe;

const ALL: &str = r##"{"rules":[{"allow":"both","at":"#"},{"allow":"subscribe","at":"$SYS/#"}]}"##;

/// Everybody may publish, hear what is its own, and what is open but for one address.
const PART: &str = r##"{"rules":[{"allow":"publish","at":"#"},{"deny":"subscribe","at":"open/secret"},
    {"allow":"subscribe","at":"open/#"},{"allow":"subscribe","at":"devices/%c/#"}]}"##;

const NONE: &str = r##"{"rules":[{"allow":"publish","at":"#"}]}"##;

/// Everybody may publish, and hear `+/x` as it is written.
const LITERAL: &str = r##"{"rules":[{"allow":"publish","at":"#"},{"allow":"subscribe","is":"+/x"},
    {"allow":"subscribe","at":"a/#"}]}"##;

/// What is published, and what of it `PART` allows the client `c`.
const TOPICS: [&str; 5] = [
    "devices/c/cmd",
    "devices/d/cmd",
    "open",
    "open/1",
    "open/secret",
];
const OF_PART: [&str; 3] = ["devices/c/cmd", "open", "open/1"];

const DROPPED: &str = "$SYS/broker/publish/messages/dropped";

const EVERY_QOS: [Qos; 3] = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce];

/// A client that may publish anything, whatever is granted to others.
async fn writer(mesh: &Mesh) -> Peer {
    mesh.client(Version::V5, "writer").await
}

/// Publishes to all topics; the reader hears these of them and nothing else.
async fn expect_heard(reader: &mut Peer, writer: &mut Peer, wanted: &[&str]) {
    publish_all(writer).await;
    assert_eq!(reader.hear(wanted.len()).await, wanted);
    reader.expect_nothing().await;
}

async fn publish_all(writer: &mut Peer) {
    for (packet_id, topic) in (1..).zip(TOPICS) {
        writer.send(qos2(packet_id, topic, b"x")).await;
        writer.code_of(packet_id).await;
        writer.send(pubrel(packet_id)).await;
        writer.expect(pubcomp(packet_id)).await;
    }
}

/// Publishes at QoS 0 to all topics, in one write.
async fn publish_at_once(writer: &mut Peer) {
    let mut frames = BytesMut::new();
    for topic in TOPICS {
        let publish = message(topic, Delivery::AtMostOnce, b"x");
        let packet = Packet::Publish(publish);
        packet.encode(writer.version(), &mut frames).unwrap();
    }
    writer.send_bytes(&frames).await;
}

#[tokio::test]
async fn a_subscription_of_which_a_part_is_granted_hears_that_part() {
    let mesh = mesh(PART).await;
    let mut writer = writer(&mesh).await;
    for version in [Version::V31, Version::V311, Version::V5] {
        for qos in EVERY_QOS {
            let mut reader = mesh.client(version, "c").await;
            reader.subscribe("#", qos).await;
            expect_heard(&mut reader, &mut writer, &OF_PART).await;
        }
    }
    let mut reader = mesh.client(Version::V5, "c").await;
    reader.subscribe("devices/+/cmd", Qos::AtMostOnce).await;
    expect_heard(&mut reader, &mut writer, &["devices/c/cmd"]).await;
    reader.subscribe("#", Qos::AtMostOnce).await;
    publish_at_once(&mut writer).await;
    assert_eq!(reader.hear(OF_PART.len()).await, OF_PART);
    reader.expect_nothing().await;
}

#[tokio::test]
async fn what_is_left_out_is_counted() {
    let mesh = mesh(PART).await;
    let mut writer = writer(&mesh).await;
    for (qos, total) in [(Qos::AtMostOnce, "2"), (Qos::AtLeastOnce, "4")] {
        let mut reader = mesh.client(Version::V5, "c").await;
        reader.subscribe("#", qos).await;
        expect_heard(&mut reader, &mut writer, &OF_PART).await;
        let page = mesh.kernel.metrics_page();
        let is_it = |line: &&str| line.contains("\"mqtt\"") && line.contains("\"not_granted\"");
        let count = page.lines().find(is_it);
        assert_eq!(count.unwrap().split(' ').next_back(), Some(total));
    }
    grant(&mesh, ALL).await;
    let mut watcher = mesh.client(Version::V5, "watcher").await;
    watcher.subscribe(DROPPED, Qos::AtMostOnce).await;
    let told = watcher.next_publish().await;
    // Nobody was to have them.
    assert_eq!((&*told.topic, &*told.payload), (DROPPED, &b"0"[..]));
}

#[tokio::test]
async fn a_group_and_an_exclusive_subscription_need_their_whole_filter() {
    let mesh = mesh(PART).await;
    let mut reader = mesh.client(Version::V5, "c").await;
    for (filter, is_granted) in [
        ("$share/g/#", false),
        ("$exclusive/open/#", false),
        ("$share/g/devices/c/#", true),
        ("$exclusive/open/1", true),
    ] {
        let wanted = Subscription::new(filter, Qos::AtLeastOnce);
        let code = reader.try_subscribe(wanted, Properties::NONE).await;
        let refused = ReasonCode::NOT_AUTHORIZED;
        let expected = if is_granted { ReasonCode(1) } else { refused };
        assert_eq!(code, expected, "{filter}");
    }
}

#[tokio::test]
async fn of_what_is_retained_the_part_is_told() {
    let mesh = mesh(ALL).await;
    let mut writer = writer(&mesh).await;
    for (packet_id, topic) in (1..).zip(TOPICS) {
        let delivery = Delivery::AtLeastOnce(id(packet_id));
        let retained = Publish {
            retain: true,
            ..message(topic, delivery, b"x")
        };
        writer.send(Packet::Publish(retained)).await;
        writer.code_of(packet_id).await;
    }
    grant(&mesh, PART).await;
    for qos in EVERY_QOS {
        let mut reader = mesh.client(Version::V5, "c").await;
        reader.subscribe("#", qos).await;
        // QoS 1 is what they were published with, and 0 sends nothing more.
        assert_eq!(reader.hear(OF_PART.len()).await, OF_PART);
        reader.expect_nothing().await;
    }
}

#[tokio::test]
async fn a_will_is_heard_like_any_message() {
    let mesh = mesh(PART).await;
    let mut reader = mesh.client(Version::V5, "c").await;
    reader.subscribe("#", Qos::AtLeastOnce).await;
    for topic in ["devices/d/will", "devices/c/will"] {
        let will = Will {
            topic: Text::from_static(topic),
            ..last_words(Qos::AtLeastOnce)
        };
        let mortal = Connect {
            will: Some(will),
            ..hello(Version::V5, "d")
        };
        mesh.accepted(mortal).await.0.vanish().await;
    }
    assert_eq!(reader.hear(1).await, ["devices/c/will"]);
    reader.expect_nothing().await;
}

fn identifiers(numbers: &[u32]) -> Properties {
    let numbers = numbers
        .iter()
        .filter_map(|number| SubscriptionId::new(*number));
    Properties::of(numbers.map(Property::SubscriptionId)).unwrap()
}

#[tokio::test]
async fn a_message_has_qos_and_identifiers_of_the_subscriptions_that_may_hear_it() {
    for (low, high) in [
        (Qos::AtLeastOnce, Qos::ExactlyOnce),
        (Qos::AtMostOnce, Qos::AtMostOnce),
    ] {
        let mesh = mesh(LITERAL).await;
        let mut reader = mesh.client(Version::V5, "c").await;
        // The first is granted literally, and so whole.
        for (filter, qos, number) in [("+/x", low, 1), ("#", high, 2)] {
            let number = SubscriptionId::new(number).unwrap();
            let wanted = Subscription::new(filter, qos);
            let properties = with([Property::SubscriptionId(number)]);
            reader.subscribe_as(wanted, properties).await;
        }
        let mut writer = writer(&mesh).await;
        for (topic, qos, numbers) in [("a/x", high, vec![1, 2]), ("b/x", low, vec![1])] {
            writer.send(qos2(1, topic, b"x")).await;
            writer.code_of(1).await;
            writer.send(pubrel(1)).await;
            writer.expect(pubcomp(1)).await;
            let heard = reader.next_publish().await;
            assert_eq!((&*heard.topic, heard.delivery.qos()), (topic, qos));
            assert_eq!(heard.properties, identifiers(&numbers));
            if let Delivery::AtLeastOnce(id) = heard.delivery {
                reader.send(puback(id.get(), ReasonCode::SUCCESS)).await;
            }
        }
    }
}

#[tokio::test]
async fn what_was_not_granted_is_not_had_by_unsubscribing() {
    let mesh = mesh(PART).await;
    let connect = Connect {
        properties: with([Property::ReceiveMaximum(1.try_into().unwrap())]),
        ..hello(Version::V5, "c")
    };
    let mut reader = mesh.accepted(connect).await.0;
    reader.subscribe("#", Qos::AtLeastOnce).await;
    publish_all(&mut writer(&mesh).await).await;
    let first = reader.next_publish().await;
    assert_eq!(first.topic, "devices/c/cmd");
    reader.send(unsubscribe(1, &["#"])).await;
    assert!(matches!(reader.next().await, Packet::UnsubAck(_)));
    let Delivery::AtLeastOnce(packet_id) = first.delivery else {
        panic!("QoS 1");
    };
    reader
        .send(puback(packet_id.get(), ReasonCode::SUCCESS))
        .await;
    assert_eq!(reader.hear(2).await, ["open", "open/1"]);
    reader.expect_nothing().await;
}

#[tokio::test]
async fn a_subscription_goes_from_whole_to_part_to_nothing_and_back() {
    for qos in EVERY_QOS {
        let mesh = mesh(ALL).await;
        let mut writer = writer(&mesh).await;
        let mut reader = mesh.client(Version::V5, "c").await;
        reader.subscribe("#", qos).await;
        for (grants, wanted) in [
            (ALL, &TOPICS[..]),
            (PART, &OF_PART),
            (NONE, &[]),
            (PART, &OF_PART),
            (ALL, &TOPICS),
            (NONE, &[]),
            (ALL, &TOPICS),
        ] {
            grant(&mesh, grants).await;
            reader.expect_nothing().await;
            expect_heard(&mut reader, &mut writer, wanted).await;
        }
    }
}

#[tokio::test]
async fn a_session_that_comes_back_hears_the_part_that_it_is_granted_then() {
    for qos in EVERY_QOS {
        let mesh = mesh(ALL).await;
        let mut writer = writer(&mesh).await;
        let mut reader = mesh.accepted(kept(Version::V5, "c")).await.0;
        reader.subscribe("#", qos).await;
        reader.goodbye().await;
        for (grants, wanted) in [
            (PART, &OF_PART[..]),
            (NONE, &[]),
            (PART, &OF_PART),
            (ALL, &TOPICS),
        ] {
            // What is kept of the time in between is asked about when it is back.
            publish_all(&mut writer).await;
            grant(&mesh, grants).await;
            let mut reader = mesh.accepted(kept(Version::V5, "c")).await.0;
            let is_live = qos == Qos::AtMostOnce;
            let waited = if is_live { &wanted[..0] } else { wanted };
            assert_eq!(reader.hear(waited.len()).await, waited);
            expect_heard(&mut reader, &mut writer, wanted).await;
            reader.goodbye().await;
        }
    }
}

#[tokio::test]
async fn operators_are_told_how_much_of_each_subscription_is_granted() {
    let mesh = mesh(ALL).await;
    let mut reader = mesh.accepted(kept(Version::V5, "c")).await.0;
    for filter in ["open/1", "#", "devices/d/#", "$share/g/open/#"] {
        reader.subscribe(filter, Qos::AtLeastOnce).await;
    }
    let told = || {
        let key = StreamKey::new(Family::Mailbox, "c");
        let stream = mesh.kernel.topology(|all| all.stream(&key).cloned());
        let session = Mqtt::default().session(&stream.unwrap(), &mesh.kernel);
        let subscriptions = session.unwrap().subscriptions.into_iter();
        subscriptions.map(|one| one.granted).collect::<Vec<_>>()
    };
    let (all, part) = (Some(Extent::Whole), Some(Extent::Part));
    assert_eq!(told(), [all; 4]);
    grant(&mesh, PART).await;
    assert_eq!(told(), [all, part, None, None]);
    reader.goodbye().await;
    assert_eq!(told(), [all, part, None, None], "it is away");
}

#[tokio::test]
async fn the_part_of_what_the_server_says_of_itself_is_told() {
    let mesh = mesh(r#"{"rules":[{"allow":"subscribe","at":"$SYS/broker/version"}]}"#).await;
    let mut reader = mesh.client(Version::V5, "c").await;
    reader.subscribe("$SYS/#", Qos::AtMostOnce).await;
    assert_eq!(reader.hear(1).await, ["$SYS/broker/version"]);
    reader.expect_nothing().await;
}
