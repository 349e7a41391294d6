use super::*;

const A: MemberId = MemberId(1);
const B: MemberId = MemberId(2);

fn empty() -> Queue {
    lanes(1, Manner::default())
}

/// A queue with nothing in its lanes.
fn lanes(count: u8, manner: Manner) -> Queue {
    let mut queue = Queue::new((0..count).map(|_| (Offset(0), Offset(0))), manner);
    (0..count).for_each(|lane| queue.loaded(lane, &[], true, Offset(0)));
    queue
}

fn join(queue: &mut Queue, id: MemberId, window: u32, ahead_max: u32) {
    let priority = 0;
    queue.join(Joining {
        id,
        window,
        ahead_max,
        priority,
        allowance: None,
    });
}

fn grow(queue: &mut Queue, base: u64, span: u32) {
    queue.grown(0, stretch(base, span));
}

fn stretch(base: u64, span: u32) -> Stretch {
    let facts = Facts::default();
    Stretch { base, span, facts }
}

fn at(offset: u64) -> Place {
    Place {
        lane: 0,
        offset: Offset(offset),
    }
}

fn assigned(queue: &mut Queue) -> Vec<(u64, u64)> {
    let mut out = Vec::new();
    queue.assign(&mut out);
    out.iter()
        .map(|assigned| (assigned.member.0, assigned.place.offset.0))
        .collect()
}

#[test]
fn members_with_room_take_turns() {
    let mut queue = empty();
    join(&mut queue, A, 2, 10);
    join(&mut queue, B, 10, 10);
    grow(&mut queue, 0, 5);
    assert_eq!(
        assigned(&mut queue),
        [(1, 0), (2, 1), (1, 2), (2, 3), (2, 4)]
    );
    grow(&mut queue, 5, 1);
    assert_eq!(queue.done(A, at(0)), End::Done);
    assert_eq!(assigned(&mut queue), [(1, 5)]);
}

#[test]
fn a_returned_message_goes_back_to_its_place_and_says_so() {
    let mut queue = empty();
    join(&mut queue, A, 2, 10);
    grow(&mut queue, 0, 4);
    assert_eq!(assigned(&mut queue), [(1, 0), (1, 1)]);
    assert_eq!(queue.put_back(A, at(0)), End::Ready);
    let mut out = Vec::new();
    queue.assign(&mut out);
    assert_eq!(out.len(), 1);
    assert_eq!(
        (out[0].place, out[0].facts.requeued, out[0].is_redelivered),
        (at(0), 1, true)
    );
}

#[test]
fn what_a_lost_member_held_goes_to_the_others_in_order() {
    let mut queue = empty();
    join(&mut queue, A, 3, 10);
    grow(&mut queue, 0, 3);
    assert_eq!(assigned(&mut queue).len(), 3);
    join(&mut queue, B, 10, 10);
    queue.remove(A);
    assert_eq!(assigned(&mut queue), [(2, 0), (2, 1), (2, 2)]);
}

#[test]
fn a_member_that_leaves_may_still_settle_what_it_holds() {
    let mut queue = empty();
    join(&mut queue, A, 10, 10);
    grow(&mut queue, 0, 1);
    assert_eq!(assigned(&mut queue).len(), 1);
    queue.leave(A);
    grow(&mut queue, 1, 1);
    assert_eq!(assigned(&mut queue), []);
    assert!(!queue.is_idle());
    assert_eq!(queue.done(A, at(0)), End::Done);
    assert!(queue.is_idle());
}

#[test]
fn nothing_is_settled_twice_or_by_a_stranger() {
    let mut queue = empty();
    join(&mut queue, A, 10, 10);
    grow(&mut queue, 0, 1);
    assert_eq!(assigned(&mut queue).len(), 1);
    assert_eq!(queue.done(B, at(0)), End::NotHeld);
    assert_eq!(queue.done(A, at(0)), End::Done);
    assert_eq!(queue.done(A, at(0)), End::NotHeld);
    assert_eq!(queue.put_back(A, at(0)), End::NotHeld);
}

#[test]
fn messages_beyond_the_window_come_from_the_store_and_only_once() {
    let mut queue = empty();
    join(&mut queue, A, u32::MAX, u32::MAX);
    let many = u32::try_from(Queue::READY_MAX).unwrap();
    queue.set_window(A, 0);
    grow(&mut queue, 0, many);
    grow(&mut queue, u64::from(many), 2);
    assert_eq!(queue.wants_load(), None, "the window is still full");
    queue.set_window(A, u32::MAX);
    assert_eq!(assigned(&mut queue).len(), many as usize);
    assert_eq!(queue.wants_load(), Some(at(u64::from(many))));
    assert_eq!(queue.wants_load(), None, "one load at a time");
    grow(&mut queue, u64::from(many) + 2, 1);
    queue.loaded(
        0,
        &[stretch(u64::from(many), 3)],
        true,
        Offset(u64::from(many) + 3),
    );
    assert_eq!(assigned(&mut queue).len(), 3);
    grow(&mut queue, u64::from(many) + 2, 1);
    assert_eq!(assigned(&mut queue), [], "the late notice is known already");
}

#[test]
fn a_load_that_did_not_see_the_newest_is_followed_by_another() {
    let mut queue = Queue::new([(Offset(0), Offset(0))], Manner::default());
    join(&mut queue, A, 100, 100);
    assert_eq!(queue.wants_load(), Some(at(0)));
    grow(&mut queue, 1, 1);
    queue.loaded(0, &[stretch(0, 1)], true, Offset(1));
    assert_eq!(assigned(&mut queue), [(1, 0)]);
    assert_eq!(
        queue.wants_load(),
        Some(at(1)),
        "offset 1 came while the load was under way"
    );
}

#[test]
fn a_purge_forgets_ready_messages_and_keeps_held_ones() {
    let mut queue = empty();
    join(&mut queue, A, 1, 10);
    grow(&mut queue, 0, 4);
    assert_eq!(assigned(&mut queue), [(1, 0)]);
    assert_eq!(queue.purge(0, Offset(3)), 2);
    assert_eq!(queue.done(A, at(0)), End::Done);
    assert_eq!(assigned(&mut queue), [(1, 3)]);
}

#[test]
fn a_consumer_that_takes_nothing_out_is_not_handed_more_ahead() {
    let mut queue = empty();
    join(&mut queue, A, u32::MAX, 2);
    grow(&mut queue, 0, 5);
    assert_eq!(assigned(&mut queue), [(1, 0), (1, 1)]);
    queue.taken(A, 2);
    assert_eq!(assigned(&mut queue), [(1, 2), (1, 3)]);
}

#[test]
fn the_highest_lane_goes_first_and_each_keeps_its_order() {
    let mut queue = lanes(3, Manner::default());
    join(&mut queue, A, 3, 10);
    queue.set_window(A, 0);
    queue.grown(1, stretch(0, 2));
    queue.grown(0, stretch(0, 1));
    queue.grown(2, stretch(0, 2));
    queue.set_window(A, 10);
    let mut out = Vec::new();
    queue.assign(&mut out);
    let order: Vec<_> = out
        .iter()
        .map(|one| (one.place.lane, one.place.offset.0))
        .collect();
    assert_eq!(order, [(2, 0), (2, 1), (1, 0), (1, 1), (0, 0)]);
    let returned = Place {
        lane: 1,
        offset: Offset(0),
    };
    assert_eq!(queue.put_back(A, returned), End::Ready);
    assert_eq!(queue.take(B).unwrap().place, returned);
}

#[test]
fn a_lane_waits_for_what_a_higher_one_has_in_the_store() {
    let known = (Offset(0), Offset(0));
    let mut queue = Queue::new([known, known], Manner::default());
    join(&mut queue, A, 10, 10);
    queue.loaded(0, &[stretch(0, 1)], true, Offset(1));
    assert_eq!(assigned(&mut queue), [], "the higher lane is not loaded");
    let high = Place {
        lane: 1,
        offset: Offset(0),
    };
    assert_eq!(queue.lacks_all(), Some(high));
    assert_eq!(queue.wants_load(), Some(high));
    queue.loaded(1, &[stretch(0, 1)], true, Offset(1));
    let mut out = Vec::new();
    queue.assign(&mut out);
    assert_eq!(
        out.iter().map(|one| one.place.lane).collect::<Vec<_>>(),
        [1, 0]
    );
    assert_eq!(queue.lacks_all(), None);
}

#[test]
fn what_came_back_too_often_is_spent() {
    let manner = Manner {
        returns_max: Some(1),
        ..Manner::default()
    };
    let mut queue = lanes(1, manner);
    join(&mut queue, A, 2, 10);
    grow(&mut queue, 0, 2);
    assert_eq!(assigned(&mut queue), [(1, 0), (1, 1)]);
    assert_eq!(queue.put_back(A, at(0)), End::Ready);
    assert_eq!(assigned(&mut queue), [(1, 0)]);
    let left = queue.remove(A);
    assert_eq!((left.spent, left.returned), (vec![at(0)], vec![at(1)]));
    join(&mut queue, B, 10, 10);
    assert_eq!(assigned(&mut queue), [(2, 1)]);
}

#[test]
fn what_was_never_shown_goes_back_uncounted() {
    let mut queue = empty();
    join(&mut queue, A, 1, 10);
    grow(&mut queue, 0, 1);
    assert_eq!(assigned(&mut queue), [(1, 0)]);
    queue.unassign(A, at(0));
    let again = queue.take(B).unwrap();
    assert_eq!((again.facts.requeued, again.is_redelivered), (0, false));
}

#[test]
fn one_member_is_active_until_it_leaves_and_then_the_next_in_order() {
    const C: MemberId = MemberId(3);
    let manner = Manner {
        is_single_active: true,
        ..Manner::default()
    };
    let mut queue = lanes(1, manner);
    for member in [A, B, C] {
        join(&mut queue, member, 1, 10);
    }
    grow(&mut queue, 0, 4);
    assert_eq!(
        assigned(&mut queue),
        [(1, 0)],
        "nobody helps the active one"
    );
    queue.leave(A);
    assert_eq!(assigned(&mut queue), [(2, 1)]);
    queue.remove(B);
    assert_eq!(assigned(&mut queue), [(3, 1)]);
    join(&mut queue, B, 10, 10);
    assert_eq!(assigned(&mut queue), []);
    queue.remove(C);
    assert_eq!(assigned(&mut queue), [(2, 1), (2, 2), (2, 3)]);
}

#[test]
fn a_lower_priority_helps_only_while_the_higher_has_no_room() {
    let mut queue = empty();
    let prioritised = |id, window, priority| Joining {
        id,
        window,
        ahead_max: 100,
        priority,
        allowance: None,
    };
    queue.join(prioritised(A, 10, 0));
    queue.join(prioritised(B, 1, 5));
    queue.join(prioritised(MemberId(3), 1, 5));
    grow(&mut queue, 0, 4);
    assert_eq!(
        assigned(&mut queue),
        [(2, 0), (3, 1), (1, 2), (1, 3)],
        "equals take turns"
    );
    assert_eq!(queue.done(MemberId(3), at(1)), End::Done);
    grow(&mut queue, 4, 2);
    assert_eq!(assigned(&mut queue), [(3, 4), (1, 5)]);
}

#[test]
fn what_is_forgotten_is_given_to_nobody_unless_it_is_held() {
    let mut queue = empty();
    join(&mut queue, A, 1, 10);
    grow(&mut queue, 0, 3);
    assert_eq!(assigned(&mut queue), [(1, 0)]);
    assert!(!queue.forget(at(0), 0), "it is held");
    assert!(queue.forget(at(1), 0));
    assert_eq!(queue.done(A, at(0)), End::Done);
    assert_eq!(assigned(&mut queue), [(1, 2)]);
}

#[test]
fn members_of_several_queues_share_an_allowance_to_the_message() {
    let allowance = Arc::new(Allowance::new(3));
    let joining = || Joining {
        id: A,
        window: 10,
        ahead_max: 100,
        priority: 0,
        allowance: Some(Arc::clone(&allowance)),
    };
    let (mut one, mut other) = (empty(), empty());
    for queue in [&mut one, &mut other] {
        queue.join(joining());
        grow(queue, 0, 10);
    }
    assert_eq!(assigned(&mut one).len(), 3);
    assert_eq!(assigned(&mut other), []);
    let first = Place {
        lane: 0,
        offset: Offset(0),
    };
    assert_eq!(one.done(A, first), End::Done);
    assert_eq!(assigned(&mut other).len(), 1);
    assert_eq!(assigned(&mut one), []);
    one.remove(A);
    assert_eq!(assigned(&mut other).len(), 2);
    allowance.set_max(u32::MAX);
    assert_eq!(assigned(&mut other).len(), 7);
}

#[test]
fn what_died_in_the_store_is_given_to_nobody_else_and_ends_with_its_holder() {
    let mut queue = empty();
    join(&mut queue, A, 2, 10);
    grow(&mut queue, 0, 6);
    assert_eq!(assigned(&mut queue), [(1, 0), (1, 1)]);
    assert!(!queue.doom(at(0)) && !queue.doom(at(1)), "they are held");
    assert!(queue.doom(at(3)) && queue.doom(at(5)));
    assert_eq!(queue.done(A, at(0)), End::Doomed);
    assert_eq!(assigned(&mut queue), [(1, 2)]);
    assert_eq!(queue.put_back(A, at(1)), End::Doomed);
    assert_eq!(assigned(&mut queue), [(1, 4)]);
    queue.set_window(A, 10);
    assert_eq!(assigned(&mut queue), []);
}

#[test]
fn what_dies_while_it_is_loaded_is_given_to_nobody() {
    let mut queue = Queue::new([(Offset(0), Offset(0))], Manner::default());
    join(&mut queue, A, 10, 10);
    assert_eq!(queue.wants_load(), Some(at(0)));
    assert!(queue.doom(at(1)));
    queue.loaded(0, &[stretch(0, 3)], true, Offset(3));
    assert_eq!(assigned(&mut queue), [(1, 0), (1, 2)]);
}

/// A stretch of messages of ten bytes.
fn of_ten(base: u64, span: u32) -> Stretch {
    let mut stretch = stretch(base, span);
    stretch.facts.bytes = 10;
    stretch
}

fn amount(count: u64, bytes: u64) -> Amount {
    Amount { count, bytes }
}

#[test]
fn what_waits_is_known_through_all_that_happens_to_it() {
    let mut queue = empty();
    queue.grown(0, of_ten(0, 6));
    assert_eq!(queue.waiting(), amount(6, 60));
    join(&mut queue, A, 2, 10);
    assert_eq!(assigned(&mut queue), [(1, 0), (1, 1)]);
    assert_eq!(queue.waiting(), amount(4, 40), "held ones do not wait");
    assert_eq!(queue.done(A, at(0)), End::Done);
    assert_eq!(queue.waiting(), amount(4, 40));
    assert_eq!(queue.put_back(A, at(1)), End::Ready);
    assert_eq!(queue.waiting(), amount(5, 50));
    assert_eq!(queue.displace(), Some(at(1)), "the head, which came back");
    assert!(queue.forget(at(3), 10));
    assert!(queue.doom(at(1)), "it counts no more already");
    assert_eq!(queue.waiting(), amount(3, 30));
    assert_eq!(queue.purge(0, Offset(5)), 2);
    assert_eq!(queue.waiting(), amount(1, 10));
}

#[test]
fn what_waits_in_the_store_counts_as_well() {
    let mut queue = Queue::new([(Offset(5), Offset(5))], Manner::default());
    assert_eq!(queue.waiting(), amount(0, 0), "not known");
    queue.grown(0, of_ten(25, 1));
    queue.counted(0, amount(20, 200), Offset(25));
    assert_eq!(queue.waiting(), amount(21, 200), "one came in between");
    queue.grown(0, of_ten(26, 2));
    assert_eq!(queue.waiting(), amount(23, 220));
    assert_eq!(queue.displace(), None, "nothing is loaded");
    assert!(queue.forget(at(5), 10));
    assert!(queue.doom(at(5)), "it counts no more already");
    assert_eq!(queue.waiting(), amount(22, 210));
    assert_eq!(queue.lacks_all(), Some(at(5)));
    queue.loaded(0, &[of_ten(6, 22)], true, Offset(28));
    assert_eq!(queue.waiting(), amount(22, 220));
    assert_eq!(queue.displace(), Some(at(6)));
}

#[test]
fn the_deadline_of_a_new_head_is_told() {
    let mut queue = empty();
    let mut brief = stretch(1, 1);
    brief.facts.deadline = Some(Timestamp(7));
    queue.grown(0, stretch(0, 1));
    queue.grown(0, brief);
    assert_eq!(queue.take_due(), None);
    assert_eq!(queue.displace(), Some(at(0)));
    assert_eq!(queue.take_due(), Some((0, Timestamp(7))));
    assert_eq!(queue.take_due(), None);
}

#[test]
fn what_is_foreseen_counts_what_comes_and_leaves_out_whom_it_is_for() {
    let mut queue = empty();
    queue.grown(0, of_ten(0, 2));
    (0..4).for_each(|_| queue.expect(10));
    assert_eq!(queue.foreseen(), amount(6, 60));
    join(&mut queue, A, 3, 2);
    assert_eq!(queue.foreseen(), amount(4, 40), "it takes two at a time");
    assigned(&mut queue);
    assert_eq!(queue.foreseen(), amount(4, 40));
    queue.came(10);
    assert_eq!(queue.foreseen(), amount(3, 30));
    join(&mut queue, B, 10, 10);
    assert_eq!(queue.foreseen(), amount(0, 0));
}
