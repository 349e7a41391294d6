//! The limit of open files.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises it as far as it goes, for this process and those that it starts, and says how far that is.
///
/// # Panics
/// When the system does not allow what it says it allows.
pub fn allow_open_files() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).expect("up to the maximum is allowed");
    let files = limit.maximum.map(usize::try_from);
    files.map_or(usize::MAX, |files| files.unwrap_or(usize::MAX))
}
