//! Subscriptions whose grants are taken back and given back, while the client is here or away.
//!
//! ```text
//! Granted    --looked at before a delivery, once for each change of the directory--> Suspended
//! Suspended  --told that the directory has changed, or the client is back--> Granted
//! ```
//!
//! A subscription that is suspended stays: nothing comes by it, and the client is not told, as no packet
//! could say it. Where its messages are bound to the mailbox they go on to be kept there, and are dropped
//! when it is their turn.

use fairlead_kernel::{Caller, Io, Reason};
use smallvec::SmallVec;

use super::Session;
use super::subscribe::listen;
use super::subscriptions::{Entry, Standing};
use crate::errors::Fault;

impl<I: Io> Session<I> {
    /// Suspends what is not granted any more. To be called before anything is delivered; costs nothing while the
    /// directory stays as it is.
    pub(super) fn look_at_grants(&mut self) {
        let edition = self.caller.edition();
        if self.granted_at == edition {
            return;
        }
        // Before the policy is asked, so that a change in between is looked at the next time.
        self.granted_at = edition;
        let caller = &mut self.caller;
        let mut lost = 0;
        for entry in self.subscriptions.iter_mut() {
            if entry.is_suspended() || is_granted(caller, entry) {
                continue;
            }
            entry.standing = Standing::Suspended;
            let attachments = entry.attachments.iter();
            // What a member of a group holds goes to others.
            attachments.for_each(|attachment| caller.detach(*attachment));
            lost += 1;
        }
        if lost > 0 {
            tracing::info!(client = %self.client.id, lost, "subscriptions wait for their grants");
        }
        self.await_grants();
    }

    /// Goes on with suspended subscriptions that are granted.
    pub(super) async fn go_on_granted(&mut self) -> Result<(), Fault> {
        let room = self.room();
        for entry in self.subscriptions.iter_mut() {
            if !entry.is_suspended() || !is_granted(&self.caller, entry) {
                continue;
            }
            if !entry.fills_mailbox() {
                entry.attachments = match listen(&mut self.caller, entry, &room).await {
                    Ok(attachments) => attachments,
                    // Somebody else has an exclusive subscription now; this one waits for nothing.
                    Err(error) if error.reason == Reason::Locked => SmallVec::new(),
                    // Taken back in between.
                    Err(error) if error.reason == Reason::Denied => continue,
                    Err(error) => return Err(error.into()),
                };
            }
            entry.standing = Standing::Granted;
        }
        self.await_grants();
        Ok(())
    }

    /// Sees to it that whoever waits for a grant is told of the next change.
    fn await_grants(&self) {
        if self.subscriptions.iter().any(Entry::is_suspended) {
            self.caller.await_edition(self.granted_at);
        }
    }
}

fn is_granted(caller: &Caller, entry: &Entry) -> bool {
    let mut patterns = entry.patterns.iter();
    patterns.all(|pattern| caller.may_subscribe(pattern).is_ok())
}
