//! What others can declare while a stream moves to another place.

use fairlead_canon::Spec;
use fairlead_kernel::testing::{Manner, Over};
use fairlead_kernel::{Configure, Declared, Error, Reason};
use fairlead_ports::{Commit, Op, Outcomes, StoreError, Units};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::*;

/// Moves to memory end when they are let go, and come to nothing when nobody can be let go any more.
#[derive(Debug)]
struct Held(Arc<Semaphore>);

impl Manner for Held {
    fn commit(&self, below: &dyn Store, units: Units) -> Commit {
        let to_memory = |op: &Op| {
            matches!(
                op,
                Op::Alter {
                    spec: Spec {
                        class: Class::Memory,
                        ..
                    },
                    ..
                }
            )
        };
        if !units.iter().flat_map(|unit| &unit.ops).any(to_memory) {
            return below.commit(units);
        }
        let (count, moved, gate) = (units.len(), below.commit(units), Arc::clone(&self.0));
        Commit::steps(async move {
            match gate.acquire().await {
                Ok(_passed) => moved.await,
                Err(_closed) => Outcomes::from_elem(Err(StoreError::Unavailable), count),
            }
        })
    }
}

/// A mesh with the queues `a` and `b`, of which `a` is on its way to memory.
async fn moving() -> (
    Arc<Kernel>,
    Arc<Semaphore>,
    JoinHandle<Result<Declared, Error>>,
) {
    let gate = Arc::new(Semaphore::new(0));
    let store = Over::new(Arc::new(Memory::new(1 << 30)), Held(Arc::clone(&gate)));
    let clock = Arc::new(ManualClock::at(1_000_000));
    let kernel = kernel(Arc::new(store), clock).await.unwrap();
    let mut caller = enter(&kernel);
    declare_queue(&mut caller, "a").await;
    declare_queue(&mut caller, "b").await;
    let to_memory = declaring(&kernel, vec![of_class("a", Class::Memory)]).await;
    (kernel, gate, to_memory)
}

/// Asks for changes; where nothing is in their way they are made when this returns.
async fn declaring(
    kernel: &Arc<Kernel>,
    changes: Vec<Change>,
) -> JoinHandle<Result<Declared, Error>> {
    let mut caller = enter(kernel);
    let declaring = tokio::spawn(async move { caller.declare(changes).await });
    // Time passes when nobody can do anything any more.
    pass(1).await;
    declaring
}

fn of_class(name: &str, class: Class) -> Change {
    Change::Configure(Configure {
        key: queue_key(name),
        class,
        limits: Default::default(),
        settings: Settings::default(),
    })
}

fn class_of(kernel: &Kernel, name: &str) -> Option<Class> {
    kernel.topology(|topology| Some(topology.stream(&queue_key(name))?.class))
}

#[tokio::test(start_paused = true)]
async fn what_does_not_concern_a_stream_that_moves_does_not_wait_for_it() {
    let (kernel, gate, to_memory) = moving().await;
    let others = vec![
        Change::CreateStream(queue("c")),
        Change::RemoveStream(queue_key("b")),
    ];
    let others = declaring(&kernel, others).await;
    assert!(others.is_finished() && !to_memory.is_finished());
    others.await.unwrap().unwrap();
    gate.add_permits(1);
    to_memory.await.unwrap().unwrap();
    let classes = ["a", "b", "c"].map(|name| class_of(&kernel, name));
    assert_eq!(classes, [Some(Class::Memory), None, Some(Class::Local)]);
}

#[tokio::test(start_paused = true)]
async fn what_concerns_a_stream_that_moves_comes_after_it_in_order() {
    let (kernel, gate, to_memory) = moving().await;
    let removal = declaring(&kernel, vec![Change::RemoveStream(queue_key("a"))]).await;
    let again = declaring(&kernel, vec![Change::CreateStream(queue("a"))]).await;
    assert!(!removal.is_finished() && !again.is_finished());
    gate.add_permits(1);
    to_memory.await.unwrap().unwrap();
    removal.await.unwrap().unwrap();
    again.await.unwrap().unwrap();
    assert_eq!(class_of(&kernel, "a"), Some(Class::Local));
}

#[tokio::test(start_paused = true)]
async fn a_move_that_comes_to_nothing_takes_back_nothing_else() {
    let (kernel, gate, to_memory) = moving().await;
    let others = declaring(&kernel, vec![Change::CreateStream(queue("c"))]).await;
    others.await.unwrap().unwrap();
    let removal = declaring(&kernel, vec![Change::RemoveStream(queue_key("a"))]).await;
    assert_eq!(class_of(&kernel, "a"), Some(Class::Memory));
    gate.close();
    let refused = to_memory.await.unwrap().unwrap_err();
    assert_eq!(refused.reason, Reason::Unavailable);
    removal.await.unwrap().unwrap();
    let classes = ["a", "b", "c"].map(|name| class_of(&kernel, name));
    assert_eq!(classes, [None, Some(Class::Local), Some(Class::Local)]);
}
