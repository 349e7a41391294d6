//! A grant as it is written: rules in order.

use fairlead_canon::{Address, Part, Pattern, Principal};
use serde::Deserialize;
use thiserror::Error;

use crate::span::{covers, meets};

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
        let path: Vec<Part> = to.path.segments().map(literal).collect();
        let mut rules = self.0.iter().filter(|rule| rule.about != About::Subscribe);
        let holds = |rule: &&Rule| match &rule.place {
            Place::At(pieces) => covers(&parts(pieces, who), &path),
            Place::Is(_) => false,
        };
        rules.find(holds).map(|rule| rule.says)
    }

    /// What the first rule that speaks of a subscription says.
    pub(crate) fn judge_subscribe(&self, who: &Principal, filter: &Pattern) -> Option<Says> {
        let mut rules = self.0.iter().filter(|rule| rule.about != About::Publish);
        let holds = |rule: &&Rule| match (&rule.place, rule.says) {
            (Place::At(pieces), Says::Yes) => covers(&parts(pieces, who), &filter.parts),
            (Place::At(pieces), Says::No) => meets(&parts(pieces, who), &filter.parts),
            (Place::Is(pieces), _) => *parts(pieces, who) == *filter.parts,
        };
        rules.find(holds).map(|rule| rule.says)
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

/// The pattern for one user. A name is one segment whatever is in it: it brings no wildcard.
fn parts(pieces: &[Piece], who: &Principal) -> Vec<Part> {
    let parts = pieces.iter().map(|piece| match piece {
        Piece::Part(part) => part.clone(),
        Piece::Named(text) => literal(named(text, who).as_bytes()),
    });
    parts.collect()
}

fn named(text: &str, who: &Principal) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.split_once('%') {
        out.push_str(before);
        let (name, after) = match from.chars().next() {
            Some('u') => (&*who.name, from.strip_prefix('u')),
            Some('c') => (&*who.client, from.strip_prefix('c')),
            Some(_) | None => ("%", Some(from)),
        };
        out.push_str(name);
        rest = after.unwrap_or_default();
    }
    out.push_str(rest);
    out
}

fn literal(segment: &[u8]) -> Part {
    Part::Literal(segment.into())
}

#[cfg(test)]
mod tests {
    use fairlead_canon::{Path, RealmId, Text};

    use super::*;

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
            parts: parts(&pieces(text).unwrap(), &who()).into(),
            hides_dollar: true,
        }
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
        let subscribe = |text| own.judge_subscribe(&who(), &filter(text));
        assert_eq!(subscribe("u/ada/+"), Some(Says::Yes));
        assert_eq!(subscribe("u/+/1"), None);
    }

    #[test]
    fn the_first_rule_that_speaks_of_it_decides() {
        let mixed = grants(
            r##"{"deny":"subscribe","is":"#"},{"deny":"both","at":"secret/#"},{"allow":"subscribe","at":"#"}"##,
        );
        let subscribe = |text| mixed.judge_subscribe(&who(), &filter(text));
        assert_eq!(subscribe("#"), Some(Says::No));
        assert_eq!(subscribe("public/#"), Some(Says::Yes));
        assert_eq!(
            subscribe("+/plans"),
            Some(Says::No),
            "it would reach a secret"
        );
        let publish = |to| mixed.judge_publish(&who(), &address(to));
        assert_eq!(publish("secret/1"), Some(Says::No));
        assert_eq!(publish("public/1"), None);
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
