//! A grant as it is written: rules in order.

use fairlead_canon::{Address, Part, Pattern, Principal, RealmId};
use serde::Deserialize;
use thiserror::Error;

use crate::span::{covers, hides};
use crate::weighing::Weighing;

/// The rules of one user, or of everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grants(Vec<Rule>);

/// A document that is no grant.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not a grant: {0}")]
pub struct BadGrants(String);

/// Rules of one document: each is looked at for each message.
const RULES_MAX: usize = 256;

/// Segments of one rule.
const SEGMENTS_MAX: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    says: Says,
    about: About,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    Yes,
    No,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum About {
    Publish,
    Subscribe,
    Both,
}

/// Where a rule holds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// At these addresses.
    At(Vec<Piece>),
    /// For this filter, written like that.
    Is(Vec<Piece>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Part(Part),
    /// A segment with `%u` or `%c` in it.
    Named(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    rules: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    allow: Option<About>,
    deny: Option<About>,
    at: Option<String>,
    is: Option<String>,
}

impl Grants {
    /// Reads a document; says what is wrong with it.
    pub fn from_json(document: &[u8]) -> Result<Self, BadGrants> {
        let document: Document =
            serde_json::from_slice(document).map_err(|error| BadGrants(error.to_string()))?;
        if document.rules.len() > RULES_MAX {
            return Err(BadGrants(format!("more than {RULES_MAX} rules")));
        }
        let rules = document.rules.into_iter().map(Written::rule);
        rules.collect::<Result<_, _>>().map(Self)
    }

    /// What the first rule that speaks of a publish says.
    pub(crate) fn judge_publish(&self, who: &Principal, to: &Address) -> Option<Says> {
        let path = path(to);
        let mut rules = self.0.iter().filter(|rule| rule.about != About::Subscribe);
        let holds = |rule: &&Rule| match &rule.place {
            Place::At(pieces) => {
                parts(pieces, who).is_some_and(|place| speaks(&place, to.realm, &path))
            }
            Place::Is(_) => false,
        };
        rules.find(holds).map(|rule| rule.says)
    }

    /// What the first rule says that speaks of a message from there, for somebody who subscribed by this filter.
    pub(crate) fn judge_receive(
        &self,
        who: &Principal,
        by: &Pattern,
        from: &Address,
    ) -> Option<Says> {
        let path = path(from);
        let mut rules = self.0.iter().filter(|rule| rule.about != About::Publish);
        let holds = |rule: &&Rule| match &rule.place {
            Place::At(pieces) => {
                parts(pieces, who).is_some_and(|place| speaks(&place, from.realm, &path))
            }
            Place::Is(pieces) => parts(pieces, who).is_some_and(|filter| *filter == *by.parts),
        };
        rules.find(holds).map(|rule| rule.says)
    }

    /// Puts the rules about subscriptions on the scale, in order; whether nothing is left to decide.
    pub(crate) fn weigh(&self, who: &Principal, on: &mut Weighing<'_>) -> bool {
        let mut rules = self.0.iter().filter(|rule| rule.about != About::Publish);
        rules.any(|rule| match &rule.place {
            Place::At(pieces) => parts(pieces, who).is_some_and(|place| on.at(rule.says, place)),
            Place::Is(pieces) => {
                parts(pieces, who).is_some_and(|filter| on.literally(rule.says, &filter))
            }
        })
    }
}

impl Written {
    fn rule(self) -> Result<Rule, BadGrants> {
        let (says, about) = match (self.allow, self.deny) {
            (Some(about), None) => (Says::Yes, about),
            (None, Some(about)) => (Says::No, about),
            _ => return Err(BadGrants("a rule either allows or denies".to_owned())),
        };
        let place = match (self.at, self.is) {
            (Some(at), None) => Place::At(pieces(&at)?),
            (None, Some(is)) => Place::Is(pieces(&is)?),
            _ => {
                let what = "a rule either holds `at` addresses or for what `is` one filter";
                return Err(BadGrants(what.to_owned()));
            }
        };
        Ok(Rule { says, about, place })
    }
}

fn pieces(text: &str) -> Result<Vec<Piece>, BadGrants> {
    let pieces: Vec<Piece> = text.split('/').map(piece).collect();
    if pieces.len() > SEGMENTS_MAX {
        return Err(BadGrants(format!("more than {SEGMENTS_MAX} segments")));
    }
    Ok(pieces)
}

fn piece(segment: &str) -> Piece {
    match segment {
        "+" => Piece::Part(Part::One),
        "#" => Piece::Part(Part::Many),
        named if named.contains("%u") || named.contains("%c") => Piece::Named(named.to_owned()),
        plain => Piece::Part(literal(plain.as_bytes())),
    }
}

/// The pattern for one user. A name is one segment whatever is in it: it brings no wildcard. `None`: it names the
/// user, and who proved nothing is none.
fn parts(pieces: &[Piece], who: &Principal) -> Option<Vec<Part>> {
    let parts = pieces.iter().map(|piece| match piece {
        Piece::Part(part) => Some(part.clone()),
        Piece::Named(text) => named(text, who).map(|name| literal(name.as_bytes())),
    });
    parts.collect()
}

fn named(text: &str, who: &Principal) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.split_once('%') {
        out.push_str(before);
        let (name, after) = match from.chars().next() {
            Some('u') if who.is_anonymous() => return None,
            Some('u') => (&*who.name, from.strip_prefix('u')),
            Some('c') => (&*who.client, from.strip_prefix('c')),
            Some(_) | None => ("%", Some(from)),
        };
        out.push_str(name);
        rest = after.unwrap_or_default();
    }
    out.push_str(rest);
    Some(out)
}

/// Whether a rule for this place speaks of an address.
fn speaks(place: &[Part], realm: RealmId, path: &[Part]) -> bool {
    covers(place, path) && !(realm == RealmId::SHARED && hides(place, path))
}

fn path(of: &Address) -> Vec<Part> {
    of.path.segments().map(literal).collect()
}

fn literal(segment: &[u8]) -> Part {
    Part::Literal(segment.into())
}

#[cfg(test)]
mod tests {
    use fairlead_canon::{Path, Text};

    use super::*;
    use crate::weighing::Weight;

    fn who() -> Principal {
        Principal {
            name: Text::from_static("ada"),
            client: Text::from_static("pump+7"),
            ..Principal::anonymous()
        }
    }

    fn address(text: &str) -> Address {
        let path = Path::from_segments(text.split('/').map(str::as_bytes)).unwrap();
        Address::new(RealmId::SHARED, path)
    }

    fn filter(text: &str) -> Pattern {
        Pattern {
            realm: RealmId::SHARED,
            parts: parts(&pieces(text).unwrap(), &who()).unwrap().into(),
            hides_dollar: true,
        }
    }

    fn weight(grants: &Grants, text: &str) -> Weight {
        let filter = filter(text);
        let mut weighing = Weighing::of(&filter);
        if !grants.weigh(&who(), &mut weighing) {
            weighing.silence();
        }
        weighing.weight()
    }

    fn grants(rules: &str) -> Grants {
        Grants::from_json(format!("{{\"rules\":[{rules}]}}").as_bytes()).unwrap()
    }

    #[test]
    fn names_stand_for_themselves_and_for_no_wildcard() {
        let own = grants(r#"{"allow":"both","at":"u/%u/#"},{"allow":"both","at":"c/x-%c-100%"}"#);
        let publish = |to| own.judge_publish(&who(), &address(to));
        assert_eq!(publish("u/ada/1/2"), Some(Says::Yes));
        assert_eq!(publish("u/bob/1"), None);
        assert_eq!(publish("c/x-pump+7-100%"), Some(Says::Yes));
        assert_eq!(publish("c/x-pump-7-100%"), None);
        assert_eq!(weight(&own, "u/ada/+"), Weight::All);
        assert_eq!(weight(&own, "u/+/1"), Weight::Part);
        assert_eq!(weight(&own, "u/bob/+"), Weight::Nothing);
    }

    #[test]
    fn a_rule_that_names_the_user_does_not_speak_of_who_proved_nothing() {
        let nobody = Principal {
            client: Text::from_static("pump"),
            ..Principal::anonymous()
        };
        let own = grants(
            r##"{"deny":"both","at":"%u/secret"},{"deny":"subscribe","is":"%u/#"},
                {"allow":"both","at":"%u/%c/#"},{"allow":"both","at":"c/%c"},
                {"allow":"publish","at":"anonymous/secret"}"##,
        );
        let publish = |to| own.judge_publish(&nobody, &address(to));
        assert_eq!(publish("anonymous/secret"), Some(Says::Yes));
        assert_eq!(publish("anonymous/pump/1"), None);
        assert_eq!(publish("c/pump"), Some(Says::Yes));
        let receive = |from| own.judge_receive(&nobody, &filter("anonymous/#"), &address(from));
        assert_eq!(receive("anonymous/secret"), None);
        assert_eq!(receive("anonymous/pump/1"), None);
        assert_eq!(receive("c/pump"), Some(Says::Yes));
        let filter = filter("anonymous/#");
        let mut weighing = Weighing::of(&filter);
        assert!(!own.weigh(&nobody, &mut weighing));
        weighing.silence();
        assert_eq!(weighing.weight(), Weight::Nothing);
    }

    #[test]
    fn the_first_rule_that_speaks_of_it_decides() {
        let mixed = grants(
            r##"{"deny":"subscribe","is":"#"},{"deny":"both","at":"secret/#"},{"allow":"subscribe","at":"#"}"##,
        );
        assert_eq!(weight(&mixed, "#"), Weight::Nothing);
        assert_eq!(weight(&mixed, "public/#"), Weight::All);
        assert_eq!(weight(&mixed, "+/plans"), Weight::Part, "not the secret");
        let receive = |from| mixed.judge_receive(&who(), &filter("+/plans"), &address(from));
        assert_eq!(receive("public/plans"), Some(Says::Yes));
        assert_eq!(receive("secret/plans"), Some(Says::No));
        let publish = |to| mixed.judge_publish(&who(), &address(to));
        assert_eq!(publish("secret/1"), Some(Says::No));
        assert_eq!(publish("public/1"), None);
    }

    #[test]
    fn a_filter_is_allowed_as_far_as_the_first_rules_that_speak_of_it() {
        for (rules, text, expected) in [
            (r##"{"allow":"subscribe","at":"#"}"##, "a/#", Weight::All),
            (r#"{"allow":"publish","at":"a/b"}"#, "a/+", Weight::Nothing),
            (r#"{"allow":"both","at":"a/b"}"#, "a/+", Weight::Part),
            (r#"{"allow":"both","at":"a/b"}"#, "a/b", Weight::All),
            (r#"{"allow":"both","at":"a/b"}"#, "b/#", Weight::Nothing),
            (
                r##"{"deny":"both","at":"a/#"},{"allow":"both","at":"a/b"}"##,
                "#",
                Weight::Nothing,
            ),
            (
                r##"{"allow":"both","at":"a/#"},{"deny":"both","at":"a/b"},{"allow":"both","at":"#"}"##,
                "+/b",
                Weight::All,
            ),
            (
                r##"{"allow":"subscribe","is":"#"},{"deny":"both","at":"a"}"##,
                "#",
                Weight::All,
            ),
            (
                r##"{"deny":"both","at":"a"},{"allow":"subscribe","is":"#"}"##,
                "#",
                Weight::Part,
            ),
            (
                r##"{"allow":"both","at":"a"},{"deny":"subscribe","is":"#"}"##,
                "#",
                Weight::Part,
            ),
            (r##"{"allow":"subscribe","is":"#"}"##, "+", Weight::Nothing),
        ] {
            assert_eq!(weight(&grants(rules), text), expected, "{rules} {text}");
        }
    }

    #[test]
    fn a_wildcard_that_stands_first_speaks_of_no_name_that_begins_with_a_dollar() {
        let all = grants(r##"{"deny":"both","at":"+/secret"},{"allow":"both","at":"#"}"##);
        let publish = |to| all.judge_publish(&who(), &to);
        assert_eq!(publish(address("$SYS/x")), None);
        assert_eq!(publish(address("$SYS/secret")), None);
        let elsewhere = Address {
            realm: RealmId::QUEUES,
            ..address("$x")
        };
        assert_eq!(publish(elsewhere), Some(Says::Yes));
        assert_eq!(weight(&all, "$SYS/#"), Weight::Nothing);
        assert_eq!(weight(&all, "a/#"), Weight::Part);
        let some = grants(
            r##"{"deny":"both","at":"$SYS/secret"},{"allow":"both","at":"$SYS/+"},
                {"allow":"both","at":"#"}"##,
        );
        assert_eq!(weight(&some, "#"), Weight::All, "it sees no such name");
        assert_eq!(weight(&some, "$SYS/+"), Weight::Part);
        assert_eq!(weight(&some, "$SYS/a"), Weight::All);
    }

    #[test]
    fn a_rule_for_one_filter_speaks_of_what_comes_by_it() {
        let all = grants(r##"{"deny":"both","at":"a"},{"allow":"subscribe","is":"#"}"##);
        let receive = |by, from| all.judge_receive(&who(), &filter(by), &address(from));
        assert_eq!(receive("#", "b"), Some(Says::Yes));
        assert_eq!(receive("#", "a"), Some(Says::No));
        assert_eq!(receive("+", "b"), None);
    }

    #[test]
    fn what_is_no_grant_is_refused() {
        for wrong in [
            "[]",
            r#"{"rules":[{"allow":"publish"}]}"#,
            r#"{"rules":[{"at":"a"}]}"#,
            r#"{"rules":[{"allow":"publish","deny":"publish","at":"a"}]}"#,
            r#"{"rules":[{"allow":"publish","at":"a","is":"a"}]}"#,
            r#"{"rules":[{"allow":"everything","at":"a"}]}"#,
            r#"{"rules":[{"allow":"both","at":"a","when":"now"}]}"#,
        ] {
            assert!(Grants::from_json(wrong.as_bytes()).is_err(), "{wrong}");
        }
        let rules = |count| vec![r#"{"allow":"both","at":"a"}"#; count].join(",");
        let read = |rules: &str| Grants::from_json(format!("{{\"rules\":[{rules}]}}").as_bytes());
        assert!(read(&rules(RULES_MAX)).is_ok());
        assert!(read(&rules(RULES_MAX + 1)).is_err());
    }
}
