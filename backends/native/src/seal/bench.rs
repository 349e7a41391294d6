//! Where the thread that seals waits for checkpoints.

use std::collections::BTreeSet;

use fairlead_canon::EntityId;
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
    /// Entities whose sealed records belong elsewhere.
    moved: BTreeSet<EntityId>,
    is_closed: bool,
}

/// What the thread woke up for.
#[derive(Debug)]
pub(super) enum News {
    /// A checkpoint, and entities that moved to another site since the last.
    View(View, BTreeSet<EntityId>),
    /// The time has come.
    Due,
    Closed,
}

impl Bench {
    /// A checkpoint is durable.
    pub(crate) fn put(&self, view: View) {
        self.content.lock().view = Some(view);
        self.changed.notify_one();
    }

    /// The sealed records of an entity belong to another site. They follow after the next checkpoint.
    pub(crate) fn moved(&self, entity: EntityId) {
        self.content.lock().moved.insert(entity);
    }

    pub(crate) fn close(&self) {
        self.content.lock().is_closed = true;
        self.changed.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.content.lock().is_closed
    }

    /// Waits for a checkpoint, or until some time.
    pub(super) fn wait(&self, until: Instant) -> News {
        let mut content = self.content.lock();
        loop {
            if content.is_closed {
                return News::Closed;
            }
            if let Some(view) = content.view.take() {
                return News::View(view, std::mem::take(&mut content.moved));
            }
            if until <= Instant::now() {
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
