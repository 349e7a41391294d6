//! The laws of a store, as functions that any store can be held to; for tests alone.
//!
//! `laws!(fresh)` makes one test of each law, where `fresh` gives an empty [`Subject`].
//! [`trace::run`] holds a store to the reference by random operations.

pub mod laws;
pub mod make;
mod subject;
pub mod trace;

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
            latest::the_newest_message_of_a_key_is_kept,
            latest::a_key_without_a_value_clears,
            latest::keys_are_listed_by_prefix_in_order,
            latest::a_message_without_a_key_is_refused,
            documents::a_version_changes_with_each_write,
            documents::an_expectation_that_fails_keeps_the_unit_out,
            documents::keys_are_listed_by_prefix_and_space,
            documents::due_documents_come_earliest_first,
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
