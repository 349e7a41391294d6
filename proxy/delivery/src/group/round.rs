//! How a round begins and ends.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use fairlead_canon::Text;

use super::member::Member;
use super::{Answer, Group, GroupError, Stage};

impl Group {
    /// Takes the leader's plan and gives everybody who waits its part.
    pub(super) fn divide(&mut self, now: u64, plan: Vec<(Text, Bytes)>, out: &mut Vec<Answer>) {
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
    pub(super) fn gather(&mut self, now: u64, out: &mut Vec<Answer>) {
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
    pub(super) fn changed(&mut self, now: u64, out: &mut Vec<Answer>) {
        match self.stage {
            Stage::Empty => {}
            Stage::Gathering { .. } => self.end_if_all_came(now, out),
            Stage::Dividing { .. } | Stage::Steady => self.gather(now, out),
        }
    }

    pub(super) fn end_if_all_came(&mut self, now: u64, out: &mut Vec<Answer>) {
        let is_first = matches!(self.stage, Stage::Gathering { is_first: true, .. });
        let all_came = self.members.values().all(Member::awaits_join);
        if all_came && (!is_first || self.members.is_empty()) {
            self.end_gathering(now, out);
        }
    }

    /// Ends a round with those who came; standing places are kept for those who did not.
    pub(super) fn end_gathering(&mut self, now: u64, out: &mut Vec<Answer>) {
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
            if let Some((name, _)) = member.offers.iter().find(|(name, _)| shared.contains(name)) {
                *votes.entry(name).or_default() += 1;
            }
        }
        let best = votes.into_iter().max_by_key(|(_, count)| *count);
        best.map(|(name, _)| name.clone()).unwrap_or_default()
    }

    /// How long a round may take: as long as its slowest member says.
    fn round_ms(&self) -> u64 {
        self.members
            .values()
            .map(|member| member.round_ms)
            .max()
            .unwrap_or(0)
            .max(1)
    }
}

/// The ways of dividing that all of them know; `None` when there is nobody.
pub(super) fn common<'a>(
    mut members: impl Iterator<Item = &'a Member>,
) -> Option<BTreeSet<&'a Text>> {
    let mut shared = members.next()?.ways();
    for member in members {
        let ways = member.ways();
        shared.retain(|way| ways.contains(way));
    }
    Some(shared)
}
