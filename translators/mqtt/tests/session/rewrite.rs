//! Rules that say what topics are called here.

use fairlead_mqtt::codec::{Connect, Packet, Qos, ReasonCode, Unsubscribe, Version, Will};
use fairlead_mqtt::codec::{Properties, Subscription, UnsubAck};

use crate::peer::{Mesh, hello, id, last_words, puback, qos1, with};

const RULES: &str = "publish up/# from/%c/$1\nsubscribe down/# to/%c/$1\nall old/+/x new/x/$1";

async fn mesh() -> Mesh {
    Mesh::set(&[("rewrite", RULES)]).await
}

#[tokio::test]
async fn what_is_published_goes_by_its_name_here_and_what_is_subscribed_to_too() {
    let mesh = mesh().await;
    let mut reader = mesh.client(Version::V5, "reader").await;
    reader.subscribe("from/+/temp", Qos::AtMostOnce).await;
    reader.subscribe("down/#", Qos::AtLeastOnce).await;
    let mut pump = mesh.client(Version::V311, "pump").await;
    pump.send(qos1(1, "up/temp", b"up")).await;
    pump.expect(puback(1, ReasonCode::SUCCESS)).await;
    let came = reader.next_publish().await;
    assert_eq!(
        (&*came.topic, &*came.payload),
        ("from/pump/temp", &b"up"[..])
    );
    pump.send(qos1(2, "to/reader/a", b"down")).await;
    pump.expect(puback(2, ReasonCode::SUCCESS)).await;
    assert_eq!(&*reader.next_publish().await.topic, "to/reader/a");
}

#[tokio::test]
async fn a_subscription_is_ended_by_the_filter_that_made_it() {
    let mesh = mesh().await;
    let mut reader = mesh.client(Version::V5, "reader").await;
    for filter in ["old/+/x", "$share/g/old/+/x", "$exclusive/old/a/x"] {
        reader.subscribe(filter, Qos::AtMostOnce).await;
        let mut writer = mesh.client(Version::V5, "writer").await;
        writer.send(qos1(1, "old/a/x", b"1")).await;
        writer.expect(puback(1, ReasonCode::SUCCESS)).await;
        assert_eq!(&*reader.next_publish().await.topic, "new/x/a", "{filter}");
        let unsubscribe = Unsubscribe {
            packet_id: id(9),
            properties: Properties::NONE,
            filters: vec![filter.into()],
        };
        reader.send(Packet::Unsubscribe(unsubscribe)).await;
        let ended = UnsubAck {
            packet_id: id(9),
            properties: Properties::NONE,
            codes: vec![ReasonCode::SUCCESS],
        };
        reader.expect(Packet::UnsubAck(ended)).await;
    }
}

#[tokio::test]
async fn a_will_goes_where_its_client_would_have_published() {
    let mesh = mesh().await;
    let mut reader = mesh.client(Version::V5, "reader").await;
    reader.subscribe("from/pump/end", Qos::AtMostOnce).await;
    let will = Will {
        topic: "up/end".into(),
        ..last_words(Qos::AtMostOnce)
    };
    let connect = Connect {
        will: Some(will),
        ..hello(Version::V5, "pump")
    };
    let pump = mesh.accepted(connect).await.0;
    pump.vanish().await;
    assert_eq!(&*reader.next_publish().await.topic, "from/pump/end");
}

#[tokio::test]
async fn a_client_whose_name_would_be_several_levels_is_refused_where_a_rule_puts_it_in() {
    let mesh = mesh().await;
    let mut odd = mesh.client(Version::V5, "a/b").await;
    odd.send(qos1(1, "up/temp", b"x")).await;
    assert_eq!(odd.code_of(1).await, ReasonCode::TOPIC_NAME_INVALID);
    let wanted = Subscription::new("down/#", Qos::AtMostOnce);
    let code = odd.try_subscribe(wanted, with([])).await;
    assert_eq!(code, ReasonCode::TOPIC_FILTER_INVALID);
}
