use fairlead_canon::Path;
use proptest::prelude::*;

use super::*;

fn path(segments: &[&[u8]]) -> Path {
    Path::from_segments(segments).unwrap()
}

fn topic_of(path: &Path) -> Vec<u8> {
    let mut out = Vec::new();
    assert!(put_topic(path, &mut out));
    out
}

fn matches(filter: &[u8], path: &Path) -> bool {
    let hits = patterns_of(filter)
        .iter()
        .filter(|p| p.matches(path))
        .count();
    assert!(hits <= 1, "two patterns of one filter match one path");
    hits == 1
}

/// Specification section 4.7, on text.
fn matches_as_text(filter: &[u8], topic: &[u8]) -> bool {
    if matches!(filter.first(), Some(b'+' | b'#')) && topic.first() == Some(&b'$') {
        return false;
    }
    let mut levels = topic.split(|b| *b == b'/');
    for wanted in filter.split(|b| *b == b'/') {
        match (wanted, levels.next()) {
            (b"#", _) => return true,
            (_, None) => return false,
            (b"+", Some(_)) => {}
            (wanted, Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

#[test]
fn the_table_of_names_holds_both_ways() {
    let table: &[(&[u8], &[&[u8]])] = &[
        (b"plant/7/temp", &[b"plant", b"7", b"temp"]),
        (b"v1.2/temp", &[b"v1.2", b"temp"]),
        (b"a//b/", &[b"a", b"", b"b", b""]),
        ("café/1".as_bytes(), &["café".as_bytes(), b"1"]),
        (b"a/*", &[b"a", b"*"]),
        (b"%2F", &[b"/"]),
        (b"%252F", &[b"%2F"]),
        (b"x.y/z", &[b"x.y", b"z"]),
        (b"a/%2B/b", &[b"a", b"+", b"b"]),
        (b"a/%xff", &[b"a", b"\xff"]),
        (b"%x", &[]),
        (b"%25x", &[b"%x"]),
        (b"%2525x", &[b"%25x"]),
        (b"build_x86", &[b"build_x86"]),
        (b"/", &[b"", b""]),
        (b"%x6162", &[b"%x6162"]),
        (b"a/%25xff", &[b"a", b"%xff"]),
        (b"a/%x", &[b"a", b"%x"]),
    ];
    for (topic, segments) in table {
        assert_eq!(
            path_of(topic).unwrap(),
            path(segments),
            "{}",
            topic.escape_ascii()
        );
        assert_eq!(
            topic_of(&path(segments)),
            *topic,
            "{}",
            topic.escape_ascii()
        );
    }
}

//= MQTT-4.7.3-3
#[test]
fn a_topic_of_65535_bytes_fits_and_one_more_does_not() {
    let mut out = Vec::new();
    assert!(put_topic(&path(&[&[b'a'; 65_535]]), &mut out));
    out.clear();
    assert!(!put_topic(&path(&[&[b'a'; 65_534], b"b"]), &mut out));
}

#[test]
fn a_topic_of_separators_only_is_a_path() {
    let topic = vec![b'/'; TOPIC_BYTES_MAX];
    assert_eq!(topic_of(&path_of(&topic).unwrap()), topic);
}

//= MQTT-4.7.1-1
//= MQTT-4.7.1-2
//= MQTT-4.7.3-1
#[test]
fn wildcards_stand_alone_in_their_level() {
    for good in ["#", "+", "a/#", "+/a/+", "/", "a//#", "/+", "$SYS/#"] {
        assert!(is_filter(good.as_bytes()), "{good}");
    }
    for bad in ["", "a#", "#/a", "a+/b", "a/b#", "++", "a/#/b", "/#/"] {
        assert!(!is_filter(bad.as_bytes()), "{bad}");
    }
}

//= MQTT-4.7.2-1
#[test]
fn a_leading_wildcard_does_not_see_dollar_names() {
    let secret = path_of(b"$SYS/broker").unwrap();
    assert!(!matches(b"#", &secret));
    assert!(!matches(b"+/broker", &secret));
    assert!(matches(b"$SYS/#", &secret));
    assert!(matches(b"$SYS/+", &secret));
    // The rule is of segments: this one is shown as `%x24ff`, which hides its dollar.
    assert!(!matches(b"+", &path(&[b"$\xff"])));
    assert!(matches(b"%x24ff", &path(&[b"$\xff"])));
}

#[test]
fn the_empty_path_is_seen_as_one_level() {
    for filter in ["+", "#", "+/#", "%x", "%x/#"] {
        assert!(matches(filter.as_bytes(), &Path::EMPTY), "{filter}");
    }
    assert!(!matches(b"+/+", &Path::EMPTY));
    assert!(!matches(b"a/#", &Path::EMPTY));
}

/// Pieces rich in markers, guards, separators and bytes that are not UTF-8.
const PIECES: [&[u8]; 22] = [
    b"a",
    b"b",
    b".",
    b"/",
    b"%",
    b"25",
    b"2F",
    b"2B",
    b"23",
    b"x",
    b"ff",
    b"%x",
    b"%25x",
    b"xff",
    b"\xc3\xa9",
    b"*",
    b"$",
    b"2",
    b"5",
    b"+",
    b"#",
    b"\xff",
];

/// How many of [`PIECES`] a topic name may hold.
const IN_TOPICS: usize = 19;

fn pieces(kinds: usize, most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(0..kinds, 0..most)
        .prop_map(|list| list.iter().flat_map(|at| PIECES[*at]).copied().collect())
}

fn segments() -> impl Strategy<Value = Path> {
    prop::collection::vec(pieces(PIECES.len(), 5), 0..5)
        .prop_map(|list| Path::from_segments(list).unwrap())
}

fn filter() -> impl Strategy<Value = Vec<u8>> {
    let levels = prop::sample::select(vec![
        "a", "b", "", "a.b", "*", "%x", "%2F", "%252F", "$s", "é", "%25x", "+", "+",
    ]);
    let tail = prop::option::of(Just("#"));
    (prop::collection::vec(levels, 1..4), tail)
        .prop_map(|(levels, tail)| {
            let all: Vec<&str> = levels.into_iter().chain(tail).collect();
            all.join("/").into_bytes()
        })
        .prop_filter("a filter is not empty", |filter| !filter.is_empty())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_topic_comes_home(topic in pieces(IN_TOPICS, 9)) {
        prop_assume!(!topic.is_empty());
        let path = path_of(&topic).unwrap();
        prop_assert_eq!(topic_of(&path), topic);
    }

    #[test]
    fn every_path_has_a_legal_topic_of_its_own(path in segments()) {
        let topic = topic_of(&path);
        prop_assert!(!topic.is_empty() && is_showable(&topic));
        prop_assert!(!topic.iter().any(|b| matches!(b, b'+' | b'#')));
        prop_assert_eq!(path_of(&topic).unwrap(), path);
    }

    //= MQTT-4.7.3-4
    #[test]
    fn filters_on_paths_answer_as_filters_on_text(filter in filter(), topic in filter(), path in segments()) {
        let topic: Vec<u8> = topic.into_iter().filter(|b| !matches!(b, b'+' | b'#')).collect();
        if !topic.is_empty() {
            let path = path_of(&topic).unwrap();
            prop_assert_eq!(matches(&filter, &path), matches_as_text(&filter, &topic));
        }
        let is_hidden = path.segments().next().is_some_and(|first| first.starts_with(b"$"))
            && !topic_of(&path).starts_with(b"$");
        if !is_hidden {
            prop_assert_eq!(matches(&filter, &path), matches_as_text(&filter, &topic_of(&path)));
        }
    }
}
