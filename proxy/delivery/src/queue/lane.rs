//! The ready messages of one lane: a window from its head. What lies behind is in the store.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use fairlead_canon::{Offset, Timestamp};

use super::{Amount, Facts, Queue, Stretch};

#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Made with the first message: most lanes of a node have none.
    ready: Option<Box<Ready>>,
    /// Where the store's backlog continues behind what is ready here.
    load_from: u64,
    /// There may be more in the store from `load_from` on.
    behind: bool,
    loading: bool,
    /// One above the highest offset that the store told of.
    end: u64,
    /// Offsets below were possibly handed out before this process.
    handed_out: u64,
    /// The store knows that offsets below were possibly handed out.
    marked: u64,
}

/// What is ready here.
#[derive(Debug, Default)]
struct Ready {
    /// Never assigned since this process knows them; ascending, not overlapping.
    fresh: VecDeque<Stretch>,
    fresh_count: u64,
    /// Assigned before and back again.
    returned: BTreeMap<u64, Facts>,
    /// What was forgotten of what is being loaded.
    forgotten: BTreeSet<u64>,
    /// What is ready, here and in the store behind; `None` until that is known.
    waiting: Option<Amount>,
    /// The earliest deadline of what came back, or to the head, since somebody asked.
    due: Option<Timestamp>,
}

impl Lane {
    pub(super) fn new(start: Offset, handed_out: Offset) -> Self {
        Self {
            load_from: start.0,
            behind: true,
            handed_out: handed_out.0,
            marked: handed_out.0,
            ..Self::default()
        }
    }

    pub(super) fn has_ready(&self) -> bool {
        self.ready.as_ref().is_some_and(|ready| !ready.is_empty())
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

    pub(super) fn lacks_mark(&self, offset: Offset) -> Option<Offset> {
        let is_marked = offset.0 < self.marked;
        (!is_marked).then(|| offset.plus(Queue::MARK_AHEAD))
    }

    pub(super) fn marked(&mut self, upto: Offset) {
        self.marked = self.marked.max(upto.0);
    }

    pub(super) fn grown(&mut self, stretch: Stretch) {
        let end = stretch.end();
        let more = end.saturating_sub(self.end.max(stretch.base));
        self.add(Amount::of(stretch.facts, more));
        self.end = self.end.max(end);
        // Known already: a load has overtaken the notice.
        let from = stretch.base.max(self.load_from);
        if from >= end {
            return;
        }
        if self.behind || self.loading || self.fresh_count() >= Queue::READY_MAX {
            self.behind = true;
            return;
        }
        self.load_from = end;
        self.ready_mut().push_fresh(from, end, stretch.facts);
    }

    pub(super) fn lacks_load(&self) -> bool {
        self.behind && !self.loading && self.fresh_count() < Queue::READY_MAX / 2
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
                let ready = self.ready_mut();
                ready.push_fresh(first, stretch.end(), stretch.facts);
                self.load_from = stretch.end();
            }
        }
        if is_all {
            self.load_from = self.load_from.max(end.0);
            // What the store told of while it was being read may have been missed.
            self.behind = self.end > self.load_from;
        }
        let knows_all = is_all && !self.behind;
        if knows_all {
            self.end = self.end.max(end.0);
        }
        let Some(ready) = &mut self.ready else { return };
        for offset in std::mem::take(&mut ready.forgotten) {
            ready.forget(Offset(offset));
        }
        if knows_all {
            ready.waiting = Some(ready.known());
        }
        ready.note_head();
    }

    /// What the store held below `end` when nobody had been given anything.
    pub(super) fn counted(&mut self, held: Amount, end: Offset) {
        if self.waiting().is_some() || !self.behind || self.has_ready() {
            return;
        }
        // What it told of since, whose bytes nobody knows any more.
        let count = self.end.saturating_sub(end.0);
        self.end = self.end.max(end.0);
        let mut waiting = held;
        waiting.add(Amount { count, bytes: 0 });
        self.ready_mut().waiting = Some(waiting);
    }

    /// What is ready, here and in the store behind; `None` until that is known.
    pub(super) fn waiting(&self) -> Option<Amount> {
        match &self.ready {
            Some(ready) => ready.waiting,
            // Nothing is here, and nothing behind.
            None => (!self.behind).then(Amount::default),
        }
    }

    pub(super) fn subtract(&mut self, less: Amount) {
        if let Some(ready) = &mut self.ready {
            ready.subtract(less);
        }
    }

    pub(super) fn put_back(&mut self, offset: Offset, facts: Facts) {
        self.add(Amount::one(facts));
        let ready = self.ready_mut();
        ready.due = ready.due.into_iter().chain(facts.deadline).min();
        ready.returned.insert(offset.0, facts);
    }

    pub(super) fn take_due(&mut self) -> Option<Timestamp> {
        self.ready.as_mut()?.due.take()
    }

    /// The lowest offset that may be ready.
    pub(super) fn head(&self) -> Option<Offset> {
        let ready = self.ready.as_deref();
        let returned = ready.and_then(Ready::first_returned);
        let fresh = ready.and_then(Ready::first_fresh);
        let behind = self.behind.then_some(self.load_from);
        let first = returned.into_iter().chain(fresh.or(behind)).min();
        first.map(Offset)
    }

    /// Takes out the lowest ready offset.
    pub(super) fn pop(&mut self) -> Option<(Offset, Facts)> {
        self.ready.as_mut()?.pop()
    }

    /// Forgets one ready offset, also if it is being loaded; whether it is still in the store alone.
    pub(super) fn forget(&mut self, offset: Offset) -> bool {
        if self.loading && offset.0 >= self.load_from {
            self.ready_mut().forgotten.insert(offset.0);
        }
        if let Some(ready) = &mut self.ready
            && let Some(facts) = ready.forget(offset)
        {
            ready.subtract(Amount::one(facts));
        }
        offset.0 >= self.load_from
    }

    /// Forgets every ready message below `to`; how many were known here.
    pub(super) fn purge(&mut self, to: Offset) -> u64 {
        self.load_from = self.load_from.max(to.0);
        let Some(ready) = &mut self.ready else {
            return 0;
        };
        let purged = ready.purge(to);
        if ready.waiting.is_some() {
            let mut left = ready.known();
            // What came since `to` and is not here.
            let count = self.end.saturating_sub(self.load_from);
            left.add(Amount { count, bytes: 0 });
            ready.waiting = Some(left);
        }
        purged
    }

    /// Gives back the room for ready messages, if there are none and it knows nothing that is not known without it.
    pub(super) fn slim(&mut self) {
        let waiting = (!self.behind).then(Amount::default);
        drop(
            self.ready
                .take_if(|ready| ready.is_blank() && ready.waiting == waiting),
        );
    }

    #[cfg(test)]
    pub(super) fn has_room(&self) -> bool {
        self.ready.is_some()
    }

    fn fresh_count(&self) -> u64 {
        self.ready.as_ref().map_or(0, |ready| ready.fresh_count)
    }

    fn add(&mut self, more: Amount) {
        if self.waiting().is_some()
            && let Some(waiting) = &mut self.ready_mut().waiting
        {
            waiting.add(more);
        }
    }

    fn ready_mut(&mut self) -> &mut Ready {
        let waiting = self.waiting();
        self.ready.get_or_insert_with(|| {
            Box::new(Ready {
                waiting,
                ..Ready::default()
            })
        })
    }
}

impl Ready {
    fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.returned.is_empty()
    }

    /// Whether there is nothing that anybody would ask for.
    fn is_blank(&self) -> bool {
        self.is_empty() && self.forgotten.is_empty() && self.due.is_none()
    }

    /// How much is here.
    fn known(&self) -> Amount {
        let mut known = Amount::default();
        for stretch in &self.fresh {
            known.add(Amount::of(stretch.facts, u64::from(stretch.span)));
        }
        for facts in self.returned.values() {
            known.add(Amount::one(*facts));
        }
        known
    }

    fn subtract(&mut self, less: Amount) {
        if let Some(waiting) = &mut self.waiting {
            waiting.subtract(less);
        }
    }

    fn first_returned(&self) -> Option<u64> {
        self.returned.first_key_value().map(|(offset, _)| *offset)
    }

    fn first_fresh(&self) -> Option<u64> {
        self.fresh.front().map(|stretch| stretch.base)
    }

    fn pop(&mut self) -> Option<(Offset, Facts)> {
        let (offset, facts) = match (self.first_returned(), self.first_fresh()) {
            (Some(returned), Some(fresh)) if fresh < returned => self.pop_fresh(),
            (Some(_), _) => self.returned.pop_first().map(|(at, f)| (Offset(at), f)),
            (None, _) => self.pop_fresh(),
        }?;
        self.subtract(Amount::one(facts));
        self.note_head();
        Some((offset, facts))
    }

    fn note_head(&mut self) {
        let head = self
            .fresh
            .front()
            .and_then(|stretch| stretch.facts.deadline);
        self.due = self.due.into_iter().chain(head).min();
    }

    /// Forgets one offset, if it is here.
    fn forget(&mut self, offset: Offset) -> Option<Facts> {
        if let Some(facts) = self.returned.remove(&offset.0) {
            return Some(facts);
        }
        let place = self
            .fresh
            .partition_point(|stretch| stretch.end() <= offset.0);
        let stretch = self.fresh.get_mut(place);
        let stretch = stretch.filter(|stretch| stretch.base <= offset.0)?;
        let facts = stretch.facts;
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
        Some(facts)
    }

    /// Forgets what is here below `to`; how many.
    fn purge(&mut self, to: Offset) -> u64 {
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
