//! Who holds which message of one queue: ready, assigned and unsettled.
//!
//! ```text
//!             grown, loaded                assign                 settle(Done)
//!   (store) ───────────────> ready ──────────────────> unsettled ─────────────> gone
//!                              ^                           │
//!                              └───────────────────────────┘
//!                               settle(Returned), member gone: to its old place
//! ```
//! The queue knows a window of at most [`Queue::READY_MAX`] ready messages from its head. What lies
//! behind is in the store and comes by way of [`Queue::wants_load`] and [`Queue::loaded`].

use std::collections::{BTreeMap, VecDeque};

use fairlead_canon::Offset;

/// A member's place in a queue: unique within the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub u64);

/// The ready and unsettled messages of one queue, and its members.
#[derive(Debug, Default)]
pub struct Queue {
    /// Never assigned since this process knows them; ascending, not overlapping.
    fresh: VecDeque<Stretch>,
    fresh_count: u64,
    /// Assigned before and back again.
    returned: BTreeMap<u64, u16>,
    unsettled: BTreeMap<u64, Held>,
    members: Vec<Member>,
    /// Whose turn it is.
    turn: usize,
    /// Where the store's backlog continues behind `fresh`.
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

/// Ready offsets without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The first.
    pub base: u64,
    /// How many.
    pub span: u32,
    /// How often they were returned.
    pub requeued: u16,
}

/// A message that was given to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// To whom.
    pub member: MemberId,
    /// Which.
    pub offset: Offset,
    /// How often it was returned.
    pub requeued: u16,
    /// Whether it was possibly delivered before.
    pub is_redelivered: bool,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    member: MemberId,
    requeued: u16,
}

#[derive(Debug)]
struct Member {
    id: MemberId,
    /// Most unsettled messages.
    window: u32,
    unsettled: u32,
    /// Most messages assigned and not yet taken.
    ahead_max: u32,
    ahead: u32,
    /// Takes part no more; what it holds can still be settled.
    is_leaving: bool,
}

impl Queue {
    /// Most ready messages kept in memory; the rest stays in the store.
    pub const READY_MAX: u64 = 16_384;
    /// How far a hand-out mark runs ahead: after a restart at most so many messages say
    /// redelivered that were not.
    pub const MARK_AHEAD: u64 = 256;

    /// A queue whose messages from `start` on are all in the store; below `handed_out` they were
    /// possibly delivered before.
    pub fn new(start: Offset, handed_out: Offset) -> Self {
        Self {
            load_from: start.0,
            behind: true,
            handed_out: handed_out.0,
            ..Self::default()
        }
    }

    /// Adds a member at the end of the turn order.
    pub fn join(&mut self, id: MemberId, window: u32, ahead_max: u32) {
        let member = Member {
            id,
            window,
            unsettled: 0,
            ahead_max,
            ahead: 0,
            is_leaving: false,
        };
        self.members.push(member);
    }

    /// Gives a member nothing more; what it holds can still be settled.
    pub fn leave(&mut self, id: MemberId) {
        if let Some(member) = self.member(id) {
            member.is_leaving = true;
        }
        self.forget_if_done(id);
    }

    /// Removes a member; what it holds goes back to its place, once more returned.
    pub fn remove(&mut self, id: MemberId) {
        self.members.retain(|member| member.id != id);
        let returned: Vec<(u64, u16)> = self
            .unsettled
            .iter()
            .filter(|(_, held)| held.member == id)
            .map(|(offset, held)| (*offset, held.requeued.saturating_add(1)))
            .collect();
        for (offset, requeued) in returned {
            self.unsettled.remove(&offset);
            self.returned.insert(offset, requeued);
        }
    }

    /// Sets how many unsettled messages a member may hold.
    pub fn set_window(&mut self, id: MemberId, window: u32) {
        if let Some(member) = self.member(id) {
            member.window = window;
        }
    }

    /// A member took so many of the messages assigned to it out of its inbox.
    pub fn taken(&mut self, id: MemberId, count: u32) {
        if let Some(member) = self.member(id) {
            member.ahead = member.ahead.saturating_sub(count);
        }
    }

    /// A message was handed out: up to where the store is to know it, when it does not yet. Marks
    /// run ahead, so that one is written per [`Queue::MARK_AHEAD`] messages.
    pub fn mark(&mut self, offset: Offset) -> Option<Offset> {
        if offset.0 < self.marked {
            return None;
        }
        self.marked = offset.0.saturating_add(Self::MARK_AHEAD);
        Some(Offset(self.marked))
    }

    /// Members that still take part.
    pub fn members(&self) -> usize {
        self.members
            .iter()
            .filter(|member| !member.is_leaving)
            .count()
    }

    /// Whether nobody takes part and nobody holds anything.
    pub fn is_idle(&self) -> bool {
        self.members.is_empty() && self.unsettled.is_empty()
    }

    /// Messages that are held by members.
    pub fn unsettled(&self) -> usize {
        self.unsettled.len()
    }

    /// The store made these offsets visible.
    pub fn grown(&mut self, base: Offset, span: u32) {
        // Known already: a load has overtaken the notice.
        let end = base.0.saturating_add(u64::from(span));
        self.end = self.end.max(end);
        let from = base.0.max(self.load_from);
        if from >= end {
            return;
        }
        if self.behind || self.loading || self.fresh_count >= Self::READY_MAX {
            self.behind = true;
            return;
        }
        self.load_from = end;
        self.push_fresh(from, end, 0);
    }

    /// Where the next load from the store should begin, if one is due and none is under way. The
    /// caller must answer with [`Queue::loaded`] or [`Queue::load_failed`].
    pub fn wants_load(&mut self) -> Option<Offset> {
        let wants = self.lacks_load();
        self.loading |= wants;
        wants.then_some(Offset(self.load_from))
    }

    /// Whether a load is due and none is under way.
    pub fn lacks_load(&self) -> bool {
        let is_low = self.fresh_count < Self::READY_MAX / 2;
        self.behind && !self.loading && is_low && self.members() > 0
    }

    /// Where to load from for somebody who takes a message by himself, when nothing is ready here
    /// but there may be something in the store. Answered like [`Queue::wants_load`].
    pub fn lacks_all(&self) -> Option<Offset> {
        (self.behind && !self.has_ready()).then_some(Offset(self.load_from))
    }

    /// A load gave these stretches. `is_all`: there was no more when the load read the store.
    pub fn loaded(&mut self, stretches: &[Stretch], is_all: bool, end: Offset) {
        self.loading = false;
        for stretch in stretches {
            let last = stretch.base.saturating_add(u64::from(stretch.span));
            let first = stretch.base.max(self.load_from);
            if first < last {
                self.push_fresh(first, last, stretch.requeued);
                self.load_from = last;
            }
        }
        if is_all {
            self.load_from = self.load_from.max(end.0);
            // What the store told of while it was being read may have been missed.
            self.behind = self.end > self.load_from;
        }
    }

    /// A load could not read the store; another one may try.
    pub fn load_failed(&mut self) {
        self.loading = false;
    }

    /// Gives ready messages to members with room, in turn, lowest offset first.
    pub fn assign(&mut self, out: &mut Vec<Assigned>) {
        while self.has_ready() {
            let Some(index) = self.next_member() else {
                return;
            };
            let Some((offset, requeued)) = self.pop_ready() else {
                return;
            };
            let Some(member) = self.members.get_mut(index) else {
                return;
            };
            member.unsettled += 1;
            member.ahead += 1;
            self.turn = index + 1;
            let id = member.id;
            self.unsettled.insert(
                offset,
                Held {
                    member: id,
                    requeued,
                },
            );
            out.push(Assigned {
                member: id,
                offset: Offset(offset),
                requeued,
                is_redelivered: requeued > 0 || offset < self.handed_out,
            });
        }
    }

    /// Gives one ready message to a member outside its window and turn.
    pub fn take(&mut self, id: MemberId) -> Option<Assigned> {
        let (offset, requeued) = self.pop_ready()?;
        if let Some(member) = self.member(id) {
            member.unsettled += 1;
        }
        self.unsettled.insert(
            offset,
            Held {
                member: id,
                requeued,
            },
        );
        let is_redelivered = requeued > 0 || offset < self.handed_out;
        Some(Assigned {
            member: id,
            offset: Offset(offset),
            requeued,
            is_redelivered,
        })
    }

    /// Ends a delivery for good. False if that member does not hold it.
    pub fn done(&mut self, id: MemberId, offset: Offset) -> bool {
        self.release(id, offset).is_some()
    }

    /// Puts a delivery back to its place. False if that member does not hold it.
    pub fn put_back(&mut self, id: MemberId, offset: Offset) -> bool {
        let Some(held) = self.release(id, offset) else {
            return false;
        };
        self.returned
            .insert(offset.0, held.requeued.saturating_add(1));
        true
    }

    /// Forgets every ready message below `to`; how many were known here.
    pub fn purge(&mut self, to: Offset) -> u64 {
        let kept = self.returned.split_off(&to.0);
        let mut purged = self.returned.len() as u64;
        self.returned = kept;
        while let Some(front) = self.fresh.front_mut().filter(|front| front.base < to.0) {
            let end = front.base + u64::from(front.span);
            if end > to.0 {
                let cut = to.0 - front.base;
                front.base = to.0;
                front.span -= u32::try_from(cut).unwrap_or(front.span);
                purged += cut;
                self.fresh_count -= cut;
                break;
            }
            purged += u64::from(front.span);
            self.fresh_count -= u64::from(front.span);
            self.fresh.pop_front();
        }
        self.load_from = self.load_from.max(to.0);
        purged
    }

    /// Messages that anybody holds, oldest first.
    pub fn held(&self) -> impl Iterator<Item = Offset> {
        self.unsettled.keys().map(|offset| Offset(*offset))
    }

    /// Messages that a member holds, oldest first.
    pub fn held_by(&self, id: MemberId) -> impl Iterator<Item = Offset> {
        let own = self
            .unsettled
            .iter()
            .filter(move |(_, held)| held.member == id);
        own.map(|(offset, _)| Offset(*offset))
    }

    fn release(&mut self, id: MemberId, offset: Offset) -> Option<Held> {
        let held = *self
            .unsettled
            .get(&offset.0)
            .filter(|held| held.member == id)?;
        self.unsettled.remove(&offset.0);
        if let Some(member) = self.member(id) {
            member.unsettled = member.unsettled.saturating_sub(1);
        }
        self.forget_if_done(id);
        Some(held)
    }

    fn forget_if_done(&mut self, id: MemberId) {
        self.members
            .retain(|m| m.id != id || !m.is_leaving || m.unsettled > 0);
    }

    fn has_ready(&self) -> bool {
        !self.fresh.is_empty() || !self.returned.is_empty()
    }

    fn pop_ready(&mut self) -> Option<(u64, u16)> {
        let first_returned = self.returned.first_key_value().map(|(offset, _)| *offset);
        let front = self.fresh.front_mut();
        match (first_returned, front) {
            (Some(returned), Some(front)) if front.base < returned => {}
            (Some(_), _) => return self.returned.pop_first(),
            (None, None) => return None,
            (None, Some(_)) => {}
        }
        let front = self.fresh.front_mut()?;
        let popped = (front.base, front.requeued);
        front.base += 1;
        front.span -= 1;
        self.fresh_count -= 1;
        if front.span == 0 {
            self.fresh.pop_front();
        }
        Some(popped)
    }

    fn push_fresh(&mut self, from: u64, to: u64, requeued: u16) {
        let span = u32::try_from(to - from).unwrap_or(u32::MAX);
        self.fresh_count += u64::from(span);
        match self.fresh.back_mut() {
            Some(last)
                if last.requeued == requeued
                    && last.base + u64::from(last.span) == from
                    && last.span.checked_add(span).is_some() =>
            {
                last.span += span;
            }
            _ => self.fresh.push_back(Stretch {
                base: from,
                span,
                requeued,
            }),
        }
    }

    /// The next member in turn that has room.
    fn next_member(&self) -> Option<usize> {
        let count = self.members.len();
        (0..count)
            .map(|step| (self.turn + step) % count)
            .find(|index| {
                self.members.get(*index).is_some_and(|member| {
                    !member.is_leaving
                        && member.unsettled < member.window
                        && member.ahead < member.ahead_max
                })
            })
    }

    fn member(&mut self, id: MemberId) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.id == id)
    }
}

#[cfg(test)]
mod tests;
