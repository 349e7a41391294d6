//! How fast one client may publish: one that is ahead is not read from until it no longer is, so
//! that nothing is refused and nothing is lost.

use std::time::Duration;

use fairlead_kernel::Io;
use tokio::time::Instant;

use super::Session;

/// What a client may publish at once after a pause, as the time that it is worth.
pub(super) const BURST: Duration = Duration::from_secs(1);

impl<I: Io> Session<I> {
    /// Counts one message.
    pub(super) fn pace(&mut self) {
        if let Some(rate) = self.settings.publish_rate {
            let now = Instant::now();
            let paced = self.paced.get_or_insert_with(|| Box::new(now));
            **paced = (**paced).max(now) + rate.each();
        }
    }

    /// Whether it has published more than its rate and its burst allow.
    pub(super) fn is_ahead(&self) -> bool {
        let paced = self.paced.as_deref();
        paced.is_some_and(|paced| *paced > Instant::now() + BURST)
    }

    /// Whether it was ahead and no longer is.
    pub(super) fn resume_reading(&mut self) -> bool {
        let resumes = self.paced.is_some() && !self.is_ahead();
        let paced = self.paced.as_deref();
        if resumes && paced.is_some_and(|paced| *paced <= Instant::now()) {
            self.paced = None;
        }
        resumes
    }
}
