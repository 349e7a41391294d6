//! `store backup`: asks the running node, which alone knows what must stay while it is copied.

use std::path;
use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};

use crate::ask::Node;
use crate::cli::Backup;
use crate::exit::Failure;
use crate::say;

/// A terabyte at the speed of a slow disk.
const PATIENCE: Duration = Duration::from_secs(6 * 60 * 60);

pub(super) fn run(backup: &Backup) -> Result<(), Failure> {
    let what = format!("cannot copy to {}", backup.dir.display());
    // The node's working directory is another.
    let dir = path::absolute(&backup.dir).map_err(Failure::of(what))?;
    let wanted = json!({ "dir": dir }).to_string().into_bytes();
    let node = Node::of(&backup.home)?.with_patience(PATIENCE);
    let made = node.ask(Method::POST, "/v1/backup", wanted)?;
    let Some(bytes) = made.get("bytes").and_then(Value::as_u64) else {
        return Err(Failure::Refused("not the admin page".to_owned()));
    };
    say(&format!("{bytes} bytes copied to {}", dir.display()))
}
