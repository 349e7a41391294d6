use super::*;
use bytes::Bytes;
use proptest::prelude::*;

const SESSION: u64 = 10_000;
const ROUND: u64 = 30_000;

fn text(word: &str) -> Text {
    Text::from(word.to_owned())
}

fn wish(member: &str) -> Wish {
    Wish {
        member: text(member),
        place: None,
        must_know_name: false,
        session_ms: SESSION,
        round_ms: ROUND,
        kind: text("consumer"),
        ways: vec![(text("range"), Bytes::from_static(b"wish"))],
        client: text("client"),
        host: text("127.0.0.1"),
    }
}

fn join(ticket: u64, member: &str) -> Join {
    asked(ticket, wish(member))
}

fn asked(ticket: u64, wish: Wish) -> Join {
    Join {
        ticket: Ticket(ticket),
        fresh_name: text(&format!("m{ticket}")),
        wish,
    }
}

fn who(member: &str, generation: i32) -> Who {
    Who {
        member: text(member),
        place: None,
        generation,
    }
}

fn ask(member: &str, generation: i32, plan: &[(&str, &'static [u8])]) -> Ask {
    Ask {
        who: who(member, generation),
        kind: None,
        protocol: None,
        plan: plan
            .iter()
            .map(|(name, part)| (text(name), Bytes::from_static(part)))
            .collect(),
    }
}

/// The joined answer to a ticket.
fn joined(out: &[Answer], ticket: u64) -> &Joined {
    match &out
        .iter()
        .find(|answer| answer.ticket == Ticket(ticket))
        .expect("an answer")
        .reply
    {
        Ok(Reply::Joined(joined)) => joined,
        other => panic!("{other:?}"),
    }
}

fn refused(out: &[Answer], ticket: u64) -> &GroupError {
    let answer = out
        .iter()
        .find(|answer| answer.ticket == Ticket(ticket))
        .expect("an answer");
    answer.reply.as_ref().unwrap_err()
}

fn part(out: &[Answer], ticket: u64) -> &[u8] {
    match &out
        .iter()
        .find(|answer| answer.ticket == Ticket(ticket))
        .expect("an answer")
        .reply
    {
        Ok(Reply::Synced(synced)) => &synced.part,
        other => panic!("{other:?}"),
    }
}

/// A steady group of m1 (leader) and m2, in generation 1, at time 200.
fn pair() -> Group {
    let mut group = Group::default();
    let mut out = Vec::new();
    group.join(0, join(1, ""), &mut out);
    group.join(1, join(2, ""), &mut out);
    assert!(out.is_empty(), "the first round waits a moment for more");
    group.expire(Group::FIRST_ROUND_MS, &mut out);
    assert_eq!(joined(&out, 1).members.len(), 2);
    assert!(joined(&out, 2).members.is_empty());
    assert_eq!(joined(&out, 2).leader, text("m1"));
    group.sync(200, Ticket(3), ask("m2", 1, &[]), &mut out);
    group.sync(
        200,
        Ticket(4),
        ask("m1", 1, &[("m1", b"a"), ("m2", b"b")]),
        &mut out,
    );
    assert_eq!((part(&out, 3), part(&out, 4)), (&b"b"[..], &b"a"[..]));
    assert_eq!(group.phase(), Phase::Steady);
    group
}

#[test]
fn readers_that_start_together_need_one_round() {
    pair();
}

#[test]
fn a_newcomer_makes_the_others_come_again() {
    let mut group = pair();
    let mut out = Vec::new();
    group.join(300, join(5, ""), &mut out);
    assert_eq!(group.beat(400, &who("m1", 1)), Err(GroupError::Rebalancing));
    group.join(400, join(6, "m1"), &mut out);
    assert!(out.is_empty());
    group.join(500, join(7, "m2"), &mut out);
    assert_eq!(out.len(), 3);
    assert_eq!(joined(&out, 6).generation, 2);
    assert_eq!(joined(&out, 6).members.len(), 3);
}

#[test]
fn who_does_not_come_again_in_time_is_out() {
    let mut group = pair();
    let mut out = Vec::new();
    group.join(300, join(5, ""), &mut out);
    group.join(300, join(6, "m1"), &mut out);
    while out.is_empty() {
        let due = group.deadline().expect("a round has an end");
        // m2 beats, but does not join.
        drop(group.beat(due - 1, &who("m2", 1)));
        group.expire(due, &mut out);
    }
    assert_eq!(joined(&out, 6).members.len(), 2);
    assert_eq!(
        group.beat(ROUND + 301, &who("m2", 2)),
        Err(GroupError::UnknownMember)
    );
}

#[test]
fn a_silent_member_is_out_and_one_that_beats_is_not() {
    let mut group = pair();
    let mut out = Vec::new();
    assert_eq!(group.beat(9_000, &who("m1", 1)), Ok(()));
    group.expire(10_199, &mut out);
    assert_eq!(group.phase(), Phase::Steady);
    group.expire(10_200, &mut out);
    assert_eq!(group.phase(), Phase::Gathering);
    group.join(10_300, join(5, "m1"), &mut out);
    assert_eq!(joined(&out, 5).members.len(), 1);
}

#[test]
fn the_last_to_leave_empties_the_group() {
    let mut group = pair();
    let mut out = Vec::new();
    assert_eq!(group.leave(300, &text("m1"), None, &mut out), Ok(()));
    assert_eq!(group.leave(300, &text("m2"), None, &mut out), Ok(()));
    assert_eq!(
        group.leave(300, &text("m2"), None, &mut out),
        Err(GroupError::UnknownMember)
    );
    assert_eq!(group.phase(), Phase::Empty);
    assert!(group.is_idle() && group.deadline().is_none());
    assert_eq!(group.may_commit(300, &who("", -1)), Ok(()));
}

#[test]
fn positions_are_written_by_members_of_this_generation_only() {
    let mut group = pair();
    assert_eq!(group.may_commit(300, &who("m1", 1)), Ok(()));
    assert_eq!(
        group.may_commit(300, &who("m1", 2)),
        Err(GroupError::IllegalGeneration)
    );
    assert_eq!(
        group.may_commit(300, &who("m9", 1)),
        Err(GroupError::UnknownMember)
    );
    assert_eq!(
        group.may_commit(300, &who("", -1)),
        Err(GroupError::UnknownMember)
    );
}

#[test]
fn a_newcomer_that_can_is_told_its_name_first() {
    let mut group = Group::default();
    let mut out = Vec::new();
    group.join(
        0,
        asked(
            1,
            Wish {
                must_know_name: true,
                ..wish("")
            },
        ),
        &mut out,
    );
    assert_eq!(refused(&out, 1), &GroupError::NameFirst(text("m1")));
    assert_eq!(group.phase(), Phase::Empty);
    group.join(
        0,
        asked(
            2,
            Wish {
                must_know_name: true,
                ..wish("m1")
            },
        ),
        &mut out,
    );
    group.join(
        0,
        asked(
            3,
            Wish {
                must_know_name: true,
                ..wish("m7")
            },
        ),
        &mut out,
    );
    assert_eq!(refused(&out, 3), &GroupError::UnknownMember);
    group.expire(200, &mut out);
    assert_eq!(joined(&out, 2).member, text("m1"));
}

#[test]
fn another_kind_of_reader_or_of_dividing_is_refused() {
    let mut group = pair();
    let mut out = Vec::new();
    group.join(
        300,
        asked(
            5,
            Wish {
                kind: text("connect"),
                ..wish("")
            },
        ),
        &mut out,
    );
    group.join(
        300,
        asked(
            6,
            Wish {
                ways: vec![(text("odd"), Bytes::new())],
                ..wish("")
            },
        ),
        &mut out,
    );
    assert_eq!(refused(&out, 5), &GroupError::Inconsistent);
    assert_eq!(refused(&out, 6), &GroupError::Inconsistent);
    assert_eq!(group.phase(), Phase::Steady);
}

#[test]
fn a_restarted_holder_of_a_place_keeps_its_part_and_the_old_process_is_fenced() {
    let placed = |ticket, member| {
        asked(
            ticket,
            Wish {
                place: Some(text("p")),
                ..wish(member)
            },
        )
    };
    let mut group = Group::default();
    let mut out = Vec::new();
    group.join(0, join(1, ""), &mut out);
    group.join(0, placed(2, ""), &mut out);
    group.expire(200, &mut out);
    group.sync(200, Ticket(3), ask("m1", 1, &[("m2", b"b")]), &mut out);
    out.clear();
    group.join(300, placed(4, ""), &mut out);
    assert_eq!(joined(&out, 4).generation, 1, "no new round");
    group.sync(300, Ticket(5), ask("m4", 1, &[]), &mut out);
    assert_eq!(part(&out, 5), b"b");
    let old = Who {
        place: Some(text("p")),
        ..who("m2", 1)
    };
    assert_eq!(group.beat(300, &old), Err(GroupError::FencedPlace));
}

#[test]
fn a_plan_that_never_comes_costs_the_leader_its_place() {
    let mut group = Group::default();
    let mut out = Vec::new();
    group.join(0, join(1, ""), &mut out);
    group.join(0, join(2, ""), &mut out);
    group.expire(200, &mut out);
    group.sync(200, Ticket(3), ask("m2", 1, &[]), &mut out);
    while !out.iter().any(|answer| answer.ticket == Ticket(3)) {
        let due = group.deadline().expect("dividing has an end");
        group.expire(due, &mut out);
    }
    assert_eq!(refused(&out, 3), &GroupError::Rebalancing);
    group.join(40_000, join(4, "m2"), &mut out);
    assert_eq!(joined(&out, 4).leader, text("m2"));
}

#[test]
fn the_way_that_most_prefer_wins_among_those_that_all_know() {
    let wishes = |names: &[&str]| {
        names
            .iter()
            .map(|name| (text(name), Bytes::new()))
            .collect()
    };
    let mut group = Group::default();
    let mut out = Vec::new();
    group.join(
        0,
        asked(
            1,
            Wish {
                ways: wishes(&["x", "a", "b"]),
                ..wish("")
            },
        ),
        &mut out,
    );
    group.join(
        0,
        asked(
            2,
            Wish {
                ways: wishes(&["b", "a"]),
                ..wish("")
            },
        ),
        &mut out,
    );
    group.join(
        0,
        asked(
            3,
            Wish {
                ways: wishes(&["b", "x", "a"]),
                ..wish("")
            },
        ),
        &mut out,
    );
    group.expire(200, &mut out);
    assert_eq!(joined(&out, 1).protocol, text("b"));
}

#[derive(Clone, Debug)]
enum Act {
    Join(usize, bool),
    Sync(usize),
    Beat(usize),
    Leave(usize),
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0usize..4, any::<bool>()).prop_map(|(who, must)| Act::Join(who, must)),
        3 => (0usize..4).prop_map(Act::Sync),
        2 => (0usize..4).prop_map(Act::Beat),
        1 => (0usize..4).prop_map(Act::Leave),
        2 => (0u64..15_000).prop_map(Act::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    // Whatever four readers do, each question is answered once and in the end; generations grow;
    // and in a generation nobody is given a part by anybody but its leader.
    #[test]
    fn each_question_is_answered_exactly_once(acts in prop::collection::vec(act(), 0..60)) {
        let mut group = Group::default();
        let (mut now, mut count, mut answers) = (0u64, 0u64, Vec::new());
        let mut names = vec![String::new(); 4];
        let mut generation = 0;
        for act in acts {
            match act {
                Act::Join(who, must_know_name) => {
                    count += 1;
                    group.join(now, asked(count, Wish { must_know_name, ..wish(&names[who]) }), &mut answers);
                    if names[who].is_empty() {
                        names[who] = format!("m{count}");
                    }
                }
                Act::Sync(who) => {
                    count += 1;
                    group.sync(now, Ticket(count), ask(&names[who], group.generation, &[]), &mut answers);
                }
                Act::Beat(who) => {
                    drop(group.beat(now, &super::tests::who(&names[who], group.generation)));
                }
                Act::Leave(who) => {
                    drop(group.leave(now, &text(&names[who]), None, &mut answers));
                    names[who].clear();
                }
                Act::Wait(ms) => {
                    now += ms;
                    group.expire(now, &mut answers);
                }
            }
            prop_assert!(group.generation >= generation);
            generation = group.generation;
        }
        for _ in 0..64 {
            let Some(due) = group.deadline() else { break };
            now = now.max(due);
            group.expire(now, &mut answers);
        }
        prop_assert!(group.is_idle(), "silence empties every group: {group:?}");
        let mut tickets: Vec<u64> = answers.iter().map(|answer| answer.ticket.0).collect();
        tickets.sort_unstable();
        prop_assert_eq!(tickets, (1..=count).collect::<Vec<_>>());
    }
}
