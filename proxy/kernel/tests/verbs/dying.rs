//! Deadlines, and where dead messages go. The clock is the runtime's, which is paused.

use fairlead_canon::{
    DeadReason, Death, Deaths, Outcome, Overflow, Retention, SizeLimits, Text, Timestamp,
};
use fairlead_kernel::{
    AtFull, Binding, DeadLetter, Destination, Match, NewRealm, Realm, Reason, Rule, Settings,
    Settling,
};

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
async fn a_message_goes_at_its_deadline_once_it_is_at_the_head_though_nobody_reads() {
    let (_kernel, mut caller) = paused_mesh().await;
    declare_queue(&mut caller, "jobs").await;
    publish_for(&mut caller, "jobs", "long", 2_000).await;
    publish_for(&mut caller, "jobs", "short", 1_000).await;
    published(&mut caller, &to_queue("jobs"), "stays").await;
    publish_for(&mut caller, "jobs", "behind", 1_000).await;
    pass(1_999).await;
    assert_eq!(ready(&mut caller, "jobs").await, 4);
    pass(2).await;
    assert_eq!(ready(&mut caller, "jobs").await, 2);
    let taken = caller.take(&queue_key("jobs"), Settling::OnDelivery).await;
    let taken = taken.unwrap().unwrap();
    assert_eq!(bodies(&[taken.delivery]), ["stays"]);
    pass(1).await;
    assert_eq!(ready(&mut caller, "jobs").await, 0);
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

fn realm(name: &'static str, rule: Rule) -> Change {
    Change::CreateRealm(NewRealm {
        name: Text::from_static(name),
        rule,
        is_durable: true,
        alternate: None,
        origin: ORIGIN,
        document: Bytes::new(),
    })
}

/// Dead letters go to the queue of that name.
fn to_grave(name: &str) -> DeadLetter {
    DeadLetter {
        realm: Text::from_static(Realm::QUEUES_NAME),
        path: Some(Path::from_segments([name]).unwrap()),
        takes_refused: false,
        at_full: AtFull::Drop,
    }
}

async fn declare_told(caller: &mut Caller, name: &str, settings: Settings) {
    let told = NewStream {
        settings,
        ..queue(name)
    };
    declare(caller, vec![Change::CreateStream(told)]).await;
}

async fn declare(caller: &mut Caller, changes: Vec<Change>) {
    caller.declare(changes).await.unwrap();
}

/// A queue whose dead go to `grave`, which is there as well.
async fn declare_mortal(caller: &mut Caller) {
    declare_queue(caller, "grave").await;
    let settings = Settings {
        dead_letter: Some(to_grave("grave")),
        ..Settings::default()
    };
    declare_told(caller, "jobs", settings).await;
}

/// Everything in a queue, taken out: body and history, as `stream reason count`.
async fn exhume(kernel: &Arc<Kernel>, queue: &str) -> Vec<(String, Vec<String>)> {
    pass(1).await;
    let mut caller = enter(kernel);
    let mut found = Vec::new();
    let key = queue_key(queue);
    while let Some(taken) = caller.take(&key, Settling::OnDelivery).await.unwrap() {
        let message = &taken.delivery.message;
        let told = |d: &Death| format!("{} {} {}", d.stream, d.reason.word(), d.count);
        let deaths = message.properties.iter().flat_map(|p| p.deaths.iter());
        let body = bodies(std::slice::from_ref(&taken.delivery)).remove(0);
        found.push((body, deaths.map(told).collect()));
    }
    found
}

fn dead(body: &str, deaths: &[&str]) -> (String, Vec<String>) {
    let deaths = deaths.iter().map(|one| (*one).to_owned()).collect();
    (body.to_owned(), deaths)
}

#[tokio::test(start_paused = true)]
async fn a_rejected_message_goes_to_the_grave_with_its_history() {
    let (kernel, mut caller) = paused_mesh().await;
    declare_mortal(&mut caller).await;
    let mut message = message(&caller, &to_queue("jobs"), "a");
    message.terms.deadline = Some(Timestamp(message.terms.accepted_at.0 + 60_000));
    let pending = publish_message(&mut caller, message);
    receipt(&mut caller, pending).await;
    published(&mut caller, &to_queue("jobs"), "b").await;
    consume(&mut caller, "jobs", 10).await;
    let both = deliveries(&mut caller, 2).await;
    settle(&mut caller, &both[..1], Outcome::Dead(DeadReason::Rejected));
    settle(&mut caller, &both[1..], Outcome::Done);
    assert_quiet(&mut caller);
    pass(1).await;
    let taken = caller.take(&queue_key("grave"), Settling::OnDelivery).await;
    let message = taken.unwrap().unwrap().delivery.message;
    assert_eq!(message.terms.deadline, None, "it does not expire again");
    assert_eq!(message.address, to_queue("grave"));
    let properties = message.properties.as_deref().unwrap();
    let death = properties.deaths.first().unwrap();
    let said = (&*death.stream, death.reason, death.life_ms, &*death.realm);
    assert_eq!(
        said,
        (
            "jobs",
            DeadReason::Rejected,
            Some(60_000),
            Realm::QUEUES_NAME
        )
    );
    assert_eq!(death.path, to_queue("jobs").path);
    assert_eq!(exhume(&kernel, "grave").await, []);
    assert_eq!(exhume(&kernel, "jobs").await, []);
}

#[tokio::test(start_paused = true)]
async fn what_a_queue_has_no_room_or_time_for_goes_to_the_grave() {
    let (kernel, mut caller) = paused_mesh().await;
    declare_queue(&mut caller, "grave").await;
    let told = NewStream {
        limits: SizeLimits {
            count_max: Some(2),
            bytes_max: None,
            overflow: Overflow::DropHead,
        },
        settings: Settings {
            dead_letter: Some(to_grave("grave")),
            retention: Retention {
                age_ms: Some(1_000),
                bytes: None,
            },
            ..Settings::default()
        },
        ..queue("jobs")
    };
    declare(&mut caller, vec![Change::CreateStream(told)]).await;
    for body in ["a", "b", "c"] {
        published(&mut caller, &to_queue("jobs"), body).await;
    }
    assert_eq!(
        exhume(&kernel, "grave").await,
        [dead("a", &["jobs maxlen 1"])]
    );
    let counted = "fairlead_messages_dead_lettered_total{reason=\"maxlen\"} 1";
    assert!(kernel.metrics_page().contains(counted));
    pass(998).await;
    assert_eq!(ready(&mut caller, "jobs").await, 2);
    pass(2).await;
    assert_eq!(ready(&mut caller, "jobs").await, 0);
    assert_eq!(
        exhume(&kernel, "grave").await,
        [
            dead("b", &["jobs expired 1"]),
            dead("c", &["jobs expired 1"])
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_too_often_goes_to_the_grave_however_it_came_back() {
    let (kernel, mut caller) = paused_mesh().await;
    declare_queue(&mut caller, "grave").await;
    let settings = Settings {
        dead_letter: Some(to_grave("grave")),
        returns_max: Some(2),
        ..Settings::default()
    };
    declare_told(&mut caller, "jobs", settings).await;
    published(&mut caller, &to_queue("jobs"), "a").await;
    let mut first = enter(&kernel);
    consume(&mut first, "jobs", 1).await;
    let once = deliveries(&mut first, 1).await;
    settle(&mut first, &once, Outcome::Returned);
    deliveries(&mut first, 1).await;
    drop(first);
    assert_eq!(exhume(&kernel, "grave").await, []);
    let mut last = enter(&kernel);
    consume(&mut last, "jobs", 1).await;
    assert_eq!(deliveries(&mut last, 1).await[0].returned, 2);
    drop(last);
    assert_eq!(
        exhume(&kernel, "grave").await,
        [dead("a", &["jobs delivery_limit 1"])]
    );
    assert_eq!(ready(&mut caller, "jobs").await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_round_in_which_nobody_rejects_ends_and_others_go_on() {
    let (kernel, mut caller) = paused_mesh().await;
    for (name, next) in [("one", "two"), ("two", "one")] {
        let settings = Settings {
            dead_letter: Some(to_grave(next)),
            retention: Retention {
                age_ms: Some(100),
                bytes: None,
            },
            ..Settings::default()
        };
        declare_told(&mut caller, name, settings).await;
    }
    published(&mut caller, &to_queue("one"), "tired").await;
    pass(150).await;
    assert_eq!(ready(&mut caller, "two").await, 1);
    pass(500).await;
    assert_eq!(
        (
            ready(&mut caller, "one").await,
            ready(&mut caller, "two").await
        ),
        (0, 0),
        "it has died in both"
    );
    published(&mut caller, &to_queue("one"), "refused").await;
    consume(&mut caller, "one", 1).await;
    for _ in 0..3 {
        let again = deliveries(&mut caller, 1).await;
        settle(&mut caller, &again, Outcome::Dead(DeadReason::Rejected));
    }
    let mut last = deliveries(&mut caller, 1).await;
    let history = last.remove(0).message.properties.clone().unwrap().deaths;
    let counts: Vec<_> = history.iter().map(|d| (&*d.stream, d.count)).collect();
    assert_eq!(counts, [("two", 3), ("one", 3)]);
    drop(kernel);
}

#[tokio::test(start_paused = true)]
async fn without_its_realm_a_dead_message_is_dropped() {
    let (kernel, mut caller) = paused_mesh().await;
    let settings = Settings {
        dead_letter: Some(DeadLetter {
            realm: Text::from_static("graves"),
            path: None,
            ..to_grave("")
        }),
        ..Settings::default()
    };
    declare_told(&mut caller, "jobs", settings).await;
    publish_for(&mut caller, "jobs", "dropped", 10).await;
    pass(20).await;
    declare(&mut caller, vec![realm("graves", Rule::All)]).await;
    declare_queue(&mut caller, "grave").await;
    let from = kernel.topology(|topology| topology.realm("graves").unwrap().id);
    let bind = Binding {
        from,
        on: Match::Pattern(Pattern::exact(from, &Path::EMPTY)),
        to: Destination::Stream(queue_key("grave")),
        no_local: false,
        document: Bytes::new(),
    };
    declare(&mut caller, vec![Change::Bind(bind)]).await;
    publish_for(&mut caller, "jobs", "moved", 10).await;
    pass(20).await;
    assert_eq!(
        exhume(&kernel, "grave").await,
        [dead("moved", &["jobs expired 1"])]
    );
}

#[tokio::test(start_paused = true)]
async fn a_full_grave_takes_nothing_or_lets_the_dead_wait() {
    for (at_full, rest) in [(AtFull::Drop, vec![]), (AtFull::Wait, vec!["b"])] {
        let (kernel, mut caller) = paused_mesh().await;
        let full = NewStream {
            limits: SizeLimits {
                count_max: Some(1),
                bytes_max: None,
                overflow: Overflow::Reject,
            },
            ..queue("grave")
        };
        declare(&mut caller, vec![Change::CreateStream(full)]).await;
        let settings = Settings {
            dead_letter: Some(DeadLetter {
                at_full,
                ..to_grave("grave")
            }),
            ..Settings::default()
        };
        declare_told(&mut caller, "jobs", settings).await;
        for body in ["a", "b"] {
            publish_for(&mut caller, "jobs", body, 10).await;
        }
        pass(1_000).await;
        let first = exhume(&kernel, "grave").await;
        assert_eq!(first, [dead("a", &["jobs expired 1"])]);
        pass(1_000).await;
        let later = exhume(&kernel, "grave").await;
        let expected = rest.iter().map(|body| dead(body, &["jobs expired 1"]));
        assert_eq!(later, expected.collect::<Vec<_>>());
    }
}

#[test]
fn the_dead_are_moved_by_the_next_process_and_only_once() {
    let store = Arc::new(Memory::new(1 << 30));
    in_a_process(async {
        let (_kernel, mut caller) = paused_mesh_over(Arc::clone(&store), 1_000_000).await;
        declare_mortal(&mut caller).await;
        for body in ["a", "b", "c"] {
            published(&mut caller, &to_queue("jobs"), body).await;
        }
        consume(&mut caller, "jobs", 10).await;
        let all = deliveries(&mut caller, 3).await;
        // Whoever moves them gets no turn any more.
        settle(&mut caller, &all, Outcome::Dead(DeadReason::Rejected));
    });
    in_a_process(async {
        let (kernel, _caller) = paused_mesh_over(Arc::clone(&store), 1_000_100).await;
        let graves: Vec<_> = ["a", "b", "c"]
            .map(|body| dead(body, &["jobs rejected 1"]))
            .into();
        assert_eq!(exhume(&kernel, "grave").await, graves);
        pass(1_000).await;
        assert_eq!(exhume(&kernel, "grave").await, []);
    });
}

#[tokio::test(start_paused = true)]
async fn a_refused_publish_goes_to_the_grave_where_its_queue_wants_that() {
    for takes_refused in [false, true] {
        let (kernel, mut caller) = paused_mesh().await;
        declare_queue(&mut caller, "grave").await;
        let told = NewStream {
            limits: SizeLimits {
                count_max: Some(1),
                bytes_max: None,
                overflow: Overflow::Reject,
            },
            settings: Settings {
                dead_letter: Some(DeadLetter {
                    takes_refused,
                    ..to_grave("grave")
                }),
                ..Settings::default()
            },
            ..queue("jobs")
        };
        declare(&mut caller, vec![Change::CreateStream(told)]).await;
        published(&mut caller, &to_queue("jobs"), "a").await;
        publish(&mut caller, &to_queue("jobs"), "b");
        match event(&mut caller).await {
            Event::Receipt(_, Err(error)) => assert_eq!(error.reason, Reason::Full),
            other => panic!("not a refusal: {other:?}"),
        }
        let expected = takes_refused.then(|| dead("b", &["jobs maxlen 1"]));
        let found = exhume(&kernel, "grave").await;
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
        assert_eq!(ready(&mut caller, "jobs").await, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_for_itself_alone() {
    let (kernel, mut caller) = paused_mesh().await;
    declare_queue(&mut caller, "grave").await;
    declare_queue(&mut caller, "roomy").await;
    let told = NewStream {
        limits: SizeLimits {
            count_max: Some(1),
            bytes_max: None,
            overflow: Overflow::Reject,
        },
        settings: Settings {
            dead_letter: Some(DeadLetter {
                takes_refused: true,
                ..to_grave("grave")
            }),
            ..Settings::default()
        },
        ..queue("narrow")
    };
    declare(&mut caller, vec![Change::CreateStream(told)]).await;
    let both = [to_queue("narrow"), to_queue("roomy")];
    for body in ["a", "b"] {
        let publish = Publish {
            to: To::Addresses(&both),
            content: Content::Message(message(&caller, &both[0], body)),
            promise: Promise::Durable,
            with: Vec::new(),
            own_mailbox: None,
        };
        let pending = caller.publish(publish).unwrap();
        caller.flush();
        match (body, event(&mut caller).await) {
            ("a", Event::Receipt(at, Ok(receipt))) => {
                assert_eq!((at, receipt.positions.len()), (pending, 2));
            }
            ("b", Event::Receipt(at, Err(error))) => {
                assert_eq!((at, error.reason), (pending, Reason::Full));
            }
            (_, other) => panic!("{body}: {other:?}"),
        }
    }
    assert_eq!(ready(&mut caller, "narrow").await, 1);
    assert_eq!(ready(&mut caller, "roomy").await, 2);
    // The one that was full, and no other, sent it on.
    let found = exhume(&kernel, "grave").await;
    assert_eq!(found, [dead("b", &["narrow maxlen 1"])]);
}

#[tokio::test(start_paused = true)]
async fn the_highest_priority_goes_first_to_consumers_and_takers() {
    let (_kernel, mut caller) = paused_mesh().await;
    let settings = Settings {
        priority_max: 5,
        ..Settings::default()
    };
    declare_told(&mut caller, "jobs", settings).await;
    let sent = [
        (None, "none"),
        (Some(2), "two"),
        (Some(9), "nine"),
        (Some(5), "five"),
    ];
    for (priority, body) in sent {
        let mut message = message(&caller, &to_queue("jobs"), body);
        message.terms.priority = priority;
        let pending = publish_message(&mut caller, message);
        receipt(&mut caller, pending).await;
    }
    assert_eq!(ready(&mut caller, "jobs").await, 4);
    let taken = caller.take(&queue_key("jobs"), Settling::OnDelivery).await;
    let taken = taken.unwrap().unwrap();
    assert_eq!(
        (bodies(&[taken.delivery]), taken.remaining),
        (vec!["nine".to_owned()], 3)
    );
    consume(&mut caller, "jobs", 10).await;
    let rest = deliveries(&mut caller, 3).await;
    assert_eq!(bodies(&rest), ["five", "two", "none"]);
    settle(&mut caller, &rest[1..], Outcome::Returned);
    let again = deliveries(&mut caller, 2).await;
    assert_eq!(bodies(&again), ["two", "none"]);
    let depth = caller.depth(&queue_key("jobs")).await.unwrap();
    assert_eq!((depth.ready, depth.unsettled, depth.consumers), (0, 3, 1));
    assert_eq!(caller.purge(&queue_key("jobs")).await.unwrap(), 0);
    caller
        .declare(vec![Change::RemoveStream(queue_key("jobs"))])
        .await
        .unwrap();
    for _ in ["the taker", "the consumer"] {
        assert!(matches!(event(&mut caller).await, Event::Ended(_)));
    }
    assert_quiet(&mut caller);
}

#[tokio::test(start_paused = true)]
async fn what_is_held_does_not_count_and_is_the_first_to_go_when_it_comes_back() {
    let (kernel, mut caller) = paused_mesh().await;
    declare_queue(&mut caller, "grave").await;
    let told = NewStream {
        limits: SizeLimits {
            count_max: Some(2),
            bytes_max: None,
            overflow: Overflow::DropHead,
        },
        settings: Settings {
            dead_letter: Some(to_grave("grave")),
            ..Settings::default()
        },
        ..queue("jobs")
    };
    declare(&mut caller, vec![Change::CreateStream(told)]).await;
    for body in ["done", "returned"] {
        published(&mut caller, &to_queue("jobs"), body).await;
    }
    let mut consumer = enter(&kernel);
    consume(&mut consumer, "jobs", 2).await;
    let held = deliveries(&mut consumer, 2).await;
    for body in ["c", "d"] {
        published(&mut caller, &to_queue("jobs"), body).await;
    }
    assert_eq!(
        exhume(&kernel, "grave").await,
        [],
        "what is held does not count"
    );
    // It would be the third that is ready.
    settle(&mut consumer, &held[1..], Outcome::Returned);
    assert_eq!(bodies(&deliveries(&mut consumer, 1).await), ["c"]);
    settle(&mut consumer, &held[..1], Outcome::Done);
    assert_eq!(bodies(&deliveries(&mut consumer, 1).await), ["d"]);
    assert_eq!(
        exhume(&kernel, "grave").await,
        [dead("returned", &["jobs maxlen 1"])]
    );
}

#[tokio::test(start_paused = true)]
async fn a_compacted_log_is_told_the_key_of_a_dead_message() {
    let store = Arc::new(Memory::new(1 << 30));
    let (kernel, mut caller) = paused_mesh_over(Arc::clone(&store), 1_000_000).await;
    declare_compacted(&mut caller, "state").await;
    let settings = Settings {
        dead_letter: Some(DeadLetter {
            realm: Text::from_static(Realm::SHARED_NAME),
            path: Some(shared("state").path),
            ..to_grave("")
        }),
        ..Settings::default()
    };
    declare_told(&mut caller, "jobs", settings).await;
    let keyless = message(&caller, &to_queue("jobs"), "x");
    for mut message in [with_key(keyless.clone(), "a"), keyless] {
        message.terms.deadline = Some(Timestamp(message.terms.accepted_at.0 + 100));
        let pending = publish_message(&mut caller, message);
        receipt(&mut caller, pending).await;
    }
    pass(101).await;
    assert_eq!(keys_in(&store, &caller, "state").await, [told_of("a")]);
    assert_eq!(counted(&kernel, KEYLESS), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_death_that_no_history_has_room_for_is_counted() {
    let (kernel, mut caller) = paused_mesh().await;
    let names: Vec<_> = (0..=Deaths::MAX).map(|n| n.to_string()).collect();
    declare_queue(&mut caller, "grave").await;
    for (at, name) in names.iter().enumerate() {
        let settings = Settings {
            dead_letter: Some(to_grave(names.get(at + 1).map_or("grave", |next| next))),
            ..Settings::default()
        };
        let told = NewStream {
            settings,
            ..queue(name)
        };
        declare(&mut caller, vec![Change::CreateStream(told)]).await;
    }
    published(&mut caller, &to_queue("0"), "x").await;
    for name in &names {
        pass(1).await;
        assert!(
            kernel
                .metrics_page()
                .contains("fairlead_deaths_forgotten_total 0")
        );
        let taken = caller.take(&queue_key(name), Settling::Explicit).await;
        let taken = taken.unwrap().unwrap().delivery;
        settle(&mut caller, &[taken], Outcome::Dead(DeadReason::Rejected));
        assert_quiet(&mut caller);
    }
    pass(1).await;
    assert!(
        kernel
            .metrics_page()
            .contains("fairlead_deaths_forgotten_total 1")
    );
}
