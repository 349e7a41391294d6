//! Names in record batches, and what they are in the shared realm.
//!
//! Only letters, digits, `.`, `_` and `-` can stand in one. A name and its path map one to one in both
//! directions. What a name cannot show is escaped with `-_`, and text that reads like one of our
//! escapes gets a guard:
//!
//! ```text
//! segments        name            segments        name
//! orders eu       orders.eu       (none)          -_x
//! a.b             a-_2Eb          two, empty      -_x.
//! -_2E            -_2D_2E         three, empty    -_x..
//! ```

use crate::{Path, PathBuilder, PathTooLong};

const MARK: &[u8] = b"-_";
const GUARD: &[u8] = b"2D_";

/// The path of a name. Fails only above the bounds of [`Path`].
pub fn path_of(name: &[u8]) -> Result<Path, PathTooLong> {
    let unguarded;
    let name = match whole_marker(name) {
        None => name,
        Some(Marker { guards: 0, dots: 0 }) => return Ok(Path::EMPTY),
        Some(Marker { guards: 0, dots }) => {
            return Path::from_segments(std::iter::repeat_n(b"", dots + 1));
        }
        Some(_) => {
            unguarded = without_guard(name);
            &unguarded
        }
    };
    let mut path = PathBuilder::default();
    for segment in name.split(|byte| *byte == b'.') {
        path.push(&decode(segment));
    }
    path.build()
}

/// The name of a path, however long. All of it is ASCII.
pub fn name_of(path: &Path) -> Vec<u8> {
    let mut name = Vec::new();
    let segments = path.segments();
    let is_bare = segments.clone().all(<[u8]>::is_empty);
    match segments.clone().count() {
        count @ (0 | 2 | 3) if is_bare => {
            name.extend_from_slice(b"-_x");
            name.extend(std::iter::repeat_n(b'.', count.saturating_sub(1)));
        }
        _ => {
            for (index, segment) in segments.enumerate() {
                if index > 0 {
                    name.push(b'.');
                }
                encode(segment, &mut name);
            }
            if whole_marker(&name).is_some() {
                name = with_guard(&name);
            }
        }
    }
    name
}

/// `-_`, guards, `x` and up to two dots as a whole name.
struct Marker {
    guards: usize,
    dots: usize,
}

fn whole_marker(name: &[u8]) -> Option<Marker> {
    let (guards, rest) = after_guards(name)?;
    let dots = match rest {
        b"x" => 0,
        b"x." => 1,
        b"x.." => 2,
        _ => return None,
    };
    Some(Marker { guards, dots })
}

/// An escape, or what reads like one: `-_`, any number of guards `2D_`, and the code of a byte that
/// would be escaped.
struct Escape {
    guards: usize,
    byte: u8,
    len: usize,
}

impl Escape {
    fn at(text: &[u8]) -> Option<Self> {
        let (guards, code) = after_guards(text)?;
        let byte = hex_byte(*code.first_chunk()?).filter(|byte| !is_plain(*byte))?;
        let len = MARK.len() + guards * GUARD.len() + 2;
        Some(Self { guards, byte, len })
    }
}

fn decode(text: &[u8]) -> Vec<u8> {
    let mut segment = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let Some(escape) = Escape::at(rest) else {
            segment.push(*first);
            rest = after;
            continue;
        };
        let (said, after) = rest.split_at(escape.len);
        match escape.guards {
            0 => segment.push(escape.byte),
            _ => segment.extend_from_slice(&without_guard(said)),
        }
        rest = after;
    }
    segment
}

fn encode(segment: &[u8], name: &mut Vec<u8>) {
    let mut rest = segment;
    while let Some((first, after)) = rest.split_first() {
        if let Some(escape) = Escape::at(rest) {
            let (said, after) = rest.split_at(escape.len);
            name.extend_from_slice(&with_guard(said));
            rest = after;
            continue;
        }
        if is_plain(*first) {
            name.push(*first);
        } else {
            name.extend_from_slice(MARK);
            name.extend_from_slice(&hex_digits(*first));
        }
        rest = after;
    }
}

/// Splits `-_`, then as many `2D_` as there are, then the rest.
fn after_guards(text: &[u8]) -> Option<(usize, &[u8])> {
    let mut rest = text.strip_prefix(MARK)?;
    let mut guards = 0;
    while let Some(after) = rest.strip_prefix(GUARD) {
        guards += 1;
        rest = after;
    }
    Some((guards, rest))
}

/// The text, which begins with `-_`, with one guard more.
fn with_guard(text: &[u8]) -> Vec<u8> {
    [MARK, GUARD, text.get(MARK.len()..).unwrap_or_default()].concat()
}

/// The text, which begins with `-_2D_`, with one guard less.
fn without_guard(text: &[u8]) -> Vec<u8> {
    [
        MARK,
        text.get(MARK.len() + GUARD.len()..).unwrap_or_default(),
    ]
    .concat()
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

fn hex_digits(byte: u8) -> [u8; 2] {
    let digit = |nibble: u8| match nibble {
        0..10 => b'0' + nibble,
        _ => b'A' + nibble - 10,
    };
    [digit(byte >> 4), digit(byte & 0x0f)]
}

fn hex_byte([high, low]: [u8; 2]) -> Option<u8> {
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    };
    Some(nibble(high)? << 4 | nibble(low)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arbitrary::for_each_seed;

    const WORDS: &[&[u8]] = &[
        b"a", b".", b"_", b"-", b"-_", b"2D_", b"2D", b"2E", b"2F", b"x", b"C3", b"A9", b"41",
        b"Z", b"-_x", b"00", b"FF",
    ];

    #[test]
    fn a_name_comes_home_from_its_path_and_a_path_from_its_name() {
        for_each_seed(200_000, |random| {
            let words: Vec<&[u8]> = (0..=random.below(7)).map(|_| random.pick(WORDS)).collect();
            let mut name = words.concat();
            if name.is_empty() || name == b"." || name == b".." {
                name.push(b'a');
            }
            assert_eq!(name_of(&path_of(&name).unwrap()), name);
            let segments: Vec<Vec<u8>> = (0..random.below(5))
                .map(|_| [random.pick(WORDS), &*random.bytes(2)].concat())
                .collect();
            let path = Path::from_segments(segments).unwrap();
            let name = name_of(&path);
            assert!(name.iter().all(|byte| is_plain(*byte) || *byte == b'.'));
            assert!(!matches!(&*name, b"" | b"." | b".."));
            assert_eq!(path_of(&name).unwrap(), path);
        });
    }
}
