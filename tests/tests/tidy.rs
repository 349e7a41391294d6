//! What a reviewer should not have to look for: no protocol's name under `proxy/` or `policy/`.
//! Prints the longest files and functions (`-- --nocapture`), which are for review to judge and not a gate.

use std::fs;
use std::path::{Path, PathBuf};

use fairlead_tests::tools::home;

/// Protocols, and the brokers that are known for them.
const PROTOCOLS: [&str; 5] = ["mqtt", "kafka", "amqp", "rabbit", "mosquitto"];

const ROOMS: [&str; 5] = ["proxy", "policy", "translators", "backends", "tests"];

#[test]
fn no_protocol_is_named_under_proxy_or_policy() {
    let mut named = Vec::new();
    for path in ["proxy", "policy"].into_iter().flat_map(sources) {
        for (number, line) in read(&path).lines().enumerate() {
            let line = line.to_lowercase();
            if PROTOCOLS.iter().any(|protocol| line.contains(protocol)) {
                named.push(format!("{}:{}: {}", shown(&path), number + 1, line.trim()));
            }
        }
    }
    assert!(
        named.is_empty(),
        "a protocol is named in {} lines:\n{}",
        named.len(),
        named.join("\n")
    );
}

#[test]
fn the_longest_files_and_functions_are_printed_for_review() {
    let is_code = |path: &PathBuf| {
        let test = path.ends_with("tests.rs") || path.iter().any(|part| part == "tests");
        path.extension().is_some_and(|end| end == "rs") && !test
    };
    let files: Vec<PathBuf> = ROOMS
        .into_iter()
        .flat_map(sources)
        .filter(is_code)
        .collect();
    assert!(!files.is_empty(), "no sources found");
    print_longest(
        "files",
        files
            .iter()
            .map(|path| (lines_without_tests(path), shown(path))),
    );
    print_longest("functions", files.iter().flat_map(|path| functions(path)));
}

fn print_longest(what: &str, measured: impl Iterator<Item = (usize, String)>) {
    let mut measured: Vec<(usize, String)> = measured.collect();
    measured.sort_by(|a, b| b.cmp(a));
    println!("longest {what}:");
    for (lines, name) in measured.iter().take(10) {
        println!("{lines:>6}  {name}");
    }
}

fn lines_without_tests(path: &Path) -> usize {
    read(path)
        .lines()
        .take_while(|line| *line != "#[cfg(test)]")
        .count()
}

/// Functions and their lengths, by the indentation that rustfmt gives them.
fn functions(path: &Path) -> Vec<(usize, String)> {
    let text = read(path);
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let Some(name) = function_name(line) else {
            continue;
        };
        // Only the signature of a required method ends in a semicolon at the same depth.
        let ends = |line: &&str| {
            let rest = line.get(indent..).unwrap_or_default();
            !rest.starts_with([' ', '/']) && rest.ends_with(['}', ';'])
        };
        let Some(length) = lines[start..].iter().position(ends) else {
            continue;
        };
        if lines[start + length].ends_with('}') {
            found.push((length + 1, format!("{}:{} {name}", shown(path), start + 1)));
        }
    }
    found
}

fn function_name(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let qualifiers = [
        "pub",
        "pub(crate)",
        "pub(super)",
        "const",
        "async",
        "unsafe",
    ];
    let declared = before
        .split_whitespace()
        .all(|word| qualifiers.contains(&word))
        && !line.ends_with(';')
        && !line.ends_with('}');
    declared.then(|| after.split(['(', '<']).next().unwrap_or(after))
}

/// All Rust files and manifests of a room.
fn sources(room: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(room)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a room can be read") {
            let path = entry.expect("an entry can be read").path();
            if path.is_dir() && !path.ends_with(".tools") {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|end| end == "rs" || end == "toml")
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn root() -> &'static Path {
    home().parent().expect("tests is a folder of the project")
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("a source is text")
}
