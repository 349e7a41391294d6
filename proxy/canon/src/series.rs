//! Values under keys that mostly come in order and go in the same order: messages of a queue,
//! deliveries in flight.

use std::collections::{BTreeMap, VecDeque};
use std::iter::from_fn;
use std::ops::{Bound, RangeBounds};

/// An ordered map that costs a few instructions at both ends, and no more than a tree elsewhere.
///
/// Keys that come in ascending order lie side by side. One that goes before its neighbours leaves a
/// gap, and gaps are closed once they are half of all, so that each removal pays for one other place.
/// A key that comes below the highest one is kept in a tree beside them.
#[derive(Clone, Debug)]
pub struct Series<K, V> {
    /// Ascending. Neither end is a gap.
    run: VecDeque<(K, Option<V>)>,
    gaps: usize,
    /// Came out of order. Its keys are not in the run.
    #[expect(
        clippy::box_collection,
        reason = "mostly there is none, and then a word is enough"
    )]
    strays: Option<Box<BTreeMap<K, V>>>,
}

/// Room that is kept when all have gone: an idle owner keeps next to nothing.
const PLACES_KEPT: usize = 4;
/// Room that is made at once behind that: what begins to fill goes on.
const PLACES_MORE: usize = 28;

impl<K, V> Default for Series<K, V> {
    fn default() -> Self {
        Self {
            run: VecDeque::new(),
            gaps: 0,
            strays: None,
        }
    }
}

impl<K: Copy + Ord, V> Series<K, V> {
    /// How many values there are.
    pub fn len(&self) -> usize {
        let strays = self.strays.as_ref().map_or(0, |strays| strays.len());
        self.run.len() - self.gaps + strays
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.run.is_empty() && self.strays.is_none()
    }

    /// Puts a value under a key; the one that was there comes back.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        if let Some(held) = self.strays.as_mut().and_then(|strays| strays.get_mut(&key)) {
            return Some(std::mem::replace(held, value));
        }
        if self.run.back().is_none_or(|(last, _)| *last < key) {
            self.push(key, value);
            return None;
        }
        if let Some((_, place)) = self.place(&key).and_then(|at| self.run.get_mut(at)) {
            let held = place.replace(value);
            self.gaps -= usize::from(held.is_none());
            return held;
        }
        self.strays.get_or_insert_default().insert(key, value)
    }

    /// The value under a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        match self.place(key) {
            Some(at) => self.run.get(at)?.1.as_ref(),
            None => self.strays.as_ref()?.get(key),
        }
    }

    /// The value under a key.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match self.place(key) {
            Some(at) => self.run.get_mut(at)?.1.as_mut(),
            None => self.strays.as_mut()?.get_mut(key),
        }
    }

    /// Whether there is a value under a key.
    pub fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// Takes out the value under a key.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.remove_if(key, |_| true)
    }

    /// Takes out the value under a key if it is the one that is meant.
    pub fn remove_if(&mut self, key: &K, is_meant: impl FnOnce(&V) -> bool) -> Option<V> {
        match self.place(key) {
            Some(0) => {
                let first = |(_, held): &mut (K, Option<V>)| held.as_ref().is_some_and(is_meant);
                let (_, held) = self.run.pop_front_if(first)?;
                self.close_gaps();
                held
            }
            Some(at) => {
                let held = self.run.get_mut(at)?.1.take_if(|held| is_meant(held))?;
                self.gaps += 1;
                self.close_gaps();
                Some(held)
            }
            None => self.remove_stray(key, is_meant),
        }
    }

    /// The lowest key and its value.
    pub fn first(&self) -> Option<(K, &V)> {
        self.iter().next()
    }

    /// The highest key that is not above this one, and its value. Takes as long as there are gaps
    /// between the two.
    pub fn at_most_mut(&mut self, key: &K) -> Option<(K, &mut V)> {
        let (found, _) = self.at_most(key)?;
        Some((found, self.get_mut(&found)?))
    }

    /// All, lowest key first.
    pub fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.range(..)
    }

    /// Those whose keys are in a range, lowest first.
    pub fn range(&self, keys: impl RangeBounds<K>) -> impl Iterator<Item = (K, &V)> {
        let bounds = (keys.start_bound().cloned(), keys.end_bound().cloned());
        let start = match bounds.0 {
            Bound::Unbounded => 0,
            Bound::Included(key) => self.run.partition_point(|(held, _)| *held < key),
            Bound::Excluded(key) => self.place_after(&key),
        };
        let is_inside = move |(key, _): &(K, &V)| bounds.contains(key);
        let mut own = self
            .run
            .range(start..)
            .filter_map(present)
            .take_while(is_inside)
            .peekable();
        let mut strays = self.strays_in(bounds).peekable();
        from_fn(move || match (own.peek(), strays.peek()) {
            (Some((own_key, _)), Some((stray, _))) if stray < own_key => strays.next(),
            (None, _) => strays.next(),
            (Some(_), _) => own.next(),
        })
    }

    fn push(&mut self, key: K, value: V) {
        if self.run.len() == PLACES_KEPT {
            self.run.reserve(PLACES_MORE);
        }
        self.run.push_back((key, Some(value)));
    }

    /// Where a key of the run is, or was.
    fn place(&self, key: &K) -> Option<usize> {
        let (first, _) = self.run.front()?;
        if first == key {
            return Some(0);
        }
        self.run.binary_search_by(|(held, _)| held.cmp(key)).ok()
    }

    /// The first place of the run whose key is above this one.
    fn place_after(&self, key: &K) -> usize {
        self.run.partition_point(|(held, _)| held <= key)
    }

    fn at_most(&self, key: &K) -> Option<(K, &V)> {
        let end = self.place_after(key);
        let before = self.run.range(..end).rev();
        let own = before.filter_map(present).next();
        let stray = self.strays_in((Bound::Unbounded, Bound::Included(*key)));
        own.into_iter()
            .chain(stray.last())
            .max_by_key(|(key, _)| *key)
    }

    fn strays_in(&self, keys: (Bound<K>, Bound<K>)) -> impl Iterator<Item = (K, &V)> {
        let from = (keys.0, Bound::Unbounded);
        let strays = self
            .strays
            .iter()
            .flat_map(move |strays| strays.range(from));
        let strays = strays.map(|(key, value)| (*key, value));
        strays.take_while(move |(key, _)| keys.contains(key))
    }

    fn remove_stray(&mut self, key: &K, is_meant: impl FnOnce(&V) -> bool) -> Option<V> {
        let strays = self.strays.as_mut()?;
        strays.get(key).filter(|held| is_meant(held))?;
        let removed = strays.remove(key);
        if strays.is_empty() {
            self.strays = None;
        }
        removed
    }

    fn close_gaps(&mut self) {
        if self.gaps > 0 {
            while self.run.pop_front_if(|(_, held)| held.is_none()).is_some() {
                self.gaps -= 1;
            }
            while self.run.pop_back_if(|(_, held)| held.is_none()).is_some() {
                self.gaps -= 1;
            }
            if self.gaps > self.run.len() / 2 {
                self.run.retain(|(_, held)| held.is_some());
                self.gaps = 0;
            }
        }
        if self.run.is_empty() && self.run.capacity() > PLACES_KEPT {
            self.run = VecDeque::new();
        }
    }
}

/// What is at a place of the run, unless it is a gap.
fn present<K: Copy, V>((key, value): &(K, Option<V>)) -> Option<(K, &V)> {
    Some((*key, value.as_ref()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn series(keys: impl IntoIterator<Item = u8>) -> Series<u8, u8> {
        let mut series = Series::default();
        for key in keys {
            assert_eq!(series.insert(key, key), None);
        }
        series
    }

    #[test]
    fn what_goes_in_the_middle_leaves_no_more_gaps_than_values() {
        let mut series = series(0..200);
        for key in 1..199 {
            assert_eq!(series.remove(&key), Some(key));
            assert!(series.run.len() <= 2 * series.len() + 1, "{key}");
        }
        assert_eq!(
            series.iter().map(|(key, _)| key).collect::<Vec<_>>(),
            [0, 199]
        );
    }

    #[test]
    fn an_empty_one_keeps_next_to_nothing() {
        let mut series = series((0..200).rev());
        for key in 0..200 {
            assert_eq!(series.remove(&key), Some(key));
        }
        assert!(series.is_empty());
        assert!(series.run.capacity() <= PLACES_KEPT && series.strays.is_none());
    }

    proptest! {
        // In step with the map that it stands for, whatever comes and goes in whatever order.
        #[test]
        fn it_says_what_a_tree_says(steps in prop::collection::vec((any::<bool>(), 0_u8..24), 0..200)) {
            let mut series = Series::default();
            let mut tree = BTreeMap::new();
            for (number, (puts, key)) in steps.into_iter().enumerate() {
                prop_assert_eq!(series.remove_if(&key, |_| false), None);
                match puts {
                    true => prop_assert_eq!(series.insert(key, number), tree.insert(key, number)),
                    false => prop_assert_eq!(series.remove(&key), tree.remove(&key)),
                }
                prop_assert_eq!(series.len(), tree.len());
                prop_assert_eq!(series.is_empty(), tree.is_empty());
                prop_assert_eq!(series.get(&key), tree.get(&key));
                prop_assert_eq!(series.get_mut(&key), tree.get_mut(&key));
                let known = |(key, value): (&u8, &usize)| (*key, *value);
                let said = |(key, value): (u8, &usize)| (key, *value);
                prop_assert!(series.iter().map(said).eq(tree.iter().map(known)));
                prop_assert!(series.range(key..20).map(said).eq(tree.range(key..key.max(20)).map(known)));
                let below = tree.range(..=key).next_back();
                let found = series.at_most_mut(&key).map(|(key, value)| (key, *value));
                prop_assert_eq!(found, below.map(known));
            }
        }
    }
}
