//! The arrows between rooms: `cargo metadata` against the table of ARCHITECTURE.md, section 2.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use fairlead_tests::Value;

/// What each room may depend on; dev-dependencies are not arrows.
/// `*` at the end of a room is any folder there, at the end of a target any folder there but the room itself.
const ARROWS: &[(&str, &[&str])] = &[
    ("proxy/canon", &[]),
    ("proxy/ports", &["proxy/canon"]),
    ("proxy/topology", &["proxy/canon"]),
    ("proxy/delivery", &["proxy/canon"]),
    (
        "proxy/kernel",
        &[
            "proxy/canon",
            "proxy/ports",
            "proxy/topology",
            "proxy/delivery",
        ],
    ),
    (
        "proxy/edge",
        &["proxy/canon", "proxy/ports", "proxy/kernel"],
    ),
    (
        "proxy/fairlead",
        &[
            "proxy/*",
            "translators/registry",
            "backends/registry",
            "policy/*",
        ],
    ),
    ("translators/wire", &[]),
    ("translators/testkit", &[]),
    (
        "translators/*",
        &["proxy/canon", "proxy/kernel", "translators/wire"],
    ),
    // The type of `all()` is a list of the kernel's trait.
    ("translators/registry", &["proxy/kernel", "translators/*"]),
    ("backends/*", &["proxy/canon", "proxy/ports"]),
    // What is sealed is written and read as a segment, wherever that is kept.
    (
        "backends/native",
        &["proxy/canon", "proxy/ports", "backends/segment"],
    ),
    ("backends/objects", &["proxy/ports", "backends/segment"]),
    (
        "backends/registry",
        &["proxy/canon", "proxy/ports", "backends/*"],
    ),
    ("policy/*", &["proxy/canon", "proxy/ports"]),
    ("policy/stack", &["proxy/canon", "proxy/ports", "policy/*"]),
    (
        "tests",
        &["proxy/*", "translators/*", "backends/*", "policy/*"],
    ),
];

/// Rooms that only tests use: no arrow leads there.
const TEST_ROOMS: &[&str] = &["translators/testkit", "backends/testkit", "tests"];

#[test]
fn rooms_depend_only_on_what_the_table_allows() {
    let rooms = rooms();
    let mut wrong = Vec::new();
    for (room, targets) in &rooms {
        for target in targets {
            if TEST_ROOMS.contains(&target.as_str()) || !allowed(room, target) {
                wrong.push(format!("{room} -> {target}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "arrows that the table does not have: {wrong:#?}"
    );
}

#[test]
fn every_room_has_a_row() {
    for room in rooms().keys() {
        assert!(
            ARROWS.iter().any(|(row, _)| matches(row, room)),
            "{room} is not in the table"
        );
    }
}

#[test]
fn a_backend_may_not_reach_the_kernel_nor_a_translator_a_policy() {
    assert!(!allowed("backends/native", "proxy/kernel"));
    assert!(!allowed("translators/wire", "proxy/canon"));
    assert!(!allowed("proxy/kernel", "translators/registry"));
    assert!(allowed("policy/stack", "policy/authn"));
}

/// An exact row outranks a row with `*`.
fn allowed(room: &str, target: &str) -> bool {
    let row = ARROWS
        .iter()
        .find(|(row, _)| *row == room)
        .or_else(|| ARROWS.iter().find(|(row, _)| matches(row, room)));
    row.is_some_and(|(_, targets)| targets.iter().any(|allowed| matches(allowed, target)))
}

fn matches(pattern: &str, room: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(folder) => room.starts_with(folder),
        None => pattern == room,
    }
}

/// Each crate of the workspace by its folder, with the folders that it depends on.
fn rooms() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--locked",
            "--format-version",
            "1",
        ])
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let root = metadata["workspace_root"]
        .as_str()
        .expect("a root")
        .to_owned();
    let folder = |path: &str| path.trim_start_matches(&root).trim_matches('/').to_owned();
    let packages = metadata["packages"].as_array().expect("packages");
    let room = |package: &Value| {
        let manifest = package["manifest_path"].as_str().expect("a path");
        let targets = package["dependencies"]
            .as_array()
            .expect("dependencies")
            .iter();
        let targets = targets.filter(|dependency| dependency["kind"] != "dev");
        let targets = targets.filter_map(|dependency| dependency["path"].as_str());
        (
            folder(manifest.trim_end_matches("Cargo.toml")),
            targets.map(folder).collect(),
        )
    };
    packages.iter().map(room).collect()
}
