use fairlead_amqp::codec::{BasicProperties, Table, exchange, queue};
use fairlead_canon::Value;

use crate::{Mesh, Peer, hear, short, to};

fn declare(name: &str, kind: &str) -> exchange::Declare {
    exchange::Declare {
        exchange: short(name),
        kind: short(kind),
        ..exchange::Declare::default()
    }
}

async fn declared(peer: &mut Peer, name: &str, kind: &str) {
    peer.send(1, declare(name, kind)).await;
    hear!(peer, 1, ExchangeDeclareOk);
}

/// A queue bound to an exchange of that type with that key, and what it gets of these keys.
async fn reached(kind: &str, binding: &str, keys: &[&str]) -> Vec<String> {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    declared(&mut peer, "x", kind).await;
    peer.declare("q").await;
    peer.bind("q", "x", binding).await;
    for key in keys {
        peer.publish("x", key, key.as_bytes()).await;
    }
    let mut got = Vec::new();
    while let Some(body) = peer.get("q").await {
        got.push(String::from_utf8(body).unwrap());
    }
    got
}

//= exchange.direct
#[tokio::test]
async fn a_direct_exchange_compares_the_whole_key_and_knows_no_wildcards() {
    assert_eq!(
        reached("direct", "a.*", &["a.*", "a.b", "a"]).await,
        ["a.*"]
    );
    assert_eq!(reached("direct", "", &["", "a"]).await, [""]);
}

//= exchange.fanout
#[tokio::test]
async fn a_fanout_exchange_ignores_keys() {
    assert_eq!(
        reached("fanout", "k", &["", "a", "a.b"]).await,
        ["", "a", "a.b"]
    );
}

//= exchange.topic
#[tokio::test]
async fn a_topic_exchange_matches_words() {
    let keys = ["a", "a.b", "a.b.c", "b.c", ""];
    assert_eq!(reached("topic", "a.#", &keys).await, ["a", "a.b", "a.b.c"]);
    assert_eq!(reached("topic", "*.*", &keys).await, ["a.b", "b.c"]);
    assert_eq!(reached("topic", "#", &keys).await, keys);
}

//= exchange.headers
#[tokio::test]
async fn a_headers_exchange_compares_headers() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    let table = |pairs: &[(&'static str, Value)]| {
        let mut table = Table::default();
        for (name, value) in pairs {
            table.push(name, value.clone());
        }
        table
    };
    let text = |text: &'static str| Value::Text(text.into());
    for (queue, x_match) in [("all", "all"), ("any", "any")] {
        peer.declare(queue).await;
        let bind = queue::Bind {
            queue: short(queue),
            exchange: short("amq.headers"),
            arguments: table(&[
                ("x-match", text(x_match)),
                ("colour", text("red")),
                ("size", Value::Null),
            ]),
            ..queue::Bind::default()
        };
        peer.send(1, bind).await;
        hear!(peer, 1, QueueBindOk);
    }
    for headers in [
        table(&[("colour", text("red")), ("size", Value::I32(3))]),
        table(&[("colour", text("red"))]),
        table(&[("colour", text("blue"))]),
    ] {
        let properties = BasicProperties {
            headers: Some(headers),
            ..BasicProperties::default()
        };
        peer.put(to("amq.headers", ""), properties, b"");
    }
    peer.flush().await;
    assert_eq!(peer.declare("all").await.message_count, 1);
    assert_eq!(peer.declare("any").await.message_count, 2);
}

//= exchange.bind
//= exchange.unbind.absent
#[tokio::test]
async fn an_exchange_bound_to_another_passes_messages_on_and_a_queue_gets_each_once() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    declared(&mut peer, "first", "topic").await;
    declared(&mut peer, "second", "fanout").await;
    peer.declare("q").await;
    peer.bind("q", "second", "").await;
    peer.bind("q", "first", "#").await;
    let bind = exchange::Bind {
        destination: short("second"),
        source: short("first"),
        routing_key: short("a.*"),
        ..exchange::Bind::default()
    };
    peer.send(1, bind.clone()).await;
    hear!(peer, 1, ExchangeBindOk);
    peer.publish("first", "a.b", b"once").await;
    assert_eq!(peer.declare("q").await.message_count, 1);
    let unbind = exchange::Unbind {
        destination: bind.destination,
        source: bind.source,
        routing_key: bind.routing_key,
        ..exchange::Unbind::default()
    };
    peer.send(1, unbind.clone()).await;
    hear!(peer, 1, ExchangeUnbindOk);
    let absent = exchange::Unbind {
        destination: short("absent"),
        ..unbind
    };
    peer.send(1, absent).await;
    hear!(peer, 1, ExchangeUnbindOk);
}

//= exchange.declare.equivalent
#[tokio::test]
async fn an_exchange_is_declared_again_as_it_is_or_not_at_all() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    declared(&mut peer, "x", "direct").await;
    declared(&mut peer, "x", "direct").await;
    peer.send(1, declare("x", "fanout")).await;
    let text = peer.closes_channel(406).await;
    assert_eq!(
        text,
        "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'x' in vhost '/': \
         received 'fanout' but current is 'direct'"
    );
}

//= exchange.declare.predeclared
#[tokio::test]
async fn the_standard_exchanges_are_there_and_cannot_be_removed() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    for (name, kind) in [
        ("amq.direct", "direct"),
        ("amq.fanout", "fanout"),
        ("amq.topic", "topic"),
        ("amq.headers", "headers"),
        ("amq.match", "headers"),
    ] {
        let same = exchange::Declare {
            durable: true,
            ..declare(name, kind)
        };
        peer.send(1, same).await;
        hear!(peer, 1, ExchangeDeclareOk);
    }
    let delete = exchange::Delete {
        exchange: short("amq.topic"),
        ..exchange::Delete::default()
    };
    peer.send(1, delete).await;
    peer.closes_channel(403).await;
}

//= exchange.declare.refusals
#[tokio::test]
async fn bad_declarations_are_refused_with_their_own_codes() {
    let mesh = Mesh::new().await;
    let passive = exchange::Declare {
        passive: true,
        ..declare("absent", "")
    };
    for (declare, code) in [
        (passive, 404),
        (declare("", "direct"), 403),
        (declare("amq.mine", "direct"), 403),
    ] {
        let mut peer = mesh.connect().await;
        peer.send(1, declare).await;
        peer.closes_channel(code).await;
    }
    let mut peer = mesh.connect().await;
    peer.send(1, declare("x", "x-odd")).await;
    let text = peer.closes_connection(503).await;
    assert_eq!(text, "COMMAND_INVALID - unknown exchange type 'x-odd'");
}

//= exchange.delete.if-unused
#[tokio::test]
async fn an_exchange_in_use_is_kept_when_that_was_asked_and_its_bindings_go_with_it() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    declared(&mut peer, "x", "fanout").await;
    peer.declare("q").await;
    peer.bind("q", "x", "").await;
    let delete = |if_unused| exchange::Delete {
        exchange: short("x"),
        if_unused,
        ..exchange::Delete::default()
    };
    peer.send(1, delete(false)).await;
    hear!(peer, 1, ExchangeDeleteOk);
    declared(&mut peer, "x", "fanout").await;
    peer.publish("x", "", b"unbound").await;
    assert_eq!(peer.get("q").await, None);
    peer.bind("q", "x", "").await;
    peer.send(1, delete(true)).await;
    peer.closes_channel(406).await;
}

//= exchange.delete.absent
#[tokio::test]
async fn an_exchange_that_does_not_exist_is_deleted_with_success() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    let delete = exchange::Delete {
        exchange: short("absent"),
        if_unused: true,
        ..exchange::Delete::default()
    };
    peer.send(1, delete).await;
    hear!(peer, 1, ExchangeDeleteOk);
}

//= exchange.declare.auto-delete
#[tokio::test]
async fn an_auto_delete_exchange_goes_with_its_last_binding() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    let brief = exchange::Declare {
        auto_delete: true,
        ..declare("x", "fanout")
    };
    peer.send(1, brief).await;
    hear!(peer, 1, ExchangeDeclareOk);
    peer.declare("q").await;
    peer.bind("q", "x", "").await;
    let delete = queue::Delete {
        queue: short("q"),
        ..queue::Delete::default()
    };
    peer.send(1, delete).await;
    hear!(peer, 1, QueueDeleteOk);
    let passive = exchange::Declare {
        passive: true,
        ..declare("x", "fanout")
    };
    peer.send(1, passive).await;
    peer.closes_channel(404).await;
}
