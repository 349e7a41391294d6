//! Declaring, and names that one caller holds.

use fairlead_kernel::{Displaced, Reason};

use crate::*;

#[tokio::test]
async fn a_refused_declaration_leaves_nothing_behind() {
    let mesh = Mesh::new().await;
    let mut caller = mesh.caller();
    declare_queue(&mut caller, "b").await;
    let changes = vec![
        Change::CreateStream(queue("a")),
        Change::CreateStream(queue("b")),
    ];
    assert_eq!(
        caller.declare(changes).await.unwrap_err().reason,
        Reason::Exists
    );
    assert!(caller.topology(|topology| topology.stream(&queue_key("a")).is_none()));
    assert_eq!(published(&mut caller, &to_queue("a"), "x").await.matched, 0);
}

#[tokio::test]
async fn what_was_declared_is_there_after_a_restart_and_numbers_are_not_reused() {
    let clock = Arc::new(ManualClock::at(1));
    let store = Arc::new(Memory::new(1 << 30));
    let mesh = Mesh {
        kernel: kernel(Arc::clone(&store), Arc::clone(&clock))
            .await
            .unwrap(),
        clock,
    };
    let mut caller = mesh.caller();
    let declared = caller
        .declare(vec![Change::CreateStream(queue("a"))])
        .await
        .unwrap();
    let first = Arc::clone(&declared.streams[0]);
    caller
        .declare(vec![Change::RemoveStream(queue_key("a"))])
        .await
        .unwrap();
    declare_queue(&mut caller, "b").await;
    let before = caller
        .topology(|t| t.stream(&queue_key("b")).cloned())
        .unwrap();
    drop(caller);

    let again = Mesh {
        kernel: kernel(store, Arc::clone(&mesh.clock)).await.unwrap(),
        clock: mesh.clock,
    };
    let mut caller = again.caller();
    assert_eq!(
        caller
            .topology(|t| t.stream(&queue_key("b")).cloned())
            .unwrap(),
        before
    );
    assert_eq!(
        published(&mut caller, &to_queue("b"), "x").await.matched,
        1,
        "bindings too"
    );
    let declared = caller
        .declare(vec![Change::CreateStream(queue("a"))])
        .await
        .unwrap();
    assert_ne!(declared.streams[0].lanes, first.lanes);
}

#[tokio::test]
async fn a_claimed_name_displaces_its_holder_once_that_lets_go() {
    let mesh = Mesh::new().await;
    let (mut first, mut second) = (mesh.caller(), mesh.caller());
    first.claim(b"client-1").await.unwrap();
    let claiming = tokio::spawn(async move {
        second.claim(b"client-1").await.unwrap();
        second
    });
    assert!(matches!(
        event(&mut first).await,
        Event::Displaced(Displaced::Claimed)
    ));
    drop(first);
    let mut second = claiming.await.unwrap();
    assert_quiet(&mut second);
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_does_not_let_go_keeps_its_name() {
    let mesh = Mesh::new().await;
    let (mut first, mut second) = (mesh.caller(), mesh.caller());
    first.claim(b"client-1").await.unwrap();
    assert_eq!(
        second.claim(b"client-1").await.unwrap_err().reason,
        Reason::Locked
    );
}
