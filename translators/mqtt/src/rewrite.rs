//! Topics that are called otherwise here: rules over topic names and filters.
//!
//! ```text
//! all y/+/z/#  y/z/$2        what a + or the # stood for is $1 to $9,
//! publish up/#  %u/%c/$1     %u is the user's name and %c the client's identifier
//! all x/#  ^x/y/(\d+)$  z/$1  with a regular expression, its groups are $1 to $9
//! ```
//! The first rule whose filter matches decides; a topic that its expression does not match stays. A filter that is subscribed to is taken level by level
//! like a name: a wildcard in it is matched by a wildcard of the rule, and goes where the level goes. The
//! `#` of a rule stands for one level or more.

mod expression;

use std::str::FromStr;

use fairlead_canon::Text;

use crate::names;
use expression::Expression;

/// The rules of a listener, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules(Vec<Rule>);

/// What a topic was written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Publish,
    Subscribe,
}

/// For whom a topic is rewritten.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client<'a> {
    pub(crate) user: &'a str,
    pub(crate) id: &'a str,
}

/// All rules are looked at for each topic that a connection uses anew.
const RULES_MAX: usize = 256;

/// Wildcards, or groups, of a rule that have a number.
const CAPTURES_MAX: usize = 9;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    /// `None`: for both.
    only: Option<Use>,
    from: Vec<Level>,
    expression: Option<Expression>,
    to: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Level {
    Is(String),
    Any,
    Rest,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Plain(String),
    /// What the wildcard, or group, at this place stood for.
    Capture(usize),
    User,
    Client,
}

impl Rules {
    /// The topic as it is called here, which may be as it was written; `None` when the rule that
    /// holds makes no topic of it.
    pub(crate) fn rewritten(&self, used: Use, topic: &Text, client: Client<'_>) -> Option<Text> {
        let rules = self.0.iter().filter(|rule| rule.is_for(used));
        let mut found = rules.filter_map(|rule| Some((rule, rule.captures(topic)?)));
        let Some((rule, captures)) = found.next() else {
            return Some(topic.clone());
        };
        let captures = match &rule.expression {
            Some(expression) => expression.captures(topic),
            None => Some(captures),
        };
        match captures {
            Some(captures) => rule.write(&captures, client).map(Text::from),
            None => Some(topic.clone()),
        }
    }
}

/// One rule per line.
impl FromStr for Rules {
    type Err = &'static str;

    fn from_str(lines: &str) -> Result<Self, Self::Err> {
        let rules: Result<Vec<Rule>, _> = lines.lines().map(str::parse).collect();
        let rules = rules?;
        if rules.len() > RULES_MAX {
            return Err("has more than 256 rules");
        }
        Ok(Self(rules))
    }
}

impl FromStr for Rule {
    type Err = &'static str;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let mut words = line.split_whitespace();
        let only = match words.next() {
            Some("all") => None,
            Some("publish") => Some(Use::Publish),
            Some("subscribe") => Some(Use::Subscribe),
            _ => return Err("a rule begins with publish, subscribe or all"),
        };
        let rest: Vec<&str> = words.collect();
        let (from, expression, to) = match *rest {
            [from, to] => (from, None, to),
            [from, expression, to] => (from, Some(expression), to),
            _ => {
                return Err(
                    "a rule is a word, a filter, perhaps a regular expression, and a topic",
                );
            }
        };
        if !names::is_filter(from.as_bytes()) {
            return Err("a rule matches with a topic filter");
        }
        let from: Vec<Level> = from.split('/').map(Level::of).collect();
        let is_wildcard = |level: &&Level| !matches!(level, Level::Is(_));
        let expression = expression.map(Expression::from_str).transpose()?;
        let captures = match &expression {
            Some(expression) => expression.groups(),
            None => from.iter().filter(is_wildcard).count(),
        };
        let to = pieces(to)?;
        let is_there = |piece: &Piece| !matches!(piece, Piece::Capture(n) if *n >= captures);
        if captures > CAPTURES_MAX || !to.iter().all(is_there) {
            return Err("$1 to $9 are the wildcards or groups of the rule, from the left");
        }
        Ok(Self {
            only,
            from,
            expression,
            to,
        })
    }
}

impl Rule {
    fn is_for(&self, used: Use) -> bool {
        self.only.is_none_or(|only| only == used)
    }

    /// What the wildcards stand for; `None`: it does not match.
    fn captures<'t>(&self, topic: &'t str) -> Option<Vec<&'t str>> {
        //= MQTT-4.7.2-1: a leading wildcard does not see names that begin with $.
        if topic.starts_with('$') && !matches!(self.from.first(), Some(Level::Is(_))) {
            return None;
        }
        let mut captures = Vec::new();
        let mut rest = Some(topic);
        for level in &self.from {
            if *level == Level::Rest {
                captures.push(rest?);
                return Some(captures);
            }
            let (first, after) = match rest?.split_once('/') {
                Some((first, after)) => (first, Some(after)),
                None => (rest?, None),
            };
            match level {
                Level::Is(text) if text != first => return None,
                // The rest of a filter is more than one level.
                Level::Any if first == "#" => return None,
                Level::Any => captures.push(first),
                Level::Is(_) | Level::Rest => {}
            }
            rest = after;
        }
        rest.is_none().then_some(captures)
    }

    fn write(&self, captures: &[&str], client: Client<'_>) -> Option<String> {
        let mut out = String::new();
        for piece in &self.to {
            out.push_str(match piece {
                Piece::Plain(text) => text,
                Piece::Capture(place) => captures.get(*place)?,
                Piece::User => level(client.user)?,
                Piece::Client => level(client.id)?,
            });
        }
        let is_topic = !out.is_empty() && out.len() <= names::TOPIC_BYTES_MAX;
        is_topic.then_some(out)
    }
}

impl Level {
    fn of(text: &str) -> Self {
        match text {
            "+" => Self::Any,
            "#" => Self::Rest,
            text => Self::Is(text.to_owned()),
        }
    }
}

/// A name as a part of one level: whoever chose it must not choose other levels with it.
fn level(name: &str) -> Option<&str> {
    let is_safe = !name.is_empty() && !name.contains(['/', '+', '#', '\0']);
    is_safe.then_some(name)
}

fn pieces(to: &str) -> Result<Vec<Piece>, &'static str> {
    if to.contains(['+', '#']) {
        return Err("what a rule makes has no wildcard of its own");
    }
    let mut pieces = Vec::new();
    let mut rest = to;
    while let Some(at) = rest.find(['$', '%']) {
        let (plain, from) = rest.split_at(at);
        pieces.push(Piece::Plain(plain.to_owned()));
        let mut chars = from.chars();
        let piece = match (chars.next(), chars.next()) {
            (Some('%'), Some('u')) => Piece::User,
            (Some('%'), Some('c')) => Piece::Client,
            (Some('$'), Some(digit @ '1'..='9')) => Piece::Capture(place(digit)),
            (Some(sign), _) => {
                chars = from.chars();
                chars.next();
                Piece::Plain(sign.to_string())
            }
            (None, _) => break,
        };
        pieces.push(piece);
        rest = chars.as_str();
    }
    pieces.push(Piece::Plain(rest.to_owned()));
    Ok(pieces)
}

/// `$1` is the first.
fn place(digit: char) -> usize {
    let number = digit.to_digit(10).unwrap_or_default();
    usize::try_from(number)
        .unwrap_or_default()
        .saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: Client<'static> = Client {
        user: "ada",
        id: "pump7",
    };

    fn rewritten(rules: &str, used: Use, topic: &'static str) -> Option<String> {
        let rules: Rules = rules.parse().unwrap();
        let topic = rules.rewritten(used, &Text::from_static(topic), CLIENT);
        topic.map(|topic| topic.to_string())
    }

    fn published(rules: &str, topic: &'static str) -> String {
        rewritten(rules, Use::Publish, topic).unwrap()
    }

    #[test]
    fn the_first_rule_that_matches_decides_and_what_none_matches_stays() {
        let rules = "all y/+/z/# y/z/$2\nall x/# z/y/x/$1\nall x/y/+ z/y/$1";
        for (topic, becomes) in [
            ("y/a/z/b/c", "y/z/b/c"),
            ("y/def", "y/def"),
            ("x/y/2", "z/y/x/y/2"),
            ("x", "x"),
            ("yy/a/z/b", "yy/a/z/b"),
        ] {
            assert_eq!(published(rules, topic), becomes);
        }
    }

    #[test]
    fn with_an_expression_its_groups_are_what_is_put_in() {
        // The example of EMQX's manual, whose last rule is the first to be tried.
        let rules = r"all x/y/+ ^x/y/(\d+)$ z/y/$1
all x/# ^x/y/(.+)$ z/y/x/$1
all y/+/z/# ^y/(.+)/z/(.+)$ y/z/$2";
        for (topic, becomes) in [
            ("y/a/z/b", "y/z/b"),
            ("y/def", "y/def"),
            ("x/1/2", "x/1/2"),
            ("x/y/2", "z/y/2"),
            ("x/y/z", "x/y/z"),
            ("x/y/z/2", "z/y/x/z/2"),
        ] {
            assert_eq!(published(rules, topic), becomes);
        }
        assert_eq!(
            published("all a/# ^a/(b)?(.*)$ [$1]$2/%c", "a/c"),
            "[]c/pump7"
        );
    }

    #[test]
    fn an_expression_is_bounded() {
        let long = format!("all a/# {} b", "x".repeat(1_024));
        assert!(long.parse::<Rules>().is_ok());
        for wrong in [
            format!("all a/# {} b", "x".repeat(1_025)),
            r"all a/# (\w{1000}){10} b".to_owned(),
            "all a/# ( b".to_owned(),
            "all a/# (.+) $2".to_owned(),
            "all a/# (.)(.)(.)(.)(.)(.)(.)(.)(.)(.) b".to_owned(),
        ] {
            assert!(wrong.parse::<Rules>().is_err(), "{wrong}");
        }
        // No input takes long: this one takes others years.
        let topic = Text::from(format!("a/{}", "x".repeat(60_000)));
        let rules: Rules = "all a/# ^a/(x+x+)+y$ b".parse().unwrap();
        assert_eq!(rules.rewritten(Use::Publish, &topic, CLIENT), Some(topic));
    }

    #[test]
    fn a_rule_holds_for_what_it_says() {
        let rules = "publish a/# p/$1\nsubscribe a/# s/$1";
        assert_eq!(published(rules, "a/1"), "p/1");
        let filter = rewritten(rules, Use::Subscribe, "a/1").unwrap();
        assert_eq!(filter, "s/1");
        assert_eq!(rewritten("publish a b", Use::Subscribe, "a").unwrap(), "a");
    }

    #[test]
    fn wildcards_of_a_filter_go_where_their_levels_go_and_are_never_narrowed() {
        let subscribed = |rules, filter| rewritten(rules, Use::Subscribe, filter).unwrap();
        let rules = "all old/+/# new/$2/of/$1";
        assert_eq!(subscribed(rules, "old/+/a"), "new/a/of/+");
        assert_eq!(subscribed(rules, "old/#"), "old/#");
        assert_eq!(subscribed("all old/# new/$1", "old/#"), "new/#");
        assert_eq!(subscribed("all old/a new/a", "old/+"), "old/+");
    }

    #[test]
    fn names_are_put_in_unless_they_would_choose_levels_of_their_own() {
        assert_eq!(published("all t %u/%c/t", "t"), "ada/pump7/t");
        let rules: Rules = "all t %c/t".parse().unwrap();
        for id in ["", "a/b", "+", "#"] {
            let client = Client { id, ..CLIENT };
            let topic = Text::from_static("t");
            assert_eq!(
                rules.rewritten(Use::Subscribe, &topic, client),
                None,
                "{id}"
            );
        }
        assert_eq!(published("all t 5%/$0/$x/%", "t"), "5%/$0/$x/%");
    }

    #[test]
    fn leading_wildcards_do_not_see_topics_of_the_server() {
        assert_eq!(published("all # x/$1", "$SYS/a"), "$SYS/a");
        assert_eq!(published("all +/a x/$1", "$SYS/a"), "$SYS/a");
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for wrong in [
            "a b",
            "both a b",
            "all a",
            "all a b c d",
            "all a# b",
            "all a b/#",
            "all a/+ $2",
            "all a/b $1",
            "all +/+/+/+/+/+/+/+/+/+ x",
        ] {
            assert!(wrong.parse::<Rules>().is_err(), "{wrong}");
        }
        let most = "all a b\n".repeat(RULES_MAX);
        assert!(most.parse::<Rules>().is_ok());
        assert!(format!("{most}all a b").parse::<Rules>().is_err());
    }
}
