//! Attaching to queues, mailboxes and live patterns, and leaving them.

use std::sync::Arc;

use fairlead_canon::{Address, Kind, Pattern};
use fairlead_delivery::{Allowance, Joining, Place};
use fairlead_ports::{Action, Verdict};
use fairlead_topology::{Stream, StreamKey};

use crate::hub::{Entrant, Hot};
use crate::live::Subscription;
use crate::verb::{Attach, AttachmentId, Extent, Settling, Source};
use crate::{Caller, Error, Reason};

/// One attachment of a caller.
#[derive(Debug)]
pub(crate) enum Attached {
    /// To a queue or mailbox.
    Queue(QueueAttachment),
    /// To a pattern.
    Live(Pattern),
}

/// An attachment to a queue.
#[derive(Debug)]
pub(crate) struct QueueAttachment {
    pub(crate) hot: Arc<Hot>,
    /// Not the stream, of which it would keep what it was before it was altered.
    pub(crate) key: StreamKey,
    /// Whether its dead go somewhere.
    pub(crate) has_route: bool,
    pub(crate) settling: Settling,
    pub(crate) role: Role,
    pub(crate) allowance: Option<Arc<Allowance>>,
}

/// What an attachment to a queue still does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Is pushed messages.
    Consuming,
    /// Is pushed nothing more; what it holds can be settled.
    Leaving,
    /// Takes single messages when it asks.
    Taking,
}

impl Caller {
    /// Asks to be pushed messages. Exclusive streams of other connections answer `Locked`.
    pub async fn attach(&mut self, attach: Attach) -> Result<AttachmentId, Error> {
        let id = self.next_attachment()?;
        let attached = match attach.source {
            Source::Live(pattern) => {
                self.may_subscribe(&pattern)?;
                let subscription = self.subscription(id, &pattern, attach.no_local);
                self.kernel.subscriptions.insert(subscription);
                Attached::Live(pattern)
            }
            Source::Stream(ref key) => {
                self.admit(&Action::Consume(&key.name))?;
                let stream = self.own_or_shared(key)?;
                let joining = Joining {
                    id: self.member(id),
                    window: attach.window,
                    ahead_max: Attach::AHEAD_MAX,
                    priority: attach.priority,
                    allowance: attach.allowance.clone(),
                };
                let entrant = Entrant {
                    joining,
                    inbox: Arc::clone(&self.inbox),
                    is_exclusive: attach.is_exclusive,
                    is_consumer: true,
                };
                let hot = self.join(&stream, entrant).await?;
                let (settling, role) = (attach.settling, Role::Consuming);
                let attached = QueueAttachment {
                    allowance: attach.allowance,
                    hot,
                    key: stream.key.clone(),
                    has_route: stream.settings().dead_letter.is_some(),
                    settling,
                    role,
                };
                // As a member, so that a removal from here on is told to it.
                if !self.is_there(&stream) {
                    self.attachments.insert(id, Attached::Queue(attached));
                    self.detach(id);
                    return Err(no_such(key));
                }
                self.kernel.janitor.used(&stream);
                Attached::Queue(attached)
            }
        };
        self.attachments.insert(id, attached);
        self.look_for_loads(id);
        Ok(id)
    }

    /// Ends an attachment; what it holds goes back to its place. Unknown ones are passed over.
    pub fn detach(&mut self, id: AttachmentId) {
        match self.attachments.remove(id) {
            Some(Attached::Live(pattern)) => {
                let subscription = self.subscription(id, &pattern, false);
                self.kernel.subscriptions.remove(&subscription);
            }
            Some(Attached::Queue(attached)) => {
                if attached.role == Role::Consuming {
                    // Before nobody is seen to use it: an earlier time may be over right now.
                    self.begin_unused(&attached.key);
                }
                let left = attached.hot.remove(self.member(id));
                // Kept in the store as well: a queue that nobody uses for a while is forgotten here,
                // and has to say redelivered all the same.
                attached.mourn(&left.doomed, &self.kernel.undertaker);
                let ended = attached.gather_left(&left);
                let has_left = !ended.is_empty();
                ended.into_iter().for_each(|one| self.stage_ended(one));
                if has_left {
                    self.flush();
                }
                self.after_leaving(&attached);
                self.share_room(attached.allowance.as_ref());
            }
            None => {}
        }
    }

    /// Takes nothing more from a queue; what is held can still be settled.
    pub fn stop(&mut self, id: AttachmentId) {
        let member = self.member(id);
        let Some(Attached::Queue(attached)) = self.attachments.get_mut(id) else {
            return self.detach(id);
        };
        attached.role = Role::Leaving;
        // Assigned but never shown: somebody else may have them.
        let mut unseen: Vec<Place> = Vec::new();
        let waiting = std::mem::take(&mut self.bodies.waiting);
        for given in waiting {
            if given.attachment == id {
                unseen.push(given.assigned.place);
            } else {
                self.bodies.waiting.push_back(given);
            }
        }
        attached.hot.with(|queue| {
            for place in unseen {
                queue.unassign(member, place);
            }
        });
        let key = attached.key.clone();
        let allowance = attached.allowance.clone();
        let hot = Arc::clone(&attached.hot);
        self.begin_unused(&key);
        let is_last = hot.leave(member) == 0;
        if is_last {
            self.begin_unused(&key);
        }
        self.share_room(allowance.as_ref());
        self.forget_if_left(id);
    }

    /// Sets how many unsettled deliveries an attachment may hold; 0 pauses it.
    pub fn credit(&mut self, id: AttachmentId, window: u32) {
        let member = self.member(id);
        if let Some(Attached::Queue(attached)) = self.attachments.get(id) {
            attached.hot.with(|queue| queue.set_window(member, window));
        }
        self.look_for_loads(id);
    }

    /// A queue of any connection, or this connection's own.
    pub(crate) fn own_or_shared(&self, key: &StreamKey) -> Result<Arc<Stream>, Error> {
        let found = self
            .kernel
            .topology(|topology| topology.stream(key).cloned());
        let stream = found.ok_or_else(|| no_such(key))?;
        match stream.owner() {
            Some(owner) if owner != self.id => {
                let detail = format!("{} belongs to another connection", key.name);
                Err(Error::peer(Reason::Locked, detail))
            }
            _ => Ok(stream),
        }
    }

    /// Whether a stream still exists, and not another one under its name.
    fn is_there(&self, stream: &Stream) -> bool {
        self.kernel.topology(|topology| {
            let found = topology.stream(&stream.key);
            found.is_some_and(|found| found.lanes.first() == stream.lanes.first())
        })
    }

    /// How much of what a pattern matches the rules let this caller read; `Denied` where that is nothing.
    /// Attaching and binding ask it too; this is for a reader of a stream that somebody else has bound.
    pub fn may_subscribe(&self, pattern: &Pattern) -> Result<Extent, Error> {
        self.kernel.may_subscribe(self.who(), pattern)
    }

    /// Whether this caller may have a message from there by a pattern that matches it and of which it may read a part.
    pub fn may_receive(&self, by: &Pattern, from: &Address) -> bool {
        self.admit(&Action::Receive { by, from }).is_ok()
    }

    /// Whether the rules let this caller do all of it.
    pub(crate) fn admit(&self, action: &Action<'_>) -> Result<(), Error> {
        match self.kernel.policy.admit(self.who(), action) {
            Verdict::Yes => Ok(()),
            Verdict::Part(denied) | Verdict::No(denied) => Err(denied.into()),
        }
    }

    /// Forgets an attachment that was stopped and holds nothing more.
    pub(crate) fn forget_if_left(&mut self, id: AttachmentId) {
        let member = self.member(id);
        if let Some(Attached::Queue(attached)) = self.attachments.get(id)
            && attached.role == Role::Leaving
            && attached
                .hot
                .with(|queue| queue.held_by(member).next().is_none())
        {
            self.detach(id);
        }
    }

    pub(crate) async fn join(&self, stream: &Stream, entrant: Entrant) -> Result<Arc<Hot>, Error> {
        if stream.kind != Kind::Queue && stream.lanes.len() > 1 {
            let detail = format!(
                "{} has several lanes and is read by offset",
                stream.key.name
            );
            return Err(Error::peer(Reason::Unsupported, detail));
        }
        let store = &*self.kernel.backing.store;
        self.kernel.hub.join(store, stream, entrant).await
    }

    fn after_leaving(&self, attached: &QueueAttachment) {
        if self.kernel.hub.cool(&attached.hot) == 0 && attached.role == Role::Consuming {
            self.begin_unused(&attached.key);
        }
    }

    fn subscription(
        &self,
        attachment: AttachmentId,
        pattern: &Pattern,
        no_local: bool,
    ) -> Subscription {
        Subscription {
            caller: self.id,
            attachment,
            no_local,
            inbox: Arc::clone(&self.inbox),
            pattern: pattern.clone(),
        }
    }
}

fn no_such(key: &StreamKey) -> Error {
    Error::peer(Reason::Unknown, format!("no such name: {}", key.name))
}
