//! `kill -9` under load, again and again on one data directory: what was acknowledged is there afterwards.

use std::fs;
use std::path::PathBuf;

use fairlead_tests::{Load, Mesh, Node, tools};

/// Kills on one data directory: about two seconds each.
const ROUNDS: usize = 200;
/// Every so often the log may become warm before it is struck.
const LONG_EVERY: usize = 25;

#[test]
fn what_was_acknowledged_survives_two_hundred_kills_under_load() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let first = node.start();
    let mut load = Load::prepare(&first);
    load.round(first, 20, Mesh::kill);
    for round in 1..ROUNDS {
        // Another moment in each round.
        let enough = if round.is_multiple_of(LONG_EVERY) {
            1_500
        } else {
            10 + 7 * (round % LONG_EVERY)
        };
        load.round(node.start(), enough, Mesh::kill);
    }
    load.audit(&node.start());
}

#[test]
fn a_flipped_byte_below_what_was_synced_is_refused_by_file_and_offset() {
    if !tools::ready() {
        return;
    }
    let node = Node::new();
    let mesh = node.start();
    Load::prepare(&mesh).round(mesh, 500, Mesh::kill);
    let log = first_log_file(&node);
    let mut bytes = fs::read(&log).expect("the log can be read");
    // Zeros may be the filling between frames, which says nothing; any other byte is part of one.
    let content = |bytes: &[u8]| {
        bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .expect("something was written")
    };
    let flipped = content(&bytes[..content(&bytes) / 2]);
    bytes[flipped] ^= 1;
    fs::write(&log, bytes).expect("the log can be written");

    let (status, said) = node.refuses_to_start();
    assert!(!status.success(), "it started on a damaged log");
    let name = log
        .file_name()
        .and_then(|name| name.to_str())
        .expect("a name");
    assert!(
        said.contains(name),
        "the file {name} is not named in: {said}"
    );
    let offset = said
        .split("at byte ")
        .nth(1)
        .and_then(|rest| rest.split(':').next());
    let offset: usize = offset
        .and_then(|digits| digits.parse().ok())
        .expect("an offset is named");
    assert!(
        offset <= flipped,
        "byte {flipped} was flipped, but byte {offset} is blamed"
    );
}

fn first_log_file(node: &Node) -> PathBuf {
    let mut files = Vec::new();
    let mut folders = vec![node.data_dir()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the data directory can be read") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "wal") {
                files.push(path);
            }
        }
    }
    files.into_iter().min().expect("the store has a log")
}
