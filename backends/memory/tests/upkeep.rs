//! What is forgotten in memory although nobody appends or reads.

use std::sync::Arc;

use fairlead_canon::{Batch, Compaction, Kind, Retention, Spec};
use fairlead_memory::Memory;
use fairlead_ports::{Clock, Op, StoreError};
use fairlead_testkit::make::{A, B, append, create, keyed, message, spec, stamped};
use fairlead_testkit::{Subject, Time};

/// As much as the store takes; one message of half of it leaves no room for another one.
const BYTES_MAX: u64 = 100_000;

struct Node {
    time: Arc<Time>,
    memory: Arc<Memory>,
    subject: Subject,
}

impl Node {
    /// With a log `A` like this, and a plain one `B`.
    async fn with(log: Spec) -> Self {
        let time = Arc::new(Time::at(0));
        let memory = Memory::new(BYTES_MAX).timed_by(Arc::clone(&time) as _);
        let memory = Arc::new(memory);
        let subject = Subject::new(Arc::clone(&memory), ());
        let (entity, spec) = (A, log);
        let ops = vec![Op::Create { entity, spec }, create(B, Kind::Log)];
        subject.done(ops).await;
        Self {
            time,
            memory,
            subject,
        }
    }

    fn passes(&self, ms: u64) {
        self.time.pass(ms);
        self.memory.tend();
    }

    async fn append(&self, batch: Batch) {
        let time = self.time.wall();
        let batch = Batch { time, ..batch };
        self.subject.done(vec![append(A, batch)]).await;
    }

    /// Who is known to have written to `A`.
    async fn producers(&self) -> Result<Vec<i64>, StoreError> {
        let writers = self.subject.log(A).writers().await?;
        Ok(writers.producers.iter().map(|(id, _)| id.0).collect())
    }

    /// Whether there is room for a large message elsewhere, which does not touch `A`.
    async fn has_room(&self) -> bool {
        let large = append(B, large(message("")));
        let answer = self.subject.commit(vec![large]).await;
        let is_full = matches!(answer, Err(StoreError::Full { .. }));
        assert!(is_full || answer.is_ok(), "{answer:?}");
        !is_full
    }
}

fn large(batch: Batch) -> Batch {
    let bytes = vec![b'x'; 60_000].into();
    Batch { bytes, ..batch }
}

#[tokio::test]
async fn what_is_too_old_makes_room_although_nobody_asks() {
    let age_ms = Some(1_000);
    let node = Node::with(Spec {
        retention: Retention {
            age_ms,
            ..Retention::default()
        },
        ..spec(Kind::Log)
    })
    .await;
    node.append(large(message(""))).await;
    node.passes(1_000);
    assert!(!node.has_room().await, "it is just old enough to stay");
    node.passes(1);
    assert!(node.has_room().await);
}

#[tokio::test]
async fn a_shorter_age_is_followed() {
    let aged = |age_ms| Spec {
        retention: Retention {
            age_ms: Some(age_ms),
            ..Retention::default()
        },
        ..spec(Kind::Log)
    };
    let node = Node::with(aged(1_000_000)).await;
    node.append(large(message(""))).await;
    let (entity, spec) = (A, aged(1_000));
    node.subject.done(vec![Op::Alter { entity, spec }]).await;
    node.passes(1_001);
    assert!(node.has_room().await);
}

const RULES: Compaction = Compaction {
    lag_min_ms: 20_000,
    deletes_kept_ms: 60_000,
};

#[tokio::test]
async fn what_was_replaced_goes_when_it_is_old_enough_although_nothing_follows() {
    let node = Node::with(Spec {
        compaction: Some(RULES),
        ..spec(Kind::Log)
    })
    .await;
    node.append(large(keyed("a", "1"))).await;
    node.append(keyed("a", "2")).await;
    node.passes(RULES.lag_min_ms - 1);
    assert!(!node.has_room().await);
    node.passes(1);
    assert!(node.has_room().await);
}

#[tokio::test]
async fn a_deletion_goes_after_its_time_although_nothing_follows() {
    let node = Node::with(Spec {
        compaction: Some(RULES),
        ..spec(Kind::Log)
    })
    .await;
    node.append(keyed("a", "1")).await;
    let clears = keyed("a", "");
    node.append(Batch {
        bytes: vec![b'x'; 60_000].into(),
        ..clears
    })
    .await;
    node.passes(RULES.lag_min_ms);
    assert!(!node.has_room().await, "its readers are to see it");
    node.passes(RULES.deletes_kept_ms);
    assert!(node.has_room().await);
}

const WEEK_MS: u64 = 7 * 24 * 60 * 60 * 1000;

#[tokio::test]
async fn a_producer_that_was_idle_for_a_week_is_forgotten() {
    for kind in [Kind::Log, Kind::Queue] {
        let node = Node::with(spec(kind)).await;
        for producer in [1, 2] {
            node.append(stamped(producer, 0, 0..1)).await;
        }
        node.passes(1);
        node.append(stamped(2, 0, 1..2)).await;
        node.passes(WEEK_MS - 2);
        assert_eq!(node.producers().await, Ok(vec![1, 2]), "{kind:?}");
        node.passes(1);
        assert_eq!(node.producers().await, Ok(vec![2]), "{kind:?}");
        // The pause between two looks.
        node.passes(15_000);
        assert_eq!(node.producers().await, Ok(vec![]), "{kind:?}");
        // Taken as from a new one.
        node.append(stamped(1, 0, 0..1)).await;
    }
}

#[tokio::test]
async fn compaction_does_not_wait_until_a_producer_is_forgotten() {
    let node = Node::with(Spec {
        compaction: Some(RULES),
        ..spec(Kind::Log)
    })
    .await;
    let by_producer = |batch: Batch, sequence| Batch {
        stamp: stamped(1, 0, sequence..sequence + 1).stamp,
        ..batch
    };
    node.append(by_producer(large(keyed("a", "1")), 0)).await;
    node.append(by_producer(keyed("a", "2"), 1)).await;
    node.passes(RULES.lag_min_ms);
    assert!(node.has_room().await);
}
