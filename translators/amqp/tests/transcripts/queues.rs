use std::time::Duration;

use fairlead_amqp::codec::{basic, queue};
use fairlead_canon::{SyncMode, Value};
use fairlead_kernel::{Family, StreamKey};

use crate::{Mesh, declare, hear, short};

//= queue.declare.empty-name
#[tokio::test]
async fn the_server_names_a_queue_without_a_name_and_the_empty_name_then_means_it() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    let name = peer.declare("").await.queue;
    assert!(name.as_str().unwrap().starts_with("amq.gen-"));
    peer.bind("", "amq.direct", "k").await;
    peer.publish("amq.direct", "k", b"here").await;
    assert_eq!(peer.get("").await.as_deref(), Some(&b"here"[..]));
    // The server's own name may be declared again as it is.
    peer.declare(name.as_str().unwrap()).await;
    assert_ne!(peer.declare("").await.queue, name);
}

#[tokio::test]
async fn the_empty_name_means_nothing_before_a_queue_was_declared() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    peer.send(1, queue::Purge::default()).await;
    peer.closes_channel(404).await;
}

//= queue.declare.passive
#[tokio::test]
async fn a_passive_declare_finds_or_refuses_and_makes_nothing() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    let passive = queue::Declare {
        passive: true,
        ..declare("jobs")
    };
    peer.send(1, passive.clone()).await;
    let text = peer.closes_channel(404).await;
    assert_eq!(text, "NOT_FOUND - no queue 'jobs' in vhost '/'");
    let mut peer = mesh.connect().await;
    peer.declare("jobs").await;
    peer.publish("", "jobs", b"").await;
    peer.send(1, passive).await;
    assert_eq!(hear!(peer, 1, QueueDeclareOk).message_count, 1);
}

//= queue.declare.equivalent
#[tokio::test]
async fn a_queue_is_declared_again_as_it_is_or_not_at_all() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    peer.declare("jobs").await;
    peer.declare("jobs").await;
    let durable = queue::Declare {
        durable: true,
        ..declare("jobs")
    };
    peer.send(1, durable).await;
    let text = peer.closes_channel(406).await;
    assert_eq!(
        text,
        "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'jobs' in vhost '/': \
         received 'true' but current is 'false'"
    );
}

//= queue.declare.equivalent
#[tokio::test]
async fn arguments_are_compared_and_another_exclusiveness_is_a_lock() {
    let mesh = Mesh::new().await;
    let of_length = |length: Option<i32>| {
        let mut declare = declare("jobs");
        if let Some(length) = length {
            declare.arguments.push("x-max-length", Value::I32(length));
        }
        declare
    };
    let mut peer = mesh.connect().await;
    peer.send(1, of_length(Some(5))).await;
    hear!(peer, 1, QueueDeclareOk);
    peer.send(1, of_length(Some(6))).await;
    let text = peer.closes_channel(406).await;
    assert!(text.ends_with("received '6' but current is '5'"), "{text}");
    let mut peer = mesh.connect().await;
    peer.send(1, of_length(None)).await;
    let text = peer.closes_channel(406).await;
    let none = "received none but current is the value '5' of type 'signedint'";
    assert!(text.ends_with(none), "{text}");
    let mut peer = mesh.connect().await;
    let exclusive = queue::Declare {
        exclusive: true,
        ..of_length(Some(5))
    };
    peer.send(1, exclusive).await;
    peer.closes_channel(405).await;
}

//= queue.declare.reserved
#[tokio::test]
async fn reserved_names_are_refused() {
    let mesh = Mesh::new().await;
    for name in ["amq.mine", "fl.address:a"] {
        let mut peer = mesh.connect().await;
        peer.send(1, declare(name)).await;
        peer.closes_channel(403).await;
    }
}

//= queue.declare.exclusive
#[tokio::test]
async fn an_exclusive_queue_is_its_connections_own_and_goes_with_it() {
    let mesh = Mesh::new().await;
    let mut owner = mesh.connect().await;
    let exclusive = queue::Declare {
        exclusive: true,
        ..declare("mine")
    };
    owner.send(1, exclusive).await;
    hear!(owner, 1, QueueDeclareOk);
    let mut other = mesh.connect().await;
    let passive = queue::Declare {
        passive: true,
        ..declare("mine")
    };
    other.send(1, passive).await;
    other.closes_channel(405).await;
    drop(owner.io);
    owner.served.await.unwrap();
    mesh.connect().await.sees_gone("mine").await;
}

//= queue.declare.auto-delete
#[tokio::test]
async fn an_auto_delete_queue_goes_with_its_last_consumer() {
    let mesh = Mesh::new().await;
    for exclusive in [false, true] {
        let mut peer = mesh.connect().await;
        let declare = queue::Declare {
            auto_delete: true,
            exclusive,
            ..declare("brief")
        };
        peer.send(1, declare).await;
        hear!(peer, 1, QueueDeclareOk);
        let consumer_tag = peer.consume("brief", true).await;
        let cancel = basic::Cancel {
            consumer_tag,
            no_wait: false,
        };
        peer.send(1, cancel).await;
        hear!(peer, 1, BasicCancelOk);
        peer.sees_gone("brief").await;
    }
}

//= queue.delete.if-unused
//= queue.delete.absent
#[tokio::test]
async fn a_queue_in_use_or_not_empty_is_kept_when_that_was_asked() {
    let mesh = Mesh::new().await;
    let delete = |if_unused, if_empty| queue::Delete {
        queue: short("jobs"),
        if_unused,
        if_empty,
        ..queue::Delete::default()
    };
    let mut peer = mesh.connect().await;
    peer.declare("jobs").await;
    peer.publish("", "jobs", b"").await;
    peer.send(1, delete(false, true)).await;
    peer.closes_channel(406).await;
    let mut peer = mesh.connect().await;
    peer.send(1, delete(true, false)).await;
    assert_eq!(hear!(peer, 1, QueueDeleteOk).message_count, 1);
    // Absent queues are deleted with success.
    peer.send(1, delete(true, true)).await;
    assert_eq!(hear!(peer, 1, QueueDeleteOk).message_count, 0);
}

//= queue.purge
#[tokio::test]
async fn a_purge_tells_how_many_it_removed() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    peer.declare("jobs").await;
    for _ in 0..3 {
        peer.publish("", "jobs", b"").await;
    }
    let purge = queue::Purge {
        queue: short("jobs"),
        ..queue::Purge::default()
    };
    peer.send(1, purge).await;
    assert_eq!(hear!(peer, 1, QueuePurgeOk).message_count, 3);
    assert_eq!(peer.get("jobs").await, None);
}

//= queue.unbind
//= queue.unbind.absent
#[tokio::test]
async fn an_unbound_queue_gets_nothing_more() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    peer.declare("jobs").await;
    peer.bind("jobs", "amq.topic", "a.#").await;
    peer.publish("amq.topic", "a.b", b"one").await;
    let unbind = queue::Unbind {
        queue: short("jobs"),
        exchange: short("amq.topic"),
        routing_key: short("a.#"),
        ..queue::Unbind::default()
    };
    peer.send(1, unbind.clone()).await;
    hear!(peer, 1, QueueUnbindOk);
    peer.publish("amq.topic", "a.b", b"two").await;
    assert_eq!(peer.get("jobs").await.as_deref(), Some(&b"one"[..]));
    assert_eq!(peer.get("jobs").await, None);
    // What is not bound, or does not exist, is unbound with success.
    for (queue, exchange) in [
        ("jobs", "amq.topic"),
        ("absent", "amq.topic"),
        ("jobs", "absent"),
    ] {
        let absent = queue::Unbind {
            queue: short(queue),
            exchange: short(exchange),
            ..unbind.clone()
        };
        peer.send(1, absent).await;
        hear!(peer, 1, QueueUnbindOk);
    }
}

//= queue.bind.default-exchange
#[tokio::test]
async fn nothing_is_bound_to_the_default_exchange_or_to_what_does_not_exist() {
    let mesh = Mesh::new().await;
    for (queue, exchange, code) in [
        ("jobs", "", 403),
        ("no", "amq.topic", 404),
        ("jobs", "no", 404),
    ] {
        let mut peer = mesh.connect().await;
        peer.declare("jobs").await;
        let bind = queue::Bind {
            queue: short(queue),
            exchange: short(exchange),
            ..queue::Bind::default()
        };
        peer.send(1, bind).await;
        peer.closes_channel(code).await;
    }
}

//= queue.declare.x-max-length
#[tokio::test]
async fn a_queue_with_a_maximum_length_drops_its_oldest() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    let mut small = declare("small");
    small.arguments.push("x-max-length", Value::I32(2));
    peer.send(1, small).await;
    hear!(peer, 1, QueueDeclareOk);
    for n in 0..4_u8 {
        peer.publish("", "small", &[n]).await;
    }
    assert_eq!(peer.get("small").await, Some(vec![2]));
    assert_eq!(peer.get("small").await, Some(vec![3]));
}

//= queue.declare.x-queue-type
#[tokio::test]
async fn a_durable_queue_of_type_classic_or_quorum_is_our_queue() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    for kind in ["classic", "quorum"] {
        let mut typed = queue::Declare {
            durable: true,
            ..declare(kind)
        };
        let value = Value::Text(kind.into());
        typed.arguments.push("x-queue-type", value);
        peer.send(1, typed).await;
        hear!(peer, 1, QueueDeclareOk);
        peer.publish("", kind, b"kept").await;
        assert_eq!(peer.get(kind).await.as_deref(), Some(&b"kept"[..]));
    }
}

//= queue.declare.x-expires
#[tokio::test(start_paused = true)]
async fn a_queue_that_nobody_uses_is_removed_after_its_time() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    let mut brief = declare("brief");
    brief.arguments.push("x-expires", Value::I32(60_000));
    peer.send(1, brief).await;
    hear!(peer, 1, QueueDeclareOk);
    let passive = queue::Declare {
        passive: true,
        ..declare("brief")
    };
    tokio::time::advance(Duration::from_secs(59)).await;
    peer.send(1, passive).await;
    hear!(peer, 1, QueueDeclareOk);
    tokio::time::advance(Duration::from_secs(2)).await;
    peer.sees_gone("brief").await;
}

/// Declares a queue with arguments, on a client of its own, and tells how the channel ended.
async fn refused(mesh: &Mesh, arguments: &[(&'static str, Value)]) -> String {
    let mut peer = mesh.connect().await;
    peer.send(1, told("odd", arguments)).await;
    let text = peer.closes_channel(406).await;
    text.strip_prefix("PRECONDITION_FAILED - ")
        .unwrap()
        .to_owned()
}

fn told(name: &str, arguments: &[(&'static str, Value)]) -> queue::Declare {
    let mut told = queue::Declare {
        durable: true,
        ..declare(name)
    };
    for (name, value) in arguments {
        told.arguments.push(name, value.clone());
    }
    told
}

//= queue.declare.arguments
//= queue.declare.x-fairlead-sync
#[tokio::test]
async fn bad_arguments_are_refused_in_the_words_that_clients_know() {
    let mesh = Mesh::new().await;
    let text = |text: &str| Value::Text(text.into());
    for (name, value, why) in [
        ("x-max-length", Value::I32(-1), "{value_negative,-1}"),
        (
            "x-max-length",
            text("many"),
            "\"expected integer, got longstr\"",
        ),
        (
            "x-message-ttl",
            Value::Bool(true),
            "\"expected integer, got bool\"",
        ),
        (
            "x-message-ttl",
            Value::I64(1 << 40),
            "{value_too_large,1099511627776}",
        ),
        ("x-expires", Value::I32(0), "{value_zero,0}"),
        (
            "x-max-priority",
            Value::I32(300),
            "{max_value_exceeded,300}",
        ),
        (
            "x-queue-type",
            text("other"),
            "\"unsupported queue type 'other'\"",
        ),
        ("x-overflow", text("other"), "invalid_overflow"),
        (
            "x-fairlead-sync",
            text("never"),
            "\"unsupported sync mode 'never'\"",
        ),
        (
            "x-fairlead-sync",
            Value::Bool(true),
            "{unacceptable_type,bool}",
        ),
        ("x-queue-mode", text("x"), "\"unsupported queue mode 'x'\""),
        (
            "x-queue-version",
            Value::I32(3),
            "\"unsupported queue version '3'\"",
        ),
        (
            "x-single-active-consumer",
            Value::I32(1),
            "{unacceptable_type,signedint}",
        ),
        (
            "x-dead-letter-routing-key",
            text("k"),
            "routing_key_but_no_dlx_defined",
        ),
    ] {
        let said = refused(&mesh, &[(name, value)]).await;
        assert_eq!(
            said,
            format!("invalid arg '{name}' for queue 'odd' in vhost '/': {why}")
        );
    }
    let said = refused(&mesh, &[("x-dead-letter-exchange", Value::I32(5))]).await;
    assert_eq!(
        said,
        "invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'odd' in vhost '/'"
    );
}

//= queue.declare.x-queue-type
#[tokio::test]
async fn a_queue_has_the_arguments_and_properties_of_its_type() {
    let mesh = Mesh::new().await;
    let quorum = ("x-queue-type", Value::Text("quorum".into()));
    let said = refused(&mesh, &[("x-delivery-limit", Value::I32(2))]).await;
    assert_eq!(
        said,
        "invalid arg 'x-delivery-limit' for queue 'odd' in vhost '/' of queue type rabbit_classic_queue"
    );
    let said = refused(&mesh, &[quorum.clone(), ("x-max-priority", Value::I32(2))]).await;
    assert_eq!(
        said,
        "invalid arg 'x-max-priority' for queue 'odd' in vhost '/' of queue type rabbit_quorum_queue"
    );
    let mut peer = mesh.connect().await;
    let transient = queue::Declare {
        durable: false,
        ..told("odd", std::slice::from_ref(&quorum))
    };
    peer.send(1, transient).await;
    let text = peer.closes_channel(406).await;
    assert!(
        text.ends_with("invalid property 'non-durable' for queue 'odd' in vhost '/'"),
        "{text}"
    );
    let mut peer = mesh.connect().await;
    let stream = ("x-queue-type", Value::Text("stream".into()));
    peer.send(1, told("odd", &[stream])).await;
    let text = peer.closes_connection(540).await;
    assert_eq!(text, "NOT_IMPLEMENTED - queues of type 'stream'");
}

//= queue.declare.x-fairlead-sync
#[tokio::test]
async fn a_queue_may_ask_to_be_synced_now_and_then() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    let sync = |mode: &str| [("x-fairlead-sync", Value::Text(mode.into()))];
    for (name, arguments, mode) in [
        ("unsaid", &[][..], SyncMode::Always),
        ("always", &sync("always"), SyncMode::Always),
        ("interval", &sync("interval"), SyncMode::Interval),
    ] {
        peer.send(1, told(name, arguments)).await;
        hear!(peer, 1, QueueDeclareOk);
        let key = StreamKey::new(Family::Queue, name);
        let queue = mesh.kernel.topology(|all| all.stream(&key).cloned());
        assert_eq!(queue.unwrap().settings().sync, mode, "{name}");
    }
    peer.send(1, told("interval", &sync("always"))).await;
    let text = peer.closes_channel(406).await;
    assert!(
        text.ends_with("received 'always' but current is 'interval'"),
        "{text}"
    );
}

//= queue.declare.without-effect
#[tokio::test]
async fn arguments_that_choose_how_a_queue_is_kept_are_accepted() {
    let mesh = Mesh::new().await;
    let mut peer = mesh.connect().await;
    let lazy = [
        ("x-queue-mode", Value::Text("lazy".into())),
        ("x-queue-version", Value::I32(2)),
        ("x-anything", Value::Null),
    ];
    peer.send(1, told("lazy", &lazy)).await;
    hear!(peer, 1, QueueDeclareOk);
    // What a client says for itself is not compared, what we read is.
    peer.send(1, told("lazy", &lazy[..2])).await;
    hear!(peer, 1, QueueDeclareOk);
    peer.send(1, told("lazy", &lazy[..1])).await;
    let text = peer.closes_channel(406).await;
    assert!(
        text.ends_with("received none but current is the value '2' of type 'signedint'"),
        "{text}"
    );
}
