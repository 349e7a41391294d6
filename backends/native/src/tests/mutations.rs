//! Each protection that is taken away is missed by a test.

use std::panic::{self, AssertUnwindSafe};

use super::{checkpoint, crash, damage, failure, grouping, recycling, syncing};
use crate::index::tests as index;
use crate::mutation::{self, Mutation};

/// A protection, and tests of which at least one fails without it.
const MISSED: [(Mutation, &[fn()]); 15] = [
    (
        Mutation::SkipSync,
        &[crash::what_a_start_has_shown_survives_although_a_sync_had_failed],
    ),
    (
        Mutation::AnswerBeforeSync,
        &[grouping::commits_that_come_during_a_sync_share_the_next_one],
    ),
    (
        Mutation::IgnoreSyncError,
        &[crash::what_a_start_has_shown_survives_although_a_sync_had_failed],
    ),
    (
        Mutation::NoChainCheck,
        &[damage::a_file_that_lost_its_end_is_refused_although_the_next_one_is_whole],
    ),
    (
        Mutation::NoSyncedCheck,
        &[damage::damage_before_the_last_frames_is_refused_although_nothing_was_closed],
    ),
    (
        Mutation::NoSalt,
        &[recycling::a_frame_that_was_forged_for_its_place_is_none_without_the_salt_of_the_file],
    ),
    (
        Mutation::NoEpochCheck,
        &[damage::a_frame_of_a_lower_epoch_is_none],
    ),
    (
        Mutation::NoRecordChecksum,
        &[damage::a_flipped_bit_changes_nothing_that_is_seen_or_is_refused],
    ),
    (
        Mutation::NoRowChecksum,
        &[index::a_flipped_bit_in_a_value_is_damage_and_not_an_answer],
    ),
    (
        Mutation::NoFence,
        &[failure::an_append_of_another_epoch_is_fenced],
    ),
    (
        Mutation::RecycleBeforeCheckpoint,
        &[checkpoint::a_crash_while_a_checkpoint_is_written_finds_every_file_that_the_last_one_needs],
    ),
    (
        Mutation::NoLiveCountDecrement,
        &[checkpoint::a_log_file_goes_once_nothing_in_the_index_refers_to_it],
    ),
    (
        Mutation::ShowBeforeDurable,
        &[syncing::what_is_not_durable_is_not_shown],
    ),
    (
        Mutation::SplitUnits,
        &[crash::a_message_that_moves_is_in_one_place_after_a_crash],
    ),
    (
        Mutation::StableTooHigh,
        &[failure::readers_of_what_is_committed_stop_where_a_transaction_is_open],
    ),
];

#[test]
fn every_protection_is_missed_by_a_test() {
    let mut unnoticed = Vec::new();
    // What they say when they fail is long, and expected.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    for (mutation, tests) in MISSED {
        mutation::set(Some(mutation));
        let is_missed = tests
            .iter()
            .any(|test| panic::catch_unwind(AssertUnwindSafe(test)).is_err());
        mutation::set(None);
        println!(
            "{mutation:?}: {}",
            if is_missed { "missed" } else { "not missed" }
        );
        if !is_missed {
            unnoticed.push(mutation);
        }
    }
    panic::set_hook(hook);
    assert!(unnoticed.is_empty(), "no test fails without: {unnoticed:?}");
}
