//! What a caller has staged and what it has under way.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};

use fairlead_canon::{EntityId, Outcome, Promise};
use fairlead_ports::{
    Commit, Committed, CursorId, Op, Ops, Outcomes, Placement, Store, StoreError, Unit, Units,
};
use smallvec::SmallVec;

use crate::admission::Admitted;
use crate::aftermath::Aftermath;
use crate::seldom::Fresh;
use crate::solo::Solo;
use crate::undertaker::Undertaker;
use crate::verb::{Event, Pending, Receipt, ranges};
use crate::{Error, Meters, Reason};

/// Units that are not yet handed over, and those whose promise is awaited.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    units: Units,
    /// How many there were last time: room for as many is made at once.
    usual: usize,
    /// Everything that is staged becomes one unit, which was begun here.
    joint: Option<Box<Joint>>,
    turns: Turns,
    /// What has to follow what is staged.
    aftermath: Option<Box<Aftermath>>,
    staged_bytes: usize,
    flights: VecDeque<Flight>,
    flying_bytes: usize,
    last: u64,
}

/// A client that waits for each answer has one at a time.
type Turns = SmallVec<[Turn; 1]>;

/// One publish or settlement whose receipt somebody waits for.
#[derive(Debug)]
struct Turn {
    pending: Pending,
    matched: u32,
    /// Which of the units of its flight; `None`: there was nothing to keep.
    unit: Option<usize>,
    /// A queue was full and refused it for itself.
    is_refused: bool,
}

/// A unit that is being put together.
#[derive(Debug)]
struct Joint {
    ops: Ops,
    /// What was staged before it began.
    turns_before: usize,
    bytes_before: usize,
}

/// Units handed over together.
#[derive(Debug)]
struct Flight {
    commit: Option<Solo<Commit>>,
    turns: Turns,
    bytes: usize,
}

impl Fresh for Outbox {
    fn fresh() -> &'static Self {
        static FRESH: LazyLock<Outbox> = LazyLock::new(Outbox::default);
        &FRESH
    }
}

impl Outbox {
    /// Beyond so many bytes under way a connection stops reading: 1 MiB keeps a disk busy.
    const BYTES_MAX: usize = 1024 * 1024;
    /// Beyond so many commits under way a connection stops reading.
    const FLIGHTS_MAX: usize = 64;
    /// Room that is made at once, at most, in units.
    const USUAL_MAX: usize = 64;

    /// The number of the next publish or settlement.
    pub(crate) fn next(&mut self) -> Pending {
        self.last += 1;
        Pending(self.last)
    }

    /// Whether the connection should stop reading until receipts have come.
    pub(crate) fn is_full(&self) -> bool {
        self.flying_bytes + self.staged_bytes >= Self::BYTES_MAX
            || self.flights.len() >= Self::FLIGHTS_MAX
    }

    /// Whether something is under way.
    pub(crate) fn is_flying(&self) -> bool {
        !self.flights.is_empty()
    }

    /// Whether something waits to be handed over.
    pub(crate) fn is_staged(&self) -> bool {
        !self.units.is_empty() || !self.turns.is_empty()
    }

    /// Whether nothing is staged and nothing under way.
    pub(crate) fn is_empty(&self) -> bool {
        !self.is_staged() && !self.is_flying()
    }

    /// Whether that is so, and nobody waits for what was numbered here, or is about to stage more.
    pub(crate) fn is_blank(&self) -> bool {
        self.is_empty() && self.joint.is_none() && self.aftermath.is_none()
    }

    /// Stages a unit. With a receipt wanted, `matched` is told in it.
    pub(crate) fn stage(&mut self, unit: Unit, bytes: usize, receipt: Option<(Pending, u32)>) {
        if self.units.is_empty() {
            self.units.reserve(self.usual);
        }
        if let Some((pending, matched)) = receipt {
            if self.turns.is_empty() {
                self.turns.reserve(self.usual);
            }
            self.turns.push(Turn {
                pending,
                matched,
                unit: Some(self.units.len()),
                is_refused: false,
            });
        }
        self.staged_bytes += bytes;
        match &mut self.joint {
            // It becomes the unit that the turn names: until then no other one is staged.
            Some(joint) => joint.ops.extend(unit.ops),
            None => self.units.push(unit),
        }
    }

    /// From here on, everything staged becomes one unit.
    pub(crate) fn join(&mut self) {
        self.joint = Some(Box::new(Joint {
            ops: Ops::new(),
            turns_before: self.turns.len(),
            bytes_before: self.staged_bytes,
        }));
    }

    /// Whether everything staged becomes one unit.
    pub(crate) fn is_joint(&self) -> bool {
        self.joint.is_some()
    }

    /// Adds a step to the unit that is being put together.
    pub(crate) fn stage_op(&mut self, op: Op) {
        if let Some(joint) = &mut self.joint {
            joint.ops.push(op);
        }
    }

    /// How many steps the unit that is being put together has.
    pub(crate) fn joined(&self) -> usize {
        self.joint.as_ref().map_or(0, |joint| joint.ops.len())
    }

    /// Forgets what was staged since [`Outbox::join`].
    pub(crate) fn part(&mut self) {
        if let Some(joint) = self.joint.take() {
            if let Some(aftermath) = &mut self.aftermath {
                aftermath.forget_admitted(self.units.len());
            }
            self.turns.truncate(joint.turns_before);
            self.staged_bytes = joint.bytes_before;
        }
    }

    /// Stages what was joined as one unit, with a receipt.
    pub(crate) fn seal(&mut self, promise: Promise, pending: Pending) {
        let ops = self.joint.take().map_or_else(Ops::new, |joint| joint.ops);
        if ops.is_empty() {
            return self.stage_receipt(pending, 0);
        }
        self.stage(Unit { ops, promise }, 0, Some((pending, 0)));
    }

    /// A publish that reached nothing that has to be kept.
    pub(crate) fn stage_receipt(&mut self, pending: Pending, matched: u32) {
        self.turns.push(Turn {
            pending,
            matched,
            unit: None,
            is_refused: false,
        });
    }

    /// Messages of this entity die by what is staged.
    pub(crate) fn note_dead(&mut self, entity: EntityId) {
        self.aftermath.get_or_insert_default().note_dead(entity);
    }

    /// Room was taken in queues for the unit that is staged next.
    pub(crate) fn note_admitted(&mut self, admitted: Admitted) {
        let unit = self.units.len();
        let aftermath = self.aftermath.get_or_insert_default();
        aftermath.note_admitted(unit, admitted);
    }

    /// What was staged last was refused by a queue for itself: its receipt says so.
    pub(crate) fn refuse(&mut self, pending: Pending) {
        if let Some(turn) = self.turns.last_mut().filter(|turn| turn.pending == pending) {
            turn.is_refused = true;
        }
    }

    /// Stages settled offsets (sorted) that nobody waits for; joined to the last unit if that one
    /// settles the same entity in the same way.
    pub(crate) fn stage_settled(
        &mut self,
        entity: EntityId,
        offsets: impl IntoIterator<Item = u64>,
        outcome: Outcome,
    ) {
        let settled = ranges(offsets);
        if let Some(Unit {
            ops,
            promise: Promise::Accepted,
        }) = self.units.last_mut()
            && let [
                Op::Settle {
                    entity: last,
                    ranges,
                    outcome: how,
                    ..
                },
            ] = ops.as_mut_slice()
            && *last == entity
            && *how == outcome
        {
            for range in settled {
                match ranges.last_mut() {
                    Some(open) if open.end == range.start => open.end = range.end,
                    _ => ranges.push(range),
                }
            }
            return;
        }
        let op = Op::Settle {
            entity,
            cursor: CursorId(0),
            ranges: settled,
            outcome,
        };
        self.stage(
            Unit {
                ops: [op].into(),
                promise: Promise::Accepted,
            },
            0,
            None,
        );
    }

    /// Hands over what is staged. What has kept its promise by then, with nothing under way before it, adds its
    /// receipts to `events`.
    pub(crate) fn flush(
        &mut self,
        store: &dyn Store,
        undertaker: &Arc<Undertaker>,
        (events, meters): (&mut VecDeque<Event>, &Meters),
    ) {
        self.usual = self.units.len().min(Self::USUAL_MAX);
        let turns = std::mem::take(&mut self.turns);
        let bytes = std::mem::take(&mut self.staged_bytes);
        let aftermath = self.aftermath.take();
        let mut commit = None;
        if !self.units.is_empty() {
            let kept = store.commit(std::mem::take(&mut self.units));
            commit = Some(match aftermath {
                Some(aftermath) => aftermath.follow(kept, undertaker),
                None => kept,
            });
        }
        let ended = match &mut commit {
            _ if self.is_flying() => None,
            Some(commit) => commit.take_ended(),
            None => Some(Outcomes::new()),
        };
        if let Some(outcomes) = ended {
            return give_receipts(turns, &outcomes, (events, meters));
        }
        self.flying_bytes += bytes;
        self.flights.push_back(Flight {
            commit: commit.map(Solo::new),
            turns,
            bytes,
        });
    }

    /// What is still under way, for somebody who sees it to its end in this order: a store made of
    /// stores may have a step to take when the first of them has answered.
    pub(crate) fn rest(&mut self) -> Vec<Commit> {
        let flights = std::mem::take(&mut self.flights);
        let commits = flights.into_iter().filter_map(|flight| flight.commit);
        commits.map(Solo::into_inner).collect()
    }

    /// Takes receipts, in order, of what has kept its promise.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        events: &mut VecDeque<Event>,
        meters: &Meters,
    ) {
        while let Some(flight) = self.flights.front_mut() {
            let results = match flight.commit.as_mut().map(|commit| commit.poll(cx)) {
                Some(Poll::Pending) => break,
                Some(Poll::Ready(results)) => results,
                None => Outcomes::new(),
            };
            let turns = std::mem::take(&mut flight.turns);
            give_receipts(turns, &results, (events, meters));
            self.flying_bytes -= flight.bytes;
            self.flights.pop_front();
        }
    }
}

/// Tells of what has ended. What is settled has mostly nobody who waits for it.
fn give_receipts(
    turns: Turns,
    results: &[Result<Committed, StoreError>],
    (events, meters): (&mut VecDeque<Event>, &Meters),
) {
    count_unheard(&turns, results, meters);
    for turn in turns {
        events.push_back(turn.finish(results));
    }
}

/// Failures that no receipt tells anybody of.
fn count_unheard(turns: &[Turn], results: &[Result<Committed, StoreError>], meters: &Meters) {
    for (index, result) in results.iter().enumerate() {
        if let Err(error) = kept(result)
            && !turns.iter().any(|turn| turn.unit == Some(index))
        {
            meters.failed(&error);
        }
    }
}

/// What a unit did, if it was kept by all that it was for.
fn kept(result: &Result<Committed, StoreError>) -> Result<&Committed, Error> {
    let committed = result.as_ref().map_err(Clone::clone)?;
    let mut placed = committed.placed.iter();
    match placed.any(|placed| placed.how == Placement::Refused) {
        true => Err(StoreError::Full { limit: "entity" }.into()),
        false => Ok(committed),
    }
}

impl Turn {
    fn finish(self, results: &[Result<Committed, StoreError>]) -> Event {
        let mut receipt = Receipt {
            matched: self.matched,
            ..Receipt::default()
        };
        let result = match self.unit.map(|unit| results.get(unit)) {
            None => Ok(()),
            Some(Some(result)) => kept(result).map(|committed| {
                let placed = committed.placed.iter();
                let kept = placed.filter(|placed| placed.how != Placement::Dropped);
                receipt.positions = kept.map(|placed| (placed.entity, placed.base)).collect();
            }),
            Some(None) => Err(Error::us(Reason::Unavailable, "the store gave no answer")),
        };
        let result = match self.is_refused {
            true => result.and(Err(StoreError::Full { limit: "entity" }.into())),
            false => result.map(|()| receipt),
        };
        Event::Receipt(self.pending, result)
    }
}
