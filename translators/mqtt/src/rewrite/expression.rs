//! The regular expression of a rule: matched in linear time, and small when compiled.

use std::str::FromStr;

use regex::{Regex, RegexBuilder};

/// What a topic has to match, and which parts of it have a number.
#[derive(Clone, Debug)]
pub(super) struct Expression(Regex);

/// Longest expression, in bytes: longer ones are not written by people.
const BYTES_MAX: usize = 1_024;

/// Largest compiled, in bytes: 256 of them are no burden. `\w{100}` takes as much.
const COMPILED_BYTES_MAX: usize = 256 * 1024;

impl Expression {
    /// How many groups have a number.
    pub(super) fn groups(&self) -> usize {
        self.0.captures_len() - 1
    }

    /// What the groups stand for; nothing for those that took no part. `None`: it does not match.
    pub(super) fn captures<'t>(&self, topic: &'t str) -> Option<Vec<&'t str>> {
        let found = self.0.captures(topic)?;
        let groups = found.iter().skip(1);
        Some(
            groups
                .map(|one| one.map_or("", |one| one.as_str()))
                .collect(),
        )
    }
}

impl FromStr for Expression {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > BYTES_MAX {
            return Err("a regular expression has at most 1,024 bytes");
        }
        let compiled = RegexBuilder::new(text)
            .size_limit(COMPILED_BYTES_MAX)
            .dfa_size_limit(COMPILED_BYTES_MAX)
            .build();
        match compiled {
            Ok(regex) => Ok(Self(regex)),
            Err(regex::Error::CompiledTooBig(_)) => Err("a regular expression is too large"),
            Err(_) => Err("is no regular expression"),
        }
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Expression {}
