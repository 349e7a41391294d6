//! Where the engine and the thread that writes checkpoints meet: it asks for one, and the engine
//! hands it over between two frames.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fairlead_ports::Lsn;
use parking_lot::{Condvar, Mutex};

use super::Checkpoint;
use crate::limits::{CHECKPOINT_BYTES, CHECKPOINT_CHANGES};

#[derive(Debug)]
pub(crate) struct Desk {
    /// How long after the first change a checkpoint follows.
    after: Duration,
    /// Looked at by the engine after each frame.
    is_wanted: AtomicBool,
    content: Mutex<Content>,
    changed: Condvar,
}

#[derive(Debug)]
struct Content {
    /// The last frame that was closed.
    last: Lsn,
    /// Bytes of log since the last checkpoint was begun.
    bytes: u64,
    has_changes: bool,
    is_urgent: bool,
    checkpoint: Option<Checkpoint>,
    is_closed: bool,
}

impl Desk {
    /// `last` is the last frame of the log, and `has_changes` whether it told anything new. A
    /// checkpoint follows the first change `after` so long.
    pub(crate) fn new(last: Lsn, has_changes: bool, after: Duration) -> Self {
        let content = Content {
            last,
            bytes: 0,
            has_changes,
            is_urgent: false,
            checkpoint: None,
            is_closed: false,
        };
        Self {
            after,
            is_wanted: AtomicBool::new(false),
            content: Mutex::new(content),
            changed: Condvar::new(),
        }
    }

    /// A frame was closed, and so many entities and documents have changed.
    pub(crate) fn framed(&self, frame: Lsn, bytes: u64, changes: usize) {
        let mut content = self.content.lock();
        content.last = frame;
        content.bytes = content.bytes.saturating_add(bytes);
        let is_urgent = content.bytes >= CHECKPOINT_BYTES || changes >= CHECKPOINT_CHANGES;
        let is_news = !content.has_changes || (is_urgent && !content.is_urgent);
        content.has_changes = true;
        content.is_urgent |= is_urgent;
        drop(content);
        if is_news {
            self.changed.notify_one();
        }
    }

    /// The last frame that was closed.
    pub(crate) fn last(&self) -> Lsn {
        self.content.lock().last
    }

    /// Whether the next pause between two frames is to end a generation.
    pub(crate) fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::Relaxed)
    }

    /// Hands over what was wanted.
    pub(crate) fn put(&self, checkpoint: Checkpoint) {
        self.is_wanted.store(false, Ordering::Relaxed);
        let mut content = self.content.lock();
        content.bytes = 0;
        content.has_changes = false;
        content.is_urgent = false;
        content.checkpoint = Some(checkpoint);
        drop(content);
        self.changed.notify_one();
    }

    /// Waits until a checkpoint is due: some time after the first change, or after much log. `false`
    /// when the store is closed.
    pub(super) fn wait_until_due(&self) -> bool {
        let mut content = self.content.lock();
        while !content.has_changes && !content.is_closed {
            self.changed.wait(&mut content);
        }
        let is_open = |content: &mut Content| !content.is_urgent && !content.is_closed;
        self.changed
            .wait_while_for(&mut content, is_open, self.after);
        !content.is_closed
    }

    /// Asks for one.
    pub(super) fn want(&self) {
        self.is_wanted.store(true, Ordering::Relaxed);
    }

    /// Waits for what was asked for; `None` when the store is closed.
    pub(super) fn take(&self) -> Option<Checkpoint> {
        let mut content = self.content.lock();
        while content.checkpoint.is_none() && !content.is_closed {
            self.changed.wait(&mut content);
        }
        content.checkpoint.take()
    }

    /// Ends both waits.
    pub(crate) fn close(&self) {
        self.content.lock().is_closed = true;
        self.changed.notify_one();
    }
}
