//! A caller that leaves while its commits are under way.

use std::sync::atomic::{AtomicUsize, Ordering};

use fairlead_kernel::testing::{Manner, Over};
use fairlead_kernel::{Binding, Destination, Lifetime, Match};
use fairlead_ports::{Commit, Store, Units};

use crate::*;

/// Commits take their last step only while somebody awaits them.
#[derive(Debug)]
struct Slow {
    finished: Arc<AtomicUsize>,
}

impl Manner for Slow {
    fn commit(&self, below: &dyn Store, units: Units) -> Commit {
        let (committed, finished) = (below.commit(units), Arc::clone(&self.finished));
        Commit::steps(async move {
            tokio::task::yield_now().await;
            let results = committed.await;
            finished.fetch_add(1, Ordering::Relaxed);
            results
        })
    }
}

#[tokio::test]
async fn what_a_caller_had_handed_over_is_seen_to_its_end_without_it() {
    let finished = Arc::new(AtomicUsize::new(0));
    let slow = Slow {
        finished: Arc::clone(&finished),
    };
    let store = Over::new(Arc::new(Memory::new(1 << 30)), slow);
    let clock = Arc::new(ManualClock::at(1));
    let kernel = kernel(Arc::new(store), Arc::clone(&clock)).await.unwrap();
    let mesh = Mesh { kernel, clock };
    let mut caller = mesh.caller();
    declare_queue(&mut caller, "jobs").await;
    let before = finished.load(Ordering::Relaxed);
    publish(&mut caller, &to_queue("jobs"), "a");
    publish(&mut caller, &to_queue("jobs"), "b");
    drop(caller);
    let end = async {
        while finished.load(Ordering::Relaxed) < before + 2 {
            tokio::task::yield_now().await;
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(5), end).await;
    ended.expect("both commits are awaited by somebody");
}

#[tokio::test]
async fn what_lies_in_memory_goes_with_its_caller_and_waits_for_nobody() {
    let store = Arc::new(Memory::new(1 << 30));
    let clock = Arc::new(ManualClock::at(1));
    let kernel = kernel(Arc::clone(&store), clock).await.unwrap();
    let mut caller = enter(&kernel);
    let key = StreamKey::new(Family::Mailbox, "fleeting");
    let new = NewStream {
        lifetime: Lifetime::Connection(caller.id()),
        ..NewStream::new(key.clone(), Kind::Queue, Class::Memory, ORIGIN)
    };
    let pattern = Pattern::exact(RealmId::SHARED, &shared("here").path);
    let binding = Binding {
        from: RealmId::SHARED,
        on: Match::Pattern(pattern),
        to: Destination::Stream(key.clone()),
        no_local: false,
        document: Bytes::new(),
    };
    let changes = vec![Change::CreateStream(new), Change::Bind(binding)];
    let declared = caller.declare(changes).await.unwrap();
    let lane = declared.streams[0].lanes[0];
    let mut publisher = enter(&kernel);
    assert!(publisher.is_bound(&shared("here")));
    drop(caller);
    // Nothing has been awaited since.
    assert!(!publisher.is_bound(&shared("here")));
    assert!(publisher.topology(|all| all.stream(&key).is_none()));
    let log = store.open(lane).unwrap();
    assert!(log.marks().await.is_err(), "the entity is gone as well");
}
