//! Dead letters: why a message dies, where it goes, what its headers then say.

use fairlead_amqp::codec::{BasicProperties, Table, basic, exchange, queue};
use fairlead_canon::Value;

use crate::{Content, Mesh, Peer, declare, hear, pass, short, to};

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

async fn declare_with(peer: &mut Peer, name: &str, arguments: &[(&'static str, Value)]) {
    let mut told = queue::Declare {
        durable: true,
        ..declare(name)
    };
    for (name, value) in arguments {
        told.arguments.push(name, value.clone());
    }
    peer.send(1, told).await;
    hear!(peer, 1, QueueDeclareOk);
}

/// A queue `dead`, with a consumer, and a queue `work` whose dead letters go there.
async fn with_dead_letters(peer: &mut Peer, arguments: &[(&'static str, Value)]) {
    peer.declare("dead").await;
    peer.consume("dead", true).await;
    let route = [
        ("x-dead-letter-exchange", text("")),
        ("x-dead-letter-routing-key", text("dead")),
    ];
    declare_with(peer, "work", &[&route, arguments].concat()).await;
}

fn headers(content: &Content) -> &Table {
    content.properties.headers.as_ref().unwrap()
}

/// Field of the n-th death.
fn field(content: &Content, n: usize, name: &str) -> Value {
    let Some(Value::List(deaths)) = headers(content).get(b"x-death") else {
        panic!("no x-death in {content:?}");
    };
    let Some(Value::Map(death)) = deaths.get(n) else {
        panic!("no table: {deaths:?}");
    };
    let found = death.iter().find(|(said, _)| said == name);
    found.map_or(Value::Null, |(_, value)| value.clone())
}

async fn take_and_reject(peer: &mut Peer, queue: &str, requeue: bool) -> Content {
    let get = basic::Get {
        queue: short(queue),
        ..basic::Get::default()
    };
    peer.send(1, get).await;
    let delivery_tag = hear!(peer, 1, BasicGetOk).delivery_tag;
    let content = peer.content().await;
    let reject = basic::Reject {
        delivery_tag,
        requeue,
    };
    peer.send(1, reject).await;
    content
}

//= queue.declare.x-dead-letter-exchange
//= queue.dead-letter.x-death
#[tokio::test]
async fn a_rejected_message_goes_to_the_dead_letters_and_says_where_it_died() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    with_dead_letters(&mut peer, &[]).await;
    let mut own = Table::default();
    own.push("mine", Value::I32(1));
    own.push("x-death", text("forged"));
    own.push("CC", Value::List(vec![text("other")]));
    let properties = BasicProperties {
        headers: Some(own),
        expiration: Some(short("60000")),
        delivery_mode: Some(2),
        ..BasicProperties::default()
    };
    peer.put(to("", "work"), properties, b"bad");
    peer.flush().await;
    take_and_reject(&mut peer, "work", false).await;
    let (deliver, content) = peer.delivery().await;
    assert_eq!(deliver.exchange, short(""));
    assert_eq!(deliver.routing_key, short("dead"));
    assert_eq!(content.body, b"bad");
    assert_eq!(content.properties.expiration, None);
    assert_eq!(content.properties.delivery_mode, Some(2));
    for (name, value) in [
        ("count", Value::I64(1)),
        ("reason", text("rejected")),
        ("queue", text("work")),
        ("time", Value::TimeSeconds(1_000)),
        ("exchange", text("")),
        (
            "routing-keys",
            Value::List(vec![text("work"), text("other")]),
        ),
        ("original-expiration", text("60000")),
    ] {
        assert_eq!(field(&content, 0, name), value, "{name}");
    }
    let headers = headers(&content);
    assert_eq!(headers.get(b"CC"), None);
    for (name, value) in [
        ("mine", Value::I32(1)),
        ("x-first-death-exchange", text("")),
        ("x-first-death-queue", text("work")),
        ("x-first-death-reason", text("rejected")),
        ("x-last-death-queue", text("work")),
    ] {
        assert_eq!(headers.get(name.as_bytes()), Some(&value), "{name}");
    }
}

//= queue.declare.x-message-ttl
#[tokio::test(start_paused = true)]
async fn a_message_that_stays_longer_than_its_queue_lets_it_is_a_dead_letter() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    with_dead_letters(&mut peer, &[("x-message-ttl", Value::I32(50))]).await;
    peer.publish("", "work", b"slow").await;
    pass(49).await;
    assert_eq!(peer.depth("work").await, 1);
    pass(2).await;
    let (_, content) = peer.delivery().await;
    assert_eq!(field(&content, 0, "reason"), text("expired"));
    assert_eq!(peer.get("work").await, None);
}

//= basic.properties.expiration
#[tokio::test(start_paused = true)]
async fn a_message_that_outlives_its_own_time_is_a_dead_letter() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    with_dead_letters(&mut peer, &[]).await;
    let brief = BasicProperties {
        expiration: Some(short("20")),
        ..BasicProperties::default()
    };
    peer.put(to("", "work"), brief, b"brief");
    peer.flush().await;
    pass(19).await;
    assert_eq!(peer.depth("work").await, 1);
    pass(2).await;
    let (_, content) = peer.delivery().await;
    assert_eq!(field(&content, 0, "original-expiration"), text("20"));
}

//= queue.declare.x-max-length
#[tokio::test]
async fn what_a_full_queue_pushes_out_is_a_dead_letter() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    with_dead_letters(&mut peer, &[("x-max-length", Value::I32(1))]).await;
    peer.publish("", "work", b"first").await;
    peer.publish("", "work", b"second").await;
    let (_, content) = peer.delivery().await;
    assert_eq!(content.body, b"first");
    assert_eq!(field(&content, 0, "reason"), text("maxlen"));
    assert_eq!(peer.get("work").await.as_deref(), Some(&b"second"[..]));
}

//= queue.declare.x-max-length
#[tokio::test]
async fn what_a_full_queue_refuses_is_a_dead_letter_when_that_was_asked() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    let full = [
        ("x-max-length", Value::I32(1)),
        ("x-overflow", text("reject-publish-dlx")),
    ];
    with_dead_letters(&mut peer, &full).await;
    peer.confirms().await;
    peer.publish("", "work", b"first").await;
    hear!(peer, 1, BasicAck);
    peer.publish("", "work", b"second").await;
    let mut heard = Vec::new();
    let mut body = Vec::new();
    for _ in 0..2 {
        match peer.method(1).await {
            fairlead_amqp::codec::Method::BasicNack(_) => heard.push("nack"),
            fairlead_amqp::codec::Method::BasicDeliver(_) => {
                let content = peer.content().await;
                assert_eq!(field(&content, 0, "reason"), text("maxlen"));
                body = content.body;
                heard.push("dead");
            }
            other => panic!("{other:?}"),
        }
    }
    heard.sort_unstable();
    assert_eq!((heard, &body[..]), (vec!["dead", "nack"], &b"second"[..]));
}

//= queue.declare.x-delivery-limit
#[tokio::test]
async fn what_comes_back_too_often_is_a_dead_letter() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    let quorum = [
        ("x-queue-type", text("quorum")),
        ("x-delivery-limit", Value::I32(2)),
    ];
    with_dead_letters(&mut peer, &quorum).await;
    peer.publish("", "work", b"poison").await;
    for count in 0..3 {
        let content = take_and_reject(&mut peer, "work", true).await;
        let said = headers(&content).get(b"x-delivery-count");
        assert_eq!(said, Some(&Value::I64(count)));
    }
    let (_, content) = peer.delivery().await;
    assert_eq!(field(&content, 0, "reason"), text("delivery_limit"));
}

//= queue.dead-letter.x-death
#[tokio::test]
async fn deaths_are_counted_by_queue_and_reason_and_the_latest_is_in_front() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    let route = |key: &str| {
        [
            ("x-dead-letter-exchange", text("")),
            ("x-dead-letter-routing-key", text(key)),
        ]
    };
    declare_with(&mut peer, "one", &route("two")).await;
    declare_with(&mut peer, "two", &route("one")).await;
    peer.publish("", "one", b"x").await;
    for queue in ["one", "two", "one"] {
        wait_for(&mut peer, queue).await;
        take_and_reject(&mut peer, queue, false).await;
    }
    wait_for(&mut peer, "two").await;
    let content = take_and_reject(&mut peer, "two", true).await;
    let seen = [0, 1].map(|n| (field(&content, n, "queue"), field(&content, n, "count")));
    assert_eq!(
        seen,
        [(text("one"), Value::I64(2)), (text("two"), Value::I64(1))]
    );
    assert_eq!(
        headers(&content).get(b"x-first-death-queue"),
        Some(&text("one"))
    );
}

async fn wait_for(peer: &mut Peer, queue: &str) {
    for _ in 0..crate::ROUNDS_MAX {
        if peer.depth(queue).await > 0 {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("nothing comes to {queue}");
}

//= queue.declare.x-dead-letter-strategy
#[tokio::test(start_paused = true)]
async fn a_dead_letter_waits_for_room_when_that_was_asked() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    let full = [
        ("x-max-length", Value::I32(1)),
        ("x-overflow", text("reject-publish")),
    ];
    declare_with(&mut peer, "narrow", &full).await;
    peer.publish("", "narrow", b"in the way").await;
    for (queue, strategy) in [("waits", "at-least-once"), ("drops", "at-most-once")] {
        let route = [
            ("x-queue-type", text("quorum")),
            ("x-overflow", text("reject-publish")),
            ("x-dead-letter-exchange", text("")),
            ("x-dead-letter-routing-key", text("narrow")),
            ("x-dead-letter-strategy", text(strategy)),
        ];
        declare_with(&mut peer, queue, &route).await;
        peer.publish("", queue, strategy.as_bytes()).await;
        take_and_reject(&mut peer, queue, false).await;
    }
    pass(1_000).await;
    assert_eq!(
        peer.get("narrow").await.as_deref(),
        Some(&b"in the way"[..])
    );
    pass(1_000).await;
    assert_eq!(
        peer.get("narrow").await.as_deref(),
        Some(&b"at-least-once"[..])
    );
    pass(1_000).await;
    assert_eq!(peer.get("narrow").await, None);
}

//= queue.dead-letter.cycle
#[tokio::test(start_paused = true)]
async fn a_message_that_would_go_round_for_ever_is_dropped() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    let own = [
        ("x-dead-letter-exchange", text("")),
        ("x-message-ttl", Value::I32(10)),
    ];
    declare_with(&mut peer, "round", &own).await;
    peer.publish("", "round", b"x").await;
    assert_eq!(peer.depth("round").await, 1);
    pass(11).await;
    peer.sees_empty("round").await;
}

//= exchange.declare.alternate-exchange
#[tokio::test]
async fn what_an_exchange_cannot_route_goes_to_its_alternate() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    let mut main = exchange::Declare {
        exchange: short("main"),
        kind: short("direct"),
        ..exchange::Declare::default()
    };
    main.arguments.push("alternate-exchange", text("rest"));
    let rest = exchange::Declare {
        exchange: short("rest"),
        kind: short("fanout"),
        ..exchange::Declare::default()
    };
    for declare in [&main, &rest] {
        peer.send(1, declare.clone()).await;
        hear!(peer, 1, ExchangeDeclareOk);
    }
    for (queue, exchange) in [("known", "main"), ("unknown", "rest")] {
        peer.declare(queue).await;
        peer.bind(queue, exchange, "known").await;
    }
    peer.publish("main", "known", b"1").await;
    peer.publish("main", "odd", b"2").await;
    assert_eq!(peer.get("known").await.as_deref(), Some(&b"1"[..]));
    assert_eq!(peer.get("unknown").await.as_deref(), Some(&b"2"[..]));
    assert_eq!(peer.get("unknown").await, None);
    main.arguments = Table::default();
    main.arguments.push("alternate-exchange", text("other"));
    peer.send(1, main).await;
    let said = peer.closes_channel(406).await;
    assert!(
        said.ends_with("received 'other' but current is 'rest'"),
        "{said}"
    );
}

//= queue.declare.x-max-priority
#[tokio::test]
async fn higher_priorities_come_first_and_equal_ones_in_order() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    declare_with(&mut peer, "jobs", &[("x-max-priority", Value::I32(3))]).await;
    let priorities = [None, Some(1), Some(2), Some(3), Some(9), Some(0), Some(2)];
    for (n, priority) in (0_u8..).zip(priorities) {
        let properties = BasicProperties {
            priority,
            ..BasicProperties::default()
        };
        peer.put(to("", "jobs"), properties, &[n]);
    }
    peer.flush().await;
    for n in [3, 4, 2, 6, 1, 0, 5] {
        assert_eq!(peer.get("jobs").await, Some(vec![n]));
    }
}

//= queue.declare.x-single-active-consumer
#[tokio::test]
async fn one_consumer_at_a_time_is_served_and_the_next_one_takes_over() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    let single = [("x-single-active-consumer", Value::Bool(true))];
    declare_with(&mut peer, "jobs", &single).await;
    let mut other = mesh.connect().await;
    let first = peer.consume("jobs", true).await;
    other.consume("jobs", true).await;
    for body in [b"1", b"2"] {
        peer.publish("", "jobs", body).await;
        assert_eq!(peer.delivery().await.1.body, body);
    }
    let cancel = basic::Cancel {
        consumer_tag: first,
        no_wait: false,
    };
    peer.send(1, cancel).await;
    hear!(peer, 1, BasicCancelOk);
    peer.publish("", "jobs", b"3").await;
    assert_eq!(other.delivery().await.1.body, b"3");
}

//= basic.consume.priority
#[tokio::test]
async fn consumers_of_a_higher_priority_are_served_first() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    peer.declare("jobs").await;
    let mut tags = Vec::new();
    for priority in [0, 5] {
        let mut consume = basic::Consume {
            queue: short("jobs"),
            no_ack: true,
            ..basic::Consume::default()
        };
        consume.arguments.push("x-priority", Value::I32(priority));
        peer.send(1, consume).await;
        tags.push(hear!(peer, 1, BasicConsumeOk).consumer_tag);
    }
    for _ in 0..3 {
        peer.publish("", "jobs", b"x").await;
        assert_eq!(peer.delivery().await.0.consumer_tag, tags[1]);
    }
    let mut odd = basic::Consume {
        queue: short("jobs"),
        ..basic::Consume::default()
    };
    odd.arguments.push("x-priority", text("high"));
    peer.send(1, odd).await;
    let said = peer.closes_channel(406).await;
    assert!(
        said.ends_with("\"expected integer, got longstr\""),
        "{said}"
    );
}
