//! Names map both ways (law L6): a name of one protocol, through each other protocol and back, is the same name.

use fairlead_canon::Path;
use fairlead_tests::Dice;

/// A protocol's names: text to path and path to text.
struct Names {
    protocol: &'static str,
    path_of: fn(&[u8]) -> Option<Path>,
    text_of: fn(&Path) -> Option<Vec<u8>>,
    /// Text that the protocol itself allows.
    is_legal: fn(&[u8]) -> bool,
    /// Pieces of text rich in separators, markers, guards and look-alikes.
    pieces: &'static [&'static [u8]],
}

const NAMES: [Names; 3] = [
    Names {
        protocol: "mqtt",
        path_of: |topic| fairlead_mqtt::names::path_of(topic).ok(),
        text_of: |path| {
            let mut topic = Vec::new();
            fairlead_mqtt::names::put_topic(path, &mut topic).then_some(topic)
        },
        is_legal: |topic| {
            let text = std::str::from_utf8(topic);
            text.is_ok_and(|text| !text.is_empty() && !text.contains(['+', '#', '\0']))
        },
        pieces: &[
            b"a",
            b"b",
            b".",
            b"/",
            b"%",
            b"25",
            b"2F",
            b"2B",
            b"23",
            b"2E",
            b"x",
            b"ff",
            b"%x",
            b"%25x",
            b"xff",
            b"-_",
            b"2D_",
            b"-_x",
            b"_",
            b"-",
            b"C3",
            b"A9",
            "é".as_bytes(),
            b"*",
            b"$",
            b"2",
            b"5",
            b"D",
        ],
    },
    Names {
        protocol: "amqp",
        path_of: |key| fairlead_amqp::names::path_of(key).ok(),
        text_of: |path| match fairlead_amqp::names::key_of(path) {
            fairlead_amqp::names::RoutingKey::Whole(key) => Some(key.as_bytes().to_vec()),
            fairlead_amqp::names::RoutingKey::Cut(..) => None,
        },
        is_legal: |_| true,
        pieces: &[
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
            b"-_",
            b"2D_",
            b"-_x",
            b"_",
            b"-",
            b"*",
            b"$",
            b"+",
            b"#",
            b"\xff",
            b"\0",
            b" ",
            "é".as_bytes(),
        ],
    },
    Names {
        protocol: "kafka",
        path_of: |name| fairlead_kafka::names::path_of(name).ok(),
        text_of: |path| fairlead_kafka::names::name_of(path).map(String::into_bytes),
        is_legal: |name| std::str::from_utf8(name).is_ok_and(fairlead_kafka::names::is_legal),
        pieces: &[
            b"a", b".", b"_", b"-", b"-_", b"2D_", b"2D", b"2E", b"2F", b"x", b"C3", b"A9", b"41",
            b"Z", b"-_x", b"00", b"FF",
        ],
    },
];

const ROUNDS: usize = 100_000;

#[test]
fn a_name_through_every_other_protocol_and_back_is_the_same_name() {
    let mut dice = Dice::new(0x0fa1_71ea_d000_0001);
    for _ in 0..ROUNDS {
        for names in &NAMES {
            let text = text(&mut dice, names.pieces);
            if (names.is_legal)(&text) {
                assert_comes_home(names, &text);
            }
        }
    }
}

#[test]
fn any_path_through_each_protocol_and_back_is_the_same_path() {
    let mut dice = Dice::new(0x0fa1_71ea_d000_0002);
    for _ in 0..ROUNDS {
        let pieces = dice.pick(&NAMES).pieces;
        let segments: Vec<Vec<u8>> = (0..dice.below(5))
            .map(|_| text(&mut dice, pieces))
            .collect();
        let path = Path::from_segments(segments.iter().map(Vec::as_slice)).expect("a short path");
        for names in &NAMES {
            let said = (names.text_of)(&path).expect("a short name");
            assert!(
                (names.is_legal)(&said),
                "{} says {said:?} for {path:?}",
                names.protocol
            );
            assert_eq!(
                (names.path_of)(&said).as_ref(),
                Some(&path),
                "{} {}",
                names.protocol,
                said.escape_ascii()
            );
        }
    }
}

#[test]
fn the_table_of_names_holds_in_all_three_protocols() {
    // MQTT topic, AMQP routing key, Kafka topic.
    let table: [[&[u8]; 3]; 16] = [
        [b"plant/7/temp", b"plant.7.temp", b"plant.7.temp"],
        [b"v1.2/temp", b"v1/2.temp", b"v1-_2E2.temp"],
        [b"a//b/", b"a..b.", b"a..b."],
        ["café/1".as_bytes(), "café.1".as_bytes(), b"caf-_C3-_A9.1"],
        [b"a/*", b"a.*", b"a.-_2A"],
        [b"%2F", b"%2F", b"-_2F"],
        [b"x.y/z", b"x/y.z", b"x-_2Ey.z"],
        [b"a/%2B/b", b"a.+.b", b"a.-_2B.b"],
        [b"a/%xff", b"a.\xff", b"a.-_FF"],
        [b"%x", b"", b"-_x"],
        [b"/", b".", b"-_x."],
        [b"//", b"..", b"-_x.."],
        [b"build_x86", b"build_x86", b"build_x86"],
        [b"my-topic_1", b"my-topic_1", b"my-topic_1"],
        [b"%252F", b"%252F", b"-_252F"],
        [b"-_2E", b"-_2E", b"-_2D_2E"],
    ];
    for row in &table {
        let path = (NAMES[0].path_of)(row[0]).expect("a short topic");
        for (names, text) in NAMES.iter().zip(row) {
            let context = format!("{} {}", names.protocol, text.escape_ascii());
            assert_eq!((names.path_of)(text).as_ref(), Some(&path), "{context}");
            assert_eq!((names.text_of)(&path).as_deref(), Some(*text), "{context}");
        }
    }
}

fn text(dice: &mut Dice, pieces: &[&[u8]]) -> Vec<u8> {
    (0..dice.below(8))
        .flat_map(|_| dice.pick(pieces).to_vec())
        .collect()
}

fn assert_comes_home(home: &Names, text: &[u8]) {
    let context = format!("{} {}", home.protocol, text.escape_ascii());
    let path = (home.path_of)(text).expect("a short name");
    assert_eq!((home.text_of)(&path).as_deref(), Some(text), "{context}");
    for other in &NAMES {
        let abroad = (other.text_of)(&path).expect("a short name");
        assert!(
            (other.is_legal)(&abroad),
            "{context} is {} in {}",
            abroad.escape_ascii(),
            other.protocol
        );
        let back = (other.path_of)(&abroad).expect("a short name");
        assert_eq!(
            (home.text_of)(&back).as_deref(),
            Some(text),
            "{context} by {}",
            other.protocol
        );
    }
}
