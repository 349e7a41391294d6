//! A group of readers that divide lanes among themselves: who is in it, and who decides.
//!
//! ```text
//!            first join                all are back, or time is up
//!   Empty ───────────────> Gathering ─────────────────────────────> Dividing ──> Steady
//!     ^                      ^    ^                                    │ leader's   │
//!     │ nobody left          │    └────────────────────────────────────┘ plan       │
//!     └──────────────────────┘         a member comes, goes or falls silent <───────┘
//! ```
//! The group does not know what it divides: members bring opaque wishes, one of them (the leader)
//! brings an opaque plan, and each gets its part. Time comes in as a value in milliseconds of any
//! clock that never goes back; what is owed to a waiting member leaves as an [`Answer`].

mod member;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use fairlead_canon::Text;

use member::Member;
pub use words::{
    Answer, Ask, GroupError, Join, Joined, MemberView, Phase, Reply, Synced, Ticket, Who,
};

/// The members of one group, and where they are in agreeing.
#[derive(Debug, Default)]
pub struct Group {
    stage: Stage,
    generation: i32,
    kind: Text,
    protocol: Text,
    leader: Option<Text>,
    members: BTreeMap<Text, Member>,
    /// Names given out to members that have not come back with them yet, and until when they hold.
    promised: BTreeMap<Text, u64>,
    /// The name of each member that has a standing place.
    places: BTreeMap<Text, Text>,
    next_order: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Empty,
    /// `is_first`: everybody who comes within a moment is in the first round.
    Gathering {
        until: u64,
        is_first: bool,
    },
    Dividing {
        until: u64,
    },
    Steady,
}

impl Group {
    /// Most members, and most names given out and not yet used: bounds memory per group.
    pub const MEMBERS_MAX: usize = 1_000;

    /// How long a group without members waits for more of them after the first: long enough that
    /// readers which start together need one round, too short for a single reader to notice.
    pub const FIRST_ROUND_MS: u64 = 200;

    /// Where the group stands.
    pub fn phase(&self) -> Phase {
        match self.stage {
            Stage::Empty => Phase::Empty,
            Stage::Gathering { .. } => Phase::Gathering,
            Stage::Dividing { .. } => Phase::Dividing,
            Stage::Steady => Phase::Steady,
        }
    }

    /// What kind of readers these are, in their own words; empty before the first.
    pub fn kind(&self) -> &Text {
        &self.kind
    }

    /// The way of dividing that was agreed upon; empty before that.
    pub fn protocol(&self) -> &Text {
        &self.protocol
    }

    /// Whether there is nobody and nobody is expected.
    pub fn is_idle(&self) -> bool {
        self.members.is_empty() && self.promised.is_empty()
    }

    /// The members as others may see them.
    pub fn members(&self) -> impl Iterator<Item = MemberView> {
        self.members
            .iter()
            .map(|(name, member)| member.view(name, &self.protocol))
    }

    /// When [`Group::expire`] is next due.
    pub fn deadline(&self) -> Option<u64> {
        let stage = match self.stage {
            Stage::Empty | Stage::Steady => None,
            Stage::Gathering { until, .. } | Stage::Dividing { until } => Some(until),
        };
        let silent = self.members.values().filter_map(Member::silent_at).min();
        let promised = self.promised.values().copied().min();
        [stage, silent, promised].into_iter().flatten().min()
    }

    /// A member asks to take part; the answer comes by its ticket, at once or later.
    pub fn join(&mut self, now: u64, join: Join, out: &mut Vec<Answer>) {
        let ticket = join.ticket;
        if let Err(error) = self.try_join(now, join, out) {
            out.push(Answer {
                ticket,
                reply: Err(error),
            });
        }
    }

    /// A member asks for its part, the leader brings the plan; the answer comes by its ticket.
    pub fn sync(&mut self, now: u64, sync: Ask, out: &mut Vec<Answer>) {
        let ticket = sync.ticket;
        if let Err(error) = self.try_sync(now, sync, out) {
            out.push(Answer {
                ticket,
                reply: Err(error),
            });
        }
    }

    /// A member says that it lives.
    pub fn beat(&mut self, now: u64, who: &Who) -> Result<(), GroupError> {
        self.known(now, who)?;
        match self.phase() {
            Phase::Empty => Err(GroupError::UnknownMember),
            Phase::Gathering => Err(GroupError::Rebalancing),
            Phase::Dividing | Phase::Steady => Ok(()),
        }
    }

    /// Whether somebody may write the group's positions: a member of this generation, or
    /// anybody (`who` without a generation) while there is no member.
    pub fn may_commit(&mut self, now: u64, who: &Who) -> Result<(), GroupError> {
        if who.generation < 0 && who.member.is_empty() && self.members.is_empty() {
            return Ok(());
        }
        self.known(now, who)?;
        match self.phase() {
            Phase::Empty => Err(GroupError::UnknownMember),
            Phase::Dividing => Err(GroupError::Rebalancing),
            Phase::Gathering | Phase::Steady => Ok(()),
        }
    }

    /// A member goes, named by itself or by its standing place.
    pub fn leave(
        &mut self,
        now: u64,
        member: &Text,
        place: Option<&Text>,
        out: &mut Vec<Answer>,
    ) -> Result<(), GroupError> {
        let name = match place {
            Some(place) => {
                let holder = self.places.get(place).ok_or(GroupError::UnknownMember)?;
                if !member.is_empty() && holder != member {
                    return Err(GroupError::FencedPlace);
                }
                holder.clone()
            }
            None => member.clone(),
        };
        if self.promised.remove(&name).is_some() {
            return Ok(());
        }
        self.remove(&name, out).ok_or(GroupError::UnknownMember)?;
        self.changed(now, out);
        Ok(())
    }

    /// Does what time has made due: silent members go, rounds end without those who did not come.
    pub fn expire(&mut self, now: u64, out: &mut Vec<Answer>) {
        self.promised.retain(|_, until| *until > now);
        let silent: Vec<Text> =
            self.names_where(|member| member.silent_at().is_some_and(|at| at <= now));
        for name in &silent {
            // A silent member waits for nothing, so there is nobody to answer.
            self.remove(name, out);
        }
        match self.stage {
            Stage::Gathering { until, .. } if until <= now => self.end_gathering(now, out),
            Stage::Dividing { until } if until <= now => {
                for name in self.names_where(|member| !member.has_synced) {
                    self.remove(&name, out);
                }
                self.gather(now, out);
            }
            Stage::Empty | Stage::Steady | Stage::Gathering { .. } | Stage::Dividing { .. } => {
                if !silent.is_empty() {
                    self.changed(now, out);
                }
            }
        }
    }

    fn try_join(&mut self, now: u64, join: Join, out: &mut Vec<Answer>) -> Result<(), GroupError> {
        self.check_wishes(&join)?;
        let name = self.name_for(now, &join, out)?;
        let is_new = !self.members.contains_key(&name);
        if is_new && self.members.len() >= Self::MEMBERS_MAX {
            return Err(GroupError::Full);
        }
        if is_new && self.members.is_empty() {
            self.kind = join.kind.clone();
        }
        let order = self.next_order;
        let member = self.members.entry(name.clone()).or_insert_with(|| {
            self.next_order += 1;
            Member::new(order)
        });
        let is_same = member.wishes == join.wishes && !is_new;
        if let Some(place) = &join.place {
            self.places.insert(place.clone(), name.clone());
        }
        let ticket = join.ticket;
        member.update(now, join, out);

        let is_leader = self.leader.as_ref() == Some(&name);
        match self.stage {
            Stage::Dividing { .. } if is_same => self.answer_join(&name, ticket, out),
            // A leader that joins again wants to divide anew; others only repeat a lost answer.
            Stage::Steady if is_same && !is_leader => self.answer_join(&name, ticket, out),
            Stage::Gathering { .. } => {
                self.wait_for_join(&name, ticket);
                self.end_if_all_came(now, out);
            }
            Stage::Empty | Stage::Dividing { .. } | Stage::Steady => {
                self.wait_for_join(&name, ticket);
                self.gather(now, out);
            }
        }
        Ok(())
    }

    fn check_wishes(&self, join: &Join) -> Result<(), GroupError> {
        if join.kind.is_empty() || join.wishes.is_empty() {
            return Err(GroupError::Inconsistent);
        }
        if self.members.is_empty() {
            return Ok(());
        }
        let others = self
            .members
            .iter()
            .filter(|(name, _)| **name != join.member);
        let shared = common(others.map(|(_, member)| member));
        let can_agree =
            shared.is_none_or(|shared| join.wishes.iter().any(|(name, _)| shared.contains(name)));
        if self.kind != join.kind || !can_agree {
            return Err(GroupError::Inconsistent);
        }
        Ok(())
    }

    /// The member's name in this group: its own, that of its standing place, or a fresh one.
    fn name_for(
        &mut self,
        now: u64,
        join: &Join,
        out: &mut Vec<Answer>,
    ) -> Result<Text, GroupError> {
        let holder = join
            .place
            .as_ref()
            .and_then(|place| self.places.get(place))
            .cloned();
        if !join.member.is_empty() {
            if join.place.is_some() && holder.as_ref() != Some(&join.member) {
                return Err(holder.map_or(GroupError::UnknownMember, |_| GroupError::FencedPlace));
            }
            if self.promised.remove(&join.member).is_none()
                && !self.members.contains_key(&join.member)
            {
                return Err(GroupError::UnknownMember);
            }
            return Ok(join.member.clone());
        }
        if let Some(holder) = holder {
            self.rename(&holder, &join.fresh_name, out);
        } else if join.place.is_none() && join.must_know_name {
            if self.promised.len() >= Self::MEMBERS_MAX {
                return Err(GroupError::Full);
            }
            self.promised
                .insert(join.fresh_name.clone(), now.saturating_add(join.session_ms));
            return Err(GroupError::NameFirst(join.fresh_name.clone()));
        }
        Ok(join.fresh_name.clone())
    }

    /// A new process takes a standing place: the old one is fenced, the membership goes on.
    fn rename(&mut self, from: &Text, to: &Text, out: &mut Vec<Answer>) {
        let Some(mut member) = self.members.remove(from) else {
            return;
        };
        member.fence(out);
        if self.leader.as_ref() == Some(from) {
            self.leader = Some(to.clone());
        }
        self.members.insert(to.clone(), member);
    }

    fn try_sync(&mut self, now: u64, sync: Ask, out: &mut Vec<Answer>) -> Result<(), GroupError> {
        self.known(now, &sync.who)?;
        let differs =
            |said: &Option<Text>, ours: &Text| said.as_ref().is_some_and(|said| said != ours);
        if differs(&sync.kind, &self.kind) || differs(&sync.protocol, &self.protocol) {
            return Err(GroupError::Inconsistent);
        }
        match self.phase() {
            Phase::Empty => return Err(GroupError::UnknownMember),
            Phase::Gathering => return Err(GroupError::Rebalancing),
            Phase::Dividing => {}
            Phase::Steady => {
                self.answer_sync(&sync.who.member, sync.ticket, out);
                return Ok(());
            }
        }
        if let Some(member) = self.members.get_mut(&sync.who.member) {
            member.has_synced = true;
            member.wait_for_sync(sync.ticket, out);
        }
        if self.leader.as_ref() == Some(&sync.who.member) {
            self.divide(now, sync.plan, out);
        }
        Ok(())
    }

    /// Takes the leader's plan and gives everybody who waits its part.
    fn divide(&mut self, now: u64, plan: Vec<(Text, Bytes)>, out: &mut Vec<Answer>) {
        for (name, part) in plan {
            if let Some(member) = self.members.get_mut(&name) {
                member.part = part;
            }
        }
        self.stage = Stage::Steady;
        for name in self.names_where(Member::awaits_sync) {
            let Some(member) = self.members.get_mut(&name) else {
                continue;
            };
            member.hear(now);
            if let Some(ticket) = member.syncing.take() {
                self.answer_sync(&name, ticket, out);
            }
        }
    }

    /// Begins a round: everybody has to come again.
    fn gather(&mut self, now: u64, out: &mut Vec<Answer>) {
        for member in self.members.values_mut() {
            member.part = Bytes::new();
            member.has_synced = false;
            if let Some(ticket) = member.syncing.take() {
                member.hear(now);
                out.push(Answer {
                    ticket,
                    reply: Err(GroupError::Rebalancing),
                });
            }
        }
        let is_first = self.stage == Stage::Empty;
        let wait = if is_first {
            Self::FIRST_ROUND_MS
        } else {
            self.round_ms()
        };
        self.stage = Stage::Gathering {
            until: now.saturating_add(wait),
            is_first,
        };
        self.end_if_all_came(now, out);
    }

    /// Somebody is gone.
    fn changed(&mut self, now: u64, out: &mut Vec<Answer>) {
        match self.stage {
            Stage::Empty => {}
            Stage::Gathering { .. } => self.end_if_all_came(now, out),
            Stage::Dividing { .. } | Stage::Steady => self.gather(now, out),
        }
    }

    fn end_if_all_came(&mut self, now: u64, out: &mut Vec<Answer>) {
        let is_first = matches!(self.stage, Stage::Gathering { is_first: true, .. });
        let all_came = self.members.values().all(Member::awaits_join);
        if all_came && (!is_first || self.members.is_empty()) {
            self.end_gathering(now, out);
        }
    }

    /// Ends a round with those who came; standing places are kept for those who did not.
    fn end_gathering(&mut self, now: u64, out: &mut Vec<Answer>) {
        for name in self.names_where(|member| !member.awaits_join() && member.place.is_none()) {
            self.remove(&name, out);
        }
        let came = self.names_where(Member::awaits_join);
        if self.members.is_empty() {
            *self = Self {
                generation: self.generation,
                promised: std::mem::take(&mut self.promised),
                ..Self::default()
            };
            return;
        }
        if came.is_empty() {
            self.stage = Stage::Gathering {
                until: now.saturating_add(self.round_ms()),
                is_first: false,
            };
            return;
        }
        if !self
            .leader
            .as_ref()
            .is_some_and(|leader| came.contains(leader))
        {
            let oldest = came
                .iter()
                .min_by_key(|name| self.members.get(*name).map(|member| member.order));
            self.leader = oldest.cloned();
        }
        self.generation = self.generation.wrapping_add(1).max(1);
        self.protocol = self.vote();
        self.stage = Stage::Dividing {
            until: now.saturating_add(self.round_ms()),
        };
        for name in came {
            let Some(member) = self.members.get_mut(&name) else {
                continue;
            };
            member.hear(now);
            if let Some(ticket) = member.joining.take() {
                self.answer_join(&name, ticket, out);
            }
        }
    }

    /// The way of dividing that all know and most prefer.
    fn vote(&self) -> Text {
        let shared = common(self.members.values()).unwrap_or_default();
        let mut votes: BTreeMap<&Text, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some((name, _)) = member.wishes.iter().find(|(name, _)| shared.contains(name)) {
                *votes.entry(name).or_default() += 1;
            }
        }
        let best = votes.into_iter().max_by_key(|(_, count)| *count);
        best.map(|(name, _)| name.clone()).unwrap_or_default()
    }

    fn answer_join(&self, name: &Text, ticket: Ticket, out: &mut Vec<Answer>) {
        let is_leader = self.leader.as_ref() == Some(name);
        let joined = Joined {
            member: name.clone(),
            generation: self.generation,
            kind: self.kind.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            members: if is_leader {
                self.members().collect()
            } else {
                Vec::new()
            },
        };
        out.push(Answer {
            ticket,
            reply: Ok(Reply::Joined(joined)),
        });
    }

    fn answer_sync(&self, name: &Text, ticket: Ticket, out: &mut Vec<Answer>) {
        let part = self.members.get(name).map(|member| member.part.clone());
        let synced = Synced {
            kind: self.kind.clone(),
            protocol: self.protocol.clone(),
            part: part.unwrap_or_default(),
        };
        out.push(Answer {
            ticket,
            reply: Ok(Reply::Synced(synced)),
        });
    }

    fn wait_for_join(&mut self, name: &Text, ticket: Ticket) {
        if let Some(member) = self.members.get_mut(name) {
            member.joining = Some(ticket);
        }
    }

    /// Checks that somebody is who he says, in this generation, and notes that he lives.
    fn known(&mut self, now: u64, who: &Who) -> Result<(), GroupError> {
        if let Some(place) = &who.place {
            match self.places.get(place) {
                Some(holder) if *holder == who.member => {}
                Some(_) => return Err(GroupError::FencedPlace),
                None => return Err(GroupError::UnknownMember),
            }
        }
        let member = self
            .members
            .get_mut(&who.member)
            .ok_or(GroupError::UnknownMember)?;
        if who.generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        member.hear(now);
        Ok(())
    }

    /// Removes a member; what it waited for is refused.
    fn remove(&mut self, name: &Text, out: &mut Vec<Answer>) -> Option<()> {
        let mut member = self.members.remove(name)?;
        if let Some(place) = &member.place {
            self.places.remove(place);
        }
        if self.leader.as_ref() == Some(name) {
            self.leader = None;
        }
        member.refuse(GroupError::UnknownMember, out);
        Some(())
    }

    fn names_where(&self, wanted: impl Fn(&Member) -> bool) -> Vec<Text> {
        let found = self.members.iter().filter(|(_, member)| wanted(member));
        found.map(|(name, _)| name.clone()).collect()
    }

    /// How long a round may take: as long as its slowest member says.
    fn round_ms(&self) -> u64 {
        self.members
            .values()
            .map(|member| member.round_ms)
            .max()
            .unwrap_or(0)
    }
}

/// The ways of dividing that all of them know; `None` when there is nobody.
fn common<'a>(mut members: impl Iterator<Item = &'a Member>) -> Option<BTreeSet<&'a Text>> {
    let mut shared = members.next()?.ways();
    for member in members {
        let ways = member.ways();
        shared.retain(|way| ways.contains(way));
    }
    Some(shared)
}

#[cfg(test)]
mod tests;
