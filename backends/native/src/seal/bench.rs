//! Where the thread that seals waits for checkpoints.

use parking_lot::{Condvar, Mutex};
use tokio::time::Instant;

use super::View;

#[derive(Debug, Default)]
pub(crate) struct Bench {
    content: Mutex<Content>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Content {
    /// The newest checkpoint that was not looked at.
    view: Option<View>,
    is_nudged: bool,
    is_closed: bool,
}

/// What the thread woke up for.
#[derive(Debug)]
pub(super) enum News {
    /// A checkpoint.
    View(View),
    /// The time has come, or somebody has nudged.
    Due,
    Closed,
}

impl Bench {
    /// A checkpoint is durable.
    pub(crate) fn put(&self, view: View) {
        self.content.lock().view = Some(view);
        self.changed.notify_one();
    }

    /// There may be something to be done although there is no checkpoint.
    pub(crate) fn nudge(&self) {
        self.content.lock().is_nudged = true;
        self.changed.notify_one();
    }

    pub(crate) fn close(&self) {
        self.content.lock().is_closed = true;
        self.changed.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.content.lock().is_closed
    }

    /// Waits for a checkpoint or a nudge, or until some time.
    pub(super) fn wait(&self, until: Instant) -> News {
        let mut content = self.content.lock();
        loop {
            if content.is_closed {
                return News::Closed;
            }
            if let Some(view) = content.view.take() {
                return News::View(view);
            }
            if std::mem::take(&mut content.is_nudged) || until <= Instant::now() {
                return News::Due;
            }
            self.changed.wait_until(&mut content, until.into_std());
        }
    }
}

#[cfg(test)]
impl Bench {
    /// The newest checkpoint, if it was not looked at.
    pub(crate) fn take(&self) -> Option<View> {
        self.content.lock().view.take()
    }
}
