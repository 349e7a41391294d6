//! Names that one caller holds at a time: who claims one displaces its holder.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::inbox::Inbox;
use crate::{Caller, Displaced, Error, Kernel, Reason};

/// Every claim in force.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    held: Mutex<BTreeMap<Bytes, Holder>>,
}

#[derive(Debug)]
struct Holder {
    caller: u64,
    inbox: Arc<Inbox>,
    /// For those who wait, if any do.
    released: Option<Arc<Notify>>,
}

impl Caller {
    /// Longest wait for a displaced holder to finish what it is doing.
    const CLAIM_WAIT_MAX: Duration = Duration::from_secs(10);

    /// Becomes the only holder of a name within this protocol. The present holder is told by
    /// [`Event::Displaced`](crate::Event::Displaced); this waits until its caller is dropped, at
    /// most ten seconds. A caller holds one name; claiming it twice is no error.
    pub async fn claim(&mut self, name: &[u8]) -> Result<(), Error> {
        let key: Bytes = [&self.space.0.to_be_bytes()[..], name].concat().into();
        let claims = Arc::clone(&self.kernel.claims);
        let taking = async {
            while let Some(released) = claims.try_hold(&key, self.id, &self.inbox) {
                released.notified().await;
            }
        };
        if tokio::time::timeout(Self::CLAIM_WAIT_MAX, taking)
            .await
            .is_err()
        {
            return Err(Error::us(
                Reason::Locked,
                "the present holder does not let go",
            ));
        }
        self.claim = Some(key);
        Ok(())
    }
}

impl Kernel {
    /// Tells whoever holds this name, by whatever protocol, that the operator ends its connection.
    /// `false`: nobody holds it.
    pub fn displace(&self, name: &[u8]) -> bool {
        let held = self.claims.held.lock();
        let holds = |key: &&Bytes| key.get(size_of::<u16>()..) == Some(name);
        let mut is_held = false;
        for (_, holder) in held.iter().filter(|(key, _)| holds(key)) {
            let why = Some(Displaced::Dismissed);
            holder.inbox.put(|contents| contents.displaced = why);
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
    /// Holds a name, or tells its holder to go and gives what to wait for.
    fn try_hold(&self, key: &Bytes, caller: u64, inbox: &Arc<Inbox>) -> Option<Arc<Notify>> {
        let mut held = self.held.lock();
        match held.get_mut(key) {
            Some(holder) if holder.caller != caller => {
                let why = Some(Displaced::Claimed);
                holder.inbox.put(|contents| contents.displaced = why);
                Some(Arc::clone(holder.released.get_or_insert_default()))
            }
            Some(_) => None,
            None => {
                let holder = Holder {
                    caller,
                    inbox: Arc::clone(inbox),
                    released: None,
                };
                held.insert(key.clone(), holder);
                None
            }
        }
    }

    /// Lets go of a name.
    pub(crate) fn release(&self, key: &[u8], caller: u64) {
        let mut held = self.held.lock();
        if held.get(key).is_some_and(|holder| holder.caller == caller)
            && let Some(released) = held.remove(key).and_then(|holder| holder.released)
        {
            // Both kinds: those who wait already, and one who is about to.
            released.notify_waiters();
            released.notify_one();
        }
    }
}
