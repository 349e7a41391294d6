//! How two patterns lie to each other. Quadratic at worst: filters come from clients.

use fairlead_canon::Part;

/// Whether everything that `inner` matches is matched by `outer`. May say no where only a reordering
/// of wildcards would show it.
pub(crate) fn covers(outer: &[Part], inner: &[Part]) -> bool {
    table(outer, inner, |outer, inner, next| match (outer, inner) {
        (Some(Part::Many), Some(_)) => next.skip_first || next.skip_second,
        (Some(Part::Many), None) => next.skip_first,
        (Some(Part::One), Some(Part::One | Part::Literal(_))) => next.both,
        (Some(Part::Literal(one)), Some(Part::Literal(other))) => one == other && next.both,
        (None, None) => true,
        (Some(Part::One | Part::Literal(_)) | None, _) => false,
    })
}

/// Whether any address is matched by both.
pub(crate) fn meets(one: &[Part], other: &[Part]) -> bool {
    table(one, other, |one, other, next| match (one, other) {
        (Some(Part::Many), Some(Part::Many)) => next.skip_first || next.skip_second,
        (Some(Part::Many), other) => next.skip_first || other.is_some() && next.skip_second,
        (one, Some(Part::Many)) => next.skip_second || one.is_some() && next.skip_first,
        (Some(Part::Literal(one)), Some(Part::Literal(other))) => one == other && next.both,
        (Some(_), Some(_)) => next.both,
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    })
}

/// Whether a wildcard stands first in `outer`, and in `inner` a name that begins with `$`.
pub(crate) fn hides(outer: &[Part], inner: &[Part]) -> bool {
    let has_wildcard = matches!(outer.first(), Some(Part::One | Part::Many));
    let has_dollar = |first: &[u8]| first.first() == Some(&b'$');
    has_wildcard && matches!(inner.first(), Some(Part::Literal(first)) if has_dollar(first))
}

/// What is known of the rests of two patterns.
struct Next {
    skip_first: bool,
    skip_second: bool,
    both: bool,
}

/// Decides for every pair of rests, from the ends to the beginnings; the answer for the whole.
fn table(
    first: &[Part],
    second: &[Part],
    decide: impl Fn(Option<&Part>, Option<&Part>, Next) -> bool,
) -> bool {
    let width = second.len() + 1;
    let mut below = vec![false; width];
    for at_first in (0..=first.len()).rev() {
        let mut row = vec![false; width];
        for at_second in (0..=second.len()).rev() {
            let known = |row: &[bool], at: usize| row.get(at).copied().unwrap_or_default();
            let next = Next {
                skip_first: known(&below, at_second),
                skip_second: known(&row, at_second + 1),
                both: known(&below, at_second + 1),
            };
            let decided = decide(first.get(at_first), second.get(at_second), next);
            if let Some(slot) = row.get_mut(at_second) {
                *slot = decided;
            }
        }
        below = row;
    }
    below.first().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<Part> {
        let parts = text.split('/').map(|part| match part {
            "+" => Part::One,
            "#" => Part::Many,
            literal => Part::Literal(literal.as_bytes().into()),
        });
        parts.collect()
    }

    #[test]
    fn a_pattern_lies_within_another_or_does_not() {
        for (outer, inner, is_within) in [
            ("a/b", "a/b", true),
            ("a/+", "a/b", true),
            ("a/+", "a/+", true),
            ("a/+", "a/#", false),
            ("a/#", "a", true),
            ("a/#", "a/+/c/#", true),
            ("#", "#", true),
            ("#", "+/#", true),
            ("a/b", "a/+", false),
            ("a/#", "#", false),
            ("a/#/z", "a/b/c/z", true),
            ("a/#/z", "a/#/y", false),
            ("a", "a/b", false),
            ("a/b", "a", false),
        ] {
            let said = covers(&parts(outer), &parts(inner));
            assert_eq!(said, is_within, "{outer} {inner}");
        }
    }

    #[test]
    fn two_patterns_meet_or_do_not() {
        for (one, other, is_met) in [
            ("a/b", "a/b", true),
            ("a/b", "a/+", true),
            ("a/b", "#", true),
            ("secret/#", "+/plans", true),
            ("secret/#", "#", true),
            ("secret/#", "secret", true),
            ("secret/#", "public/#", false),
            ("a/+", "a/b/c", false),
            ("#/z", "a/#", true),
            ("#/z", "a/#/y", false),
        ] {
            assert_eq!(meets(&parts(one), &parts(other)), is_met, "{one} {other}");
            assert_eq!(meets(&parts(other), &parts(one)), is_met, "{other} {one}");
        }
    }

    #[test]
    fn many_wildcards_take_no_long_time() {
        let bad = parts(&["#", "a"].repeat(500).join("/"));
        assert!(meets(&bad, &bad));
        assert!(covers(&bad, &bad));
    }
}
