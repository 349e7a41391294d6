//! Transactions: everything or nothing, and what was settled comes back when it was nothing.

use fairlead_canon::{Outcome, Overflow, SizeLimits};
use fairlead_kernel::{Change, Depth, NewStream, Reason, Settled, Transaction};

use crate::*;

fn to<'a>(address: &'a Address, message: Message) -> Publish<'a> {
    Publish {
        to: To::Address(address),
        content: Content::Message(message),
        promise: Promise::Nothing,
        with: Vec::new(),
        own_mailbox: None,
    }
}

fn done(deliveries: &[Delivery]) -> Vec<Settled> {
    let ids = deliveries.iter().map(|one| one.id).collect();
    let outcome = Outcome::Done;
    vec![Settled { ids, outcome }]
}

async fn depth(caller: &Caller, name: &str) -> Depth {
    caller.depth(&queue_key(name)).await.unwrap()
}

#[tokio::test]
async fn a_transaction_publishes_and_settles_at_once() {
    let mesh = Mesh::new().await;
    let mut caller = mesh.caller();
    declare_queue(&mut caller, "in").await;
    declare_queue(&mut caller, "out").await;
    published(&mut caller, &to_queue("in"), "a").await;
    consume(&mut caller, "in", 10).await;
    let taken = deliveries(&mut caller, 1).await;
    let out = to_queue("out");
    let publishes = ["b", "c"].map(|body| to(&out, message(&caller, &out, body)));
    let transacted = caller
        .transact(Transaction {
            publishes: publishes.into(),
            settled: done(&taken),
        })
        .unwrap();
    assert_eq!(
        depth(&caller, "out").await.ready,
        0,
        "nothing is handed over yet"
    );
    caller.flush();
    receipt(&mut caller, transacted.whole).await;
    assert_eq!(depth(&caller, "out").await.ready, 2);
    assert_eq!(depth(&caller, "in").await.unsettled, 0);
    drop(caller);
    let mut second = mesh.caller();
    consume(&mut second, "in", 10).await;
    assert_quiet(&mut second);
}

#[tokio::test]
async fn a_transaction_that_cannot_be_kept_leaves_everything_as_it_was() {
    let mesh = Mesh::new().await;
    let mut caller = mesh.caller();
    declare_queue(&mut caller, "in").await;
    declare_queue(&mut caller, "wide").await;
    let limits = SizeLimits {
        count_max: Some(1),
        overflow: Overflow::Reject,
        ..SizeLimits::default()
    };
    let narrow = NewStream {
        limits,
        ..queue("narrow")
    };
    caller
        .declare(vec![Change::CreateStream(narrow)])
        .await
        .unwrap();
    published(&mut caller, &to_queue("in"), "a").await;
    consume(&mut caller, "in", 10).await;
    let taken = deliveries(&mut caller, 1).await;
    let (wide, narrow) = (to_queue("wide"), to_queue("narrow"));
    let publishes = vec![
        to(&wide, message(&caller, &wide, "b")),
        to(&narrow, message(&caller, &narrow, "c")),
        to(&narrow, message(&caller, &narrow, "d")),
    ];
    let settled = done(&taken);
    let refused = caller.transact(Transaction { publishes, settled });
    assert_eq!(refused.unwrap_err().reason, Reason::Full);
    caller.flush();
    assert_quiet(&mut caller);
    for name in ["wide", "narrow"] {
        assert_eq!(depth(&caller, name).await.ready, 0, "{name}");
    }
    // The room that the first of the two took is there again.
    published(&mut caller, &narrow, "e").await;
    assert_eq!(depth(&caller, "in").await.unsettled, 1, "still held");
    drop(caller);
    let mut second = mesh.caller();
    consume(&mut second, "in", 10).await;
    assert_eq!(bodies(&deliveries(&mut second, 1).await), ["a"]);
}

#[tokio::test]
async fn a_publish_that_is_refused_leaves_nothing_of_its_transaction() {
    let mesh = Mesh::new().await;
    let mut caller = mesh.caller();
    declare_queue(&mut caller, "out").await;
    let out = to_queue("out");
    let huge = "x".repeat(fairlead_canon::limits::BODY_BYTES_MAX + 1);
    let publishes = [&*huge, "b"].map(|body| to(&out, message(&caller, &out, body)));
    let transaction = Transaction {
        publishes: publishes.into_iter().rev().collect(),
        settled: Vec::new(),
    };
    assert!(caller.transact(transaction).is_err());
    caller.flush();
    assert!(caller.is_settled());
    assert_eq!(depth(&caller, "out").await.ready, 0);
}

#[tokio::test]
async fn an_empty_transaction_has_its_receipt_too() {
    let mesh = Mesh::new().await;
    let mut caller = mesh.caller();
    let transaction = Transaction {
        publishes: Vec::new(),
        settled: Vec::new(),
    };
    let transacted = caller.transact(transaction).unwrap();
    caller.flush();
    receipt(&mut caller, transacted.whole).await;
}
