//! Groups of readers, and their positions.

use std::time::Duration;

use bytes::Bytes;
use fairlead_canon::{EntityId, Text};
use fairlead_kernel::{Ask, GroupError, Phase, Position, Who, Wish};

use crate::Mesh;

fn wish(member: &Text) -> Wish {
    Wish {
        member: member.clone(),
        place: None,
        must_know_name: false,
        session_ms: 10_000,
        round_ms: 60_000,
        kind: Text::from_static("reader"),
        ways: vec![(Text::from_static("even"), Bytes::new())],
        client: Text::from_static("client"),
        host: Text::new(),
    }
}

fn who(member: &Text, generation: i32) -> Who {
    Who {
        member: member.clone(),
        place: None,
        generation,
    }
}

fn ask(member: &Text, plan: &[(&Text, &'static str)]) -> Ask {
    let part = |(member, part): &(&Text, &'static str)| ((*member).clone(), Bytes::from(*part));
    Ask {
        who: who(member, 1),
        kind: None,
        protocol: None,
        plan: plan.iter().map(part).collect(),
    }
}

#[tokio::test(start_paused = true)]
async fn members_on_different_connections_divide_a_plan() {
    let mesh = Mesh::new().await;
    let (one, two) = (mesh.caller(), mesh.caller());
    let group = Text::from_static("g");
    let newcomer = wish(&Text::new());
    let (a, b) = tokio::join!(
        one.join_group(&group, newcomer.clone()),
        two.join_group(&group, newcomer)
    );
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_eq!((a.generation, b.generation), (1, 1));
    let plan = [(&a.member, "left"), (&b.member, "right")];
    let (left, right) = tokio::join!(
        one.sync_group(&group, ask(&a.member, &plan)),
        two.sync_group(&group, ask(&b.member, &plan))
    );
    assert_eq!(
        (&left.unwrap().part[..], &right.unwrap().part[..]),
        (&b"left"[..], &b"right"[..])
    );
    assert_eq!(one.group(&group).unwrap().phase, Phase::Steady);
    assert_eq!(one.groups().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_group_whose_members_fell_silent_leaves_nothing_behind() {
    let mesh = Mesh::new().await;
    let caller = mesh.caller();
    let group = Text::from_static("g");
    let joined = caller.join_group(&group, wish(&Text::new())).await.unwrap();
    caller
        .sync_group(&group, ask(&joined.member, &[]))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(caller.beat_group(&group, &who(&joined.member, 1)), Ok(()));
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert!(caller.group(&group).is_some());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(caller.group(&group).is_none());
    let gone = caller.beat_group(&group, &who(&joined.member, 1));
    assert_eq!(gone, Err(GroupError::UnknownMember));
    assert!(
        caller.groups().is_empty(),
        "a question to a group that is gone makes none"
    );
}

#[tokio::test(start_paused = true)]
async fn a_join_that_nobody_waits_for_ends_like_any_other() {
    let mesh = Mesh::new().await;
    let caller = mesh.caller();
    let group = Text::from_static("g");
    drop(caller.join_group(&group, wish(&Text::new())));
    assert_eq!(caller.groups().len(), 1);
    // The round, the wait for a plan, and the session.
    tokio::time::sleep(Duration::from_secs(180)).await;
    assert!(caller.groups().is_empty());
}

#[tokio::test(start_paused = true)]
async fn positions_outlive_members_and_are_listed_by_group() {
    let mesh = Mesh::new().await;
    let caller = mesh.caller();
    let position = |entity| Position {
        entity: EntityId(entity),
        offset: 7,
        leader_epoch: 0,
        metadata: Bytes::from_static(b"note"),
    };
    for group in ["b", "a", "aa"] {
        caller
            .commit(group, &[position(1), position(2)])
            .await
            .unwrap();
    }
    assert_eq!(
        caller.groups_with_positions().await.unwrap(),
        ["a", "b", "aa"]
    );
    assert_eq!(
        caller.positions("a").await.unwrap(),
        [position(1), position(2)]
    );
    caller.forget_positions("a").await.unwrap();
    assert_eq!(caller.groups_with_positions().await.unwrap(), ["b", "aa"]);
    assert_eq!(caller.positions("b").await.unwrap().len(), 2);
}
