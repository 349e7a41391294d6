//! When entities are to be tended to although nobody asks.

use std::collections::{BTreeMap, BTreeSet};

use fairlead_canon::{EntityId, Timestamp};

/// One time for each entity that has any.
#[derive(Debug, Default)]
pub struct Timetable {
    by_time: BTreeSet<(Timestamp, EntityId)>,
    by_entity: BTreeMap<EntityId, Timestamp>,
}

impl Timetable {
    /// When an entity is due.
    pub fn get(&self, entity: EntityId) -> Option<Timestamp> {
        self.by_entity.get(&entity).copied()
    }

    /// An entity is due at another time, or no more.
    pub fn set(&mut self, entity: EntityId, due: Option<Timestamp>) {
        let old = match due {
            Some(due) => self.by_entity.insert(entity, due),
            None => self.by_entity.remove(&entity),
        };
        if let Some(old) = old {
            self.by_time.remove(&(old, entity));
        }
        if let Some(due) = due {
            self.by_time.insert((due, entity));
        }
    }

    /// An entity is due then, unless it is earlier anyway.
    pub fn bring_forward(&mut self, entity: EntityId, due: Timestamp) {
        if self.get(entity).is_none_or(|held| held > due) {
            self.set(entity, Some(due));
        }
    }

    /// Which is due first, and when.
    pub fn first(&self) -> Option<(Timestamp, EntityId)> {
        self.by_time.first().copied()
    }

    /// Takes one that is due by now.
    pub fn take(&mut self, now: Timestamp) -> Option<EntityId> {
        let (_, entity) = self.first().filter(|(due, _)| *due <= now)?;
        self.set(entity, None);
        Some(entity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_are_taken_in_the_order_of_their_times_and_once() {
        let mut times = Timetable::default();
        let [a, b, c] = [1, 2, 3].map(EntityId);
        times.set(a, Some(Timestamp(30)));
        times.set(b, Some(Timestamp(20)));
        times.set(c, Some(Timestamp(10)));
        times.bring_forward(a, Timestamp(15));
        times.bring_forward(b, Timestamp(25));
        times.set(c, None);
        assert_eq!(times.first(), Some((Timestamp(15), a)));
        assert_eq!(times.get(b), Some(Timestamp(20)));
        assert_eq!(times.take(Timestamp(14)), None);
        assert_eq!(times.take(Timestamp(20)), Some(a));
        assert_eq!(times.take(Timestamp(20)), Some(b));
        assert_eq!(times.take(Timestamp(99)), None);
    }
}
