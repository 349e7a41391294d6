//! An ACL file as grants.
//!
//! ```text
//! topic [read|write|readwrite|deny] ADDRESSES     of clients without a login
//! user NAME
//! topic ...                                       of that user
//! pattern [read|write|readwrite|deny] ADDRESSES   of everybody, with %u and %c; asked after those of the user, and
//!                                                 with %u not of clients without a login
//! ```
//! Of one owner what denies goes first, wherever it stands.

use std::collections::BTreeMap;

use fairlead_acl::{EVERYBODY, Grants};
use fairlead_authn::is_user_name;
use fairlead_canon::Principal;
use serde_json::{Value, json};

use crate::exit::Failure;

/// What the lines of one owner say.
#[derive(Debug, Default)]
struct Lines {
    denied: Vec<Value>,
    allowed: Vec<Value>,
}

/// The documents of all owners that the text names, and always everybody's: with a file, silence is a no. All of it
/// is understood, or a line is named that is not.
pub(super) fn documents(text: &str) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let mut owners = BTreeMap::from([(EVERYBODY.to_owned(), Lines::default())]);
    let mut user = Principal::anonymous().name.to_string();
    for (number, line) in (1..).zip(text.lines()) {
        let refused = |why: String| Failure::Refused(format!("line {number}: {why}"));
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        let (word, rest) = first_word(line);
        match word {
            "user" => user = named(rest).map_err(refused)?,
            "topic" => {
                let lines = owners.entry(user.clone()).or_default();
                lines.add(rest, Names::Plain).map_err(refused)?;
            }
            "pattern" => {
                let lines = owners.entry(EVERYBODY.to_owned()).or_default();
                lines.add(rest, Names::Replaced).map_err(refused)?;
            }
            other => {
                let why = format!("'{other}' is none of topic, pattern and user");
                return Err(refused(why));
            }
        }
    }
    owners.into_iter().map(Lines::document).collect()
}

/// What `%u` and `%c` are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    /// Text like any other.
    Plain,
    /// The names of the user and the client.
    Replaced,
}

impl Lines {
    fn add(&mut self, rest: &str, names: Names) -> Result<(), String> {
        let (access, place) = match first_word(rest) {
            (place, "") => ("readwrite", place),
            words => words,
        };
        check_place(place)?;
        if names == Names::Plain && (place.contains("%u") || place.contains("%c")) {
            return Err(format!(
                "'{place}' has a name in it: write pattern, not topic"
            ));
        }
        match access {
            "read" => self
                .allowed
                .push(json!({ "allow": "subscribe", "at": place })),
            "write" => self
                .allowed
                .push(json!({ "allow": "publish", "at": place })),
            "readwrite" => self.allowed.push(json!({ "allow": "both", "at": place })),
            "deny" => self.denied.push(json!({ "deny": "both", "at": place })),
            other => {
                return Err(format!(
                    "'{other}' is none of read, write, readwrite and deny"
                ));
            }
        }
        Ok(())
    }

    /// The owner's document, as the node takes it.
    fn document((owner, lines): (String, Self)) -> Result<(String, Vec<u8>), Failure> {
        let Self {
            mut denied,
            allowed,
        } = lines;
        denied.extend(allowed);
        let document = json!({ "rules": denied }).to_string().into_bytes();
        let refused = |why| Failure::Refused(format!("what is said of {owner} is {why}"));
        Grants::from_json(&document).map_err(refused)?;
        Ok((owner, document))
    }
}

fn named(name: &str) -> Result<String, String> {
    if name == EVERYBODY || *name == *Principal::anonymous().name {
        return Err(format!("'{name}' is here not the name of one user"));
    }
    match is_user_name(name) {
        true => Ok(name.to_owned()),
        false => Err(format!("'{name}' is not one word of at most 255 bytes")),
    }
}

fn check_place(place: &str) -> Result<(), String> {
    let mut levels = place.split('/').rev();
    let is_plain = |level: &str| !level.contains(['+', '#']);
    let last = levels.next().unwrap_or_default();
    let is_filter = (last == "#" || last == "+" || is_plain(last))
        && levels.all(|level| level == "+" || is_plain(level));
    match is_filter && !place.is_empty() {
        true => Ok(()),
        false => Err(format!("'{place}' is no filter")),
    }
}

/// The first word of a line, and what follows it.
fn first_word(line: &str) -> (&str, &str) {
    let line = line.trim();
    let (word, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    (word, rest.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str, owner: &str) -> Value {
        let documents = documents(text).expect("a file");
        serde_json::from_slice(&documents[owner]).expect("JSON")
    }

    #[test]
    fn lines_become_the_grants_of_their_owners() {
        let text = "# nobody in particular\ntopic read open\n\nuser ada\ntopic write a b/#\n\
            topic own\npattern deny %u/x\ntopic deny own/secret\nuser bob \npattern read c/%c/+\n";
        let allow = |what, at| json!({ "allow": what, "at": at });
        let deny = |at| json!({ "deny": "both", "at": at });
        for (owner, rules) in [
            ("anonymous", vec![allow("subscribe", "open")]),
            (
                "ada",
                vec![
                    deny("own/secret"),
                    allow("publish", "a b/#"),
                    allow("both", "own"),
                ],
            ),
            ("*", vec![deny("%u/x"), allow("subscribe", "c/%c/+")]),
        ] {
            assert_eq!(document(text, owner), json!({ "rules": rules }), "{owner}");
        }
        assert_eq!(documents(text).expect("a file").len(), 3);
        assert_eq!(document("# nothing\n", "*"), json!({ "rules": [] }));
    }

    #[test]
    fn what_is_not_understood_is_named_with_its_line() {
        for (text, words) in [
            ("topic read a\nusers bob", ["line 2", "'users'"]),
            ("topic wrote a", ["line 1", "'wrote'"]),
            ("topic", ["line 1", "''"]),
            ("topic read a/#/b", ["line 1", "'a/#/b'"]),
            ("pattern %u+", ["line 1", "'%u+'"]),
            ("\nuser", ["line 2", "''"]),
            ("user a b", ["line 1", "'a b'"]),
            ("user anonymous", ["line 1", "'anonymous'"]),
            ("user *", ["line 1", "'*'"]),
            ("topic write own/%u", ["line 1", "'own/%u'"]),
        ] {
            let said = documents(text).expect_err(text).to_string();
            assert!(words.iter().all(|word| said.contains(word)), "{said}");
        }
    }

    #[test]
    fn too_many_lines_of_one_owner_are_refused() {
        let text = |count| format!("user ada\n{}", "topic a\n".repeat(count));
        assert!(documents(&text(256)).is_ok());
        let said = documents(&text(257)).expect_err("too many").to_string();
        assert!(said.contains("ada"), "{said}");
    }
}
