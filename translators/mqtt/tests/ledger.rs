//! Holds the ledger, the specifications' lists, the marks in the source, the tests and the README together.

use std::fs;
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

#[test]
fn every_test_that_stands_beside_one_of_paho_is_there() {
    let here = Path::new(HERE);
    let table = fs::read_to_string(here.join("PAHO.md")).unwrap();
    let named = table.split('`').filter_map(|word| word.split_once("::"));
    let mut count = 0;
    for (file, test) in named {
        count += 1;
        let places = [
            format!("tests/session/{file}.rs"),
            format!("src/{file}/tests.rs"),
            format!("src/session/{file}.rs"),
        ];
        let source = places
            .iter()
            .find_map(|place| fs::read_to_string(here.join(place)).ok());
        let source = source.unwrap_or_else(|| panic!("no tests called {file}"));
        assert!(source.contains(&format!("fn {test}(")), "{file}::{test}");
    }
    assert!(count > 40, "{count} tests are named");
}
