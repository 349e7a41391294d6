//! Sets and maps of offsets, kept as ranges.

use std::collections::BTreeMap;
use std::ops::Range;

/// Ranges that neither touch nor overlap: start to end.
#[derive(Debug, Default)]
pub(crate) struct RangeSet(BTreeMap<u64, u64>);

impl RangeSet {
    /// Adds a range; tells where ranges begin that were made, widened or went.
    pub(crate) fn insert(&mut self, range: Range<u64>, touched: &mut dyn FnMut(u64)) {
        if range.is_empty() {
            return;
        }
        let Range { mut start, mut end } = range;
        if let Some((&from, &to)) = self.0.range(..start).next_back()
            && to >= start
        {
            start = from;
        }
        while let Some((&from, &to)) = self.0.range(start..=end).next_back() {
            end = end.max(to);
            self.0.remove(&from);
            touched(from);
        }
        self.0.insert(start, end);
        touched(start);
    }

    /// Cuts a range out; tells where ranges begin that were made, narrowed or went.
    pub(crate) fn remove(&mut self, range: Range<u64>, touched: &mut dyn FnMut(u64)) {
        if range.is_empty() {
            return;
        }
        // Cut by cut from the right: each one may leave a piece on either side.
        while let Some((&from, &to)) = self.0.range(..range.end).next_back() {
            if to <= range.start {
                return;
            }
            self.0.remove(&from);
            touched(from);
            if from < range.start {
                self.0.insert(from, range.start);
            }
            if to > range.end {
                self.0.insert(range.end, to);
                touched(range.end);
            }
        }
    }

    /// The first stretch of a range that is not in the set.
    pub(crate) fn gap(&self, range: Range<u64>) -> Option<Range<u64>> {
        let before = self.0.range(..=range.start).next_back();
        let start = before.map_or(range.start, |(_, &to)| to.max(range.start));
        let next = self
            .0
            .range(start..)
            .next()
            .map_or(range.end, |(&from, _)| from);
        let end = next.min(range.end);
        (start < end).then_some(start..end)
    }

    /// Ranges that begin in this one.
    pub(crate) fn beginning_in(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
        self.0.range(range).map(|(&start, &end)| start..end)
    }

    /// How many ranges it takes.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn contains(&self, at: u64) -> bool {
        self.0
            .range(..=at)
            .next_back()
            .is_some_and(|(_, &to)| to > at)
    }
}

/// What is known of offsets. Neighbours of which the same is known are one range: start to end, and that.
#[derive(Debug)]
pub(crate) struct RangeMap<V>(BTreeMap<u64, (u64, V)>);

impl<V> Default for RangeMap<V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<V: Copy + PartialEq> RangeMap<V> {
    /// This is known of a range from now on.
    pub(crate) fn set(&mut self, range: Range<u64>, value: V) {
        if range.is_empty() {
            return;
        }
        self.remove(range.clone());
        let Range { mut start, mut end } = range;
        if let Some((&from, &(to, before))) = self.0.range(..start).next_back()
            && (to, before) == (start, value)
        {
            start = from;
        }
        if let Some(&(to, behind)) = self.0.get(&end)
            && behind == value
        {
            self.0.remove(&end);
            end = to;
        }
        self.0.insert(start, (end, value));
    }

    /// Nothing is known of a range any more.
    pub(crate) fn remove(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        while let Some((&from, &(to, value))) = self.0.range(..range.end).next_back()
            && to > range.start
        {
            self.0.remove(&from);
            if to > range.end {
                self.0.insert(range.end, (to, value));
            }
            if from < range.start {
                self.0.insert(from, (range.start, value));
            }
        }
    }

    /// What is known of the offsets of a range, in order, a stretch of which the same is known at a time.
    pub(crate) fn within(&self, range: Range<u64>) -> impl Iterator<Item = (Range<u64>, V)> {
        let before = self.0.range(..range.start).next_back();
        let begun = before.filter(|(_, (to, _))| *to > range.start && !range.is_empty());
        let rest = self.0.range(range.start..range.end.max(range.start));
        begun
            .into_iter()
            .chain(rest)
            .map(move |(&from, &(to, value))| (from.max(range.start)..to.min(range.end), value))
    }

    pub(crate) fn get(&self, at: u64) -> Option<V> {
        let (_, &(to, value)) = self.0.range(..=at).next_back()?;
        (to > at).then_some(value)
    }

    /// How many ranges it takes.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn a_range_set_answers_as_a_plain_set_does() {
        let mut random = StdRng::seed_from_u64(7);
        let (mut ranges, mut plain) = (RangeSet::default(), BTreeSet::new());
        for _ in 0..20_000 {
            let start = random.random_range(0..200_u64);
            let range = start..start + random.random_range(0..12);
            let before = ranges.0.clone();
            let mut touched = BTreeSet::new();
            if random.random_bool(0.5) {
                ranges.insert(range.clone(), &mut |at| {
                    touched.insert(at);
                });
                plain.extend(range.clone());
            } else {
                ranges.remove(range.clone(), &mut |at| {
                    touched.insert(at);
                });
                plain.retain(|at| !range.contains(at));
            }
            for at in 0..220 {
                let is_other = before.get(&at) != ranges.0.get(&at);
                assert!(!is_other || touched.contains(&at), "{at} changed untold");
            }
            assert_eq!(ranges.contains(start), plain.contains(&start));
            let first = (start..start + 40).find(|at| !plain.contains(at));
            let end = first.map(|first| {
                (first..start + 40)
                    .find(|at| plain.contains(at))
                    .unwrap_or(start + 40)
            });
            assert_eq!(
                ranges.gap(start..start + 40),
                first.zip(end).map(|(from, to)| from..to)
            );
        }
    }

    #[test]
    fn a_range_map_answers_as_a_plain_map_does() {
        let mut random = StdRng::seed_from_u64(8);
        let (mut ranges, mut plain) = (RangeMap::default(), BTreeMap::new());
        for _ in 0..20_000 {
            let start = random.random_range(0..200_u64);
            let range = start..start + random.random_range(0..12);
            if random.random_bool(0.6) {
                let value = random.random_range(0..3);
                ranges.set(range.clone(), value);
                plain.extend(range.map(|at| (at, value)));
            } else {
                ranges.remove(range.clone());
                plain.retain(|at, _| !range.contains(at));
            }
            let all = ranges
                .within(0..300)
                .flat_map(|(at, value)| at.map(move |at| (at, value)));
            assert_eq!(all.collect::<BTreeMap<_, _>>(), plain);
            assert_eq!(ranges.get(start), plain.get(&start).copied());
            let some = ranges.within(start..start + 9).flat_map(|(at, _)| at);
            let known = plain.range(start..start + 9).map(|(at, _)| *at);
            assert!(some.eq(known), "{start}");
            let ends = plain
                .iter()
                .filter(|(at, value)| plain.get(&(**at + 1)) != Some(*value));
            assert_eq!(ranges.len(), ends.count(), "neighbours are one range");
        }
    }
}
