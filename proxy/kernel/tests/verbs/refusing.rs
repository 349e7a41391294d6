//! Queues that refuse what is too much: what counts, and what does not.

use fairlead_canon::{Outcome, Overflow, SizeLimits, Spec};
use fairlead_kernel::{PutDocument, Reason, Settings, Settle, Settling, Version};
use fairlead_ports::{Op, Unit};

use crate::*;

fn refuses_above(count: u64) -> SizeLimits {
    SizeLimits {
        count_max: Some(count),
        bytes_max: None,
        overflow: Overflow::Reject,
    }
}

async fn declare_limited(caller: &mut Caller, limits: SizeLimits, settings: Settings) {
    let limited = NewStream {
        limits,
        settings,
        ..queue("jobs")
    };
    let declared = caller.declare(vec![Change::CreateStream(limited)]).await;
    declared.unwrap();
}

/// Whether a queue took a message.
async fn takes(caller: &mut Caller, message: Message) -> bool {
    publish_message(caller, message);
    match event(caller).await {
        Event::Receipt(_, Ok(_)) => true,
        Event::Receipt(_, Err(error)) if error.reason == Reason::Full => false,
        other => panic!("not an answer: {other:?}"),
    }
}

async fn takes_one(caller: &mut Caller, body: &str) -> bool {
    let message = message(caller, &to_queue("jobs"), body);
    takes(caller, message).await
}

#[tokio::test]
async fn what_is_held_takes_no_room_and_comes_back_above_the_limit() {
    let mesh = Mesh::new().await;
    let (mut caller, mut holder) = (mesh.caller(), mesh.caller());
    declare_limited(&mut caller, refuses_above(1), Settings::default()).await;
    assert!(takes_one(&mut caller, "a").await);
    assert!(!takes_one(&mut caller, "b").await);
    let jobs = queue_key("jobs");
    let held = holder.take(&jobs, Settling::Explicit).await;
    let held = held.unwrap().unwrap().delivery;
    assert!(takes_one(&mut caller, "c").await);
    assert!(!takes_one(&mut caller, "d").await);
    let settle = Settle {
        ids: &[held.id],
        outcome: Outcome::Returned,
        promise: Promise::Accepted,
        with: Vec::new(),
    };
    holder.settle(settle).unwrap();
    holder.flush();
    assert_eq!(caller.depth(&jobs).await.unwrap().ready, 2);
    assert!(!takes_one(&mut caller, "e").await);
}

#[tokio::test]
async fn all_priorities_share_the_room() {
    let mesh = Mesh::new().await;
    let mut caller = mesh.caller();
    let settings = Settings {
        priority_max: 5,
        ..Settings::default()
    };
    declare_limited(&mut caller, refuses_above(2), settings).await;
    for (priority, is_taken) in [(1, true), (5, true), (3, false), (5, false)] {
        let mut message = message(&caller, &to_queue("jobs"), "x");
        message.terms.priority = Some(priority);
        assert_eq!(takes(&mut caller, message).await, is_taken, "{priority}");
    }
}

#[tokio::test]
async fn what_is_on_its_way_counts_unless_somebody_waits_for_it() {
    for (window, taken) in [(None, 1), (Some(2), 3), (Some(100), 10)] {
        let mesh = Mesh::new().await;
        let (mut caller, mut reader) = (mesh.caller(), mesh.caller());
        declare_limited(&mut caller, refuses_above(1), Settings::default()).await;
        if let Some(window) = window {
            consume(&mut reader, "jobs", window).await;
        }
        let jobs = to_queue("jobs");
        let content = message(&caller, &jobs, "x");
        for _ in 0..10 {
            let publish = Publish {
                to: To::Address(&jobs),
                content: Content::Message(content.clone()),
                promise: Promise::Durable,
                with: Vec::new(),
                own_mailbox: None,
            };
            caller.publish(publish).unwrap();
        }
        caller.flush();
        let mut kept = 0;
        for _ in 0..10 {
            match event(&mut caller).await {
                Event::Receipt(_, result) => kept += usize::from(result.is_ok()),
                other => panic!("not a receipt: {other:?}"),
            }
        }
        assert_eq!(kept, taken, "{window:?}");
    }
}

#[tokio::test]
async fn bodies_alone_fill_a_queue() {
    let mesh = Mesh::new().await;
    let mut caller = mesh.caller();
    let limits = SizeLimits {
        count_max: None,
        bytes_max: Some(10),
        overflow: Overflow::Reject,
    };
    declare_limited(&mut caller, limits, Settings::default()).await;
    for (body, is_taken) in [
        ("123456", true),
        ("12345", false),
        ("1234", true),
        ("", true),
    ] {
        assert_eq!(takes_one(&mut caller, body).await, is_taken, "{body}");
    }
    assert!(!takes_one(&mut caller, "1").await);
}

#[test]
fn what_a_process_left_fills_the_queue_of_the_next() {
    let store = Arc::new(Memory::new(1 << 30));
    in_a_process(async {
        let (_kernel, mut caller) = paused_mesh_over(Arc::clone(&store), 1_000_000).await;
        declare_limited(&mut caller, refuses_above(2), Settings::default()).await;
        assert!(takes_one(&mut caller, "a").await);
    });
    in_a_process(async {
        let (_kernel, mut caller) = paused_mesh_over(Arc::clone(&store), 1_000_100).await;
        assert!(takes_one(&mut caller, "b").await);
        assert!(!takes_one(&mut caller, "c").await);
    });
}

/// The store's own limit for the only lane of `jobs`, of which the mesh knows nothing.
async fn limit_in_store(store: &Memory, caller: &Caller, limits: SizeLimits) {
    let lane = |t: &fairlead_kernel::Topology| t.stream(&queue_key("jobs")).unwrap().lanes[0];
    let entity = caller.kernel().topology(lane);
    let spec = Spec {
        limits,
        ..Spec::new(Kind::Queue, Class::Local)
    };
    let ops = [Op::Alter { entity, spec }].into();
    let promise = Promise::Durable;
    let altered = store.commit([Unit { ops, promise }].into()).await;
    assert!(altered[0].is_ok(), "{altered:?}");
}

#[tokio::test]
async fn what_the_store_refuses_gives_back_the_room_it_had_taken() {
    let store = Arc::new(Memory::new(1 << 30));
    let clock = Arc::new(ManualClock::at(1_000_000));
    let mut caller = enter(&kernel(Arc::clone(&store), clock).await.unwrap());
    declare_limited(&mut caller, refuses_above(1), Settings::default()).await;
    limit_in_store(&store, &caller, refuses_above(0)).await;
    for _ in 0..3 {
        assert!(!takes_one(&mut caller, "for itself").await);
    }
    limit_in_store(&store, &caller, SizeLimits::default()).await;
    let jobs = to_queue("jobs");
    let other_version = PutDocument {
        key: Bytes::from_static(b"k"),
        value: None,
        expect: Some(Version(1)),
        due: None,
    };
    let publish = Publish {
        to: To::Address(&jobs),
        content: Content::Message(message(&caller, &jobs, "with the rest of its unit")),
        promise: Promise::Durable,
        with: vec![other_version],
        own_mailbox: None,
    };
    caller.publish(publish).unwrap();
    caller.flush();
    match event(&mut caller).await {
        Event::Receipt(_, Err(error)) => assert_eq!(error.reason, Reason::Conflict),
        other => panic!("not refused: {other:?}"),
    }
    assert!(takes_one(&mut caller, "fits").await);
    assert!(!takes_one(&mut caller, "too much").await);
}
