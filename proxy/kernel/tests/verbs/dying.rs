//! Deadlines, and where dead messages go. The clock is the runtime's, which is paused.

use fairlead_canon::Timestamp;

use crate::*;

/// Publishes to a queue a message that lives for so long.
async fn publish_for(caller: &mut Caller, queue: &str, body: &str, life_ms: u64) {
    let mut message = message(caller, &to_queue(queue), body);
    message.terms.deadline = Some(Timestamp(message.terms.accepted_at.0 + life_ms));
    let pending = publish_message(caller, message);
    receipt(caller, pending).await;
}

async fn ready(caller: &mut Caller, queue: &str) -> u64 {
    caller.depth(&queue_key(queue)).await.unwrap().ready
}

#[tokio::test(start_paused = true)]
async fn a_message_goes_at_its_deadline_though_nobody_reads() {
    let (_kernel, mut caller) = paused_mesh().await;
    declare_queue(&mut caller, "jobs").await;
    publish_for(&mut caller, "jobs", "long", 2_000).await;
    publish_for(&mut caller, "jobs", "short", 1_000).await;
    published(&mut caller, &to_queue("jobs"), "stays").await;
    pass(999).await;
    assert_eq!(ready(&mut caller, "jobs").await, 3);
    pass(2).await;
    assert_eq!(
        ready(&mut caller, "jobs").await,
        2,
        "also behind a longer life"
    );
    pass(1_000).await;
    assert_eq!(ready(&mut caller, "jobs").await, 1);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_holds_outlives_its_deadline_and_what_he_gives_back_does_not() {
    let (kernel, mut caller) = paused_mesh().await;
    declare_queue(&mut caller, "jobs").await;
    publish_for(&mut caller, "jobs", "a", 1_000).await;
    publish_for(&mut caller, "jobs", "b", 1_000).await;
    let mut consumer = enter(&kernel);
    consume(&mut consumer, "jobs", 1).await;
    assert_eq!(bodies(&deliveries(&mut consumer, 1).await), ["a"]);
    pass(1_001).await;
    let depth = caller.depth(&queue_key("jobs")).await.unwrap();
    assert_eq!((depth.ready, depth.unsettled), (0, 1));
    drop(consumer);
    pass(1).await;
    let depth = caller.depth(&queue_key("jobs")).await.unwrap();
    assert_eq!((depth.ready, depth.unsettled), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_message_without_a_life_reaches_whoever_waits_and_nobody_else() {
    let (kernel, mut caller) = paused_mesh().await;
    declare_queue(&mut caller, "jobs").await;
    publish_for(&mut caller, "jobs", "unheard", 0).await;
    pass(1).await;
    assert_eq!(ready(&mut caller, "jobs").await, 0);
    let mut consumer = enter(&kernel);
    consume(&mut consumer, "jobs", 1).await;
    pass(1).await;
    assert_quiet(&mut consumer);
    publish_for(&mut caller, "jobs", "heard", 0).await;
    assert_eq!(bodies(&deliveries(&mut consumer, 1).await), ["heard"]);
}
