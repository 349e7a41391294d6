//! The laws of a store, as functions that any store can be held to; for tests alone.
//!
//! `laws!(fresh)` makes one test of each law, where `fresh` gives an empty [`Subject`].
//! [`trace::run`] holds a store to the reference by random operations, [`moves::run`] one in which
//! entities move meanwhile.

pub mod laws;
pub mod make;
pub mod moves;
mod outside;
mod slow;
mod subject;
pub mod trace;

pub use outside::{Chance, Time};
pub use slow::Slow;
pub use subject::Subject;

/// One test per law, each with an empty store from `$fresh`, an expression of type [`Subject`].
#[macro_export]
macro_rules! laws {
    ($fresh:expr) => {
        $crate::laws! { $fresh;
            entities::an_entity_is_made_once,
            entities::nothing_is_done_to_an_absent_entity,
            entities::an_altered_entity_keeps_its_kind,
            entities::a_deleted_entity_is_gone,
            entities::another_epoch_is_fenced,
            append::offsets_are_dense_and_grow_by_span,
            append::one_body_reaches_every_target,
            append::an_entity_that_is_named_twice_gets_it_twice,
            append::a_unit_is_all_or_nothing,
            append::units_of_a_call_take_effect_in_order,
            append::calls_take_effect_in_the_order_in_which_they_are_made,
            append::a_placed_batch_leaves_a_gap_but_never_overlaps,
            append::a_full_entity_does_as_its_overflow_says,
            append::what_is_too_large_is_refused_whole,
            append::a_batch_that_contradicts_itself_is_refused,
            append::the_watcher_hears_of_each_batch_in_order,
            reading::a_read_begins_with_the_batch_that_holds_its_offset,
            reading::a_read_stops_at_its_bounds_but_gives_one_batch,
            reading::a_read_outside_the_bounds_is_refused,
            reading::bytes_come_back_as_they_were,
            reading::a_fetch_leaves_out_what_is_gone,
            reading::a_time_is_found_by_the_latest_time_of_batches,
            reading::a_trimmed_log_begins_later,
            settling::a_settled_message_is_never_seen_again,
            settling::a_returned_message_keeps_its_place_and_counts,
            settling::part_of_a_batch_can_be_settled,
            settling::cursors_on_a_log_do_not_see_each_other,
            settling::a_queue_has_one_cursor,
            settling::a_purge_leaves_later_messages,
            producers::a_batch_that_comes_again_is_a_duplicate,
            producers::a_gap_is_out_of_sequence,
            producers::a_lower_epoch_is_fenced_and_a_higher_one_begins_at_zero,
            producers::the_sequence_wraps_to_zero,
            producers::a_placed_batch_is_recorded_and_not_judged,
            producers::each_entity_judges_by_itself,
            producers::what_is_remembered_is_told_also_of_batches_that_are_gone,
            latest::the_newest_message_of_a_key_is_kept,
            latest::a_key_without_a_value_clears,
            latest::keys_are_listed_by_prefix_in_order,
            latest::a_message_without_a_key_is_refused,
            documents::a_version_changes_with_each_write,
            documents::an_expectation_that_fails_keeps_the_unit_out,
            documents::keys_are_listed_by_prefix_and_space,
            documents::due_documents_come_earliest_first,
            transactions::a_committed_read_ends_at_the_oldest_open_transaction,
            transactions::an_aborted_transaction_is_told_with_its_bounds,
            transactions::a_transaction_ends_in_all_that_it_touched_or_in_one,
            transactions::the_end_of_none_is_taken,
            transactions::an_older_epoch_cannot_end_what_a_newer_one_opened,
            transactions::a_newer_epoch_that_ends_it_shuts_the_older_one_out,
            transactions::only_a_log_takes_a_transaction_and_only_of_somebody,
            transactions::a_marker_finds_its_place_in_a_full_entity,
            transactions::aborted_ones_below_the_start_are_forgotten,
            transactions::a_deleted_entity_has_no_open_transaction,
            dead::a_dead_message_waits_to_be_moved_on,
            dead::a_dead_message_goes_when_it_is_settled_as_dead,
            dead::a_queue_that_keeps_none_forgets_its_dead,
            dead::a_dead_message_makes_room,
            dead::what_is_dropped_at_the_head_dies_and_the_watcher_is_told,
            dead::what_is_dropped_at_the_head_of_a_log_is_gone,
            dead::a_purge_takes_the_dead_along,
            dead::only_a_queue_has_dead_messages,
            retention::the_age_of_a_queue_bounds_deadlines,
            retention::a_log_forgets_its_oldest_bytes,
            retention::nothing_from_an_open_transaction_on_is_forgotten,
            retention::the_cleaner_removes_whole_batches_and_leaves_gaps,
        }
    };
    ($fresh:expr; $($area:ident :: $law:ident),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $law() {
                let subject: $crate::Subject = $fresh;
                $crate::laws::$area::$law(&subject).await;
            }
        )*
    };
}
