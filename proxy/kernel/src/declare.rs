//! Making, changing and removing what exists.

use fairlead_canon::{Class, Pattern, RealmId};
use fairlead_ports::Action;
use fairlead_topology::{
    Change, Configure, Declared, Destination, Family, Lifetime, Match, StreamKey,
};
use tokio::sync::{mpsc, oneshot};

use crate::registrar::{Proviso, Request};
use crate::{Caller, Error, Reason};

impl Caller {
    /// Applies changes in order, all or none; durable on return where what is declared is.
    /// Streams with the lifetime of this connection go with this caller.
    pub async fn declare(&mut self, changes: Vec<Change>) -> Result<Declared, Error> {
        for change in &changes {
            self.may_declare(change)?;
        }
        let owned: Vec<StreamKey> = changes.iter().filter_map(|c| self.owned_by(c)).collect();
        let perishable: Vec<StreamKey> = changes.iter().filter_map(perishable).collect();
        // Noted first: if this future is dropped, what it may have made is removed all the same.
        let before = self.owned.len();
        self.owned.extend(owned);
        let declared = match changes.iter().all(|change| self.is_fleeting(change)) {
            true => self.kernel.ground.declare_fleeting(changes).await,
            false => ask(&self.kernel.registrar, changes).await,
        };
        match &declared {
            // The time of a stream that nobody ever uses begins here.
            Ok(_) => {
                let unused = perishable.iter().filter(|key| !self.is_used(key));
                unused.for_each(|key| self.begin_unused(key));
            }
            Err(_) => self.owned.truncate(before),
        }
        declared
    }

    /// Whether somebody consumes from a stream: its time begins when he leaves.
    fn is_used(&self, key: &StreamKey) -> bool {
        let lane = self
            .kernel
            .topology(|topology| topology.stream(key)?.lanes.first().copied());
        let hot = lane.and_then(|lane| self.kernel.hub.get(lane));
        hot.is_some_and(|hot| hot.with(|queue| queue.members()) > 0)
    }

    /// The time of a stream without a user begins, by what it is told to be by then.
    pub(crate) fn begin_unused(&self, key: &StreamKey) {
        if let Some(stream) = self
            .kernel
            .topology(|topology| topology.stream(key).cloned())
        {
            self.kernel.janitor.unused(&stream);
        }
    }

    fn may_declare(&self, change: &Change) -> Result<(), Error> {
        match change {
            Change::CreateStream(new) => self.admit(&Action::Declare(&new.key.name)),
            Change::AlterStream { key, .. }
            | Change::AddLanes { key, .. }
            | Change::Configure(Configure { key, .. })
            | Change::RemoveStream(key) => {
                self.admit(&Action::Declare(&key.name))?;
                self.own_or_shared(key).map(drop)
            }
            Change::CreateRealm(new) => self.admit(&Action::Declare(&new.name)),
            Change::Bind(binding) => {
                if let Match::Pattern(pattern) = &binding.on {
                    self.may_fill(&binding.to, pattern)?;
                }
                self.may_lead_to(&binding.to)
            }
            Change::Unbind(binding) => self.may_lead_to(&binding.to),
            Change::RemoveRealm(_) | Change::PutEntry { .. } => Ok(()),
        }
    }

    /// A part of a pattern is enough for a mailbox, whose one reader asks about each message.
    fn may_fill(&self, to: &Destination, pattern: &Pattern) -> Result<(), Error> {
        match to {
            Destination::Stream(key) if key.family == Family::Mailbox => {
                self.may_subscribe(pattern).map(drop)
            }
            Destination::Stream(_) | Destination::Realm(_) => {
                self.admit(&Action::Subscribe(pattern))
            }
        }
    }

    fn may_lead_to(&self, to: &Destination) -> Result<(), Error> {
        match to {
            Destination::Stream(key) => self.admit(&Action::Declare(&key.name)),
            Destination::Realm(_) => Ok(()),
        }
    }

    /// Whether a change is about what lives in memory and ends with this caller: it depends on nothing
    /// that could be taken back, and has no need of the registrar's turn.
    fn is_fleeting(&self, change: &Change) -> bool {
        match change {
            Change::CreateStream(new) => {
                let is_own = new.lifetime == Lifetime::Connection(self.id);
                is_own && new.class == Class::Memory && new.at.is_none()
            }
            Change::Bind(binding) | Change::Unbind(binding) => {
                let is_own = |to: &Destination| match to {
                    Destination::Stream(key) => self.owned.contains(key),
                    Destination::Realm(_) => false,
                };
                binding.from == RealmId::SHARED && is_own(&binding.to)
            }
            Change::AlterStream { .. }
            | Change::Configure(_)
            | Change::AddLanes { .. }
            | Change::RemoveStream(_)
            | Change::CreateRealm(_)
            | Change::RemoveRealm(_)
            | Change::PutEntry { .. } => false,
        }
    }

    /// Removes the streams that end with this caller.
    pub(crate) fn remove_owned(&mut self) {
        let mut owned = std::mem::take(&mut self.owned);
        let ground = &self.kernel.ground;
        let is_in_memory = |key: &StreamKey| {
            let found = ground.atlas.read(|all| all.stream(key).cloned());
            found.is_some_and(|stream| stream.class == Class::Memory)
        };
        // One that is not there yet comes by way of the registrar, and goes by it.
        owned.retain(|key| !(is_in_memory(key) && ground.remove_fleeting(key)));
        self.kernel.janitor.remove(owned);
    }

    fn owned_by(&self, change: &Change) -> Option<StreamKey> {
        match change {
            Change::CreateStream(new) if new.lifetime == Lifetime::Connection(self.id) => {
                Some(new.key.clone())
            }
            Change::CreateStream(_)
            | Change::AlterStream { .. }
            | Change::Configure(_)
            | Change::AddLanes { .. }
            | Change::RemoveStream(_)
            | Change::CreateRealm(_)
            | Change::RemoveRealm(_)
            | Change::Bind(_)
            | Change::Unbind(_)
            | Change::PutEntry { .. } => None,
        }
    }
}

/// The stream of a change that gives it a time to live without consumers.
fn perishable(change: &Change) -> Option<StreamKey> {
    let (key, lifetime) = match change {
        Change::CreateStream(new) => (&new.key, new.lifetime),
        Change::AlterStream { key, lifetime, .. } => (key, *lifetime),
        Change::AddLanes { .. }
        | Change::Configure(_)
        | Change::RemoveStream(_)
        | Change::CreateRealm(_)
        | Change::RemoveRealm(_)
        | Change::Bind(_)
        | Change::Unbind(_)
        | Change::PutEntry { .. } => return None,
    };
    matches!(lifetime, Lifetime::Unused { .. }).then(|| key.clone())
}

/// Asks the registrar.
pub(crate) async fn ask(
    registrar: &mpsc::Sender<Request>,
    changes: Vec<Change>,
) -> Result<Declared, Error> {
    ask_if(registrar, changes, None).await
}

/// Asks the registrar for changes that are made only under a condition.
pub(crate) async fn ask_if(
    registrar: &mpsc::Sender<Request>,
    changes: Vec<Change>,
    only_if: Option<Proviso>,
) -> Result<Declared, Error> {
    let away = || Error::us(Reason::ShuttingDown, "declarations are no longer taken");
    let (reply, answer) = oneshot::channel();
    let request = Request {
        changes,
        only_if,
        reply,
    };
    registrar.send(request).await.map_err(|_gone| away())?;
    answer.await.map_err(|_gone| away())?
}
