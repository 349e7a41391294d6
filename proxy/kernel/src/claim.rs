//! Names that one caller holds at a time: who claims one displaces its holder.

use std::hash::BuildHasher;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::inbox::Inbox;
use crate::{Caller, Displaced, Error, Kernel, Reason};

/// Every claim in force, by its name.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    held: Mutex<HashTable<Arc<Claim>>>,
    hasher: RandomState,
}

/// A name and who holds it.
#[derive(Debug)]
pub(crate) struct Claim {
    /// With the holder's document space before it, since each protocol has its own names.
    name: Box<[u8]>,
    inbox: Arc<Inbox>,
    /// For those who wait; most are held by one and awaited by nobody.
    released: OnceLock<Box<Notify>>,
}

impl Caller {
    /// Longest wait for a displaced holder to finish what it is doing.
    const CLAIM_WAIT_MAX: Duration = Duration::from_secs(10);

    /// Becomes the only holder of a name within this protocol. The present holder is told by
    /// [`Event::Displaced`](crate::Event::Displaced); this waits until its caller is dropped, at
    /// most ten seconds. A caller holds one name; claiming it twice is no error.
    pub async fn claim(&mut self, name: &[u8]) -> Result<(), Error> {
        let name = [&self.space.0.to_be_bytes()[..], name].concat();
        let claims = Arc::clone(&self.kernel.claims);
        let taking = async {
            loop {
                match claims.try_hold(&name, &self.inbox) {
                    Ok(claim) => return claim,
                    Err(other) => other.released().notified().await,
                }
            }
        };
        let taken = tokio::time::timeout(Self::CLAIM_WAIT_MAX, taking).await;
        let late = |_elapsed| Error::us(Reason::Locked, "the present holder does not let go");
        self.claim = Some(taken.map_err(late)?);
        Ok(())
    }
}

impl Kernel {
    /// Tells whoever holds this name, by whatever protocol, that the operator ends its connection.
    /// `false`: nobody holds it.
    pub fn displace(&self, name: &[u8]) -> bool {
        let held = self.claims.held.lock();
        let is_meant = |claim: &&Arc<Claim>| claim.name.get(size_of::<u16>()..) == Some(name);
        let mut is_held = false;
        for claim in held.iter().filter(is_meant) {
            claim.inbox.displace(Displaced::Dismissed);
            is_held = true;
        }
        is_held
    }
}

impl Caller {
    /// Resolves once this caller has to go. For a connection that takes no events because its peer is
    /// slow, and has to make room all the same. Cancel-safe.
    pub async fn displaced(&self) -> Displaced {
        std::future::poll_fn(|cx| match self.inbox.displaced(cx.waker()) {
            Some(why) => std::task::Poll::Ready(why),
            None => std::task::Poll::Pending,
        })
        .await
    }
}

impl Claims {
    /// Holds a name, or tells its holder to go and gives back for what to wait.
    fn try_hold(&self, name: &[u8], inbox: &Arc<Inbox>) -> Result<Arc<Claim>, Arc<Claim>> {
        let mut held = self.held.lock();
        let hash = self.hasher.hash_one(name);
        match held.find(hash, |claim| *claim.name == *name) {
            Some(claim) if Arc::ptr_eq(&claim.inbox, inbox) => Ok(Arc::clone(claim)),
            Some(claim) => {
                claim.inbox.displace(Displaced::Claimed);
                // Made while nobody can let go of it unseen.
                claim.released();
                Err(Arc::clone(claim))
            }
            None => {
                let claim = Arc::new(Claim {
                    name: name.into(),
                    inbox: Arc::clone(inbox),
                    released: OnceLock::new(),
                });
                let hash_of = |claim: &Arc<Claim>| self.hasher.hash_one(&*claim.name);
                held.insert_unique(hash, Arc::clone(&claim), hash_of);
                Ok(claim)
            }
        }
    }

    /// Lets go of a name.
    pub(crate) fn release(&self, claim: &Arc<Claim>) {
        let mut held = self.held.lock();
        let hash = self.hasher.hash_one(&*claim.name);
        if let Ok(entry) = held.find_entry(hash, |held| Arc::ptr_eq(held, claim)) {
            entry.remove();
            if let Some(released) = claim.released.get() {
                // Both kinds: those who wait already, and one who is about to.
                released.notify_waiters();
                released.notify_one();
            }
        }
    }
}

impl Claim {
    /// What those who wait are told by.
    fn released(&self) -> &Notify {
        self.released.get_or_init(Box::default)
    }
}
