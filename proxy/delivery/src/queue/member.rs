//! The members of a queue, and whose turn it is.

use std::sync::Arc;

use smallvec::SmallVec;

use super::Joining;
use crate::Allowance;

/// A member's place in a queue: unique within the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub u64);

#[derive(Debug)]
pub(super) struct Member {
    id: MemberId,
    /// Most unsettled messages.
    pub(super) window: u32,
    pub(super) unsettled: u32,
    /// Most messages assigned and not yet taken.
    ahead_max: u32,
    pub(super) ahead: u32,
    priority: i32,
    allowance: Option<Arc<Allowance>>,
    /// Takes part no more; what it holds can still be settled.
    is_leaving: bool,
    /// The one that is given messages, where only one is.
    is_active: bool,
}

/// Highest priority first; members of one priority in the order in which they joined.
#[derive(Debug)]
pub(super) struct Members {
    /// Most queues have one.
    list: SmallVec<[Member; 1]>,
    /// Whose turn it is.
    turn: u32,
    /// Whether one at a time is given messages.
    is_single_active: bool,
}

impl Members {
    pub(super) fn new(is_single_active: bool) -> Self {
        Self {
            list: SmallVec::new(),
            turn: 0,
            is_single_active,
        }
    }

    pub(super) fn join(&mut self, joining: Joining) {
        let member = Member {
            id: joining.id,
            window: joining.window,
            unsettled: 0,
            ahead_max: joining.ahead_max,
            ahead: 0,
            priority: joining.priority,
            allowance: joining.allowance,
            is_leaving: false,
            is_active: false,
        };
        let place = self
            .list
            .partition_point(|held| held.priority >= joining.priority);
        self.list.insert(place, member);
        self.choose_active();
    }

    pub(super) fn leave(&mut self, id: MemberId) {
        if let Some(member) = self.get(id) {
            member.is_leaving = true;
        }
        self.forget_if_done(id);
        self.choose_active();
    }

    pub(super) fn remove(&mut self, id: MemberId) {
        self.list.retain(|member| member.id != id);
        self.choose_active();
    }

    pub(super) fn get(&mut self, id: MemberId) -> Option<&mut Member> {
        self.list.iter_mut().find(|member| member.id == id)
    }

    /// A member holds one message less.
    pub(super) fn settled(&mut self, id: MemberId) {
        let Some(member) = self.get(id) else { return };
        member.unsettled = member.unsettled.saturating_sub(1);
        if let Some(allowance) = &member.allowance {
            allowance.give_back();
        }
        if member.is_leaving {
            self.forget_if_done(id);
        }
    }

    /// Members that still take part.
    pub(super) fn count(&self) -> usize {
        self.list.iter().filter(|one| !one.is_leaving).count()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The next member in turn among those of the highest priority that has room. What it shares with
    /// others is claimed: a message has to be given to it.
    pub(super) fn next(&mut self) -> Option<MemberId> {
        if self.is_single_active {
            let active = self.list.iter().find(|member| member.is_active)?;
            return active.claim().then_some(active.id);
        }
        let turn = usize::try_from(self.turn).unwrap_or(0);
        let mut first = 0;
        while let Some(priority) = self.list.get(first).map(|member| member.priority) {
            let group = self.list.get(first..).unwrap_or_default();
            let count = group.partition_point(|member| member.priority >= priority);
            let start = turn.checked_sub(first).filter(|turn| *turn < count);
            let mut turns = (start.unwrap_or(0)..count).chain(0..start.unwrap_or(0));
            if let Some(place) = turns.find(|n| group.get(*n).is_some_and(Member::claim)) {
                let id = group.get(place).map(|member| member.id);
                self.turn = u32::try_from(first + place + 1).unwrap_or(0);
                return id;
            }
            first += count;
        }
        None
    }

    /// Whether anybody could be given a message.
    pub(super) fn has_room(&self) -> bool {
        self.entitled().any(Member::has_room)
    }

    /// How many messages could be given.
    pub(super) fn room(&self) -> u64 {
        self.entitled().map(|member| u64::from(member.room())).sum()
    }

    /// Those that are given messages.
    fn entitled(&self) -> impl Iterator<Item = &Member> {
        let list = self.list.iter();
        list.filter(|one| one.is_active || !self.is_single_active)
    }

    fn forget_if_done(&mut self, id: MemberId) {
        self.list
            .retain(|one| one.id != id || !one.is_leaving || one.unsettled > 0);
    }

    /// Whoever is active stays so until it leaves; then the first in order is.
    fn choose_active(&mut self) {
        if !self.is_single_active {
            return;
        }
        let stays = |one: &Member| one.is_active && !one.is_leaving;
        if !self.list.iter().any(stays) {
            let next = self.list.iter().position(|one| !one.is_leaving);
            for (place, one) in self.list.iter_mut().enumerate() {
                one.is_active = Some(place) == next;
            }
        }
    }
}

impl Member {
    fn has_room(&self) -> bool {
        self.room() > 0
    }

    /// Takes the room of one message, also where it is shared; false if there is none.
    fn claim(&self) -> bool {
        self.own_room() > 0 && self.allowance.as_ref().is_none_or(|shared| shared.claim())
    }

    fn room(&self) -> u32 {
        let shared = self.allowance.as_ref().map(|shared| shared.room());
        self.own_room().min(shared.unwrap_or(u32::MAX))
    }

    fn own_room(&self) -> u32 {
        if self.is_leaving {
            return 0;
        }
        let window = self.window.saturating_sub(self.unsettled);
        window.min(self.ahead_max.saturating_sub(self.ahead))
    }
}
