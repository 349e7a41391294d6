//! The ready messages of one lane: a window from its head. What lies behind is in the store.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use fairlead_canon::{Offset, Timestamp};

use super::{Facts, Queue, Stretch};

#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Never assigned since this process knows them; ascending, not overlapping.
    fresh: VecDeque<Stretch>,
    fresh_count: u64,
    /// Assigned before and back again.
    returned: BTreeMap<u64, Facts>,
    /// Where the store's backlog continues behind `fresh`.
    load_from: u64,
    /// What was forgotten of what is being loaded.
    forgotten: BTreeSet<u64>,
    /// There may be more in the store from `load_from` on.
    behind: bool,
    loading: bool,
    /// One above the highest offset that the store told of.
    end: u64,
    /// Offsets below were possibly handed out before this process.
    handed_out: u64,
    /// The earliest deadline of what came back since somebody asked.
    due: Option<Timestamp>,
    /// The store knows that offsets below were possibly handed out.
    marked: u64,
}

impl Lane {
    pub(super) fn new(start: Offset, handed_out: Offset) -> Self {
        Self {
            load_from: start.0,
            behind: true,
            handed_out: handed_out.0,
            ..Self::default()
        }
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.fresh.is_empty() || !self.returned.is_empty()
    }

    /// Whether there may be more in the store.
    pub(super) fn is_behind(&self) -> bool {
        self.behind
    }

    pub(super) fn load_from(&self) -> Offset {
        Offset(self.load_from)
    }

    pub(super) fn was_handed_out(&self, offset: Offset) -> bool {
        offset.0 < self.handed_out
    }

    pub(super) fn mark(&mut self, offset: Offset) -> Option<Offset> {
        if offset.0 < self.marked {
            return None;
        }
        self.marked = offset.0.saturating_add(Queue::MARK_AHEAD);
        Some(Offset(self.marked))
    }

    pub(super) fn grown(&mut self, stretch: Stretch) {
        // Known already: a load has overtaken the notice.
        let end = stretch.end();
        self.end = self.end.max(end);
        let from = stretch.base.max(self.load_from);
        if from >= end {
            return;
        }
        if self.behind || self.loading || self.fresh_count >= Queue::READY_MAX {
            self.behind = true;
            return;
        }
        self.load_from = end;
        self.push_fresh(from, end, stretch.facts);
    }

    pub(super) fn lacks_load(&self) -> bool {
        self.behind && !self.loading && self.fresh_count < Queue::READY_MAX / 2
    }

    pub(super) fn start_load(&mut self) {
        self.loading = true;
    }

    pub(super) fn load_failed(&mut self) {
        self.loading = false;
    }

    pub(super) fn loaded(&mut self, stretches: &[Stretch], is_all: bool, end: Offset) {
        self.loading = false;
        for stretch in stretches {
            let first = stretch.base.max(self.load_from);
            if first < stretch.end() {
                self.push_fresh(first, stretch.end(), stretch.facts);
                self.load_from = stretch.end();
            }
        }
        if is_all {
            self.load_from = self.load_from.max(end.0);
            // What the store told of while it was being read may have been missed.
            self.behind = self.end > self.load_from;
        }
        for offset in std::mem::take(&mut self.forgotten) {
            self.forget(Offset(offset));
        }
    }

    pub(super) fn put_back(&mut self, offset: Offset, facts: Facts) {
        self.due = self.due.into_iter().chain(facts.deadline).min();
        self.returned.insert(offset.0, facts);
    }

    pub(super) fn take_due(&mut self) -> Option<Timestamp> {
        self.due.take()
    }

    /// The lowest ready offset.
    pub(super) fn pop(&mut self) -> Option<(Offset, Facts)> {
        let first_returned = self.returned.first_key_value().map(|(offset, _)| *offset);
        match (first_returned, self.fresh.front()) {
            (Some(returned), Some(front)) if front.base < returned => self.pop_fresh(),
            (Some(_), _) => self.returned.pop_first().map(|(at, f)| (Offset(at), f)),
            (None, _) => self.pop_fresh(),
        }
    }

    /// Forgets one ready offset, also if it is being loaded.
    pub(super) fn forget(&mut self, offset: Offset) {
        self.returned.remove(&offset.0);
        if self.loading && offset.0 >= self.load_from {
            self.forgotten.insert(offset.0);
        }
        let place = self
            .fresh
            .partition_point(|stretch| stretch.end() <= offset.0);
        let Some(stretch) = self.fresh.get_mut(place).filter(|s| s.base <= offset.0) else {
            return;
        };
        let (before, after) = stretch.without(offset.0);
        *stretch = before;
        self.fresh_count -= 1;
        self.fresh.insert(place + 1, after);
        // Whichever of the two is empty; the later one first, so that the places stay.
        for place in [place + 1, place] {
            if self
                .fresh
                .get(place)
                .is_some_and(|stretch| stretch.span == 0)
            {
                self.fresh.remove(place);
            }
        }
    }

    /// Forgets every ready message below `to`; how many were known here.
    pub(super) fn purge(&mut self, to: Offset) -> u64 {
        let kept = self.returned.split_off(&to.0);
        let mut purged = self.returned.len() as u64;
        self.returned = kept;
        while let Some(front) = self.fresh.front_mut().filter(|front| front.base < to.0) {
            let cut = front.end().min(to.0) - front.base;
            front.base += cut;
            front.span -= u32::try_from(cut).unwrap_or(front.span);
            purged += cut;
            self.fresh_count -= cut;
            if front.span == 0 {
                self.fresh.pop_front();
            }
        }
        self.load_from = self.load_from.max(to.0);
        purged
    }

    fn pop_fresh(&mut self) -> Option<(Offset, Facts)> {
        let front = self.fresh.front_mut()?;
        let popped = (Offset(front.base), front.facts);
        front.base += 1;
        front.span -= 1;
        self.fresh_count -= 1;
        if front.span == 0 {
            self.fresh.pop_front();
        }
        Some(popped)
    }

    fn push_fresh(&mut self, from: u64, to: u64, facts: Facts) {
        let span = u32::try_from(to - from).unwrap_or(u32::MAX);
        self.fresh_count += u64::from(span);
        match self.fresh.back_mut() {
            Some(last)
                if last.facts == facts
                    && last.end() == from
                    && last.span.checked_add(span).is_some() =>
            {
                last.span += span;
            }
            _ => self.fresh.push_back(Stretch {
                base: from,
                span,
                facts,
            }),
        }
    }
}
