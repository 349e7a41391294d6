use super::*;

const A: MemberId = MemberId(1);
const B: MemberId = MemberId(2);

fn empty() -> Queue {
    let mut queue = Queue::new(Offset(0), Offset(0));
    queue.loaded(&[], true, Offset(0));
    queue
}

fn assigned(queue: &mut Queue) -> Vec<(u64, u64)> {
    let mut out = Vec::new();
    queue.assign(&mut out);
    out.iter()
        .map(|assigned| (assigned.member.0, assigned.offset.0))
        .collect()
}

#[test]
fn members_with_room_take_turns() {
    let mut queue = empty();
    queue.join(A, 2, 10);
    queue.join(B, 10, 10);
    queue.grown(Offset(0), 5);
    assert_eq!(
        assigned(&mut queue),
        [(1, 0), (2, 1), (1, 2), (2, 3), (2, 4)]
    );
    queue.grown(Offset(5), 1);
    assert!(queue.done(A, Offset(0)));
    assert_eq!(assigned(&mut queue), [(1, 5)]);
}

#[test]
fn a_returned_message_goes_back_to_its_place_and_says_so() {
    let mut queue = empty();
    queue.join(A, 2, 10);
    queue.grown(Offset(0), 4);
    assert_eq!(assigned(&mut queue), [(1, 0), (1, 1)]);
    assert!(queue.put_back(A, Offset(0)));
    let mut out = Vec::new();
    queue.assign(&mut out);
    assert_eq!(out.len(), 1);
    assert_eq!(
        (out[0].offset, out[0].requeued, out[0].is_redelivered),
        (Offset(0), 1, true)
    );
}

#[test]
fn what_a_lost_member_held_goes_to_the_others_in_order() {
    let mut queue = empty();
    queue.join(A, 3, 10);
    queue.grown(Offset(0), 3);
    assert_eq!(assigned(&mut queue).len(), 3);
    queue.join(B, 10, 10);
    queue.remove(A);
    assert_eq!(assigned(&mut queue), [(2, 0), (2, 1), (2, 2)]);
}

#[test]
fn a_member_that_leaves_may_still_settle_what_it_holds() {
    let mut queue = empty();
    queue.join(A, 10, 10);
    queue.grown(Offset(0), 1);
    assert_eq!(assigned(&mut queue).len(), 1);
    queue.leave(A);
    queue.grown(Offset(1), 1);
    assert_eq!(assigned(&mut queue), []);
    assert!(!queue.is_idle());
    assert!(queue.done(A, Offset(0)));
    assert!(queue.is_idle());
}

#[test]
fn nothing_is_settled_twice_or_by_a_stranger() {
    let mut queue = empty();
    queue.join(A, 10, 10);
    queue.grown(Offset(0), 1);
    assert_eq!(assigned(&mut queue).len(), 1);
    assert!(!queue.done(B, Offset(0)));
    assert!(queue.done(A, Offset(0)));
    assert!(!queue.done(A, Offset(0)));
    assert!(!queue.put_back(A, Offset(0)));
}

#[test]
fn messages_beyond_the_window_come_from_the_store_and_only_once() {
    let mut queue = empty();
    queue.join(A, u32::MAX, u32::MAX);
    let many = u32::try_from(Queue::READY_MAX).unwrap();
    queue.set_window(A, 0);
    queue.grown(Offset(0), many);
    queue.grown(Offset(u64::from(many)), 2);
    assert_eq!(queue.wants_load(), None, "the window is still full");
    queue.set_window(A, u32::MAX);
    assert_eq!(assigned(&mut queue).len(), many as usize);
    assert_eq!(queue.wants_load(), Some(Offset(u64::from(many))));
    assert_eq!(queue.wants_load(), None, "one load at a time");
    queue.grown(Offset(u64::from(many) + 2), 1);
    let stretch = Stretch {
        base: u64::from(many),
        span: 3,
        requeued: 0,
    };
    queue.loaded(&[stretch], true, Offset(u64::from(many) + 3));
    assert_eq!(assigned(&mut queue).len(), 3);
    queue.grown(Offset(u64::from(many) + 2), 1);
    assert_eq!(assigned(&mut queue), [], "the late notice is known already");
}

#[test]
fn a_load_that_did_not_see_the_newest_is_followed_by_another() {
    let mut queue = Queue::new(Offset(0), Offset(0));
    queue.join(A, 100, 100);
    assert_eq!(queue.wants_load(), Some(Offset(0)));
    queue.grown(Offset(1), 1);
    queue.loaded(
        &[Stretch {
            base: 0,
            span: 1,
            requeued: 0,
        }],
        true,
        Offset(1),
    );
    assert_eq!(assigned(&mut queue), [(1, 0)]);
    assert_eq!(
        queue.wants_load(),
        Some(Offset(1)),
        "offset 1 came while the load was under way"
    );
}

#[test]
fn a_purge_forgets_ready_messages_and_keeps_held_ones() {
    let mut queue = empty();
    queue.join(A, 1, 10);
    queue.grown(Offset(0), 4);
    assert_eq!(assigned(&mut queue), [(1, 0)]);
    assert_eq!(queue.purge(Offset(3)), 2);
    assert!(queue.done(A, Offset(0)));
    assert_eq!(assigned(&mut queue), [(1, 3)]);
}

#[test]
fn a_consumer_that_takes_nothing_out_is_not_handed_more_ahead() {
    let mut queue = empty();
    queue.join(A, u32::MAX, 2);
    queue.grown(Offset(0), 5);
    assert_eq!(assigned(&mut queue), [(1, 0), (1, 1)]);
    queue.taken(A, 2);
    assert_eq!(assigned(&mut queue), [(1, 2), (1, 3)]);
}
