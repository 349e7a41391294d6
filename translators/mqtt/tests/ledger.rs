//! Holds the ledger, the marks in the source and the tests together.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{env, fs};

/// One normative statement.
struct Statement {
    state: String,
    reason: String,
    tests: Vec<String>,
}

/// A mark and, when it stands over one, the test (`module::function`).
struct Mark {
    id: String,
    test: Option<String>,
}

fn home() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn ledger() -> BTreeMap<String, Statement> {
    let text = fs::read_to_string(home().join("ledger.toml")).unwrap();
    let ledger: toml::Table = text.parse().unwrap();
    let statements = ledger["statement"].as_array().unwrap();
    let parsed: BTreeMap<String, Statement> = statements.iter().map(statement).collect();
    assert_eq!(parsed.len(), statements.len(), "an id stands twice");
    parsed
}

fn statement(entry: &toml::Value) -> (String, Statement) {
    let text = |key: &str| {
        entry
            .get(key)
            .map_or("", |value| value.as_str().unwrap())
            .to_owned()
    };
    assert!(!text("says").is_empty(), "{entry:?}");
    let tests = entry
        .get("tests")
        .map_or(&[][..], |tests| tests.as_array().unwrap());
    let tests = tests
        .iter()
        .map(|test| test.as_str().unwrap().to_owned())
        .collect();
    let statement = Statement {
        state: text("state"),
        reason: text("reason"),
        tests,
    };
    (text("id"), statement)
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The module of a file; that of `x/tests.rs` is `x`.
fn module(file: &Path) -> String {
    let stem = file.file_stem().unwrap();
    let is_tests = stem == "tests";
    let name = if is_tests {
        file.parent().unwrap().file_name().unwrap()
    } else {
        stem
    };
    name.to_str().unwrap().to_owned()
}

fn marks(file: &Path) -> Vec<Mark> {
    let module = module(file);
    let (mut waiting, mut marks) = (Vec::new(), Vec::new());
    for line in fs::read_to_string(file).unwrap().lines() {
        let line = line.trim_start();
        let function = line
            .strip_prefix("async ")
            .unwrap_or(line)
            .strip_prefix("fn ");
        if let Some(mark) = line.strip_prefix("//= ") {
            waiting.push(mark.split(':').next().unwrap().trim().to_owned());
        } else if let Some(function) = function {
            let test = Some(format!("{module}::{}", function.split('(').next().unwrap()));
            marks.extend(waiting.drain(..).map(|id| Mark {
                id,
                test: test.clone(),
            }));
        } else if !line.starts_with("#[") && !line.starts_with("//") {
            marks.extend(waiting.drain(..).map(|id| Mark { id, test: None }));
        }
    }
    marks
}

#[test]
fn every_statement_is_shown_by_a_marked_test_or_says_why_not() {
    let ledger = ledger();
    let mut files = Vec::new();
    sources(&home().join("src"), &mut files);
    sources(&home().join("tests"), &mut files);
    let mut shown_by: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files.iter().filter(|file| module(file) != "ledger") {
        for Mark { id, test } in marks(file) {
            assert!(
                ledger.contains_key(&id),
                "{}: unknown mark {id}",
                file.display()
            );
            shown_by.entry(id).or_default().extend(test);
        }
    }
    let nothing = BTreeSet::new();
    for (id, statement) in &ledger {
        let marked = shown_by.get(id).unwrap_or(&nothing);
        let named: BTreeSet<String> = statement.tests.iter().cloned().collect();
        for test in &named {
            assert!(marked.contains(test), "{id}: no mark over a test {test}");
        }
        match &*statement.state {
            "shown" => assert!(!named.is_empty(), "{id}: shown by nothing"),
            "absent" | "not-ours" => assert!(!statement.reason.is_empty(), "{id}: no reason"),
            other => panic!("{id}: unknown state {other}"),
        }
    }
    let count = |state| {
        ledger
            .values()
            .filter(|statement| statement.state == state)
            .count()
    };
    println!(
        "mqtt: {} of {} shown, {} absent, {} not ours",
        count("shown"),
        ledger.len(),
        count("absent"),
        count("not-ours"),
    );
}
