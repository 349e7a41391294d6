//! One member of a group.

use std::collections::BTreeSet;

use bytes::Bytes;
use fairlead_canon::Text;

use super::{Answer, GroupError, MemberView, Ticket, Wish};

#[derive(Debug)]
pub(super) struct Member {
    /// Lower came earlier.
    pub(super) order: u64,
    pub(super) place: Option<Text>,
    pub(super) offers: Vec<(Text, Bytes)>,
    pub(super) part: Bytes,
    pub(super) round_ms: u64,
    /// Waits for the end of a round.
    pub(super) joining: Option<Ticket>,
    /// Waits for the plan.
    pub(super) syncing: Option<Ticket>,
    pub(super) has_synced: bool,
    session_ms: u64,
    silent_at: u64,
    client: Text,
    host: Text,
}

impl Member {
    pub(super) fn new(order: u64) -> Self {
        Self {
            order,
            place: None,
            offers: Vec::new(),
            part: Bytes::new(),
            round_ms: 0,
            joining: None,
            syncing: None,
            has_synced: false,
            session_ms: 0,
            silent_at: 0,
            client: Text::new(),
            host: Text::new(),
        }
    }

    /// Takes what a wish says; an earlier question of the same member is refused.
    pub(super) fn update(&mut self, now: u64, wish: Wish, out: &mut Vec<Answer>) {
        self.refuse(GroupError::Rebalancing, out);
        self.place = wish.place;
        self.offers = wish.ways;
        self.session_ms = wish.session_ms;
        self.round_ms = wish.round_ms;
        self.client = wish.client;
        self.host = wish.host;
        self.hear(now);
    }

    /// It lives.
    pub(super) fn hear(&mut self, now: u64) {
        self.silent_at = now.saturating_add(self.session_ms);
    }

    /// When it will have been silent for too long; never while it waits for us.
    pub(super) fn silent_at(&self) -> Option<u64> {
        (!self.awaits_join() && !self.awaits_sync()).then_some(self.silent_at)
    }

    pub(super) fn awaits_join(&self) -> bool {
        self.joining.is_some()
    }

    pub(super) fn awaits_sync(&self) -> bool {
        self.syncing.is_some()
    }

    pub(super) fn wait_for_sync(&mut self, ticket: Ticket, out: &mut Vec<Answer>) {
        self.refuse(GroupError::Rebalancing, out);
        self.syncing = Some(ticket);
    }

    /// A newer process has its place.
    pub(super) fn fence(&mut self, out: &mut Vec<Answer>) {
        self.refuse(GroupError::FencedPlace, out);
    }

    pub(super) fn refuse(&mut self, error: GroupError, out: &mut Vec<Answer>) {
        for ticket in self.joining.take().into_iter().chain(self.syncing.take()) {
            out.push(Answer {
                ticket,
                reply: Err(error.clone()),
            });
        }
    }

    pub(super) fn ways(&self) -> BTreeSet<&Text> {
        self.offers.iter().map(|(way, _)| way).collect()
    }

    pub(super) fn view(&self, name: &Text, protocol: &Text) -> MemberView {
        let wish = self.offers.iter().find(|(way, _)| way == protocol);
        MemberView {
            member: name.clone(),
            place: self.place.clone(),
            client: self.client.clone(),
            host: self.host.clone(),
            wish: wish.map(|(_, wish)| wish.clone()).unwrap_or_default(),
            part: self.part.clone(),
        }
    }
}
