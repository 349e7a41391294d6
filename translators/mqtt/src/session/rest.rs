//! A session without a task: what it answers as it lies, and when it has to get up.

use std::task::{Context, Poll};
use std::time::Duration;

use fairlead_kernel::{Awake, BoxFuture, DrainWatch, Io, Resting, Served, Sign};
use tokio::time::Instant;

use super::Session;
use super::link::Gate;

/// PINGREQ and PINGRESP of every version.
//= MQTT-3.12.4-1: a PINGREQ is answered with PINGRESP.
static PING: Sign = Sign {
    said: &[0xc0, 0],
    answer: &[0xd0, 0],
};

impl<I: Io> Session<I> {
    /// Whether there were only signs of life since the last call, and nothing is left to be written or decoded. Who
    /// waits for reports, or may not be read from, is soon up again.
    pub(super) fn is_quiet(&mut self) -> bool {
        let was_stirred = std::mem::take(&mut self.is_stirred);
        let is_listening = self.gate() == Gate::Open && self.status_due.is_none();
        !was_stirred && is_listening && self.link.is_idle()
    }
}

impl Session<Box<dyn Io>> {
    /// Serves to the end, or until it has been quiet for so long.
    #[expect(
        clippy::manual_async_fn,
        reason = "an async function keeps what it is given twice"
    )]
    pub(super) fn go_on(
        mut self: Box<Self>,
        mut drain: DrainWatch,
        quiet: Duration,
    ) -> impl Future<Output = Served> + Send {
        async move {
            let Some(end) = self.turns(&mut drain, Some(quiet)).await else {
                self.caller.slim();
                let io = self.link.part();
                return Served::Rests { io, session: self };
            };
            Served::Closed(Box::pin(self.end(end)).await)
        }
    }
}

impl Resting for Session<Box<dyn Io>> {
    fn poll_called(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.caller.poll_called(cx)
    }

    fn due(&self) -> Option<Instant> {
        self.alarm()
    }

    fn sign(&self) -> &'static Sign {
        &PING
    }

    fn answered(&mut self, last: Instant) {
        self.heard_at = last;
    }

    fn wake(mut self: Box<Self>, awake: Awake, read: &[u8]) -> BoxFuture<'static, Served> {
        self.link.join(awake.io, read);
        if !read.is_empty() {
            self.heard_at = Instant::now();
            let meters = self.caller.meters();
            meters.received_bytes.inc_by(read.len() as u64);
        }
        Box::pin(self.go_on(awake.drain, awake.quiet))
    }
}
