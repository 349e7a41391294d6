//! Holds the ledger, the marks in the source and the tests together.

use fairlead_translator_testkit::ledger;

#[test]
fn every_statement_is_shown_by_a_marked_test_or_says_why_not() {
    ledger::check(env!("CARGO_MANIFEST_DIR"));
}
