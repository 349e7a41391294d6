//! Holds the ledger, the marks in the source and the tests together.

#![expect(
    clippy::unwrap_used,
    reason = "a test says what it expects and stops where it is wrong"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// One normative statement.
#[derive(Debug)]
struct Statement {
    state: String,
    reason: String,
    tests: Vec<String>,
}

fn ledger() -> BTreeMap<String, Statement> {
    let ledger: toml::Table = read("ledger.toml").parse().unwrap();
    let statements = ledger.get("statement").unwrap().as_array().unwrap();
    let parse = |entry: &toml::Value| {
        let text = |key: &str| {
            entry
                .get(key)
                .and_then(toml::Value::as_str)
                .unwrap_or("")
                .to_owned()
        };
        assert!(!text("says").is_empty(), "{entry:?}");
        let tests = entry.get("tests").and_then(toml::Value::as_array);
        let tests = tests
            .into_iter()
            .flatten()
            .map(|test| test.as_str().unwrap().to_owned());
        let statement = Statement {
            state: text("state"),
            reason: text("reason"),
            tests: tests.collect(),
        };
        (text("id"), statement)
    };
    let parsed: BTreeMap<_, _> = statements.iter().map(parse).collect();
    assert_eq!(parsed.len(), statements.len(), "an id stands twice");
    parsed
}

fn read(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

fn sources(folder: &str) -> Vec<PathBuf> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension() {
                None => folders.push(path),
                Some(extension) if extension == "rs" => files.push(path),
                Some(_) => {}
            }
        }
    }
    files
}

/// The ids of the marks in a file, and the tests that stand under each (`file::function`).
fn marks(file: &Path) -> Vec<(String, Option<String>)> {
    let module = file.file_stem().unwrap().to_str().unwrap();
    let mut waiting: Vec<String> = Vec::new();
    let mut marks = Vec::new();
    for line in std::fs::read_to_string(file).unwrap().lines() {
        let line = line.trim_start();
        if let Some(mark) = line.strip_prefix("//= ") {
            waiting.push(mark.split(':').next().unwrap().trim().to_owned());
        } else if let Some(function) = line.strip_prefix("async fn ") {
            let name = function.split('(').next().unwrap();
            let test = Some(format!("{module}::{name}"));
            marks.extend(waiting.drain(..).map(|id| (id, test.clone())));
        } else if !line.starts_with("#[") && !line.starts_with("//") {
            marks.extend(waiting.drain(..).map(|id| (id, None)));
        }
    }
    marks
}

#[test]
fn every_statement_is_shown_by_a_marked_test_or_says_why_not() {
    let ledger = ledger();
    let mut shown_by: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in sources("src").iter().chain(&sources("tests/session")) {
        for (id, test) in marks(file) {
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
        for test in &statement.tests {
            assert!(marked.contains(test), "{id}: no mark over a test {test}");
        }
        match statement.state.as_str() {
            "shown" => assert!(!statement.tests.is_empty(), "{id}: shown by nothing"),
            "absent" | "not-ours" => assert!(!statement.reason.is_empty(), "{id}: no reason"),
            other => assert_eq!(other, "shown", "{id}: unknown state"),
        }
    }
    let shown = ledger
        .values()
        .filter(|statement| statement.state == "shown")
        .count();
    println!("kafka: {shown} of {} shown", ledger.len());
}
