//! Queues: turns, settlement, requeue, taking, purging, removal.

use fairlead_canon::{Outcome, Timestamp};
use fairlead_kernel::{
    Attach, Change, Depth, Event, Lifetime, NewStream, Reason, Settling, Source,
};

use crate::*;

#[tokio::test]
async fn a_message_reaches_the_queue_of_its_name_and_its_consumer() {
    let mesh = Mesh::new().await;
    let mut caller = mesh.caller();
    declare_queue(&mut caller, "jobs").await;
    consume(&mut caller, "jobs", 10).await;
    let receipt = published(&mut caller, &to_queue("jobs"), "a").await;
    assert_eq!((receipt.matched, receipt.positions.len()), (1, 1));
    assert_eq!(bodies(&deliveries(&mut caller, 1).await), ["a"]);
}

#[tokio::test]
async fn a_window_holds_deliveries_back_until_earlier_ones_are_settled() {
    let mesh = Mesh::new().await;
    let mut caller = mesh.caller();
    declare_queue(&mut caller, "jobs").await;
    for body in ["a", "b", "c"] {
        published(&mut caller, &to_queue("jobs"), body).await;
    }
    consume(&mut caller, "jobs", 2).await;
    let first = deliveries(&mut caller, 2).await;
    assert_quiet(&mut caller);
    settle(&mut caller, &first, Outcome::Done);
    assert_eq!(bodies(&deliveries(&mut caller, 1).await), ["c"]);
}

#[tokio::test]
async fn a_caller_that_gave_back_its_room_keeps_what_it_holds_and_gets_what_comes() {
    let mesh = Mesh::new().await;
    let mut caller = mesh.caller();
    declare_queue(&mut caller, "jobs").await;
    consume(&mut caller, "jobs", 2).await;
    let mut held = Vec::new();
    for body in ["a", "b", "c"] {
        published(&mut caller, &to_queue("jobs"), body).await;
        held.extend(deliveries(&mut caller, 1).await);
        assert_eq!(bodies(&held).last().unwrap(), body);
        caller.slim();
        settle(&mut caller, &held[..held.len() - 1], Outcome::Done);
        held.drain(..held.len() - 1);
        assert_quiet(&mut caller);
        caller.slim();
    }
    drop(caller);
    let mut next = mesh.caller();
    consume(&mut next, "jobs", 2).await;
    assert_eq!(bodies(&deliveries(&mut next, 1).await), ["c"]);
}

#[tokio::test]
async fn what_a_lost_connection_held_is_redelivered_in_its_old_order() {
    let mesh = Mesh::new().await;
    let (mut first, mut second) = (mesh.caller(), mesh.caller());
    declare_queue(&mut first, "jobs").await;
    for body in ["a", "b", "c"] {
        published(&mut first, &to_queue("jobs"), body).await;
    }
    consume(&mut first, "jobs", 2).await;
    deliveries(&mut first, 2).await;
    consume(&mut second, "jobs", 10).await;
    assert_eq!(bodies(&deliveries(&mut second, 1).await), ["c"]);
    drop(first);
    let again = deliveries(&mut second, 2).await;
    assert_eq!(bodies(&again), ["a", "b"]);
    assert!(
        again
            .iter()
            .all(|one| one.is_redelivered && one.returned == 1)
    );
}

#[tokio::test]
async fn a_returned_message_comes_back_before_younger_ones() {
    let mesh = Mesh::new().await;
    let mut caller = mesh.caller();
    declare_queue(&mut caller, "jobs").await;
    for body in ["a", "b"] {
        published(&mut caller, &to_queue("jobs"), body).await;
    }
    consume(&mut caller, "jobs", 1).await;
    let first = deliveries(&mut caller, 1).await;
    settle(&mut caller, &first, Outcome::Returned);
    assert_eq!(bodies(&deliveries(&mut caller, 1).await), ["a"]);
}

#[tokio::test]
async fn an_expired_message_is_not_delivered() {
    let mesh = Mesh::new().await;
    let mut caller = mesh.caller();
    declare_queue(&mut caller, "jobs").await;
    let mut short = message(&caller, &to_queue("jobs"), "short");
    short.terms.deadline = Some(Timestamp(short.terms.accepted_at.0 + 10));
    let pending = publish_message(&mut caller, short);
    receipt(&mut caller, pending).await;
    published(&mut caller, &to_queue("jobs"), "long").await;
    mesh.clock.advance(10);
    consume(&mut caller, "jobs", 10).await;
    assert_eq!(bodies(&deliveries(&mut caller, 1).await), ["long"]);
    assert_eq!(caller.meters().expired.get(), 1);
}

#[tokio::test]
async fn taking_gives_one_message_and_says_how_many_are_left() {
    let mesh = Mesh::new().await;
    let mut caller = mesh.caller();
    declare_queue(&mut caller, "jobs").await;
    assert!(
        caller
            .take(&queue_key("jobs"), Settling::Explicit)
            .await
            .unwrap()
            .is_none()
    );
    for body in ["a", "b", "c"] {
        published(&mut caller, &to_queue("jobs"), body).await;
    }
    let taken = caller
        .take(&queue_key("jobs"), Settling::OnDelivery)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (bodies(&[taken.delivery]), taken.remaining),
        (vec!["a".to_owned()], 2)
    );
    let held = caller
        .take(&queue_key("jobs"), Settling::Explicit)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(held.remaining, 1);
    settle(&mut caller, &[held.delivery], Outcome::Returned);
    let again = caller
        .take(&queue_key("jobs"), Settling::Explicit)
        .await
        .unwrap()
        .unwrap();
    assert!(again.delivery.is_redelivered);
    assert_eq!(bodies(&[again.delivery]), ["b"]);
}

#[tokio::test]
async fn depth_tells_ready_unsettled_and_consumers_apart() {
    let mesh = Mesh::new().await;
    let mut caller = mesh.caller();
    declare_queue(&mut caller, "jobs").await;
    for body in ["a", "b", "c"] {
        published(&mut caller, &to_queue("jobs"), body).await;
    }
    consume(&mut caller, "jobs", 1).await;
    deliveries(&mut caller, 1).await;
    let depth = caller.depth(&queue_key("jobs")).await.unwrap();
    assert_eq!(
        depth,
        Depth {
            ready: 2,
            damaged: 0,
            unsettled: 1,
            consumers: 1
        }
    );
}

#[tokio::test]
async fn a_purge_removes_what_nobody_holds() {
    let mesh = Mesh::new().await;
    let mut caller = mesh.caller();
    declare_queue(&mut caller, "jobs").await;
    for body in ["a", "b", "c"] {
        published(&mut caller, &to_queue("jobs"), body).await;
    }
    consume(&mut caller, "jobs", 1).await;
    let held = deliveries(&mut caller, 1).await;
    assert_eq!(caller.purge(&queue_key("jobs")).await.unwrap(), 2);
    settle(&mut caller, &held, Outcome::Returned);
    assert_eq!(bodies(&deliveries(&mut caller, 1).await), ["a"]);
}

#[tokio::test]
async fn a_stopped_consumer_may_settle_and_gets_nothing_more() {
    let mesh = Mesh::new().await;
    let mut caller = mesh.caller();
    declare_queue(&mut caller, "jobs").await;
    let id = consume(&mut caller, "jobs", 10).await;
    published(&mut caller, &to_queue("jobs"), "a").await;
    let held = deliveries(&mut caller, 1).await;
    caller.stop(id);
    published(&mut caller, &to_queue("jobs"), "b").await;
    assert_quiet(&mut caller);
    settle(&mut caller, &held, Outcome::Done);
    let depth = caller.depth(&queue_key("jobs")).await.unwrap();
    assert_eq!(
        depth,
        Depth {
            ready: 1,
            damaged: 0,
            unsettled: 0,
            consumers: 0
        }
    );
}

#[tokio::test]
async fn an_exclusive_consumer_keeps_others_out() {
    let mesh = Mesh::new().await;
    let (mut first, mut second) = (mesh.caller(), mesh.caller());
    declare_queue(&mut first, "jobs").await;
    let attach = || Attach {
        is_exclusive: true,
        ..Attach::new(Source::Stream(queue_key("jobs")), 10)
    };
    let id = first.attach(attach()).await.unwrap();
    let shared = Attach::new(Source::Stream(queue_key("jobs")), 10);
    assert_eq!(
        second.attach(shared).await.unwrap_err().reason,
        Reason::Locked
    );
    first.detach(id);
    second.attach(attach()).await.unwrap();
}

#[tokio::test]
async fn a_removed_queue_ends_its_consumers() {
    let mesh = Mesh::new().await;
    let mut caller = mesh.caller();
    declare_queue(&mut caller, "jobs").await;
    let id = consume(&mut caller, "jobs", 10).await;
    caller
        .declare(vec![Change::RemoveStream(queue_key("jobs"))])
        .await
        .unwrap();
    assert!(matches!(event(&mut caller).await, Event::Ended(ended) if ended == id));
    assert_eq!(
        published(&mut caller, &to_queue("jobs"), "a").await.matched,
        0
    );
}

#[tokio::test]
async fn a_connections_own_queue_is_locked_for_others_and_goes_with_it() {
    let mesh = Mesh::new().await;
    let (mut first, mut second) = (mesh.caller(), mesh.caller());
    let own = NewStream {
        lifetime: Lifetime::Connection(first.id()),
        ..queue("own")
    };
    first
        .declare(vec![Change::CreateStream(own)])
        .await
        .unwrap();
    let attach = Attach::new(Source::Stream(queue_key("own")), 1);
    assert_eq!(
        second.attach(attach).await.unwrap_err().reason,
        Reason::Locked
    );
    drop(first);
    while mesh
        .kernel
        .topology(|topology| topology.stream(&queue_key("own")).is_some())
    {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_queue_for_its_last_consumer_goes_with_him() {
    let mesh = Mesh::new().await;
    let mut caller = mesh.caller();
    let brief = NewStream {
        lifetime: Lifetime::LastConsumer,
        ..queue("brief")
    };
    caller
        .declare(vec![Change::CreateStream(brief)])
        .await
        .unwrap();
    let id = consume(&mut caller, "brief", 1).await;
    caller.detach(id);
    while mesh
        .kernel
        .topology(|topology| topology.stream(&queue_key("brief")).is_some())
    {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_unused_queue_goes_after_its_time_and_not_before() {
    let mesh = Mesh::new().await;
    let mut caller = mesh.caller();
    let lifetime = Lifetime::Unused { after_ms: 1_000 };
    caller
        .declare(vec![Change::CreateStream(NewStream {
            lifetime,
            ..queue("idle")
        })])
        .await
        .unwrap();
    let is_there = || {
        mesh.kernel
            .topology(|topology| topology.stream(&queue_key("idle")).is_some())
    };
    let id = consume(&mut caller, "idle", 1).await;
    caller.detach(id);
    tokio::time::sleep(Duration::from_millis(600)).await;
    let id = consume(&mut caller, "idle", 1).await;
    caller.detach(id);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(is_there(), "used again 600 ms ago");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!is_there());
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_was_never_used_goes_after_its_time() {
    let mesh = Mesh::new().await;
    let mut caller = mesh.caller();
    let lifetime = Lifetime::Unused { after_ms: 1_000 };
    let idle = NewStream {
        lifetime,
        ..queue("idle")
    };
    caller
        .declare(vec![Change::CreateStream(idle)])
        .await
        .unwrap();
    let is_there = || {
        mesh.kernel
            .topology(|topology| topology.stream(&queue_key("idle")).is_some())
    };
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert!(is_there());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!is_there());
}

#[tokio::test]
async fn a_backlog_larger_than_the_window_is_delivered_in_order() {
    let mesh = Mesh::new().await;
    let mut caller = mesh.caller();
    declare_queue(&mut caller, "jobs").await;
    let count = 20_000;
    for number in 0..count {
        let pending = publish(&mut caller, &to_queue("jobs"), &number.to_string());
        receipt(&mut caller, pending).await;
    }
    let attach = Attach {
        settling: Settling::OnDelivery,
        ..Attach::new(Source::Stream(queue_key("jobs")), u32::MAX)
    };
    caller.attach(attach).await.unwrap();
    let all = bodies(&deliveries(&mut caller, count).await);
    assert!(
        all.iter()
            .enumerate()
            .all(|(number, body)| *body == number.to_string())
    );
    assert_eq!(caller.depth(&queue_key("jobs")).await.unwrap().ready, 0);
}
