//! The power fails at every file operation of a script.

use fairlead_testkit::trace::digest;

use super::{Inline, Script, open};
use crate::vfs::sim::{Loss, SimFs};

fn losses(seed: u64) -> [Loss; 4] {
    [Loss::All, Loss::Nothing, Loss::Some(seed), Loss::Torn(seed)]
}

#[tokio::test]
async fn every_answered_commit_survives_a_crash_at_any_operation() {
    let script = Script::new(5, 50).await;
    let whole = SimFs::default();
    assert_eq!(script.play(&whole), 50);
    for crash_at in 1..=whole.operations() {
        let fs = SimFs::default();
        fs.fail_at(crash_at);
        let answered = script.play(&fs);
        for loss in losses(crash_at) {
            let survivor = fs.after_crash(loss);
            let context = format!("crash at operation {crash_at}, {loss:?}, {answered} answered");
            let subject = open(&survivor).unwrap_or_else(|error| panic!("{context}: {error}"));
            let seen = digest(&subject).await;
            assert!(
                script.may_look(&seen, answered),
                "{context}: {:?}",
                script.position(&seen)
            );
            goes_on(subject, &survivor, &context).await;
        }
    }
}

/// What is committed after a recovery survives the next start as well.
async fn goes_on(subject: fairlead_testkit::Subject, fs: &SimFs, context: &str) {
    subject
        .done(vec![fairlead_testkit::make::put(7, "a", "went on")])
        .await;
    let before = digest(&subject).await;
    drop(subject);
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
async fn what_a_start_has_shown_survives_although_a_sync_had_failed() {
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
