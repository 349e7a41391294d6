//! No room for the index to grow. Whoever writes it waits until there is some, and the store takes
//! nothing new meanwhile; what it has is read as before.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// How long it waits before it tries again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(crate) struct Shortage {
    is_short: AtomicBool,
    content: Mutex<Content>,
    changed: Condvar,
}

#[derive(Default)]
struct Content {
    tell: Option<Box<dyn Fn() + Send + Sync>>,
    is_closed: bool,
}

impl Shortage {
    pub(crate) fn is_short(&self) -> bool {
        self.is_short.load(Ordering::Relaxed)
    }

    /// Calls this when it begins and when it ends. Until then nobody waits: what has no room fails.
    pub(crate) fn watch(&self, tell: impl Fn() + Send + Sync + 'static) {
        self.content.lock().tell = Some(Box::new(tell));
    }

    /// Nobody waits any more.
    pub(crate) fn close(&self) {
        self.content.lock().is_closed = true;
        self.changed.notify_all();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.content.lock().is_closed
    }

    /// There was no room: waits a while. Whether it is worth another try.
    pub(super) fn wait(&self) -> bool {
        let mut content = self.content.lock();
        let Some(tell) = content.tell.as_ref().filter(|_| !content.is_closed) else {
            return false;
        };
        if !self.is_short.swap(true, Ordering::Relaxed) {
            tracing::error!("the disk has no room for the index: nothing new is taken");
            tell();
        }
        self.changed.wait_for(&mut content, RETRY_AFTER);
        !content.is_closed
    }

    /// There was room.
    pub(super) fn end(&self) {
        if self.is_short.swap(false, Ordering::Relaxed) {
            tracing::info!("the disk has room for the index again");
            if let Some(tell) = &self.content.lock().tell {
                tell();
            }
        }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Content")
            .field("is_closed", &self.is_closed)
            .finish_non_exhaustive()
    }
}
