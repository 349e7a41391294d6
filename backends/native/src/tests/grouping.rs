//! What shares a frame, and what bounds one.

use std::sync::Arc;

use fairlead_canon::{Kind, Promise};
use fairlead_ports::{Commit, StoreError, Unit};
use fairlead_testkit::make::{A, append, create, message};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::Instant;

use super::{Inline, open};
use crate::call::{Call, Job};
use crate::inbox::{First, Inbox};
use crate::limits::{CROWD, LINE_BYTES_MAX, LINE_UNITS_MAX, Limits};
use crate::pool::Filled;
use crate::sequencer::{Press, Taken};
use crate::vfs::sim::SimFs;

fn durable(ops: Vec<fairlead_ports::Op>) -> Unit {
    Unit {
        ops: ops.into(),
        promise: Promise::Durable,
    }
}

#[test]
pub(super) fn commits_that_come_during_a_sync_share_the_next_one() {
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    store.commit(durable(vec![create(A, Kind::Log)])).unwrap();
    while store.pool.fill().unwrap() == Filled::More {}
    let before = fs.operations();
    let mut waiting = Vec::new();
    for _ in 0..250 {
        let (mut job, replied) = Job::new([durable(vec![append(A, message("x"))])].into());
        assert_eq!(store.sequencer.take(&mut job), Taken::All);
        store.sequencer.answer(job);
        waiting.push(replied);
    }
    let order = store.sequencer.order(Press::Nothing).unwrap();
    store
        .wal
        .append(&order.frame.unwrap(), order.flush)
        .unwrap();
    assert!(
        waiting.iter().all(|replied| replied.ended().is_none()),
        "nothing before the sync"
    );
    store.sequencer.landed(0);
    store.sequencer.settle();
    assert!(waiting.iter().all(|replied| replied.ended().is_some()));
    assert_eq!(fs.operations() - before, 2, "one write and one sync");
}

/// Puts so many commits in line, in order.
fn append_each(store: &mut Inline, count: usize) {
    for _ in 0..count {
        let (mut job, _replied) = Job::new([durable(vec![append(A, message("x"))])].into());
        assert_eq!(store.sequencer.take(&mut job), Taken::All);
        store.sequencer.answer(job);
    }
}

#[test]
fn during_a_sync_the_engine_is_woken_once_for_all_that_the_next_frame_waits_for() {
    let mut store = Inline::open(&SimFs::default()).unwrap();
    store.commit(durable(vec![create(A, Kind::Log)])).unwrap();
    while store.pool.fill().unwrap() == Filled::More {}
    append_each(&mut store, 250);
    assert!(store.sequencer.order(Press::Nothing).is_some());
    let waited_for = store.sequencer.crowd();
    assert_eq!(waited_for, 110, "nearly half of those that there are");
    append_each(&mut store, 50);
    assert_eq!(store.sequencer.crowd(), waited_for - 50);
    append_each(&mut store, waited_for - 50);
    assert_eq!(store.sequencer.crowd(), CROWD, "it waits for none");
}

/// Commits of a crowd, written and synced, whose callers said that they are in this runtime.
fn told_in(runtime: &Handle) -> Vec<Arc<Call>> {
    let mut store = Inline::open(&SimFs::default()).unwrap();
    store.commit(durable(vec![create(A, Kind::Log)])).unwrap();
    store.sequencer.begin(First {
        since: Instant::now(),
        runtime: Some(runtime.clone()),
    });
    let commit = |_| {
        let (mut job, replied) = Job::new([durable(vec![append(A, message("x"))])].into());
        assert_eq!(store.sequencer.take(&mut job), Taken::All);
        store.sequencer.answer(job);
        replied
    };
    let replies = (0..CROWD).map(commit).collect();
    while store.pool.fill().unwrap() == Filled::More {}
    store.work(Press::All).unwrap();
    replies
}

#[test]
fn a_crowd_is_told_in_its_runtime() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let replies = told_in(runtime.handle());
    let is_told = |replied: &Arc<Call>| replied.ended().is_some();
    assert!(!replies.iter().any(is_told), "nothing runs there yet");
    for replied in replies {
        let outcomes = runtime.block_on(Commit::called(replied));
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    }
}

#[test]
fn a_crowd_whose_runtime_has_ended_is_told_all_the_same() {
    let ended = Builder::new_multi_thread().build().unwrap();
    let handle = ended.handle().clone();
    drop(ended);
    let replies = told_in(&handle);
    assert!(replies.iter().all(|replied| replied.ended().is_some()));
    let ending = Builder::new_current_thread().build().unwrap();
    let replies = told_in(ending.handle());
    drop(ending);
    assert!(replies.iter().all(|replied| replied.ended().is_some()));
}

#[test]
fn a_runtime_that_may_stand_still_is_asked_to_tell_nobody() {
    let is_asked = |runtime: &Runtime| {
        let _entered = runtime.enter();
        First::now().runtime.is_some()
    };
    assert!(!is_asked(&Builder::new_current_thread().build().unwrap()));
    assert!(is_asked(&Builder::new_multi_thread().build().unwrap()));
    assert!(First::now().runtime.is_none());
}

#[test]
fn a_commit_larger_than_a_frame_goes_on_in_the_next() {
    let fs = SimFs::default();
    let mut store = Inline::open(&fs).unwrap();
    store.commit(durable(vec![create(A, Kind::Log)])).unwrap();
    let units = (0..200)
        .map(|_| durable(vec![append(A, message(vec![1; 1000]))]))
        .collect();
    let (mut job, replied) = Job::new(units);
    let mut frames = 0;
    loop {
        while store.pool.fill().unwrap() == Filled::More {}
        let taken = store.sequencer.take(&mut job);
        if taken == Taken::All {
            break;
        }
        store.work(Press::Frame).unwrap();
        frames += 1;
    }
    assert!(frames >= 3, "200 KB in files of 64 KiB: {frames} frames");
    store.sequencer.answer(job);
    assert!(
        replied.ended().is_none(),
        "the last part is not durable yet"
    );
    store.work(Press::Nothing).unwrap();
    let outcomes = replied.ended().unwrap();
    assert_eq!(outcomes.len(), 200);
    assert!(outcomes.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_body_at_the_limit_is_kept_and_one_byte_more_is_too_large() {
    let subject = open(&SimFs::default()).unwrap();
    subject.done(vec![create(A, Kind::Log)]).await;
    // Half a file is the longest unit; a record has 48 bytes, 16 for its target, and room for a
    // producer and for what it displaces.
    let most = Limits::of_file(64 * 1024).unit_bytes_max - (48 + 16 + 24 + 32 + 16);
    subject.done(vec![append(A, message(vec![1; most]))]).await;
    let refused = subject
        .commit(vec![append(A, message(vec![1; most + 1]))])
        .await;
    assert_eq!(refused, Err(StoreError::TooLarge { max: 32 * 1024 }));
    assert_eq!(subject.bodies(A).await.len(), 1);
}

#[test]
fn the_line_is_busy_beyond_its_limit_until_what_waits_is_in_order() {
    let inbox = Inbox::default();
    let job = |bodies: usize, bytes: usize| {
        let unit = |_| durable(vec![append(A, message(vec![1; bytes]))]);
        Job::new((0..bodies).map(unit).collect()).0
    };
    inbox.push(job(LINE_UNITS_MAX, 1));
    assert!(!inbox.is_busy());
    let one = job(1, 1);
    inbox.push(job(1, 1));
    assert!(inbox.is_busy());
    inbox.done(one.weight);
    assert!(!inbox.is_busy());
    inbox.done(job(LINE_UNITS_MAX, 1).weight);
    inbox.push(job(1, LINE_BYTES_MAX));
    assert!(!inbox.is_busy());
    inbox.push(job(1, 1));
    assert!(inbox.is_busy());
}
