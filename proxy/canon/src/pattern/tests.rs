use super::{Part, Pattern};
use crate::arbitrary::{Random, for_each_seed};
use crate::{Path, RealmId};

const SEGMENTS: &[&[u8]] = &[b"a", b"b", b"", b"$s", b"a.b", b"*"];

fn path(said: &[&[u8]]) -> Path {
    Path::from_segments(said).unwrap()
}

fn pattern(parts: Vec<Part>, hides_dollar: bool) -> Pattern {
    Pattern {
        realm: RealmId::SHARED,
        parts: parts.into(),
        hides_dollar,
    }
}

fn literal(segment: &'static [u8]) -> Part {
    Part::Literal(segment.into())
}

/// The rule in its plainest form.
fn reference(parts: &[Part], segments: &[&[u8]]) -> bool {
    match (parts, segments) {
        ([], rest) => rest.is_empty(),
        ([Part::Many, after @ ..], _) => {
            (0..=segments.len()).any(|skipped| reference(after, &segments[skipped..]))
        }
        ([Part::One, after @ ..], [_, rest @ ..]) => reference(after, rest),
        ([Part::Literal(said), after @ ..], [first, rest @ ..]) => {
            **said == **first && reference(after, rest)
        }
        (_, []) => false,
    }
}

fn parts(random: &mut Random) -> Vec<Part> {
    let part = |random: &mut Random| match random.below(4) {
        0 => Part::One,
        1 => Part::Many,
        _ => literal(random.pick(SEGMENTS)),
    };
    (0..random.below(6)).map(|_| part(random)).collect()
}

#[test]
fn matching_agrees_with_the_rule_in_its_plainest_form() {
    for_each_seed(200_000, |random| {
        let parts = parts(random);
        let said: Vec<&[u8]> = (0..random.below(6))
            .map(|_| random.pick(SEGMENTS))
            .collect();
        let path = path(&said);
        let segments: Vec<&[u8]> = path.segments().collect();
        let expected = reference(&parts, &segments);
        assert_eq!(pattern(parts, false).matches(&path), expected);
    });
}

#[test]
fn many_matches_the_parent_and_everything_below() {
    let filter = pattern(vec![literal(b"a"), Part::Many], false);
    assert!(filter.matches(&path(&[b"a"])));
    assert!(filter.matches(&path(&[b"a", b"", b"c"])));
    assert!(!filter.matches(&path(&[b"b"])) && !filter.matches(&Path::EMPTY));
    assert!(pattern(vec![Part::Many], false).matches(&Path::EMPTY));
    assert!(!pattern(vec![Part::One], false).matches(&Path::EMPTY));
}

#[test]
fn a_leading_wildcard_does_not_see_a_dollar_where_that_is_hidden() {
    let below = path(&[b"$s", b"x"]);
    for parts in [vec![Part::Many], vec![Part::One, Part::Many]] {
        assert!(!pattern(parts.clone(), true).matches(&below));
        assert!(pattern(parts, false).matches(&below));
    }
    assert!(pattern(vec![literal(b"$s"), Part::Many], true).matches(&below));
    assert!(pattern(vec![Part::Many], true).matches(&path(&[b"s", b"$x"])));
}

#[test]
fn repeated_wildcards_are_matched_in_bounded_time() {
    let mut parts = vec![Part::Many; 1_000];
    parts.push(literal(b"b"));
    let long: Vec<&[u8]> = vec![b"a"; 1_000];
    assert!(!pattern(parts, false).matches(&path(&long)));
}

#[test]
fn an_exact_pattern_matches_its_path_alone() {
    let exact = Pattern::exact(RealmId::SHARED, &path(&[b"a", b"", b"b"]));
    assert!(exact.matches(&path(&[b"a", b"", b"b"])) && !exact.matches(&path(&[b"a"])));
}
