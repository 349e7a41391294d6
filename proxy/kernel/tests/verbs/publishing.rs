//! Publishing: live readers, several targets, latest values, documents, refusals.

use std::sync::atomic::{AtomicBool, Ordering};

use fairlead_canon::codec::envelope;
use fairlead_canon::{EntityId, Text};
use fairlead_canon::{HeadersBuilder, Value};
use fairlead_kernel::testing::{Manner, Over};
use fairlead_kernel::{
    Binding, Destination, HeaderMatch, Live, Match, NewRealm, PutDocument, Reason, Rule, Version,
};
use fairlead_ports::{Commit, Units};
use tokio::sync::Semaphore;

use crate::*;

/// While it is held, commits are answered once they are let go; otherwise in the call.
#[derive(Debug)]
struct Holding {
    is_held: AtomicBool,
    gate: Arc<Semaphore>,
}

impl Manner for Holding {
    fn commit(&self, below: &dyn Store, units: Units) -> Commit {
        let commit = below.commit(units);
        if !self.is_held.load(Ordering::Relaxed) {
            return commit;
        }
        let gate = Arc::clone(&self.gate);
        Commit::steps(async move {
            drop(gate.acquire().await);
            commit.await
        })
    }
}

async fn live(caller: &mut Caller) -> Vec<Live> {
    match event(caller).await {
        Event::Live(some) => some,
        other => panic!("not live messages: {other:?}"),
    }
}

async fn listen(caller: &mut Caller, filter: &str) -> AttachmentId {
    caller
        .attach(Attach::new(Source::Live(pattern(filter)), 1))
        .await
        .unwrap()
}

#[tokio::test]
async fn a_live_reader_gets_a_message_once_however_often_it_matches() {
    let mesh = Mesh::new().await;
    let (mut reader, mut writer) = (mesh.caller(), mesh.caller());
    let all = listen(&mut reader, "plant/#").await;
    let one = listen(&mut reader, "plant/+/temp").await;
    assert_eq!(
        published(&mut writer, &shared("plant/7/temp"), "21")
            .await
            .matched,
        1
    );
    let got = live(&mut reader).await;
    assert_eq!(got.len(), 1);
    let mut via = got[0].via.to_vec();
    via.sort_unstable();
    assert_eq!(via, [all, one]);
}

#[tokio::test]
async fn a_publish_that_reaches_nobody_says_so() {
    let mesh = Mesh::new().await;
    let mut caller = mesh.caller();
    assert_eq!(
        published(&mut caller, &shared("nobody/there"), "x")
            .await
            .matched,
        0
    );
    assert_eq!(caller.meters().unrouted.get(), 1);
}

#[tokio::test]
async fn a_receipt_that_is_known_at_once_comes_behind_those_of_what_was_published_before() {
    let holding = Holding {
        is_held: AtomicBool::new(false),
        gate: Arc::new(Semaphore::new(0)),
    };
    let store = Arc::new(Over::new(Arc::new(Memory::new(1 << 30)), holding));
    let clock = Arc::new(ManualClock::at(1_000_000));
    let kernel = kernel(Arc::clone(&store), clock).await.unwrap();
    let mut caller = enter(&kernel);
    declare_queue(&mut caller, "jobs").await;
    store.manner.is_held.store(true, Ordering::Relaxed);
    let first = publish(&mut caller, &to_queue("jobs"), "1");
    store.manner.is_held.store(false, Ordering::Relaxed);
    let second = publish(&mut caller, &to_queue("jobs"), "2");
    assert_quiet(&mut caller);
    assert!(!caller.is_settled());
    store.manner.gate.add_permits(1);
    receipt(&mut caller, first).await;
    receipt(&mut caller, second).await;
    assert!(caller.is_settled());
}

#[tokio::test]
async fn no_local_passes_over_ones_own_messages_only() {
    let mesh = Mesh::new().await;
    let (mut own, mut other) = (mesh.caller(), mesh.caller());
    let attach = Attach {
        no_local: true,
        ..Attach::new(Source::Live(pattern("a")), 1)
    };
    own.attach(attach).await.unwrap();
    assert_eq!(published(&mut own, &shared("a"), "mine").await.matched, 0);
    assert_eq!(
        published(&mut other, &shared("a"), "theirs").await.matched,
        1
    );
    assert_eq!(live(&mut own).await.len(), 1);
}

#[tokio::test]
async fn a_detached_reader_gets_nothing_more() {
    let mesh = Mesh::new().await;
    let mut caller = mesh.caller();
    let id = listen(&mut caller, "a").await;
    assert_eq!(published(&mut caller, &shared("a"), "1").await.matched, 1);
    assert_eq!(live(&mut caller).await.len(), 1);
    caller.detach(id);
    assert_eq!(published(&mut caller, &shared("a"), "2").await.matched, 0);
}

#[tokio::test]
async fn one_publish_reaches_a_log_and_a_queue_and_keeps_its_order_in_both() {
    let mesh = Mesh::new().await;
    let mut caller = mesh.caller();
    let key = StreamKey::new(Family::Log, "orders.eu");
    let log = NewStream {
        at: Some(shared("orders/eu")),
        ..NewStream::new(key.clone(), Kind::Log, Class::Local, ORIGIN)
    };
    let binding = Binding {
        from: RealmId::SHARED,
        on: Match::Pattern(pattern("orders/#")),
        to: Destination::Stream(queue_key("orders")),
        no_local: false,
        document: Bytes::new(),
    };
    let changes = vec![
        Change::CreateStream(log),
        Change::CreateStream(queue("orders")),
        Change::Bind(binding),
    ];
    let declared = caller.declare(changes).await.unwrap();
    let entity: EntityId = declared.streams[0].lanes[0];
    consume(&mut caller, "orders", 100).await;
    for number in 0..10 {
        let pending = publish(&mut caller, &shared("orders/eu"), &number.to_string());
        loop {
            match event(&mut caller).await {
                Event::Receipt(done, result) => {
                    assert_eq!((done, result.unwrap().matched), (pending, 2));
                    break;
                }
                Event::Deliveries(_, some) => {
                    assert!(bodies(&some).iter().all(|body| body.parse::<u32>().is_ok()));
                }
                other => panic!("{other:?}"),
            }
        }
    }
    let marks = caller.marks(entity).await.unwrap();
    assert_eq!((marks.start.0, marks.end.0), (0, 10));
}

#[tokio::test]
async fn the_latest_value_of_an_address_replaces_the_one_before_and_an_empty_one_clears_it() {
    let mesh = Mesh::new().await;
    let mut caller = mesh.caller();
    for (name, body) in [
        ("a/1", "old"),
        ("a/1", "new"),
        ("a/2", "x"),
        ("b", "y"),
        ("a/2", ""),
    ] {
        let mut message = message(&caller, &shared(name), body);
        message.terms.latest = true;
        let pending = publish_message(&mut caller, message);
        receipt(&mut caller, pending).await;
    }
    let (found, next) = caller.latest(&pattern("a/#"), None).await.unwrap();
    let shown: Vec<_> = found.iter().map(|m| m.body.clone().unwrap()).collect();
    assert_eq!((shown, next), (vec![Bytes::from_static(b"new")], None));
}

#[tokio::test]
async fn a_realm_by_headers_looks_at_the_message() {
    let mesh = Mesh::new().await;
    let mut caller = mesh.caller();
    declare_queue(&mut caller, "red").await;
    let realm = NewRealm {
        name: Text::from_static("colours"),
        rule: Rule::Headers,
        is_durable: true,
        alternate: None,
        origin: ORIGIN,
        document: Bytes::new(),
    };
    let declared = caller
        .declare(vec![Change::CreateRealm(realm)])
        .await
        .unwrap();
    let from = declared.realms[0].id;
    let headers = |value: &'static str| {
        let mut headers = HeadersBuilder::default();
        headers.push(b"colour", &Value::Text(Text::from_static(value)));
        headers.build().unwrap()
    };
    let binding = Binding {
        from,
        on: Match::Headers(HeaderMatch {
            wants_all: true,
            wanted: headers("red"),
        }),
        to: Destination::Stream(queue_key("red")),
        no_local: false,
        document: Bytes::new(),
    };
    caller.declare(vec![Change::Bind(binding)]).await.unwrap();
    for (colour, matched) in [("red", 1), ("blue", 0), ("red", 1)] {
        let address = Address::new(from, Path::EMPTY);
        let mut message = message(&caller, &address, colour);
        message.headers = headers(colour);
        let pending = publish_message(&mut caller, message);
        assert_eq!(receipt(&mut caller, pending).await.matched, matched);
    }
}

#[tokio::test]
async fn a_document_of_another_version_refuses_the_whole_publish() {
    let mesh = Mesh::new().await;
    let mut caller = mesh.caller();
    declare_queue(&mut caller, "jobs").await;
    let id = |expect| PutDocument {
        key: Bytes::from_static(b"id/7"),
        value: Some(Bytes::from_static(b"")),
        expect: Some(expect),
        due: None,
    };
    let address = to_queue("jobs");
    let mut results = Vec::new();
    for _ in 0..2 {
        let message = message(&caller, &address, "once");
        let publish = Publish {
            to: To::Address(&address),
            content: Content::Message(message),
            promise: Promise::Durable,
            with: vec![id(Version(0))],
            own_mailbox: None,
        };
        caller.publish(publish).unwrap();
        caller.flush();
        match event(&mut caller).await {
            Event::Receipt(_, result) => results.push(result.map_err(|error| error.reason)),
            other => panic!("{other:?}"),
        }
    }
    assert!(results[0].is_ok());
    assert_eq!(results[1], Err(Reason::Conflict));
    assert_eq!(caller.depth(&queue_key("jobs")).await.unwrap().ready, 1);
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused() {
    let mesh = Mesh::new().await;
    let mut caller = mesh.caller();
    let address = shared("a");
    let mut message = message(&caller, &address, "");
    message.body = Some(Bytes::from(vec![
        0;
        fairlead_canon::limits::BODY_BYTES_MAX + 1
    ]));
    let publish = Publish {
        to: To::Address(&address),
        content: Content::Message(message),
        promise: Promise::Durable,
        with: Vec::new(),
        own_mailbox: None,
    };
    assert_eq!(
        caller.publish(publish).unwrap_err().reason,
        Reason::TooLarge
    );
}

#[tokio::test]
async fn a_message_for_several_addresses_reaches_each_queue_and_reader_once() {
    let mesh = Mesh::new().await;
    let (mut caller, mut reader) = (mesh.caller(), mesh.caller());
    for name in ["one", "two"] {
        declare_queue(&mut caller, name).await;
    }
    let both = Binding {
        from: RealmId::SHARED,
        on: Match::Pattern(pattern("plant/#")),
        to: Destination::Stream(queue_key("one")),
        no_local: false,
        document: Bytes::new(),
    };
    caller.declare(vec![Change::Bind(both)]).await.unwrap();
    let seventh = listen(&mut reader, "plant/7").await;
    let eighth = listen(&mut reader, "plant/8").await;
    let addresses = [shared("plant/7"), shared("plant/8"), to_queue("two")];
    let message = message(&caller, &addresses[0], "x");
    let publish = Publish {
        to: To::Addresses(&addresses),
        content: Content::Message(message),
        promise: Promise::Durable,
        with: Vec::new(),
        own_mailbox: None,
    };
    let pending = caller.publish(publish).unwrap();
    caller.flush();
    assert_eq!(receipt(&mut caller, pending).await.matched, 3);
    for name in ["one", "two"] {
        let depth = caller.depth(&queue_key(name)).await.unwrap();
        assert_eq!(depth.ready, 1, "{name}");
    }
    let got = live(&mut reader).await;
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].via.to_vec(), [seventh, eighth]);
    assert_eq!(got[0].run.messages()[0].address, addresses[0]);
}

#[tokio::test]
async fn a_compacted_log_takes_only_what_has_a_key() {
    let mesh = Mesh::new().await;
    let mut caller = mesh.caller();
    declare_compacted(&mut caller, "state").await;
    let keyless = message(&caller, &shared("state"), "nobody's");
    let keyed = with_key(keyless.clone(), "a");
    let address = shared("state");
    let to = |message| Publish {
        to: To::Address(&address),
        content: Content::Message(message),
        promise: Promise::Durable,
        with: Vec::new(),
        own_mailbox: None,
    };
    let refused = caller.publish(to(keyless)).unwrap_err();
    assert_eq!(refused.reason, Reason::Denied);
    let pending = caller.publish(to(keyed)).unwrap();
    caller.flush();
    let receipt = receipt(&mut caller, pending).await;
    assert_eq!((receipt.matched, receipt.positions.len()), (1, 1));
}

#[tokio::test]
async fn a_batch_that_is_bound_to_a_compacted_log_tells_it_of_keys() {
    let store = Arc::new(Memory::new(1 << 30));
    let clock = Arc::new(ManualClock::at(1_000_000));
    let mut caller = enter(&kernel(Arc::clone(&store), clock).await.unwrap());
    declare_compacted(&mut caller, "state").await;
    let (lane, address) = (log_key("plain"), shared("plain"));
    let plain = NewStream {
        at: Some(address.clone()),
        ..NewStream::new(lane.clone(), Kind::Log, Class::Local, ORIGIN)
    };
    let bound = Binding {
        from: RealmId::SHARED,
        on: Match::Pattern(pattern("plain")),
        to: Destination::Stream(log_key("state")),
        no_local: false,
        document: Bytes::new(),
    };
    let changes = vec![Change::CreateStream(plain), Change::Bind(bound)];
    caller.declare(changes).await.unwrap();
    let keyless = message(&caller, &address, "x");
    let to = |message: &Message| Publish {
        to: To::Lane {
            stream: &lane,
            lane: 0,
            address: Some(&address),
        },
        content: Content::Batch(envelope::seal(message)),
        promise: Promise::Durable,
        with: Vec::new(),
        own_mailbox: None,
    };
    let refused = caller.publish(to(&keyless)).unwrap_err();
    assert_eq!(refused.reason, Reason::Denied);
    let pending = caller.publish(to(&with_key(keyless, "a"))).unwrap();
    caller.flush();
    receipt(&mut caller, pending).await;
    assert_eq!(keys_in(&store, &caller, "state").await, [told_of("a")]);
}
