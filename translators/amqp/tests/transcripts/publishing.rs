use fairlead_amqp::codec::{
    BasicProperties, ContentHeader, Table, basic, channel, encode_body, encode_content,
    encode_method, exchange,
};
use fairlead_canon::Value;

use crate::{FRAME_MAX, Mesh, hear, short, to};

//= basic.get
#[tokio::test]
async fn a_message_to_the_default_exchange_reaches_the_queue_of_that_name() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    peer.declare("jobs").await;
    peer.publish("", "jobs", b"one").await;
    assert_eq!(peer.get("jobs").await.as_deref(), Some(&b"one"[..]));
    assert_eq!(peer.get("jobs").await, None);
}

#[tokio::test]
async fn every_property_comes_back_as_it_was_published() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    peer.declare("jobs").await;
    let mut headers = Table::default();
    headers.push("n", Value::I32(-7));
    headers.push("list", Value::List(vec![Value::Null, Value::Bool(true)]));
    let properties = BasicProperties {
        content_type: Some(short("text/plain")),
        content_encoding: Some(short("gzip")),
        headers: Some(headers),
        delivery_mode: Some(2),
        priority: Some(0),
        correlation_id: Some(short("c")),
        reply_to: Some(short("answers")),
        expiration: Some(short("60000")),
        message_id: Some(short("m")),
        timestamp: Some(1_700_000_000),
        kind: Some(short("t")),
        user_id: Some(short("guest")),
        app_id: Some(short("a")),
        cluster_id: Some(short("cl")),
    };
    peer.put(to("", "jobs"), properties.clone(), b"body");
    peer.flush().await;
    peer.consume("jobs", false).await;
    let (deliver, content) = peer.delivery().await;
    assert_eq!(
        format!("{:?}", content.properties),
        format!("{properties:?}")
    );
    assert_eq!(content.body, b"body");
    assert_eq!((deliver.delivery_tag, deliver.redelivered), (1, false));
    assert_eq!(
        (deliver.exchange, deliver.routing_key),
        (short(""), short("jobs"))
    );
}

#[tokio::test]
async fn a_body_of_several_frames_arrives_whole() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    peer.declare("jobs").await;
    let body: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    peer.publish("", "jobs", &body).await;
    assert_eq!(peer.get("jobs").await, Some(body));
}

//= basic.publish.exchange
//= channel.close
#[tokio::test]
async fn publishing_to_an_exchange_that_does_not_exist_closes_the_channel_with_404() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    peer.publish("nowhere", "k", b"lost").await;
    let text = peer.closes_channel(404).await;
    assert_eq!(text, "NOT_FOUND - no exchange 'nowhere' in vhost '/'");
    let page = mesh.kernel.metrics_page();
    let labels = "blame=\"peer\",listener=\"test\",protocol=\"amqp\",reason=\"unknown\"";
    assert!(page.contains(&format!("fairlead_errors_total{{{labels}}} 1")));
    // What follows on the closed channel is void; other channels go on.
    peer.publish("nowhere", "k", b"lost").await;
    peer.open_channel(2).await;
    peer.send(1, fairlead_amqp::codec::channel::CloseOk {})
        .await;
    peer.open_channel(1).await;
}

//= basic.publish.mandatory
#[tokio::test]
async fn a_mandatory_message_without_a_queue_comes_back_before_its_confirm() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    peer.confirms().await;
    let publish = basic::Publish {
        mandatory: true,
        ..to("amq.topic", "nobody.here")
    };
    peer.put(publish, BasicProperties::default(), b"mine");
    peer.flush().await;
    let returned = hear!(peer, 1, BasicReturn);
    assert_eq!(
        (returned.reply_code, returned.reply_text),
        (312, short("NO_ROUTE"))
    );
    assert_eq!(returned.routing_key, short("nobody.here"));
    assert_eq!(peer.content().await.body, b"mine");
    assert_eq!(hear!(peer, 1, BasicAck).delivery_tag, 1);
}

//= basic.publish.immediate
#[tokio::test]
async fn immediate_is_not_implemented() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    let publish = basic::Publish {
        immediate: true,
        ..to("", "q")
    };
    peer.put(publish, BasicProperties::default(), b"");
    peer.flush().await;
    peer.closes_connection(540).await;
}

//= basic.publish.internal
#[tokio::test]
async fn nobody_publishes_to_an_internal_exchange() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    let declare = exchange::Declare {
        exchange: short("inner"),
        kind: short("fanout"),
        internal: true,
        ..exchange::Declare::default()
    };
    peer.send(1, declare).await;
    hear!(peer, 1, ExchangeDeclareOk);
    peer.publish("inner", "", b"").await;
    peer.closes_channel(403).await;
}

//= basic.properties.user-id
#[tokio::test]
async fn a_user_id_has_to_be_the_login() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect_as("ann").await;
    peer.declare("jobs").await;
    let by = |user: &str| BasicProperties {
        user_id: Some(short(user)),
        ..BasicProperties::default()
    };
    peer.put(to("", "jobs"), by("ann"), b"own");
    peer.put(to("", "jobs"), by("bob"), b"forged");
    peer.flush().await;
    let text = peer.closes_channel(406).await;
    assert!(
        text.contains("'bob' but authenticated user was 'ann'"),
        "{text}"
    );
}

//= basic.properties.expiration
#[tokio::test(start_paused = true)]
async fn an_expired_message_is_not_delivered() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    peer.declare("jobs").await;
    let life = |ms: &str| BasicProperties {
        expiration: Some(short(ms)),
        ..BasicProperties::default()
    };
    peer.put(to("", "jobs"), life("1000"), b"short");
    peer.put(to("", "jobs"), life("2000"), b"long");
    peer.flush().await;
    assert_eq!(peer.declare("jobs").await.message_count, 2);
    crate::pass(1000).await;
    assert_eq!(peer.get("jobs").await.as_deref(), Some(&b"long"[..]));
    peer.put(to("", "jobs"), life("soon"), b"");
    peer.flush().await;
    peer.closes_channel(406).await;
}

//= basic.content.size
#[tokio::test]
async fn a_body_above_the_limit_closes_the_channel_with_311_when_its_header_says_so() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    encode_method(&mut peer.output, 1, &to("", "q").into()).unwrap();
    let header = ContentHeader {
        body_size: 16 * 1024 * 1024 + 1,
        ..ContentHeader::default()
    };
    encode_content(&mut peer.output, 1, &header, b"", FRAME_MAX).unwrap();
    peer.flush().await;
    peer.closes_channel(311).await;
}

//= basic.content.order
#[tokio::test]
async fn content_that_nobody_announced_ends_the_connection() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    encode_body(&mut peer.output, 1, b"stray", FRAME_MAX).unwrap();
    peer.flush().await;
    peer.closes_connection(505).await;

    let mut peer = mesh.connect().await;
    encode_method(&mut peer.output, 1, &to("", "q").into()).unwrap();
    peer.send(1, basic::Qos::default()).await;
    peer.closes_connection(505).await;

    let mut peer = mesh.connect().await;
    encode_method(&mut peer.output, 1, &to("", "q").into()).unwrap();
    let header = ContentHeader {
        body_size: 1,
        ..ContentHeader::default()
    };
    encode_content(&mut peer.output, 1, &header, b"too much", FRAME_MAX).unwrap();
    peer.flush().await;
    peer.closes_connection(501).await;
}

#[tokio::test]
async fn a_key_on_the_shared_exchange_and_an_address_named_in_a_reply_are_the_same() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    peer.declare("inbox").await;
    peer.bind("inbox", "amq.topic", "dev.*.r").await;
    peer.publish("", "fl.address:dev.7.r", b"answer").await;
    peer.consume("inbox", true).await;
    let (deliver, content) = peer.delivery().await;
    assert_eq!(content.body, b"answer");
    assert_eq!(
        (deliver.exchange, deliver.routing_key),
        (short("amq.topic"), short("dev.7.r"))
    );
}

#[tokio::test]
async fn nobody_publishes_to_the_roots_of_the_system() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    peer.publish("amq.topic", "$SYS.uptime", b"").await;
    peer.closes_channel(403).await;
}

//= basic.content.together
#[tokio::test]
async fn bodies_that_are_coming_in_on_all_channels_together_are_bounded() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    for number in 1..=5 {
        if number > 1 {
            peer.open_channel(number).await;
        }
        encode_method(&mut peer.output, number, &to("", "q").into()).unwrap();
        let header = ContentHeader {
            body_size: 16 * 1024 * 1024,
            ..ContentHeader::default()
        };
        encode_content(&mut peer.output, number, &header, b"", FRAME_MAX).unwrap();
        peer.flush().await;
    }
    let close = hear!(peer, 5, ChannelClose);
    assert_eq!(close.reply_code, 311);
    // A channel that gives up makes room for another.
    peer.send(5, channel::CloseOk {}).await;
    peer.send(1, channel::Close::default()).await;
    hear!(peer, 1, ChannelCloseOk);
    peer.open_channel(1).await;
    encode_method(&mut peer.output, 1, &to("", "q").into()).unwrap();
    let header = ContentHeader {
        body_size: 16 * 1024 * 1024,
        ..ContentHeader::default()
    };
    encode_content(&mut peer.output, 1, &header, b"", FRAME_MAX).unwrap();
    peer.send(6, channel::Open::default()).await;
    hear!(peer, 6, ChannelOpenOk);
}

//= basic.content.header-size
#[tokio::test]
async fn headers_that_do_not_fit_a_readers_frame_are_dropped_largest_first_and_counted() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    peer.declare("jobs").await;
    let mut headers = Table::default();
    headers.push("small", Value::I32(1));
    headers.push("large", Value::Bytes(vec![7; 5_000].into()));
    headers.push("other", Value::Null);
    let properties = BasicProperties {
        headers: Some(headers),
        message_id: Some(short("m")),
        ..BasicProperties::default()
    };
    peer.put(to("", "jobs"), properties, b"body");
    peer.flush().await;
    let mut reader = mesh.dial();
    reader.greet("guest", "guest").await;
    reader.tune(4_096, 0).await;
    reader.open("/").await;
    hear!(reader, 0, ConnectionOpenOk);
    reader.open_channel(1).await;
    reader.consume("jobs", true).await;
    let (_, content) = reader.delivery().await;
    let names: Vec<_> = content.properties.headers.unwrap().0;
    let names: Vec<_> = names.iter().map(|(name, _)| &name[..]).collect();
    assert_eq!(names, [b"small", b"other"]);
    assert_eq!(
        (content.properties.message_id, content.body),
        (Some(short("m")), b"body".to_vec())
    );
    let page = mesh.kernel.metrics_page();
    assert!(
        page.contains(
            "fairlead_translate_loss_total{code=\"HDR_SIZE\",from=\"amqp\",to=\"amqp\"} 1"
        )
    );
}

fn keys(names: &[&str]) -> Value {
    Value::List(
        names
            .iter()
            .map(|name| Value::Text((*name).into()))
            .collect(),
    )
}

//= basic.publish.cc
#[tokio::test]
async fn further_keys_reach_further_queues_once_and_only_cc_is_shown() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    for name in ["first", "second", "third"] {
        peer.declare(name).await;
    }
    let mut headers = Table::default();
    headers.push("CC", keys(&["second", "first"]));
    headers.push("BCC", keys(&["third"]));
    let properties = BasicProperties {
        headers: Some(headers),
        ..BasicProperties::default()
    };
    peer.put(to("", "first"), properties, b"x");
    peer.flush().await;
    for name in ["first", "second", "third"] {
        peer.consume(name, true).await;
        let (deliver, content) = peer.delivery().await;
        assert_eq!(deliver.routing_key, short("first"), "{name}");
        let headers = content.properties.headers.unwrap();
        assert_eq!(headers.get(b"CC"), Some(&keys(&["second", "first"])));
        assert_eq!(headers.get(b"BCC"), None);
        assert_eq!(peer.get(name).await, None, "once");
    }
}

//= basic.publish.cc
#[tokio::test]
async fn further_keys_that_are_no_list_close_the_channel() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    let mut headers = Table::default();
    headers.push("CC", Value::Text("second".into()));
    let properties = BasicProperties {
        headers: Some(headers),
        ..BasicProperties::default()
    };
    peer.put(to("", "first"), properties, b"x");
    peer.flush().await;
    let text = peer.closes_channel(406).await;
    assert!(
        text.ends_with("invalid message: {unacceptable_type_in_header,\"CC\",longstr}"),
        "{text}"
    );
}

#[tokio::test]
async fn a_dotted_key_of_the_default_exchange_is_shown_as_it_was_said() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    for name in ["a.b.c", "a/b", "a.b/c", "a%2Fb", ".", "a..b"] {
        peer.declare(name).await;
        peer.publish("", name, b"x").await;
        peer.consume(name, true).await;
        let (deliver, _) = peer.delivery().await;
        assert_eq!(deliver.routing_key, short(name));
        assert_eq!(deliver.exchange, short(""));
    }
}
