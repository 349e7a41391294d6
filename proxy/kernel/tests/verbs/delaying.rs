//! Messages that are published later. The clock is the runtime's, which is paused.

use fairlead_canon::Timestamp;
use fairlead_kernel::{Error, Later, Reason};

use crate::*;

/// Publishes at an address in so many milliseconds; its receipt.
async fn publish_in(
    caller: &mut Caller,
    (address, body): (&Address, &str),
    ms: u64,
) -> Result<Receipt, Error> {
    let message = message(caller, address, body);
    let later = Later {
        at: Timestamp(message.terms.accepted_at.0 + ms),
        message,
        promise: Promise::Durable,
        with: Vec::new(),
    };
    let pending = caller.publish_later(later)?;
    caller.flush();
    Ok(receipt(caller, pending).await)
}

#[tokio::test(start_paused = true)]
async fn a_delayed_message_arrives_when_it_is_due_and_not_before() {
    let (kernel, mut caller) = paused_mesh().await;
    declare_queue(&mut caller, "jobs").await;
    let jobs = to_queue("jobs");
    for (body, ms) in [("third", 3_000), ("first", 1_000), ("second", 2_000)] {
        publish_in(&mut caller, (&jobs, body), ms).await.unwrap();
    }
    let mut consumer = enter(&kernel);
    consume(&mut consumer, "jobs", 10).await;
    pass(999).await;
    assert_quiet(&mut consumer);
    for (ms, body) in [(2, "first"), (1_000, "second"), (1_000, "third")] {
        pass(ms).await;
        assert_eq!(bodies(&deliveries(&mut consumer, 1).await), [body]);
        assert_quiet(&mut consumer);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_bound_counts_when_it_is_due() {
    let (_kernel, mut caller) = paused_mesh().await;
    let jobs = to_queue("jobs");
    publish_in(&mut caller, (&jobs, "early"), 1_000)
        .await
        .unwrap();
    publish_in(&mut caller, (&jobs, "lost"), 10).await.unwrap();
    pass(500).await;
    declare_queue(&mut caller, "jobs").await;
    pass(501).await;
    consume(&mut caller, "jobs", 10).await;
    assert_eq!(bodies(&deliveries(&mut caller, 1).await), ["early"]);
    assert_quiet(&mut caller);
}

#[test]
fn delayed_messages_outlive_the_process_and_reach_live_readers() {
    let store = Arc::new(Memory::new(1 << 30));
    in_a_process(async {
        let (_kernel, mut caller) = paused_mesh_over(Arc::clone(&store), 1_000_000).await;
        publish_in(&mut caller, (&shared("a/b"), "x"), 5_000)
            .await
            .unwrap();
    });
    in_a_process(async {
        let (_kernel, mut caller) = paused_mesh_over(Arc::clone(&store), 1_004_000).await;
        caller
            .attach(Attach::new(Source::Live(pattern("a/#")), u32::MAX))
            .await
            .unwrap();
        match event(&mut caller).await {
            Event::Live(live) => assert_eq!(live.len(), 1),
            other => panic!("not a live message: {other:?}"),
        }
        pass(10_000).await;
        assert_quiet(&mut caller);
    });
}

#[tokio::test(start_paused = true)]
async fn a_message_that_outlives_its_deadline_while_it_waits_is_dropped() {
    let (_kernel, mut caller) = paused_mesh().await;
    declare_queue(&mut caller, "jobs").await;
    let mut message = message(&caller, &to_queue("jobs"), "short");
    let now = message.terms.accepted_at;
    message.terms.deadline = Some(Timestamp(now.0 + 100));
    let later = Later {
        at: Timestamp(now.0 + 200),
        message,
        promise: Promise::Durable,
        with: Vec::new(),
    };
    let pending = caller.publish_later(later).unwrap();
    caller.flush();
    receipt(&mut caller, pending).await;
    pass(300).await;
    assert_eq!(caller.depth(&queue_key("jobs")).await.unwrap().ready, 0);
}

#[tokio::test(start_paused = true)]
async fn a_delayed_message_can_be_taken_back_until_it_is_due() {
    let (_kernel, mut caller) = paused_mesh().await;
    declare_queue(&mut caller, "jobs").await;
    let jobs = to_queue("jobs");
    let due = Timestamp(message(&caller, &jobs, "").terms.accepted_at.0 + 1_000);
    let kept = publish_in(&mut caller, (&jobs, "kept"), 1_000).await;
    let taken = publish_in(&mut caller, (&jobs, "taken back"), 1_000).await;
    let [kept, taken] = [kept, taken].map(|receipt| receipt.unwrap().positions[0].1);
    assert!(caller.recall(taken, due).await.unwrap());
    assert!(!caller.recall(taken, due).await.unwrap());
    pass(1_001).await;
    assert!(!caller.recall(kept, due).await.unwrap(), "it is published");
    let mut consumer = caller;
    consume(&mut consumer, "jobs", 10).await;
    assert_eq!(bodies(&deliveries(&mut consumer, 1).await), ["kept"]);
    assert_quiet(&mut consumer);
}

#[tokio::test(start_paused = true)]
async fn a_delay_of_49_days_is_taken_and_a_longer_one_is_not() {
    let (_kernel, mut caller) = paused_mesh().await;
    let most = u64::from(u32::MAX);
    let jobs = to_queue("jobs");
    publish_in(&mut caller, (&jobs, "a"), most).await.unwrap();
    let refused = publish_in(&mut caller, (&jobs, "a"), most + 1).await;
    assert_eq!(refused.unwrap_err().reason, Reason::OutOfRange);
}

#[tokio::test(start_paused = true)]
async fn a_compacted_log_is_told_the_key_of_a_delayed_message() {
    let store = Arc::new(Memory::new(1 << 30));
    let (kernel, mut caller) = paused_mesh_over(Arc::clone(&store), 1_000_000).await;
    declare_compacted(&mut caller, "state").await;
    let keyless = message(&caller, &shared("state"), "x");
    for message in [with_key(keyless.clone(), "a"), keyless] {
        let later = Later {
            at: Timestamp(message.terms.accepted_at.0 + 100),
            message,
            promise: Promise::Durable,
            with: Vec::new(),
        };
        let pending = caller.publish_later(later).unwrap();
        caller.flush();
        receipt(&mut caller, pending).await;
    }
    pass(101).await;
    assert_eq!(keys_in(&store, &caller, "state").await, [told_of("a")]);
    assert_eq!(counted(&kernel, KEYLESS), Some(1));
}
