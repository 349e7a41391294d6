//! How the store is: what it last said, and whom it tells.

use fairlead_ports::Condition;
use tokio::sync::watch;

use crate::plan::Room;
use crate::sequencer::Shared;

/// The condition that was told last.
#[derive(Debug, Default)]
pub(crate) struct Told(watch::Sender<Condition>);

impl Told {
    pub(crate) fn get(&self) -> Condition {
        *self.0.borrow()
    }

    /// For those who wait until it is another.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Condition> {
        self.0.subscribe()
    }

    /// Whether this is news. Nothing follows [`Condition::Poisoned`].
    fn set(&self, condition: Condition) -> bool {
        self.0.send_if_modified(|told| {
            let is_news = *told != condition && *told != Condition::Poisoned;
            if is_news {
                *told = condition;
            }
            is_news
        })
    }
}

impl Shared {
    /// Tells the watcher if the condition is another than before.
    pub(crate) fn tell_condition(&self, condition: Condition) {
        if self.told.set(condition)
            && let Some(watcher) = self.watcher.get()
        {
            watcher.condition(condition);
        }
    }

    /// Tells how it is with this room.
    pub(crate) fn tell_room(&self, room: Room) {
        let Room::Full(limit) = room else {
            return self.tell_condition(Condition::Well);
        };
        if self.told.get() == Condition::Well {
            tracing::warn!(limit, "the store is full: nothing new is taken");
        }
        self.tell_condition(Condition::Full);
    }
}
