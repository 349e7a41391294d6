//! Topic names and filters, and what they are in the shared realm.
//!
//! A topic and its path map one to one in both directions. What a level cannot show is escaped with
//! `%`, and text that reads like one of our escapes gets a guard:
//!
//! ```text
//! level           segment        level            segment
//! temp            temp           %2F              /
//! a.b             a.b            %252F            %2F   (guarded)
//! (empty)         (empty)        %xff             the byte FF, which is not UTF-8
//! topic %x        no segment     topic %25x       the one segment %x
//! ```

use fairlead_canon::{Part, Path, PathBuilder, PathTooLong, Pattern, RealmId};

/// The longest topic name, in bytes.
pub const TOPIC_BYTES_MAX: usize = 65_535;

/// The topic that stands for the empty path.
const EMPTY: &[u8] = b"%x";

/// The path of a topic name. Fails only above the bounds of [`Path`].
pub fn path_of(topic: &[u8]) -> Result<Path, PathTooLong> {
    if let Some(guards) = empty_marker(topic) {
        return match unguarded(topic, guards) {
            None => Ok(Path::EMPTY),
            Some(segment) => Path::from_segments([segment]),
        };
    }
    let mut path = PathBuilder::default();
    let mut scratch = Vec::new();
    for level in topic.split(|b| *b == b'/') {
        path.push(decode(level, &mut scratch));
    }
    path.build()
}

/// Appends the topic name of a path; `false` when it would be longer than [`TOPIC_BYTES_MAX`].
pub fn put_topic(path: &Path, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let mut segments = path.segments();
    match (segments.next(), segments.next()) {
        (None, _) => out.extend_from_slice(EMPTY),
        (Some(only), None) if empty_marker(only).is_some() => put_guarded(only, out),
        (Some(first), second) => {
            encode(first, out);
            for segment in second.into_iter().chain(segments) {
                out.push(b'/');
                encode(segment, out);
            }
        }
    }
    out.len() - start <= TOPIC_BYTES_MAX
}

/// Whether a text is a topic filter (specification section 4.7.1).
pub fn is_filter(filter: &[u8]) -> bool {
    let mut levels = filter.split(|b| *b == b'/').rev();
    let last = levels.next().unwrap_or_default();
    let plain = |level: &[u8]| !level.iter().any(|b| matches!(b, b'+' | b'#'));
    //= MQTT-4.7.1-1: # stands alone in the last level, and
    //= MQTT-4.7.1-2: + stands alone in its level.
    !filter.is_empty()
        && (last == b"#" || last == b"+" || plain(last))
        && levels.all(|level| level == b"+" || plain(level))
}

/// Compiles a topic filter to patterns over segments: one, or two of which no path matches both.
pub fn patterns_of(filter: &[u8]) -> Vec<Pattern> {
    let levels: Vec<&[u8]> = filter.split(|b| *b == b'/').collect();
    let parts: Vec<Part> = levels.iter().map(|level| part(level)).collect();
    // The empty path is shown as one level, so what matches any one level matches it too.
    match *parts {
        [Part::One] => return vec![pattern(parts), pattern(Vec::new())],
        [Part::One, Part::Many] => return vec![pattern(vec![Part::Many])],
        _ => {}
    }
    // And `%x` (or a guarded form) as a whole topic is another path than as one level of several.
    let whole = levels.first().filter(|first| empty_marker(first).is_some());
    match (whole, levels.get(1..)) {
        (Some(first), Some([])) => vec![literal(first)],
        (Some(first), Some([b"#"])) => {
            let longer = vec![part(first), Part::One, Part::Many];
            vec![literal(first), pattern(longer)]
        }
        _ => vec![pattern(parts)],
    }
}

/// The pattern of a topic without wildcards.
fn literal(topic: &[u8]) -> Pattern {
    // A filter is at most 65,535 bytes, which always fits a path.
    Pattern::exact(RealmId::SHARED, &path_of(topic).unwrap_or_default())
}

fn pattern(parts: Vec<Part>) -> Pattern {
    Pattern {
        realm: RealmId::SHARED,
        parts: parts.into(),
        //= MQTT-4.7.2-1: a leading wildcard does not see names that begin with $.
        hides_dollar: true,
    }
}

fn part(level: &[u8]) -> Part {
    match level {
        b"+" => Part::One,
        b"#" => Part::Many,
        _ => Part::Literal(decode(level, &mut Vec::new()).into()),
    }
}

/// The segment that a level shows; borrowed from `level` when there is nothing to undo.
fn decode<'a>(level: &'a [u8], scratch: &'a mut Vec<u8>) -> &'a [u8] {
    if !level.contains(&b'%') {
        return level;
    }
    scratch.clear();
    if let Some((guards, raw)) = raw_marker(level) {
        match unguarded(level, guards) {
            None => *scratch = raw,
            Some(segment) => *scratch = segment,
        }
        return scratch;
    }
    let mut rest = level;
    while let Some((first, after)) = rest.split_first() {
        let Some(escape) = Escape::at(rest) else {
            scratch.push(*first);
            rest = after;
            continue;
        };
        let (said, after) = rest.split_at(escape.len);
        match unguarded(said, escape.guards) {
            None => scratch.push(escape.byte),
            Some(segment) => scratch.extend_from_slice(&segment),
        }
        rest = after;
    }
    scratch
}

/// Appends the level that shows a segment.
fn encode(segment: &[u8], out: &mut Vec<u8>) {
    if !is_showable(segment) {
        out.extend_from_slice(EMPTY);
        out.extend(segment.iter().flat_map(|byte| hex_digits(*byte)));
        return;
    }
    if raw_marker(segment).is_some() {
        return put_guarded(segment, out);
    }
    let mut rest = segment;
    while let Some((first, after)) = rest.split_first() {
        if let Some(escape) = Escape::at(rest) {
            let (said, after) = rest.split_at(escape.len);
            put_guarded(said, out);
            rest = after;
            continue;
        }
        match first {
            b'/' => out.extend_from_slice(b"%2F"),
            b'+' => out.extend_from_slice(b"%2B"),
            b'#' => out.extend_from_slice(b"%23"),
            other => out.push(*other),
        }
        rest = after;
    }
}

/// Whether a level can hold these bytes as they are, but for separators and wildcards.
fn is_showable(segment: &[u8]) -> bool {
    !segment.contains(&0) && std::str::from_utf8(segment).is_ok()
}

/// An escape, or what reads like one: `%`, any number of guards `25`, and a code.
struct Escape {
    guards: usize,
    byte: u8,
    len: usize,
}

impl Escape {
    fn at(text: &[u8]) -> Option<Self> {
        let (guards, code) = after_guards(text)?;
        let byte = match code.first_chunk()? {
            b"2F" => b'/',
            b"2B" => b'+',
            b"23" => b'#',
            _ => return None,
        };
        Some(Self {
            guards,
            byte,
            len: 1 + 2 * guards + 2,
        })
    }
}

/// For `%`, guards and `x`: the number of guards.
fn empty_marker(topic: &[u8]) -> Option<usize> {
    let (guards, rest) = after_guards(topic)?;
    (rest == b"x").then_some(guards)
}

/// For `%`, guards, `x` and the hex of bytes that a level cannot show: the guards and the bytes.
fn raw_marker(level: &[u8]) -> Option<(usize, Vec<u8>)> {
    let (guards, rest) = after_guards(level)?;
    let digits = rest.strip_prefix(b"x")?;
    let (pairs, odd) = digits.as_chunks::<2>();
    if pairs.is_empty() || !odd.is_empty() {
        return None;
    }
    let raw: Option<Vec<u8>> = pairs.iter().map(|pair| hex_byte(*pair)).collect();
    raw.filter(|raw| !is_showable(raw)).map(|raw| (guards, raw))
}

/// Splits `%`, then as many `25` as there are, then the rest.
fn after_guards(text: &[u8]) -> Option<(usize, &[u8])> {
    let mut rest = text.strip_prefix(b"%")?;
    let mut guards = 0;
    while let Some(after) = rest.strip_prefix(b"25") {
        guards += 1;
        rest = after;
    }
    Some((guards, rest))
}

/// The text with one guard less; `None` when it has none.
fn unguarded(text: &[u8], guards: usize) -> Option<Vec<u8>> {
    let rest = text.get(3..).filter(|_| guards > 0)?;
    Some([b"%", rest].concat())
}

/// Appends the text, which begins with `%`, with one guard more.
fn put_guarded(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"%25");
    out.extend_from_slice(text.get(1..).unwrap_or_default());
}

fn hex_digits(byte: u8) -> [u8; 2] {
    let digit = |nibble: u8| match nibble {
        0..10 => b'0' + nibble,
        _ => b'a' + nibble - 10,
    };
    [digit(byte >> 4), digit(byte & 0x0f)]
}

fn hex_byte([high, low]: [u8; 2]) -> Option<u8> {
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    Some(nibble(high)? << 4 | nibble(low)?)
}

#[cfg(test)]
mod tests;
