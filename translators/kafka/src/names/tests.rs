use super::*;
use proptest::prelude::*;

fn path(segments: &[&[u8]]) -> Path {
    Path::from_segments(segments).unwrap()
}

#[test]
fn the_table_of_the_mapping_holds() {
    let rows: [(&[&[u8]], &str); 13] = [
        (&[b"plant", b"7", b"temp"], "plant.7.temp"),
        (&[b"v1.2", b"temp"], "v1-_2E2.temp"),
        (&[b"a", b"", b"b", b""], "a..b."),
        (&["caf\u{e9}".as_bytes(), b"1"], "caf-_C3-_A9.1"),
        (&[b"a", b"*"], "a.-_2A"),
        (&[b"/"], "-_2F"),
        (&[b"x.y", b"z"], "x-_2Ey.z"),
        (&[b"a", b"+", b"b"], "a.-_2B.b"),
        (&[b"a", b"\xff"], "a.-_FF"),
        (&[], "-_x"),
        (&[b"", b""], "-_x."),
        (&[b"", b"", b""], "-_x.."),
        (&[b"my-topic_1"], "my-topic_1"),
    ];
    for (segments, name) in rows {
        assert_eq!(name_of(&path(segments)).as_deref(), Some(name));
        assert_eq!(path_of(name.as_bytes()), Ok(path(segments)), "{name}");
    }
}

#[test]
fn text_that_reads_like_an_escape_is_guarded_once_more_each_time() {
    for (segment, name) in [
        (&b"-_2E"[..], "-_2D_2E"),
        (b"-_2D_2E", "-_2D_2D_2E"),
        (b"-_x", "-_2D_x"),
        (b"-_2D_x", "-_2D_2D_x"),
        (b"-_41", "-_41"),
    ] {
        assert_eq!(name_of(&path(&[segment])).as_deref(), Some(name));
        assert_eq!(path_of(name.as_bytes()), Ok(path(&[segment])));
    }
}

#[test]
fn a_name_of_249_bytes_is_given_and_one_of_250_is_not() {
    assert!(name_of(&path(&[&[b'a'; 249]])).is_some());
    assert!(name_of(&path(&[&[b'a'; 250]])).is_none());
    assert!(is_legal(&"a".repeat(249)) && !is_legal(&"a".repeat(250)));
    assert!(!is_legal("") && !is_legal(".") && !is_legal("..") && !is_legal("a/b"));
}

fn words(alphabet: &'static [&'static [u8]], max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(alphabet), 0..max).prop_map(|words| words.concat())
}

const NAME: &[&[u8]] = &[
    b"a", b".", b"_", b"-", b"-_", b"2D_", b"2D", b"2E", b"2F", b"x", b"C3", b"A9", b"41", b"Z",
    b"-_x", b"00", b"FF",
];
const SEGMENT: &[&[u8]] = &[
    b"a",
    b".",
    b"/",
    b"-_",
    b"2D_",
    b"-_x",
    b"_",
    b"-",
    b"x",
    b"2E",
    b"C3",
    b"\xc3\xa9",
    b"\xff",
    b"\0",
    b"*",
    b"$",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(20_000) })]

    #[test]
    fn every_legal_name_comes_back(name in words(NAME, 8)) {
        let mut text = String::from_utf8(name).unwrap();
        if !is_legal(&text) {
            text.push('a');
        }
        let path = path_of(text.as_bytes()).unwrap();
        prop_assert_eq!(name_of(&path), Some(text));
    }

    #[test]
    fn every_path_comes_back_by_a_legal_name(segments in prop::collection::vec(words(SEGMENT, 5), 0..5)) {
        let path = Path::from_segments(segments).unwrap();
        let name = name_of(&path).unwrap();
        prop_assert!(is_legal(&name), "{}", name);
        prop_assert_eq!(path_of(name.as_bytes()), Ok(path));
    }
}
