//! Live subscriptions: they never reach a log, and begin at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fairlead_canon::{Address, Message, Pattern, RealmId};
use fairlead_topology::{Patterned, Trie};
use parking_lot::RwLock;
use smallvec::SmallVec;

use crate::inbox::{Inbox, Room};
use crate::{AttachmentId, Live, Run};

/// Every live subscription, by realm and pattern.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    realms: RwLock<BTreeMap<RealmId, Trie<Subscription>>>,
    generation: AtomicU64,
}

/// One live subscription.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    pub(crate) caller: u64,
    pub(crate) attachment: AttachmentId,
    pub(crate) no_local: bool,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) pattern: Pattern,
}

/// One caller that a message reaches, and by which of its attachments.
#[derive(Clone, Debug)]
pub(crate) struct Listener {
    pub(crate) caller: u64,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) via: SmallVec<[AttachmentId; 1]>,
    /// Those of `via` that the caller's own messages reach too.
    pub(crate) via_own: SmallVec<[AttachmentId; 1]>,
}

impl Patterned for Subscription {
    fn pattern(&self) -> Option<&Pattern> {
        Some(&self.pattern)
    }
}

impl PartialEq for Subscription {
    fn eq(&self, other: &Self) -> bool {
        self.caller == other.caller && self.attachment == other.attachment
    }
}

impl Listener {
    /// The attachments that messages of this caller reach.
    pub(crate) fn via_for(&self, publisher: u64) -> &SmallVec<[AttachmentId; 1]> {
        match self.caller == publisher {
            true => &self.via_own,
            false => &self.via,
        }
    }

    /// Adds the attachments of the same caller by which another address reaches it.
    pub(crate) fn join(&mut self, other: &Self) {
        add_missing(&mut self.via, &other.via);
        add_missing(&mut self.via_own, &other.via_own);
    }
}

fn add_missing(to: &mut SmallVec<[AttachmentId; 1]>, more: &[AttachmentId]) {
    for attachment in more {
        if !to.contains(attachment) {
            to.push(*attachment);
        }
    }
}

impl Subscriptions {
    pub(crate) fn insert(&self, subscription: Subscription) {
        let mut realms = self.realms.write();
        let trie = realms.entry(subscription.pattern.realm).or_default();
        trie.insert(subscription);
        self.generation.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn remove(&self, subscription: &Subscription) {
        let mut realms = self.realms.write();
        if let Some(trie) = realms.get_mut(&subscription.pattern.realm) {
            trie.remove(subscription);
            self.generation.fetch_add(1, Ordering::Release);
        }
    }

    /// Whom a message at this address reaches, each caller once.
    pub(crate) fn listeners(&self, address: &Address) -> Vec<Listener> {
        let mut found: BTreeMap<u64, Listener> = BTreeMap::new();
        let realms = self.realms.read();
        let Some(trie) = realms.get(&address.realm) else {
            return Vec::new();
        };
        trie.matches(&address.path, |subscription| {
            let listener = found
                .entry(subscription.caller)
                .or_insert_with(|| Listener {
                    caller: subscription.caller,
                    inbox: Arc::clone(&subscription.inbox),
                    via: SmallVec::new(),
                    via_own: SmallVec::new(),
                });
            listener.via.push(subscription.attachment);
            if !subscription.no_local {
                listener.via_own.push(subscription.attachment);
            }
        });
        found.into_values().collect()
    }

    /// Puts a message that no caller has published before everybody who listens.
    pub(crate) fn serve(&self, message: Message) {
        let listeners = self.listeners(&message.address);
        let run = Arc::new(Run::of([message]));
        for listener in listeners {
            let live = Live {
                run: Arc::clone(&run),
                via: listener.via,
            };
            // Where there is no room it is dropped: nobody was promised it.
            if listener.inbox.push_live(live) == Room::First {
                listener.inbox.wake();
            }
        }
    }

    /// Changes with each subscription.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
}
