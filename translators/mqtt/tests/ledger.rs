//! Holds the ledger, the specifications' lists, the marks in the source, the tests and the README together.

use std::path::Path;

use fairlead_translator_testkit::ledger;

const HERE: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn every_statement_is_shown_by_a_marked_test_or_says_why_not() {
    ledger::check(HERE);
}

#[test]
fn every_numbered_statement_of_both_specifications_has_a_row() {
    ledger::check_statements(HERE);
}

#[test]
fn the_readme_says_how_many_are_shown() {
    ledger::check_number(HERE, &Path::new(HERE).join("../../README.md"));
}
