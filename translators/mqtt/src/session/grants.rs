//! How much of a subscription is granted, and what becomes of it when that changes while the client is here or
//! away.
//!
//! ```text
//! Granted <--> Narrowed   looked at before a delivery, once for each change of the directory
//!    |            |       the same
//!    v            v
//!      Suspended          told that the directory has changed, or the client is back --> one of the two
//! ```
//!
//! Of one that is narrowed each message is asked about, and what is not granted is left out. One that is suspended
//! stays: nothing comes by it. The client is told of neither, as no packet could say it. Where messages
//! are bound to the mailbox they go on to be kept there, and are dropped when it is their turn.

use fairlead_canon::{Message, Pattern};
use fairlead_kernel::{Caller, Error, Extent, Io, Reason};
use smallvec::SmallVec;

use super::Session;
use super::subscribe::listen;
use super::subscriptions::{Entry, Standing};
use crate::errors::Fault;

const IN_PART: &str = "a part of it is granted, and it is needed whole";

impl<I: Io> Session<I> {
    /// Narrows or suspends what is not granted any more. To be called before anything is delivered; costs nothing
    /// while the directory stays as it is.
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
            if entry.is_suspended() {
                continue;
            }
            if let Ok(standing) = standing(entry, |pattern| caller.may_subscribe(pattern)) {
                entry.standing = standing;
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
            if !entry.is_suspended() {
                continue;
            }
            let caller = &self.caller;
            let Ok(standing) = standing(entry, |pattern| caller.may_subscribe(pattern)) else {
                continue;
            };
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
            entry.standing = standing;
        }
        self.await_grants();
        Ok(())
    }

    /// Whether the client may have a message because of this subscription, which asks for it.
    pub(super) fn is_heard(&self, entry: &Entry, message: &Message) -> bool {
        let address = &message.address;
        entry.lets_through(&address.path, &|pattern| {
            self.caller.may_receive(pattern, address)
        })
    }

    /// Sees to it that whoever waits for a grant is told of the next change.
    fn await_grants(&self) {
        if self.subscriptions.iter().any(Entry::is_suspended) {
            self.caller.await_edition(self.granted_at);
        }
    }
}

/// The patterns of a subscription of which anything is granted: of two that may be one.
pub(super) fn heard<'a>(caller: &Caller, entry: &'a Entry) -> SmallVec<[&'a Pattern; 2]> {
    let is_whole = entry.standing == Standing::Granted;
    let patterns = entry.patterns.iter();
    patterns
        .filter(|pattern| is_whole || caller.may_subscribe(pattern).is_ok())
        .collect()
}

/// How much of a subscription is granted, by what is granted of its patterns; `Denied` where that is nothing.
pub(super) fn standing(
    entry: &Entry,
    granted: impl Fn(&Pattern) -> Result<Extent, Error>,
) -> Result<Standing, Error> {
    let (mut has_some, mut refusal) = (false, None);
    for pattern in &entry.patterns {
        match granted(pattern) {
            Ok(Extent::Whole) => has_some = true,
            Ok(Extent::Part) => {
                has_some = true;
                refusal.get_or_insert_with(|| Error::peer(Reason::Denied, IN_PART));
            }
            Err(error) => refusal = Some(error),
        }
    }
    match refusal {
        None => Ok(Standing::Granted),
        // What a member of a group may not have would be lost to the others.
        Some(_) if has_some && !entry.has_queue() => Ok(Standing::Narrowed),
        Some(refusal) => Err(refusal),
    }
}
