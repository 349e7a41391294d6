//! Nothing is handed out before the store knows that it may have been: after a crash it says redelivered.

use std::sync::Arc;
use std::task::{Context, Waker};

use fairlead_canon::EntityId;
use fairlead_kernel::testing::{Manner, ManualClock, Over, kernel};
use fairlead_kernel::{Event, Kernel, Settling};
use fairlead_memory::Memory;
use fairlead_ports::{Commit, Op, Outcomes, Store, StoreError, Units};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{
    assert_quiet, bodies, consume, declare_queue, deliveries, enter, event, publish, published,
    queue_key, receipt, to_queue,
};

/// The disk stands still for hand-out marks of some entities, until it is told to go on.
#[derive(Debug, Default)]
struct Slow {
    /// What becomes of marks that wait.
    fate: watch::Sender<Option<Result<(), StoreError>>>,
    /// The entity of each mark so far.
    marked: Mutex<Vec<EntityId>>,
    /// Marks of this entity do not wait.
    quick: Mutex<Option<EntityId>>,
}

impl Slow {
    fn go_on(&self) {
        self.fate.send_replace(Some(Ok(())));
    }

    fn marks(&self) -> usize {
        self.marked.lock().len()
    }
}

impl Manner for Slow {
    fn commit(&self, below: &dyn Store, units: Units) -> Commit {
        let ops = units.iter().flat_map(|unit| &unit.ops);
        let marks: Vec<EntityId> = ops
            .filter_map(|op| match op {
                Op::Mark { entity, .. } => Some(*entity),
                _ => None,
            })
            .collect();
        let quick = *self.quick.lock();
        let waits = marks.iter().any(|entity| Some(*entity) != quick);
        self.marked.lock().extend(marks);
        let committed = below.commit(units);
        let mut fate = self.fate.subscribe();
        Commit::steps(async move {
            let results = committed.await;
            if !waits {
                return results;
            }
            let fate = fate.wait_for(Option::is_some).await.unwrap().clone();
            match fate.unwrap() {
                Ok(()) => results,
                Err(error) => Outcomes::from_elem(Err(error), results.len()),
            }
        })
    }
}

async fn slow_kernel() -> (Arc<Over<Memory, Slow>>, Arc<Kernel>) {
    let memory = Arc::new(Memory::new(1 << 30));
    let store = Arc::new(Over::new(memory, Slow::default()));
    let clock = Arc::new(ManualClock::at(1_000_000));
    let kernel = kernel(Arc::clone(&store), clock).await.unwrap();
    (store, kernel)
}

#[tokio::test]
async fn a_message_is_handed_out_once_the_store_knows_that_it_is() {
    let (store, kernel) = slow_kernel().await;
    let mut caller = enter(&kernel);
    declare_queue(&mut caller, "jobs").await;
    published(&mut caller, &to_queue("jobs"), "a").await;
    consume(&mut caller, "jobs", 10).await;
    // Its own publishes are answered meanwhile.
    let pending = publish(&mut caller, &to_queue("jobs"), "b");
    receipt(&mut caller, pending).await;
    assert_quiet(&mut caller);
    assert_eq!(store.manner.marks(), 1);
    store.manner.go_on();
    assert_eq!(bodies(&deliveries(&mut caller, 2).await), ["a", "b"]);
}

#[tokio::test]
async fn who_waits_for_the_store_holds_up_nobody_else() {
    let (store, kernel) = slow_kernel().await;
    let (mut waits, mut goes_on) = (enter(&kernel), enter(&kernel));
    declare_queue(&mut waits, "slow").await;
    declare_queue(&mut waits, "quick").await;
    for name in ["slow", "quick"] {
        published(&mut waits, &to_queue(name), name).await;
    }
    let quick = waits.topology(|topology| topology.stream(&queue_key("quick")).unwrap().lanes[0]);
    *store.manner.quick.lock() = Some(quick);
    consume(&mut waits, "slow", 1).await;
    assert_quiet(&mut waits);
    consume(&mut goes_on, "quick", 1).await;
    assert_eq!(bodies(&deliveries(&mut goes_on, 1).await), ["quick"]);
    assert_quiet(&mut waits);
}

#[tokio::test]
async fn one_that_reads_beside_another_waits_for_the_store_as_well() {
    let (store, kernel) = slow_kernel().await;
    let (mut first, mut second) = (enter(&kernel), enter(&kernel));
    declare_queue(&mut first, "jobs").await;
    for body in ["a", "b"] {
        published(&mut first, &to_queue("jobs"), body).await;
    }
    consume(&mut first, "jobs", 1).await;
    assert_quiet(&mut first);
    consume(&mut second, "jobs", 1).await;
    assert_quiet(&mut second);
    store.manner.go_on();
    assert_eq!(bodies(&deliveries(&mut first, 1).await), ["a"]);
    assert_eq!(bodies(&deliveries(&mut second, 1).await), ["b"]);
}

#[tokio::test]
async fn taking_waits_for_the_store_as_well() {
    let (store, kernel) = slow_kernel().await;
    let mut caller = enter(&kernel);
    declare_queue(&mut caller, "jobs").await;
    published(&mut caller, &to_queue("jobs"), "a").await;
    let key = queue_key("jobs");
    let mut taking = Box::pin(caller.take(&key, Settling::Explicit));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(taking.as_mut().poll(&mut cx).is_pending());
    store.manner.go_on();
    let taken = taking.await.unwrap().unwrap();
    assert_eq!(bodies(&[taken.delivery]), ["a"]);
}

#[tokio::test]
async fn the_store_is_asked_once_for_many_messages() {
    let (store, kernel) = slow_kernel().await;
    store.manner.go_on();
    let mut caller = enter(&kernel);
    declare_queue(&mut caller, "jobs").await;
    consume(&mut caller, "jobs", 10_000).await;
    for number in 0..512 {
        let pending = publish(&mut caller, &to_queue("jobs"), &number.to_string());
        while !matches!(event(&mut caller).await, Event::Receipt(done, _) if done == pending) {}
    }
    assert_eq!(store.manner.marks(), 2, "one for each 256");
}

#[tokio::test]
async fn what_the_store_does_not_take_down_is_not_handed_out() {
    let (store, kernel) = slow_kernel().await;
    let mut caller = enter(&kernel);
    declare_queue(&mut caller, "jobs").await;
    published(&mut caller, &to_queue("jobs"), "a").await;
    consume(&mut caller, "jobs", 10).await;
    assert_quiet(&mut caller);
    store
        .manner
        .fate
        .send_replace(Some(Err(StoreError::Poisoned)));
    assert_quiet(&mut caller);
    // It is held, and no one else's as long as this one is there.
    let mut other = enter(&kernel);
    consume(&mut other, "jobs", 10).await;
    assert_quiet(&mut other);
}
