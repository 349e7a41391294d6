//! Routing keys and binding keys, as paths and patterns (`mapping.md` section 5).
//!
//! A path's segments are the words of the key. Inside a word `/` and `.` trade places, a `/` in a segment
//! is written `%2F`, and text that already reads like that escape gets a guard `25`, one more each time.
//! Both directions are one pass, and each is the other's inverse.

use bytes::{Bytes, BytesMut};
use fairlead_canon::{Part, Path, PathBuilder, PathTooLong, Pattern, RealmId};
use sha2::{Digest, Sha256};

use crate::codec::ShortStr;

/// A key above 255 bytes is cut to at most so many, and `~` and 32 hex digits of its hash follow.
const CUT_BYTES: usize = 216;

/// A path as a routing key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoutingKey {
    /// The key, whole.
    Whole(ShortStr),
    /// The key was too long: a shortened one, and the whole.
    Cut(ShortStr, Bytes),
}

/// The words of a routing key.
pub fn path_of(key: &[u8]) -> Result<Path, PathTooLong> {
    let mut builder = PathBuilder::default();
    if !key.is_empty() {
        let mut word = BytesMut::new();
        for written in key.split(|byte| *byte == b'.') {
            if has_escapes(written) {
                word.clear();
                decode_word(written, &mut word);
                builder.push(&word);
            } else {
                builder.push(written);
            }
        }
    }
    builder.build()
}

/// A path as a routing key.
pub fn key_of(path: &Path) -> RoutingKey {
    let mut key = BytesMut::with_capacity(path.as_stored().len());
    for (index, segment) in path.segments().enumerate() {
        if index > 0 {
            key.extend_from_slice(b".");
        }
        encode_word(segment, &mut key);
    }
    let whole = key.freeze();
    if whole.len() > ShortStr::BYTES_MAX {
        return RoutingKey::Cut(cut(&whole), whole);
    }
    RoutingKey::Whole(ShortStr::new(whole).unwrap_or_default())
}

/// The pattern of a binding key on a topic exchange: `*` is one word, `#` any number of words.
pub fn pattern_of(realm: RealmId, key: &[u8]) -> Pattern {
    let words = key
        .split(|byte| *byte == b'.')
        .take(if key.is_empty() { 0 } else { usize::MAX });
    Pattern {
        realm,
        parts: words.map(part_of).collect(),
        hides_dollar: false,
    }
}

fn part_of(word: &[u8]) -> Part {
    match word {
        b"*" => Part::One,
        b"#" => Part::Many,
        _ => {
            let mut literal = BytesMut::with_capacity(word.len());
            decode_word(word, &mut literal);
            Part::Literal((*literal).into())
        }
    }
}

fn has_escapes(word: &[u8]) -> bool {
    word.iter().any(|byte| matches!(byte, b'/' | b'%'))
}

fn decode_word(word: &[u8], out: &mut BytesMut) {
    walk(word, out, |byte, out| match byte {
        Item::Escape { guards: 0 } => out.extend_from_slice(b"/"),
        Item::Escape { guards } => put_escape(guards - 1, out),
        Item::Byte(b'/') => out.extend_from_slice(b"."),
        Item::Byte(other) => out.extend_from_slice(&[other]),
    });
}

fn encode_word(segment: &[u8], out: &mut BytesMut) {
    walk(segment, out, |byte, out| match byte {
        Item::Escape { guards } => put_escape(guards + 1, out),
        Item::Byte(b'/') => out.extend_from_slice(b"%2F"),
        Item::Byte(b'.') => out.extend_from_slice(b"/"),
        Item::Byte(other) => out.extend_from_slice(&[other]),
    });
}

/// A byte, or a run that reads like our escape: `%`, any number of guards `25`, `2F`.
enum Item {
    Byte(u8),
    Escape { guards: usize },
}

fn walk(text: &[u8], out: &mut BytesMut, put: impl Fn(Item, &mut BytesMut)) {
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        match escape(*first, after) {
            Some((guards, after)) => {
                put(Item::Escape { guards }, out);
                rest = after;
            }
            None => {
                put(Item::Byte(*first), out);
                rest = after;
            }
        }
    }
}

fn escape(first: u8, mut rest: &[u8]) -> Option<(usize, &[u8])> {
    if first != b'%' {
        return None;
    }
    let mut guards = 0;
    while let Some(after) = rest.strip_prefix(b"25") {
        guards += 1;
        rest = after;
    }
    Some((guards, rest.strip_prefix(b"2F")?))
}

fn put_escape(guards: usize, out: &mut BytesMut) {
    out.extend_from_slice(b"%");
    for _ in 0..guards {
        out.extend_from_slice(b"25");
    }
    out.extend_from_slice(b"2F");
}

fn cut(whole: &[u8]) -> ShortStr {
    let head = whole.get(..CUT_BYTES).unwrap_or(whole);
    let head = match std::str::from_utf8(head) {
        Ok(_) => head,
        // Only a character that the cut went through is given up; other bytes are not text anyway.
        Err(error) if error.error_len().is_none() => {
            head.get(..error.valid_up_to()).unwrap_or(head)
        }
        Err(_) => head,
    };
    let mut key = BytesMut::from(head);
    key.extend_from_slice(b"~");
    for byte in Sha256::digest(whole).iter().take(16) {
        key.extend_from_slice(format!("{byte:02x}").as_bytes());
    }
    ShortStr::new(key.freeze()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Written by the oracle: key, then segments, each in hex.
    const VECTORS: &str = include_str!("../tests/data/names.txt");

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().collect();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
        digits.chunks(2).map(|pair| byte(pair).unwrap()).collect()
    }

    #[test]
    fn keys_and_paths_agree_with_the_oracle_in_both_directions() {
        let mut count = 0;
        for line in VECTORS.lines() {
            let (key, segments) = line.split_once(' ').unwrap();
            let key = hex(key);
            let path = match segments {
                "-" => Path::EMPTY,
                text => Path::from_segments(text.split(',').map(hex)).unwrap(),
            };
            assert_eq!(path_of(&key).unwrap(), path, "{line}");
            let whole = RoutingKey::Whole(ShortStr::new(key).unwrap());
            assert_eq!(key_of(&path), whole, "{line}");
            count += 1;
        }
        assert!(count > 1000);
    }

    #[test]
    fn a_key_above_255_bytes_is_cut_at_a_character_and_ends_in_its_hash() {
        let fits = Path::from_segments([vec![b'a'; 255]]).unwrap();
        assert!(matches!(key_of(&fits), RoutingKey::Whole(_)));
        let long = Path::from_segments(["é".repeat(108) + "a", "b".repeat(60)]).unwrap();
        let RoutingKey::Cut(short, whole) = key_of(&long) else {
            panic!("278 bytes do not fit");
        };
        assert_eq!(whole.len(), 278);
        assert_eq!(short.as_bytes().len(), 216 + 1 + 32);
        let odd = Path::from_segments(["a".to_owned() + &"é".repeat(130)]).unwrap();
        let RoutingKey::Cut(short, _) = key_of(&odd) else {
            panic!("261 bytes do not fit");
        };
        assert_eq!(short.as_bytes().len(), 215 + 1 + 32);
        assert!(short.as_str().is_some());
    }

    #[test]
    fn wildcards_are_whole_words_and_the_empty_key_has_none() {
        let matches = |binding: &[u8], key: &[u8]| {
            pattern_of(RealmId::SHARED, binding).matches(&path_of(key).unwrap())
        };
        assert!(matches(b"a.*.c", b"a.b.c"));
        assert!(matches(b"#.c", b"c") && matches(b"a.#", b"a") && matches(b"#", b""));
        assert!(!matches(b"*", b"") && matches(b"", b"") && !matches(b"", b"a"));
        assert!(matches(b"*", b"x/y") && !matches(b"a*", b"ab"));
        assert!(matches(b"v1/2.*", b"v1/2.x"));
    }

    fn noisy_word() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"%".to_vec()),
            Just(b"25".to_vec()),
            Just(b"2F".to_vec()),
            Just(b"/".to_vec()),
            Just(b".".to_vec()),
            any::<u8>().prop_map(|byte| vec![byte]),
        ];
        proptest::collection::vec(piece, 0..7).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn a_key_comes_home(key in noisy_word()) {
            let there = key_of(&path_of(&key).unwrap());
            prop_assert_eq!(there, RoutingKey::Whole(ShortStr::new(key).unwrap()));
        }

        #[test]
        fn a_path_comes_home(segments in proptest::collection::vec(noisy_word(), 0..5)) {
            let path = Path::from_segments(&segments).unwrap();
            let RoutingKey::Whole(key) = key_of(&path) else {
                return Err(TestCaseError::reject("too long"));
            };
            prop_assert_eq!(path_of(key.as_bytes()).unwrap(), path);
        }
    }
}
