//! The power fails at every file operation of a script.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use fairlead_canon::{Kind, Outcome, Promise};
use fairlead_ports::{Op, Unit};
use fairlead_testkit::make::{A, B, append, create, message, settle};
use fairlead_testkit::trace::digest;
use parking_lot::Mutex;

use super::checkpoint::counted;
use super::{Inline, Script, check, open, runtime};
use crate::error::OpenError;
use crate::vfs::sim::{Loss, Observer, SimFs};

/// Disks that are remembered: those of one operation before the last.
const KNOWN_MAX: usize = 8;

fn losses(seed: u64) -> [Loss; 4] {
    [Loss::All, Loss::Nothing, Loss::Some(seed), Loss::Torn(seed)]
}

/// What a disk could hold when the power failed after an operation.
struct Crash {
    operation: u64,
    loss: Loss,
    answered: usize,
    fs: SimFs,
}

impl Crash {
    async fn check(self, script: &Script) {
        let Self {
            operation,
            loss,
            answered,
            fs,
        } = self;
        let context = format!("crash after operation {operation}, {loss:?}, {answered} answered");
        match check(&fs) {
            Ok(report) => assert!(report.damages.is_empty(), "{context}: {:?}", report.damages),
            // The power failed before there was anything.
            Err(error) => assert!(
                answered == 0 && matches!(error, OpenError::Missing { .. }),
                "{context}: {error}"
            ),
        }
        let subject = open(&fs).unwrap_or_else(|error| panic!("{context}: {error}"));
        let seen = digest(&subject).await;
        assert!(
            script.may_look(&seen, answered),
            "{context}: {:?}",
            script.position(&seen)
        );
        if operation % 8 == 0 {
            goes_on(subject, &fs, &context).await;
        }
    }
}

/// Plays a script once, and hands over what each crash in it could leave. A disk that is left twice in a row, where
/// nothing was to lose or nothing was made durable in between, is handed over once.
fn crashes(script: &Script, crashes: SyncSender<Crash>) {
    let (fs, answered) = (SimFs::default(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&answered);
    let known = Mutex::new(VecDeque::<(usize, SimFs)>::new());
    fs.observe(Some(Observer::new(move |fs| {
        let (operation, answered) = (fs.operations(), count.load(Ordering::Relaxed));
        let mut known = known.lock();
        for loss in losses(operation) {
            let left = fs.after_crash(loss);
            let is_left = |(at, fs): &(usize, SimFs)| *at == answered && fs.holds_the_same(&left);
            let is_known = known.iter().any(is_left);
            known.push_back((answered, left.copy()));
            if known.len() > KNOWN_MAX {
                known.pop_front();
            }
            if is_known {
                continue;
            }
            let crash = Crash {
                operation,
                loss,
                answered,
                fs: left,
            };
            // Nobody takes it any more when a check has failed.
            drop(crashes.send(crash));
        }
    })));
    assert_eq!(script.play_counting(&fs, &answered), script.units.len());
    fs.observe(None);
}

#[test]
fn every_answered_commit_survives_a_crash_after_any_operation() {
    let script = runtime().block_on(Script::new(5, 500)).sealing(2);
    let (sender, receiver) = sync_channel::<Crash>(2);
    let receiver = Arc::new(Mutex::new(receiver));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let (receiver, script) = (Arc::clone(&receiver), &script);
            scope.spawn(move || {
                let runtime = runtime();
                loop {
                    let crash = receiver.lock().recv();
                    let Ok(crash) = crash else { return };
                    runtime.block_on(crash.check(script));
                }
            });
        }
        // It goes with those who take from it, so that a check that fails leaves nobody waiting.
        drop(receiver);
        crashes(&script, sender);
    });
}

/// What is committed after a recovery survives the next start as well, and what is counted there of the need for log
/// files is what entities keep.
async fn goes_on(subject: fairlead_testkit::Subject, fs: &SimFs, context: &str) {
    subject
        .done(vec![fairlead_testkit::make::put(7, "a", "went on")])
        .await;
    let before = digest(&subject).await;
    drop(subject);
    let store = Inline::open(fs).unwrap_or_else(|error| panic!("{context}, again: {error}"));
    let uses = store.shared.state.ground.uses.lock().clone();
    assert_eq!(uses, counted(&store), "{context}");
    drop(store);
    let again = open(fs).unwrap_or_else(|error| panic!("{context}, again: {error}"));
    assert_eq!(digest(&again).await, before, "{context}");
}

#[tokio::test]
async fn a_crash_during_recovery_changes_nothing() {
    let script = Script::new(6, 30).await;
    let whole = SimFs::default();
    script.play(&whole);
    for crash_at in (10..whole.operations()).step_by(7) {
        let fs = SimFs::default();
        fs.fail_at(crash_at);
        let answered = script.play(&fs);
        let survivor = fs.after_crash(Loss::Torn(crash_at));
        for again_at in 1.. {
            let fs = survivor.copy();
            fs.fail_at(again_at);
            let has_opened = Inline::open(&fs).is_ok();
            for loss in losses(again_at) {
                let context = format!("crash at {crash_at}, in recovery at {again_at}, {loss:?}");
                let subject = open(&fs.after_crash(loss))
                    .unwrap_or_else(|error| panic!("{context}: {error}"));
                assert!(
                    script.may_look(&digest(&subject).await, answered),
                    "{context}"
                );
            }
            if has_opened {
                break;
            }
        }
    }
}

#[tokio::test]
pub(super) async fn what_a_start_has_shown_survives_although_a_sync_had_failed() {
    let script = Script::new(7, 50).await;
    let whole = SimFs::default();
    script.play(&whole);
    for lost_at in 1..=whole.operations() {
        let fs = SimFs::default();
        fs.lose_sync_at(lost_at);
        let answered = script.play(&fs);
        let Ok(subject) = open(&fs) else { continue };
        let shown = digest(&subject).await;
        assert!(
            script.may_look(&shown, answered),
            "sync {lost_at} lost, {answered} answered"
        );
        let survivor = fs.after_crash(Loss::All);
        drop(subject);
        let again = open(&survivor).unwrap_or_else(|error| panic!("sync {lost_at} lost: {error}"));
        assert_eq!(
            digest(&again).await,
            shown,
            "sync {lost_at} lost, {answered} answered"
        );
    }
}

/// As whoever moves a dead letter does it: one unit settles it here and appends it there.
#[tokio::test]
pub(super) async fn a_message_that_moves_is_in_one_place_after_a_crash() {
    let moves = || {
        unit(vec![
            settle(A, 0..1, Outcome::Done),
            append(B, message("m")),
        ])
    };
    let creations = vec![create(A, Kind::Queue), create(B, Kind::Queue)];
    let begin = |fs: &SimFs| {
        let mut store = Inline::open(fs).unwrap();
        store.commit(unit(creations.clone())).unwrap();
        store.commit(unit(vec![append(A, message("m"))])).unwrap();
        store
    };
    let fs = SimFs::default();
    let mut store = begin(&fs);
    let before = fs.operations();
    store.commit(moves()).unwrap();
    for fails_at in before + 1..=fs.operations() {
        let fs = SimFs::default();
        let mut store = begin(&fs);
        fs.fail_at(fails_at);
        assert!(store.commit(moves()).is_err());
        for loss in losses(fails_at) {
            let subject = open(&fs.after_crash(loss)).unwrap();
            let there = [subject.marks(A).await.count, subject.marks(B).await.count];
            assert!(
                there == [1, 0] || there == [0, 1],
                "crash at {fails_at}, {loss:?}: {there:?}"
            );
        }
    }
}

fn unit(ops: Vec<Op>) -> Unit {
    let promise = Promise::Durable;
    let ops = ops.into();
    Unit { ops, promise }
}
