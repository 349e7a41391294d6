//! What a binding or a subscription asks for: literals and wildcards over segments.

use std::sync::Arc;

use crate::{Path, RealmId};

/// One element of a [`Pattern`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Exactly this segment.
    Literal(Box<[u8]>),
    /// Any one segment.
    One,
    /// Any number of segments, none included. May stand anywhere, and repeatedly.
    Many,
}

/// A compiled filter or binding key, evaluated on segments and never on text. Cloning copies a
/// reference count.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern {
    /// The realm whose addresses it sees.
    pub realm: RealmId,
    /// Its elements in order.
    pub parts: Arc<[Part]>,
    /// A leading wildcard does not match a first segment that begins with `$`.
    pub hides_dollar: bool,
}

impl Pattern {
    /// The pattern that matches exactly this path.
    pub fn exact(realm: RealmId, path: &Path) -> Self {
        let parts = path.segments().map(|s| Part::Literal(s.into())).collect();
        Self {
            realm,
            parts,
            hides_dollar: false,
        }
    }

    /// Whether `path` is matched. Time is bounded by parts × segments.
    pub fn matches(&self, path: &Path) -> bool {
        if self.hides(path) {
            return false;
        }
        let segments: smallvec::SmallVec<[&[u8]; 16]> = path.segments().collect();
        matches(&self.parts, &segments)
    }

    /// Whether `path` is one that a leading wildcard here does not match.
    pub fn hides(&self, path: &Path) -> bool {
        let first = path.segments().next();
        let leading_wildcard = !matches!(self.parts.first(), Some(Part::Literal(_)) | None);
        let dollar = first.is_some_and(|first| first.first() == Some(&b'$'));
        self.hides_dollar && leading_wildcard && dollar
    }
}

/// Greedy matching with one point of return: the latest `Many` seen.
fn matches(parts: &[Part], segments: &[&[u8]]) -> bool {
    let (mut part, mut segment) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let step = match (parts.get(part), segments.get(segment)) {
            (None, None) => return true,
            (Some(Part::Many), _) => {
                retry = Some((part + 1, segment));
                part += 1;
                continue;
            }
            (Some(Part::One), Some(_)) => true,
            (Some(Part::Literal(literal)), Some(said)) => **literal == **said,
            (_, None) | (None, Some(_)) => false,
        };
        if step {
            part += 1;
            segment += 1;
            continue;
        }
        match retry {
            Some((after, from)) if from < segments.len() => {
                retry = Some((after, from + 1));
                part = after;
                segment = from + 1;
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests;
