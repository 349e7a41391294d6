//! The header `fl-t`: what the plain text of a list does not say.

use bytes::Bytes;

use super::Entry;
use super::parts::Role;

pub(super) const NAME: &[u8] = b"fl-t";

/// How many entries named `fl-t` a list may end in and still be believed: each level costs one more
/// reading of the list.
const LEVELS_MAX: usize = 8;

/// The type of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// Its text form, by letter.
    Plain(char),
    /// The base64 of its text form.
    Base64(char),
}

/// What `fl-t` says of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) position: usize,
    pub(super) role: Role,
    pub(super) said: Option<Type>,
}

/// How many entries at the end are named `fl-t`.
pub(super) fn levels(entries: &[Entry]) -> usize {
    let is_sidecar = |entry: &&Entry| *entry.0 == *NAME;
    entries.iter().rev().take_while(is_sidecar).count()
}

/// Whether one more `fl-t` at the end would be read.
pub(super) fn has_room(entries: &[Entry]) -> bool {
    levels(entries) < LEVELS_MAX
}

/// The list without its `fl-t`, and what that says; `None` when there is none to read.
pub(super) fn split(entries: &[Entry]) -> Option<(&[Entry], Vec<Mark>)> {
    let ((_, value), before) = entries.split_last()?;
    if !(1..=LEVELS_MAX).contains(&levels(entries)) {
        return None;
    }
    let text = std::str::from_utf8(value.as_ref()?).ok()?;
    let (count, items) = text.split_once(';')?;
    if count.parse() != Ok(before.len()) {
        return None;
    }
    let marks: Option<Vec<Mark>> = match items {
        "" => Some(Vec::new()),
        _ => items.split(',').map(parse).collect(),
    };
    let marks = marks?;
    let are_ordered = marks.is_sorted_by(|a, b| a.position < b.position);
    are_ordered.then_some((before, marks))
}

fn parse(item: &str) -> Option<Mark> {
    let digits = item.find(|c: char| !c.is_ascii_digit());
    let (position, rest) = item.split_at_checked(digits.unwrap_or(item.len()))?;
    let (role, rest) = match (rest.strip_prefix('p'), rest.strip_prefix('h')) {
        (Some(rest), _) => (Role::Property, rest),
        (_, Some(rest)) => (Role::OnlyHeader, rest),
        _ => (Role::Header, rest),
    };
    let mut letters = rest.chars();
    let said = match (letters.next(), letters.next(), letters.next()) {
        (None, ..) => None,
        (Some(letter), None, _) => Some(Type::Plain(letter)),
        (Some(letter), Some('*'), None) => Some(Type::Base64(letter)),
        _ => return None,
    };
    Some(Mark {
        position: position.parse().ok()?,
        role,
        said,
    })
}

/// The value of `fl-t` after `count` entries.
pub(super) fn format(count: usize, marks: &[Mark]) -> Bytes {
    let mut out = format!("{count};");
    for (index, mark) in marks.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let role = match mark.role {
            Role::Header => "",
            Role::OnlyHeader => "h",
            Role::Property => "p",
        };
        let said = match mark.said {
            None => String::new(),
            Some(Type::Plain(letter)) => letter.to_string(),
            Some(Type::Base64(letter)) => format!("{letter}*"),
        };
        out.push_str(&format!("{comma}{}{role}{said}", mark.position));
    }
    out.into()
}
