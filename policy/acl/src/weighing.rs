//! How much of a filter rules allow: all of it, a part, or nothing.

use fairlead_canon::{Part, Pattern, RealmId};

use crate::grants::Says;
use crate::span::{covers, hides, meets};

/// What rules say of the addresses that a filter matches. The first rule that speaks of an address decides about it;
/// one of which no rule speaks is denied.
#[derive(Debug)]
pub(crate) struct Weighing<'a> {
    filter: &'a Pattern,
    is_allowed: bool,
    is_denied: bool,
    /// Where the rules so far hold.
    earlier: Vec<Vec<Part>>,
}

/// How much is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    All,
    /// Something, as far as can be told without a look at each address, and not everything.
    Part,
    Nothing,
}

impl<'a> Weighing<'a> {
    pub(crate) fn of(filter: &'a Pattern) -> Self {
        Self {
            filter,
            is_allowed: false,
            is_denied: false,
            earlier: Vec::new(),
        }
    }

    /// The next rule, which holds at addresses; whether nothing is left to decide.
    pub(crate) fn at(&mut self, says: Says, place: Vec<Part>) -> bool {
        if self.is_beside(&place) {
            return false;
        }
        let is_rest = covers(&place, &self.filter.parts);
        let is_settled = |by: &Vec<Part>| covers(by, &place) && !hides(by, &place);
        let is_new = || !self.earlier.iter().any(is_settled);
        if is_rest || meets(&place, &self.filter.parts) && is_new() {
            self.note(says);
            self.earlier.push(place);
        }
        is_rest
    }

    /// Whether only a wildcard that stands first could match the other's name that begins with `$`.
    fn is_beside(&self, place: &[Part]) -> bool {
        let filter = &self.filter.parts;
        let rule_hides = self.filter.realm == RealmId::SHARED && hides(place, filter);
        rule_hides || self.filter.hides_dollar && hides(filter, place)
    }

    /// The next rule, which holds for one filter as it is written; whether nothing is left to decide.
    pub(crate) fn literally(&mut self, says: Says, filter: &[Part]) -> bool {
        let is_rest = *filter == *self.filter.parts;
        if is_rest {
            self.note(says);
        }
        is_rest
    }

    /// There are no more rules.
    pub(crate) fn silence(&mut self) {
        self.note(Says::No);
    }

    pub(crate) fn weight(&self) -> Weight {
        match (self.is_allowed, self.is_denied) {
            (true, false) => Weight::All,
            (true, true) => Weight::Part,
            (false, _) => Weight::Nothing,
        }
    }

    fn note(&mut self, says: Says) {
        match says {
            Says::Yes => self.is_allowed = true,
            Says::No => self.is_denied = true,
        }
    }
}
