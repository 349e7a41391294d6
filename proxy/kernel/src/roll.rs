//! Who has entered: whom a change of the directory concerns.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fairlead_ports::{Action, Policy, Verdict};
use parking_lot::Mutex;

use crate::inbox::Inbox;
use crate::{Caller, Displaced, Error};

/// Everybody who has entered, and how often the directory has changed.
#[derive(Debug)]
pub(crate) struct Roll {
    policy: Arc<dyn Policy>,
    entered: Mutex<Entered>,
    edition: AtomicU64,
}

/// By caller; as many as there are connections at most.
#[derive(Debug, Default)]
struct Entered {
    inboxes: BTreeMap<u64, Arc<Inbox>>,
    /// Those of them that want to know of the next change.
    waiting: BTreeSet<u64>,
}

impl Roll {
    pub(crate) fn new(policy: Arc<dyn Policy>) -> Self {
        Self {
            policy,
            entered: Mutex::default(),
            edition: AtomicU64::default(),
        }
    }

    /// A caller enters, unless its login has ceased to hold since it was proven.
    pub(crate) fn enter(&self, caller: &Caller) -> Result<(), Error> {
        let inbox = Arc::clone(&caller.inbox);
        self.entered.lock().inboxes.insert(caller.id, inbox);
        // Asked behind it, so that no change is missed between the two.
        caller.admit(&Action::Stay)
    }

    /// A caller leaves.
    pub(crate) fn leave(&self, caller: u64) {
        let mut entered = self.entered.lock();
        entered.inboxes.remove(&caller);
        entered.waiting.remove(&caller);
    }

    /// The directory says something else from here on.
    pub(crate) fn turn_page(&self) {
        self.edition.fetch_add(1, Ordering::Release);
    }

    /// The directory has changed: who may not stay has to go, and who waits for it is told.
    pub(crate) fn tell(&self) {
        // A copy, so that nobody who comes or goes waits until all are asked.
        let inboxes = self.entered.lock().inboxes.clone();
        for (caller, inbox) in inboxes {
            match self.policy.admit(&inbox.who, &Action::Stay) {
                Verdict::Yes => self.tell_of_edition(caller, &inbox),
                Verdict::Part(denied) | Verdict::No(denied) => {
                    tracing::info!(user = %inbox.who.name, %denied, "a connection ends");
                    inbox.displace(Displaced::Revoked);
                }
            }
        }
    }

    /// Tells a caller that the directory has changed, if it waits for that.
    fn tell_of_edition(&self, caller: u64, inbox: &Inbox) {
        if self.entered.lock().waiting.remove(&caller) {
            inbox.put(|contents| contents.edition = true);
        }
    }
}

impl Caller {
    /// Changes whenever the directory does: what the policy said may be something else then.
    pub fn edition(&self) -> u64 {
        self.kernel.roll.edition.load(Ordering::Acquire)
    }

    /// Asks to be told once by [`Event::Edition`](crate::Event::Edition) when the directory is no longer of this
    /// edition, for those who were refused and would go on if they were not.
    pub fn await_edition(&self, after: u64) {
        let roll = &self.kernel.roll;
        roll.entered.lock().waiting.insert(self.id);
        // Looked at behind it, so that no change is missed between the two.
        if self.edition() != after {
            roll.tell_of_edition(self.id, &self.inbox);
        }
    }
}
