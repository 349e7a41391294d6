//! Where `tests/tools` put the clients.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder `tests/` of the project.
pub fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Whether `tests/tools` has run. If not, says on stderr that the calling test is skipped, and why.
pub fn ready() -> bool {
    let there = python().exists() && java_classes().exists() && node_modules().exists();
    if !there {
        eprintln!("skipped: no clients here; tests/tools installs them");
    }
    there
}

/// Whether `tests/tools` has built the S3-compatible server. If not, says that the calling test is skipped, and why.
pub fn has_object_store() -> bool {
    let there = object_store().exists();
    if !there {
        eprintln!("skipped: no object store here; tests/tools builds it where there is Go");
    }
    there
}

pub(crate) fn object_store() -> PathBuf {
    home().join(".tools/bin/versitygw")
}

pub(crate) fn python() -> PathBuf {
    home().join(".tools/venv/bin/python")
}

pub(crate) fn java_classes() -> PathBuf {
    home().join(".tools/java/classes")
}

fn node_modules() -> PathBuf {
    home().join(".tools/js/node_modules")
}

/// A script of ours for Node.js.
pub fn node(script: &str) -> Command {
    let mut command = Command::new("node");
    command.env("NODE_PATH", node_modules());
    command.arg(home().join(script));
    command
}

/// A class of ours in a JVM of its own.
pub fn java(class: &str) -> Command {
    let mut command = Command::new("java");
    // Little at a time: the smaller heap and the simple collector start faster.
    command.args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
    command.arg("-cp").arg(java_path()).arg(class);
    command
}

fn java_path() -> String {
    let home = home().display();
    format!("{home}/.tools/java/lib/*:{home}/.tools/java/classes")
}
