//! Streams whose time is over while somebody comes back to them.

use fairlead_kernel::Lifetime;
use fairlead_kernel::testing::{Manner, Over};
use fairlead_ports::{Commit, Store, Units};
use tokio::sync::watch;

use crate::*;

/// Commits wait while the door is shut.
#[derive(Debug)]
struct Gated {
    is_open: watch::Sender<bool>,
}

impl Manner for Gated {
    fn commit(&self, below: &dyn Store, units: Units) -> Commit {
        let (committed, mut door) = (below.commit(units), self.is_open.subscribe());
        Commit::steps(async move {
            door.wait_for(|is_open| *is_open).await.unwrap();
            committed.await
        })
    }
}

/// A mesh in which the time of the queue `idle` is over and its removal waits behind another
/// declaration, until the door is opened.
async fn about_to_remove(store: &Arc<Over<Memory, Gated>>, lifetime: Lifetime) -> (Mesh, Caller) {
    let clock = Arc::new(ManualClock::at(1));
    let kernel = kernel(Arc::clone(store), Arc::clone(&clock)).await.unwrap();
    let mesh = Mesh { kernel, clock };
    let mut caller = mesh.caller();
    let idle = NewStream {
        lifetime,
        ..queue("idle")
    };
    let made = caller.declare(vec![Change::CreateStream(idle)]).await;
    made.unwrap();
    let id = consume(&mut caller, "idle", 1).await;
    store.manner.is_open.send_replace(false);
    let mut other = mesh.caller();
    tokio::spawn(async move { declare_queue(&mut other, "other").await });
    pass(1).await;
    caller.detach(id);
    pass(2_000).await;
    (mesh, caller)
}

fn gated() -> Arc<Over<Memory, Gated>> {
    let is_open = watch::Sender::new(true);
    let memory = Arc::new(Memory::new(1 << 30));
    Arc::new(Over::new(memory, Gated { is_open }))
}

const LIFETIMES: [Lifetime; 2] = [Lifetime::Unused { after_ms: 1_000 }, Lifetime::LastConsumer];

#[tokio::test(start_paused = true)]
async fn whoever_comes_back_before_the_removal_keeps_the_stream() {
    for lifetime in LIFETIMES {
        let store = gated();
        let (mesh, mut caller) = about_to_remove(&store, lifetime).await;
        consume(&mut caller, "idle", 1).await;
        store.manner.is_open.send_replace(true);
        pass(10).await;
        let is_there = mesh
            .kernel
            .topology(|topology| topology.stream(&queue_key("idle")).is_some());
        assert!(is_there, "{lifetime:?}");
        publish(&mut caller, &to_queue("idle"), "a");
        let (mut texts, mut kept) = (Vec::new(), 0);
        while texts.is_empty() || kept == 0 {
            match event(&mut caller).await {
                Event::Deliveries(_, some) => texts.extend(bodies(&some)),
                Event::Receipt(_, result) => kept = result.unwrap().matched,
                other => panic!("{lifetime:?}: {other:?}"),
            }
        }
        assert_eq!((texts, kept), (vec!["a".to_owned()], 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_use_before_the_removal_begins_the_time_anew() {
    let store = gated();
    let (mesh, mut caller) = about_to_remove(&store, LIFETIMES[0]).await;
    let id = consume(&mut caller, "idle", 1).await;
    caller.detach(id);
    store.manner.is_open.send_replace(true);
    let is_there = || {
        mesh.kernel
            .topology(|topology| topology.stream(&queue_key("idle")).is_some())
    };
    pass(900).await;
    assert!(is_there());
    pass(200).await;
    assert!(!is_there());
}
