//! What is to be done to entities at some time although nobody asks: one time for each.

use std::time::Duration;

use fairlead_canon::{EntityId, Timestamp};
use fairlead_ports::{Clock, Timetable};
use parking_lot::{Condvar, Mutex};

use crate::entity::each;
use crate::index::pack::Unpack;
use crate::index::{Index, KvError, rows};

/// How long to wait at most while something is due some time: the wall clock may jump.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Entities by when they are due.
#[derive(Debug, Default)]
pub(crate) struct Chores {
    content: Mutex<Content>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Content {
    times: Timetable,
    is_closed: bool,
}

impl Chores {
    /// Adds those that the index knows of, but for entities that have changed since.
    pub(crate) fn load(&self, index: &Index) -> Result<(), KvError> {
        each(index, &rows::chores(), &mut |key, row| {
            let entity = EntityId(rows::number_in(key, 0)?);
            let mut unpack = Unpack::new(row);
            let due = Timestamp(unpack.uint()?);
            let times = &mut self.content.lock().times;
            if times.get(entity).is_none() {
                times.set(entity, Some(due));
            }
            unpack.done(())
        })
    }

    /// When an entity is due.
    pub(crate) fn get(&self, entity: EntityId) -> Option<Timestamp> {
        self.content.lock().times.get(entity)
    }

    /// An entity is due at another time, or no more.
    pub(crate) fn set(&self, entity: EntityId, due: Option<Timestamp>) {
        let mut content = self.content.lock();
        content.times.set(entity, due);
        let is_next = content.times.first().is_some_and(|(_, it)| it == entity);
        drop(content);
        if is_next {
            self.changed.notify_all();
        }
    }

    pub(crate) fn close(&self) {
        self.content.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Waits until an entity is due, and takes it; `None` when the store is closed.
    pub(crate) fn next(&self, clock: &dyn Clock) -> Option<EntityId> {
        let mut content = self.content.lock();
        while !content.is_closed {
            let now = clock.wall();
            if let Some(entity) = content.times.take(now) {
                return Some(entity);
            }
            match content.times.first() {
                Some((due, _)) => {
                    let time = due.since(now).min(LOOK_EVERY);
                    self.changed.wait_for(&mut content, time);
                }
                None => self.changed.wait(&mut content),
            }
        }
        None
    }

    /// Waits for so long; whether the store is still open then.
    pub(crate) fn pause(&self, time: Duration) -> bool {
        let mut content = self.content.lock();
        let is_open = |content: &mut Content| !content.is_closed;
        self.changed.wait_while_for(&mut content, is_open, time);
        !content.is_closed
    }
}
