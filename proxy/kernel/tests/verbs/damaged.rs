//! A damaged message holds up nothing else. The clock is the runtime's, which is paused.

use fairlead_canon::{DeadReason, EntityId, Outcome, Timestamp};
use fairlead_kernel::testing::{Damaging, Over};
use fairlead_kernel::{AtFull, DeadLetter, Later, Realm};

use crate::*;

struct Node {
    store: Arc<Over<Memory, Damaging>>,
    kernel: Arc<Kernel>,
    caller: Caller,
}

impl Node {
    async fn new() -> Self {
        let memory = Arc::new(Memory::new(1 << 30));
        let store = Arc::new(Over::new(memory, Damaging::default()));
        let clock = Arc::new(RuntimeClock::at(1_000_000));
        let kernel = kernel(Arc::clone(&store), clock).await.unwrap();
        let caller = enter(&kernel);
        Self {
            store,
            kernel,
            caller,
        }
    }

    fn damage(&self, key: &StreamKey, offset: u64) {
        let lane = |t: &fairlead_kernel::Topology| t.stream(key).unwrap().lanes[0];
        let entity: EntityId = self.kernel.topology(lane);
        self.store.manner.damage(entity, Offset(offset));
    }

    /// Everything that can be taken from a queue, in order.
    async fn taken(&mut self, name: &str) -> Vec<String> {
        let mut all = Vec::new();
        let key = queue_key(name);
        let settling = fairlead_kernel::Settling::OnDelivery;
        while let Some(taken) = self.caller.take(&key, settling).await.unwrap() {
            all.extend(bodies(&[taken.delivery]));
        }
        all
    }
}

/// Damaged messages that the tasks behind queues have met.
const DAMAGED: &str =
    "fairlead_errors_total{blame=\"us\",listener=\"tasks\",protocol=\"node\",reason=\"corrupt\"}";

/// And those that callers have.
const MET: &str =
    "fairlead_errors_total{blame=\"us\",listener=\"test\",protocol=\"test\",reason=\"corrupt\"}";

#[tokio::test(start_paused = true)]
async fn readers_with_a_window_of_one_get_everything_but_what_is_damaged() {
    let mut node = Node::new().await;
    declare_queue(&mut node.caller, "jobs").await;
    for body in ["a", "b", "c", "d"] {
        published(&mut node.caller, &to_queue("jobs"), body).await;
    }
    node.damage(&queue_key("jobs"), 0);
    node.damage(&queue_key("jobs"), 2);
    consume(&mut node.caller, "jobs", 1).await;
    for body in ["b", "d"] {
        let next = deliveries(&mut node.caller, 1).await;
        assert_eq!(bodies(&next), [body]);
        settle(&mut node.caller, &next, Outcome::Done);
    }
    assert_quiet(&mut node.caller);
    let depth = node.caller.depth(&queue_key("jobs")).await.unwrap();
    assert_eq!((depth.ready, depth.damaged), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_damaged_message_is_counted_once_and_whoever_comes_later_tries_it_again() {
    let mut node = Node::new().await;
    declare_queue(&mut node.caller, "jobs").await;
    for body in ["a", "b", "c"] {
        published(&mut node.caller, &to_queue("jobs"), body).await;
    }
    node.damage(&queue_key("jobs"), 0);
    for body in ["b", "c"] {
        let mut other = enter(&node.kernel);
        let settling = fairlead_kernel::Settling::OnDelivery;
        let taken = other.take(&queue_key("jobs"), settling).await.unwrap();
        assert_eq!(bodies(&[taken.unwrap().delivery]), [body]);
    }
    let depth = node.caller.depth(&queue_key("jobs")).await.unwrap();
    assert_eq!((depth.ready, depth.damaged), (0, 1));
    assert_eq!(counted(&node.kernel, MET), Some(1));
    assert_eq!(node.caller.purge(&queue_key("jobs")).await.unwrap(), 1);
    let depth = node.caller.depth(&queue_key("jobs")).await.unwrap();
    assert_eq!((depth.ready, depth.damaged), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_damaged_dead_letter_stays_and_is_counted_once_and_the_others_go_on() {
    let mut node = Node::new().await;
    declare_queue(&mut node.caller, "grave").await;
    let settings = Settings {
        dead_letter: Some(DeadLetter {
            realm: fairlead_canon::Text::from_static(Realm::QUEUES_NAME),
            path: Some(Path::from_segments(["grave"]).unwrap()),
            takes_refused: false,
            at_full: AtFull::Drop,
        }),
        ..Settings::default()
    };
    let jobs = NewStream {
        settings,
        ..queue("jobs")
    };
    let declared = node.caller.declare(vec![Change::CreateStream(jobs)]).await;
    declared.unwrap();
    for body in ["a", "b", "c", "d"] {
        published(&mut node.caller, &to_queue("jobs"), body).await;
    }
    consume(&mut node.caller, "jobs", 10).await;
    let all = deliveries(&mut node.caller, 4).await;
    node.damage(&queue_key("jobs"), 1);
    let dead = Outcome::Dead(DeadReason::Rejected);
    settle(&mut node.caller, &all[..3], dead);
    assert_quiet(&mut node.caller);
    pass(1).await;
    assert_eq!(node.taken("grave").await, ["a", "c"]);
    assert_eq!(counted(&node.kernel, DAMAGED), Some(1));
    settle(&mut node.caller, &all[3..], dead);
    assert_quiet(&mut node.caller);
    pass(1).await;
    assert_eq!(node.taken("grave").await, ["d"]);
    assert_eq!(counted(&node.kernel, DAMAGED), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_damaged_delayed_message_stays_and_is_counted_once_and_the_others_are_published() {
    let mut node = Node::new().await;
    declare_queue(&mut node.caller, "jobs").await;
    for body in ["a", "b", "c"] {
        let message = message(&node.caller, &to_queue("jobs"), body);
        let later = Later {
            at: Timestamp(message.terms.accepted_at.0 + 100),
            message,
            promise: Promise::Durable,
            with: Vec::new(),
        };
        let pending = node.caller.publish_later(later).unwrap();
        node.caller.flush();
        receipt(&mut node.caller, pending).await;
    }
    node.damage(&StreamKey::new(Family::Latest, "delayed"), 1);
    pass(101).await;
    assert_eq!(node.taken("jobs").await, ["a", "c"]);
    pass(100_000).await;
    assert_eq!(counted(&node.kernel, DAMAGED), Some(1));
}
