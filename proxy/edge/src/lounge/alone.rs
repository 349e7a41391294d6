//! What a session does by itself, and ends by itself.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Lets one guest do something. `None`: it has panicked, and is of no use any more. As in a task of its own, that ends nobody
/// else.
pub(super) fn alone<T>(deed: impl FnOnce() -> T) -> Option<T> {
    let done = catch_unwind(AssertUnwindSafe(deed));
    if done.is_err() {
        tracing::error!(
            "the session of a resting connection has panicked: the connection is cut off"
        );
    }
    done.ok()
}
