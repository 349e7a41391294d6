//! Every message that was accepted has exactly one fate, whatever happens to its queue: it is
//! processed, or still there, or in the grave, or purged.

use std::collections::BTreeMap;

use fairlead_canon::{DeadReason, Outcome, Overflow, Retention, SizeLimits, Text, Timestamp};
use fairlead_kernel::{AtFull, DeadLetter, Realm, Settings, Settle, Settling};
use proptest::prelude::*;

use crate::*;

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A publish, with a life in milliseconds and a priority.
    Publish(Option<u8>, u8),
    /// A consumer that holds something ends it.
    End(u8, Outcome),
    /// A consumer leaves and another one comes.
    Replace(u8),
    /// Time passes.
    Pass(u8),
    /// One message is taken, and kept for good.
    Take,
    /// What is ready is purged.
    Purge,
}

/// What the queue is.
#[derive(Clone, Copy, Debug)]
struct Make {
    age_ms: Option<u8>,
    count_max: Option<u8>,
    returns_max: Option<u8>,
    priority_max: u8,
    is_single_active: bool,
}

/// Where each body ended, so far.
#[derive(Debug, Default)]
struct Fates {
    published: u64,
    purged: u64,
    processed: BTreeMap<String, u32>,
}

struct World {
    kernel: Arc<Kernel>,
    caller: Caller,
    consumers: Vec<(Caller, Vec<Delivery>)>,
    fates: Fates,
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        2 => Just(Outcome::Done),
        2 => Just(Outcome::Returned),
        1 => Just(Outcome::Dead(DeadReason::Rejected)),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (prop::option::of(0..40_u8), 0..4_u8).prop_map(|(life, p)| Step::Publish(life, p)),
        6 => (any::<u8>(), outcomes()).prop_map(|(which, outcome)| Step::End(which, outcome)),
        1 => any::<u8>().prop_map(Step::Replace),
        3 => (0..30_u8).prop_map(Step::Pass),
        1 => Just(Step::Take),
        1 => Just(Step::Purge),
    ]
}

fn makes() -> impl Strategy<Value = Make> {
    (
        prop::option::of(1..50_u8),
        prop::option::of(1..5_u8),
        prop::option::of(0..3_u8),
        0..3_u8,
        any::<bool>(),
    )
        .prop_map(
            |(age_ms, count_max, returns_max, priority_max, is_single_active)| Make {
                age_ms,
                count_max,
                returns_max,
                priority_max,
                is_single_active,
            },
        )
}

impl World {
    async fn new(make: Make) -> Self {
        let (kernel, mut caller) = paused_mesh().await;
        declare_queue(&mut caller, "grave").await;
        let grave = DeadLetter {
            realm: Text::from_static(Realm::QUEUES_NAME),
            path: Some(Path::from_segments(["grave"]).unwrap()),
            takes_refused: false,
            at_full: AtFull::Wait,
        };
        let jobs = NewStream {
            limits: SizeLimits {
                count_max: make.count_max.map(u64::from),
                bytes_max: None,
                overflow: Overflow::DropHead,
            },
            settings: Settings {
                retention: Retention {
                    age_ms: make.age_ms.map(u64::from),
                    bytes: None,
                },
                dead_letter: Some(grave),
                returns_max: make.returns_max.map(u16::from),
                priority_max: make.priority_max,
                is_single_active: make.is_single_active,
                ..Settings::default()
            },
            ..queue("jobs")
        };
        caller
            .declare(vec![Change::CreateStream(jobs)])
            .await
            .unwrap();
        let mut world = Self {
            kernel,
            caller,
            consumers: Vec::new(),
            fates: Fates::default(),
        };
        for window in [1, 3] {
            world.enter_consumer(window).await;
        }
        world
    }

    async fn enter_consumer(&mut self, window: u32) {
        let mut consumer = enter(&self.kernel);
        consume(&mut consumer, "jobs", window).await;
        self.consumers.push((consumer, Vec::new()));
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Publish(life, priority) => self.publish(life, priority).await,
            Step::End(which, outcome) => self.end(which, outcome),
            Step::Replace(which) => {
                let which = usize::from(which) % self.consumers.len();
                self.consumers.remove(which);
                self.enter_consumer(1 + u32::from(which == 0)).await;
            }
            Step::Pass(ms) => pass(ms.into()).await,
            Step::Take => {
                let key = queue_key("jobs");
                let taken = self.caller.take(&key, Settling::OnDelivery).await.unwrap();
                if let Some(taken) = taken {
                    self.processed(&taken.delivery);
                }
            }
            Step::Purge => {
                self.fates.purged += self.caller.purge(&queue_key("jobs")).await.unwrap();
            }
        }
        self.receive();
    }

    async fn publish(&mut self, life: Option<u8>, priority: u8) {
        let body = self.fates.published.to_string();
        self.fates.published += 1;
        let mut message = message(&self.caller, &to_queue("jobs"), &body);
        message.terms.priority = Some(priority);
        let now = message.terms.accepted_at.0;
        message.terms.deadline = life.map(|life| Timestamp(now + u64::from(life)));
        let pending = publish_message(&mut self.caller, message);
        receipt(&mut self.caller, pending).await;
    }

    fn end(&mut self, which: u8, outcome: Outcome) {
        let count = self.consumers.len();
        let (consumer, held) = &mut self.consumers[usize::from(which) % count];
        if held.is_empty() {
            return;
        }
        let ended = held.remove(usize::from(which) % held.len());
        let settle = Settle {
            ids: &[ended.id],
            outcome,
            promise: Promise::Accepted,
            with: Vec::new(),
        };
        consumer.settle(settle).unwrap();
        consumer.flush();
        if outcome == Outcome::Done {
            self.processed(&ended);
        }
    }

    fn processed(&mut self, delivery: &Delivery) {
        let body = bodies(std::slice::from_ref(delivery)).remove(0);
        *self.fates.processed.entry(body).or_default() += 1;
    }

    /// Takes in what was delivered, without waiting.
    fn receive(&mut self) {
        assert_quiet(&mut self.caller);
        for (consumer, held) in &mut self.consumers {
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            while let std::task::Poll::Ready(event) = consumer.poll_event(&mut cx) {
                if let Event::Deliveries(_, some) = event {
                    held.extend(some);
                }
            }
        }
    }

    /// Everybody leaves; how often each body is found in all the places where it may have ended.
    async fn found(mut self) -> (Fates, BTreeMap<String, u32>) {
        self.receive();
        self.consumers.clear();
        pass(1).await;
        let mut found = self.fates.processed.clone();
        for queue in ["jobs", "grave"] {
            let key = queue_key(queue);
            while let Some(taken) = self.caller.take(&key, Settling::OnDelivery).await.unwrap() {
                let body = bodies(std::slice::from_ref(&taken.delivery)).remove(0);
                *found.entry(body).or_default() += 1;
            }
            // What expired while it was taken is on its way once its caller looks for events.
            assert_quiet(&mut self.caller);
            pass(1).await;
        }
        (self.fates, found)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_message_has_one_fate(
        make in makes(),
        trace in prop::collection::vec(steps(), 1..60),
    ) {
        let (fates, found) = in_a_process(async {
            let mut world = World::new(make).await;
            for step in trace {
                world.step(step).await;
            }
            world.found().await
        });
        for (body, count) in &found {
            prop_assert_eq!(*count, 1, "message {} was found twice", body);
        }
        prop_assert_eq!(found.len() as u64 + fates.purged, fates.published);
    }
}
