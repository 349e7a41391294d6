//! What one connection is to the kernel.

use std::collections::VecDeque;
use std::sync::Arc;

use fairlead_canon::{Origin, Principal, Text};
use fairlead_delivery::MemberId;
use fairlead_ports::{Commit, Space};
use fairlead_topology::{StreamKey, Topology};
use tokio::runtime::Handle;

use crate::attachments::Attachments;
use crate::bodies::Bodies;
use crate::claim::Claim;
use crate::inbox::{Contents, Inbox};
use crate::load::Load;
use crate::outbox::Outbox;
use crate::publish::Routes;
use crate::seldom::Seldom;
use crate::showing::Showing;
use crate::transact::Endings;
use crate::verb::{AttachmentId, Event};
use crate::{Kernel, Meters};

/// The authority of one connection, and everything it has under way. Dropping it gives back what it
/// holds: unsettled deliveries return to their queues, its claims and its own streams end.
#[derive(Debug)]
pub struct Caller {
    pub(crate) kernel: Arc<Kernel>,
    pub(crate) id: u64,
    pub(crate) origin: Origin,
    pub(crate) space: Space,
    pub(crate) meters: Arc<Meters>,
    pub(crate) inbox: Arc<Inbox>,
    /// Emptied, to be filled again: of one who gets messages.
    pub(crate) spare: Option<Box<Contents>>,
    /// Names the publisher when a lane is chosen: the same for the same client. `None`: what the client calls itself.
    pub(crate) publisher: Option<Box<Text>>,
    pub(crate) outbox: Seldom<Outbox>,
    pub(crate) routes: Option<Box<Routes>>,
    pub(crate) attachments: Attachments,
    pub(crate) last_attachment: u32,
    pub(crate) ready: Seldom<VecDeque<Event>>,
    pub(crate) bodies: Seldom<Bodies>,
    pub(crate) loads: Vec<Load>,
    pub(crate) showing: Seldom<Showing>,
    pub(crate) claim: Option<Arc<Claim>>,
    pub(crate) owned: Vec<StreamKey>,
    pub(crate) watches_condition: bool,
    /// Transactions whose receipt is awaited, oldest first.
    pub(crate) endings: Option<Box<Endings>>,
}

impl Caller {
    pub(crate) fn new(
        kernel: Arc<Kernel>,
        id: u64,
        (who, origin): (Principal, Origin),
        meters: Arc<Meters>,
    ) -> Self {
        let publisher = Some(Box::new(who.name.clone()));
        Self {
            kernel,
            id,
            origin,
            space: Space(FIRST_TRANSLATOR_SPACE + u16::from(origin.0)),
            meters,
            inbox: Arc::new(Inbox::of(who)),
            spare: None,
            publisher,
            outbox: Seldom::default(),
            routes: None,
            attachments: Attachments::default(),
            last_attachment: 0,
            ready: Seldom::default(),
            bodies: Seldom::default(),
            loads: Vec::new(),
            showing: Seldom::default(),
            claim: None,
            owned: Vec::new(),
            watches_condition: false,
            endings: None,
        }
    }

    /// Number of this caller in the process; streams with
    /// [`Lifetime::Connection`](fairlead_topology::Lifetime::Connection) carry it.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Who acts.
    pub fn who(&self) -> &Principal {
        &self.inbox.who
    }

    /// The kernel entered.
    pub fn kernel(&self) -> &Arc<Kernel> {
        &self.kernel
    }

    /// The counters of the listener that this caller came by.
    pub fn meters(&self) -> &Meters {
        &self.meters
    }

    /// Names the publisher for the choice of lanes (a client's own identifier).
    pub fn set_publisher(&mut self, name: Text) {
        self.publisher = (name != self.inbox.who.client).then(|| Box::new(name));
    }

    /// Looks at what exists; `look` is short and does not wait.
    pub fn topology<R>(&self, look: impl FnOnce(&Topology) -> R) -> R {
        self.kernel.topology(look)
    }

    pub(crate) fn member(&self, attachment: AttachmentId) -> MemberId {
        MemberId((self.id << 24) | u64::from(attachment.0))
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        // What was staged was said before the end; whoever said it may never learn of it.
        self.flush();
        for attachment in self.attachments.ids() {
            self.detach(attachment);
        }
        self.remove_owned();
        if self.watches_condition {
            self.kernel.conditions.forget(self.id);
        }
        self.kernel.roll.leave(self.id);
        if let Some(claim) = self.claim.take() {
            self.kernel.claims.release(&claim);
        }
        if self.outbox.is_flying() {
            see_to_the_end(self.outbox.rest());
        }
    }
}

/// Awaits commits that nobody is left to await. Outside a runtime there is nobody to do it: the
/// process ends.
fn see_to_the_end(commits: Vec<Commit>) {
    if commits.is_empty() {
        return;
    }
    if let Ok(runtime) = Handle::try_current() {
        // Nobody waits for the task: it ends with the last commit.
        drop(runtime.spawn(async move {
            for commit in commits {
                commit.await;
            }
        }));
    }
}

/// Document spaces below belong to the kernel.
const FIRST_TRANSLATOR_SPACE: u16 = 0x100;
