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
mod round;
mod words;

use std::collections::BTreeMap;

use fairlead_canon::Text;

use member::Member;
use round::common;
pub use words::{
    Answer, Ask, GroupError, Join, Joined, MemberView, Phase, Reply, Synced, Ticket, Who, Wish,
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

    /// A member asks for its part, the leader brings the plan; the answer comes by the ticket.
    pub fn sync(&mut self, now: u64, ticket: Ticket, ask: Ask, out: &mut Vec<Answer>) {
        if let Err(error) = self.try_sync(now, ticket, ask, out) {
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
        let Join {
            ticket,
            fresh_name,
            wish,
        } = join;
        self.check(&wish)?;
        let name = self.name_for(now, fresh_name, &wish, out)?;
        let is_new = !self.members.contains_key(&name);
        if is_new && self.members.len() >= Self::MEMBERS_MAX {
            return Err(GroupError::Full);
        }
        if is_new && self.members.is_empty() {
            self.kind = wish.kind.clone();
        }
        let order = self.next_order;
        let member = self.members.entry(name.clone()).or_insert_with(|| {
            self.next_order += 1;
            Member::new(order)
        });
        let is_same = member.offers == wish.ways && !is_new;
        if let Some(place) = &wish.place {
            self.places.insert(place.clone(), name.clone());
        }
        member.update(now, wish, out);

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

    fn check(&self, wish: &Wish) -> Result<(), GroupError> {
        if wish.kind.is_empty() || wish.ways.is_empty() {
            return Err(GroupError::Inconsistent);
        }
        if self.members.is_empty() {
            return Ok(());
        }
        let others = self
            .members
            .iter()
            .filter(|(name, _)| **name != wish.member);
        let shared = common(others.map(|(_, member)| member));
        let can_agree =
            shared.is_none_or(|shared| wish.ways.iter().any(|(name, _)| shared.contains(name)));
        if self.kind != wish.kind || !can_agree {
            return Err(GroupError::Inconsistent);
        }
        Ok(())
    }

    /// The member's name in this group: its own, that of its standing place, or a fresh one.
    fn name_for(
        &mut self,
        now: u64,
        fresh_name: Text,
        wish: &Wish,
        out: &mut Vec<Answer>,
    ) -> Result<Text, GroupError> {
        let holder = wish
            .place
            .as_ref()
            .and_then(|place| self.places.get(place))
            .cloned();
        if !wish.member.is_empty() {
            if wish.place.is_some() && holder.as_ref() != Some(&wish.member) {
                return Err(holder.map_or(GroupError::UnknownMember, |_| GroupError::FencedPlace));
            }
            if self.promised.remove(&wish.member).is_none()
                && !self.members.contains_key(&wish.member)
            {
                return Err(GroupError::UnknownMember);
            }
            return Ok(wish.member.clone());
        }
        if let Some(holder) = holder {
            self.rename(&holder, &fresh_name, out);
        } else if wish.place.is_none() && wish.must_know_name {
            if self.promised.len() >= Self::MEMBERS_MAX {
                return Err(GroupError::Full);
            }
            self.promised
                .insert(fresh_name.clone(), now.saturating_add(wish.session_ms));
            return Err(GroupError::NameFirst(fresh_name.clone()));
        }
        Ok(fresh_name)
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

    fn try_sync(
        &mut self,
        now: u64,
        ticket: Ticket,
        ask: Ask,
        out: &mut Vec<Answer>,
    ) -> Result<(), GroupError> {
        self.known(now, &ask.who)?;
        let differs =
            |said: &Option<Text>, ours: &Text| said.as_ref().is_some_and(|said| said != ours);
        if differs(&ask.kind, &self.kind) || differs(&ask.protocol, &self.protocol) {
            return Err(GroupError::Inconsistent);
        }
        match self.phase() {
            Phase::Empty => return Err(GroupError::UnknownMember),
            Phase::Gathering => return Err(GroupError::Rebalancing),
            Phase::Dividing => {}
            Phase::Steady => {
                self.answer_sync(&ask.who.member, ticket, out);
                return Ok(());
            }
        }
        if let Some(member) = self.members.get_mut(&ask.who.member) {
            member.has_synced = true;
            member.wait_for_sync(ticket, out);
        }
        if self.leader.as_ref() == Some(&ask.who.member) {
            self.divide(now, ask.plan, out);
        }
        Ok(())
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
}

#[cfg(test)]
mod tests;
