//! What readers have done with messages in two places that hold the same ones, and what makes them alike.

use std::ops::Range;

use fairlead_canon::{DeadReason, EntityId, Kind, Offset, Outcome};
use fairlead_ports::{CursorId, Entry, Log, Op, StoreError};
use smallvec::smallvec;

/// Entries asked for at a time.
pub(crate) const PAGE: usize = 4_096;

/// A view of an entity: one cursor's, or all that is said of the messages of a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    pub(crate) entity: EntityId,
    pub(crate) kind: Kind,
    pub(crate) cursor: CursorId,
}

/// What is said of messages that follow each other. Those of which nothing is said are settled.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stretch {
    range: Range<u64>,
    is: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ready { returned: u16 },
    Dead(DeadReason),
}

impl View {
    /// What makes the view in a range `there` as it is `here`. All that is there was here before, and
    /// less may have become of it.
    pub(crate) async fn differences(
        self,
        (here, there): (&dyn Log, &dyn Log),
        range: Range<u64>,
    ) -> Result<Vec<Op>, StoreError> {
        let mut ops = Vec::new();
        let mut start = range.start;
        while start < range.end {
            let (there, end) = self.page(there, start..range.end).await?;
            let here = self.stretches(here, start..end).await?;
            self.compare(&here, &there, &mut ops);
            start = end;
        }
        Ok(ops)
    }

    /// All that is said of a range.
    async fn stretches(self, log: &dyn Log, range: Range<u64>) -> Result<Vec<Stretch>, StoreError> {
        let (mut all, mut at) = (Vec::new(), range.start);
        while at < range.end {
            let (page, end) = self.page(log, at..range.end).await?;
            all.extend(page);
            at = end;
        }
        Ok(all)
    }

    /// What is said of the beginning of a range, and where that ends.
    async fn page(
        self,
        log: &dyn Log,
        range: Range<u64>,
    ) -> Result<(Vec<Stretch>, u64), StoreError> {
        let from = Offset(range.start);
        let mut entries = log.backlog(self.cursor, from, PAGE).await?;
        let mut end = end_of(&entries).min(range.end);
        if self.kind == Kind::Queue {
            let dead = log.backlog(CursorId::DEAD, from, PAGE).await?;
            end = end.min(end_of(&dead));
            entries.extend(dead);
            entries.sort_unstable_by_key(|entry| entry.base);
        }
        let clip = |entry: &Entry| {
            let range = entry.base.0..entry.base.plus(u64::from(entry.span)).0.min(end);
            let is = match entry.dead {
                Some(reason) => State::Dead(reason),
                None => State::Ready {
                    returned: entry.requeued,
                },
            };
            (!range.is_empty()).then_some(Stretch { range, is })
        };
        Ok((entries.iter().filter_map(clip).collect(), end))
    }

    fn compare(self, here: &[Stretch], there: &[Stretch], ops: &mut Vec<Op>) {
        let mut here = here.iter().peekable();
        for Stretch { range, is } in there {
            let mut at = range.start;
            while at < range.end {
                while here.next_if(|stretch| stretch.range.end <= at).is_some() {}
                let (end, becomes) = match here.peek() {
                    Some(next) if next.range.start <= at => (next.range.end, Some(next.is)),
                    Some(next) => (next.range.start, None),
                    None => (range.end, None),
                };
                let end = end.min(range.end);
                self.change(at..end, (*is, becomes), ops);
                at = end;
            }
        }
    }

    /// What makes of one state the other.
    fn change(self, range: Range<u64>, change: (State, Option<State>), ops: &mut Vec<Op>) {
        let own = self.cursor;
        match change {
            (State::Ready { returned }, Some(State::Ready { returned: wanted })) => {
                for _ in returned..wanted {
                    ops.push(self.settle(own, range.clone(), Outcome::Returned));
                }
            }
            (State::Ready { .. }, Some(State::Dead(reason))) => {
                ops.push(self.settle(own, range, Outcome::Dead(reason)));
            }
            (State::Ready { .. }, None) => ops.push(self.settle(own, range, Outcome::Done)),
            (State::Dead(_), None) => {
                ops.push(self.settle(CursorId::DEAD, range, Outcome::Done));
            }
            // What is dead stays so until it is gone.
            (State::Dead(_), Some(_)) => {}
        }
    }

    fn settle(self, cursor: CursorId, range: Range<u64>, outcome: Outcome) -> Op {
        Op::Settle {
            entity: self.entity,
            cursor,
            ranges: smallvec![range],
            outcome,
        }
    }
}

/// Up to where a page of so many entries as were asked for says all.
pub(crate) fn end_of(page: &[Entry]) -> u64 {
    match page.last() {
        Some(last) if page.len() >= PAGE => last.base.plus(u64::from(last.span)).0,
        Some(_) | None => u64::MAX,
    }
}
