//! A translator's `ledger.toml`: every normative statement of its protocol, shown by a test or not, and why.

mod marks;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde::Deserialize;

use self::marks::Mark;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ledger {
    statement: Vec<Statement>,
}

/// One normative statement; `tests` are named `file::function`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Statement {
    id: String,
    says: String,
    state: State,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    tests: Vec<String>,
    /// Another statement of this ledger that is the same rule, as revisions of a protocol number their
    /// rules anew.
    same_as: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum State {
    Shown,
    Absent,
    NotOurs,
    /// What `same_as` is.
    Same,
}

/// Holds `ledger.toml`, the marks and the tests of the translator in `dir` together, and prints how many
/// statements are shown.
///
/// # Panics
/// Lists every unknown mark, every test that is named without a mark over it, every statement that is
/// shown by nothing or is not shown without a reason, and every id that stands twice.
pub fn check(dir: &str) {
    let dir = Path::new(dir);
    let ledger = ledger_in(dir);
    let marks = ["src", "tests"].map(|folder| marks::under(&dir.join(folder)));
    let faults = faults(&ledger, &marks.concat());
    assert!(faults.is_empty(), "{faults:#?}");
    let name = dir.file_name().expect("a folder").display();
    println!("{name}: {}", summary(&ledger));
}

/// Holds `ledger.toml` of the translator in `dir` to `statements.txt` beside it: the number of each statement of the
/// specification, one per line, and comments behind `#`.
///
/// # Panics
/// Lists every statement that has no row, and every row that is no statement.
pub fn check_statements(dir: &str) {
    let dir = Path::new(dir);
    let list = fs::read_to_string(dir.join("statements.txt")).expect("a list of statements");
    let faults = differences(&ledger_in(dir), &list);
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Holds a document to the ledger of the translator in `dir`: it has to say, word for word, what [`check`] prints.
///
/// # Panics
/// When it does not.
pub fn check_number(dir: &str, document: &Path) {
    let told = summary(&ledger_in(Path::new(dir)));
    let text = fs::read_to_string(document).expect("a document");
    let document = document.display();
    assert!(text.contains(&told), "{document} does not say: {told}");
}

fn ledger_in(dir: &Path) -> Ledger {
    let text = fs::read_to_string(dir.join("ledger.toml")).expect("a ledger");
    toml::from_str(&text).expect("a ledger of statements")
}

fn differences(ledger: &Ledger, list: &str) -> Vec<String> {
    let lines = list.lines().map(str::trim);
    let listed: BTreeSet<&str> = lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let rows: BTreeSet<&str> = ledger.statement.iter().map(|one| &*one.id).collect();
    let missing = listed.difference(&rows).map(|id| format!("{id}: no row"));
    let unknown = rows.difference(&listed);
    let unknown = unknown.map(|id| format!("{id}: no statement of the specification"));
    missing.chain(unknown).collect()
}

fn summary(ledger: &Ledger) -> String {
    let all = &ledger.statement;
    let count = |state| all.iter().filter(|one| one.state == state).count();
    format!(
        "{} of {} shown, {} absent, {} not ours",
        count(State::Shown) + count(State::Same),
        all.len(),
        count(State::Absent),
        count(State::NotOurs),
    )
}

impl Ledger {
    fn shown(&self) -> impl Iterator<Item = &Statement> {
        let all = self.statement.iter();
        all.filter(|one| one.state == State::Shown)
    }
}

impl Statement {
    /// Whether it claims to be another one that is shown, and is not.
    fn is_same_as_no_other(&self, shown: &BTreeSet<&String>) -> bool {
        let is_shown = self.same_as.as_ref().map(|other| shown.contains(other));
        match self.state {
            State::Same => is_shown != Some(true),
            State::Shown | State::Absent | State::NotOurs => is_shown.is_some(),
        }
    }
}

fn faults(ledger: &Ledger, marks: &[Mark]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut ids = BTreeSet::new();
    for Statement { id, .. } in &ledger.statement {
        if !ids.insert(id) {
            faults.push(format!("{id}: stands twice"));
        }
    }
    let mut shown_by: BTreeMap<&String, BTreeSet<&String>> = BTreeMap::new();
    for Mark { id, test, file } in marks {
        if !ids.contains(id) {
            faults.push(format!("{}: unknown mark {id}", file.display()));
        }
        shown_by.entry(id).or_default().extend(test);
    }
    let shown: BTreeSet<&String> = ledger.shown().map(|one| &one.id).collect();
    for statement in &ledger.statement {
        if statement.is_same_as_no_other(&shown) {
            faults.push(format!(
                "{}: the same as nothing that is shown",
                statement.id
            ));
        }
        let marked = shown_by.remove(&statement.id).unwrap_or_default();
        faults.extend(faults_of(statement, &marked));
    }
    faults
}

fn faults_of(statement: &Statement, marked: &BTreeSet<&String>) -> Vec<String> {
    let id = &statement.id;
    let unmarked = statement.tests.iter().filter(|test| !marked.contains(test));
    let mut faults: Vec<String> = unmarked
        .map(|test| format!("{id}: no mark over a test {test}"))
        .collect();
    if id.is_empty() || statement.says.is_empty() {
        faults.push(format!("{id}: says nothing"));
    }
    match statement.state {
        State::Shown if statement.tests.is_empty() => {
            faults.push(format!("{id}: shown by nothing"));
        }
        State::Absent | State::NotOurs if statement.reason.is_empty() => {
            faults.push(format!("{id}: no reason"));
        }
        State::Shown | State::Absent | State::NotOurs | State::Same => {}
    }
    faults
}
