//! How somebody inside the process calls a connection that rests.

use std::sync::Arc;
use std::task::Wake;

use super::desk::Desk;

/// Calls one guest. A number may have been given to another one since: he is called for nothing, which does no
/// harm.
pub(super) struct Bell {
    pub(super) guest: usize,
    pub(super) desk: Arc<Desk>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.desk.call(self.guest);
    }
}
