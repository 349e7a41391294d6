//! A million damaged packets through our decoder and through one that others wrote: both take them or
//! both refuse them, or a statement of the specification says who is right.

#![cfg(test)]

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::BytesMut;
use fairlead_canon::Text;
use fairlead_mqtt::codec::{DecodeError, Packet, Property, Publish, Version, decode};
use fairlead_wire::WireError;
use rmqtt_codec::{v3, v5};
use tokio_util::codec::Decoder;

const ROUNDS: usize = 1_000_000;
const SEED: u64 = 0x6d71_7474;
const SIZE_MAX: usize = 1 << 16;

/// xorshift64*: repeatable from its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(high).unwrap() % sides.max(1)
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.roll(256)).unwrap()
    }
}

/// One packet: its first byte, and what follows the length.
type Frame = (u8, Vec<u8>);

/// What no recording of a client has in this version: a first byte, and what follows the length.
const OTHERS: &[(Version, &str)] = &[
    (Version::V31, "20 00 00"),
    (Version::V31, "40 0001"),
    (Version::V31, "90 0001 01 02"),
    (Version::V31, "b0 0001"),
    (Version::V31, "c0"),
    (Version::V31, "d0"),
    (Version::V311, "20 01 00"),
    (Version::V311, "90 0001 01 80"),
    (Version::V311, "b0 0001"),
    (Version::V311, "c0"),
    (Version::V311, "d0"),
    (Version::V5, "20 00 00 0b 11 0000003c 21 0014 22 0040"),
    (Version::V5, "40 0007 10 07 26 0001 61 0001 62"),
    (Version::V5, "50 0007 97 00"),
    (Version::V5, "62 0007 92 00"),
    (Version::V5, "70 0007 00 05 1f 0002 6e6f"),
    (Version::V5, "90 0007 00 01 8f"),
    (Version::V5, "b0 0007 00 00 11"),
    (Version::V5, "c0"),
    (Version::V5, "d0"),
    (Version::V5, "e0 8e 05 11 0000003c"),
    (Version::V5, "f0 18 09 15 0001 6d 16 0002 6869"),
];

fn others() -> impl Iterator<Item = (Version, Frame)> {
    OTHERS.iter().map(|(version, text)| {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let digits = digits.chunks(2).map(|pair| str::from_utf8(pair).unwrap());
        let bytes: Vec<u8> = digits
            .map(|pair| u8::from_str_radix(pair, 16).unwrap())
            .collect();
        (*version, (bytes[0], bytes[1..].to_vec()))
    })
}

/// Every packet of every recording, with the version it was said in, and one of each other kind.
fn corpus() -> Vec<(Version, Frame)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus");
    let entries = fs::read_dir(folder).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut frames: Vec<_> = others().collect();
    for path in paths {
        let mut src = BytesMut::from(&fs::read(path).unwrap()[..]);
        let mut version = Version::V311;
        while !src.is_empty() {
            let before = src.clone();
            let packet = decode(&mut src, version, 1 << 20).unwrap().unwrap();
            if let Packet::Connect(connect) = &packet {
                version = connect.version;
            }
            let wire = &before[..before.len() - src.len()];
            let digits = 1 + wire[1..]
                .iter()
                .take_while(|byte| **byte & 0x80 != 0)
                .count();
            frames.push((version, (wire[0], wire[1 + digits..].to_vec())));
        }
    }
    frames
}

fn damage(dice: &mut Dice, frame: &mut Frame, other: &[u8]) {
    let body = &mut frame.1;
    let at = dice.roll(body.len() + 1);
    match dice.roll(8) {
        0 => body.truncate(at),
        1 => body.insert(at, dice.byte()),
        2 if at < body.len() => drop(body.remove(at)),
        3 => body.extend(&other[dice.roll(other.len())..]),
        4 => frame.0 ^= 1 << dice.roll(8),
        5 if at < body.len() => body[at] ^= 1 << dice.roll(8),
        6 if at < body.len() => body[at] = [0, 1, 0x7f, 0x80, 0xff][dice.roll(5)],
        _ if at < body.len() => body[at] = dice.byte(),
        _ => {}
    }
    body.truncate(SIZE_MAX / 2);
}

fn wire((first, body): &Frame) -> BytesMut {
    let mut wire = BytesMut::from(&[*first][..]);
    let mut left = body.len();
    loop {
        let digit = u8::try_from(left % 128).unwrap();
        left /= 128;
        wire.extend_from_slice(&[digit | if left > 0 { 0x80 } else { 0 }]);
        if left == 0 {
            break;
        }
    }
    wire.extend_from_slice(body);
    wire
}

fn ours(bytes: &BytesMut, version: Version) -> Result<Packet, DecodeError> {
    let packet = decode(&mut bytes.clone(), version, SIZE_MAX)?;
    Ok(packet.expect("the length says that it is whole"))
}

/// What the other decoder says. It panics on some inputs, which counts as a refusal.
fn theirs(bytes: &BytesMut, version: Version) -> Result<(), String> {
    let mut bytes = bytes.clone();
    let decoded = catch_unwind(AssertUnwindSafe(|| match version {
        Version::V5 => v5::Codec::new(0, 0).decode(&mut bytes).map(drop),
        Version::V31 | Version::V311 => v3::Codec::new(0).decode(&mut bytes).map(drop),
    }));
    match decoded {
        Ok(said) => said.map_err(|error| format!("{error:?}")),
        Err(_panic) => Err("panic".to_owned()),
    }
}

/// The statement by which we refuse what they take.
fn refusal(version: Version, why: &DecodeError) -> Option<&'static str> {
    use DecodeError::{Malformed, Protocol, TopicName, UnsupportedVersion, Wire};
    use Version::{V5, V31, V311};
    Some(match (version, why) {
        // They do not ask whether protocol name and level belong together.
        (V31 | V311, UnsupportedVersion(_)) => "MQTT-3.1.2-2",
        (_, Malformed("U+0000 in a string")) => "MQTT-1.5.4-2",
        (V5, Malformed("a variable byte integer in too many bytes")) => "MQTT-1.5.5-1",
        (V5, Malformed("will flags without a will")) => "MQTT-3.1.2-11",
        (V31, Malformed("a password without a user name")) => "3.1, section 3.1",
        (V311, Malformed("a password without a user name")) => "MQTT311-3.1.2-22",
        (V311 | V5, Malformed("DUP on QoS 0")) => "MQTT-3.3.1-2",
        (V311, Malformed("reserved subscription options")) => "MQTT311-3.8.3-4",
        (_, TopicName("text with a wildcard")) => "MQTT-3.3.2-2",
        (_, TopicName("an empty text")) => "MQTT-4.7.3-1",
        // They know a seventh return code of CONNACK, and a failed SUBACK in 3.1.
        (V31, Protocol(CODE)) => "3.1, sections 3.2 and 3.9",
        (V311, Protocol(CODE)) => "3.1.1, table 3.1",
        // A packet is as long as its fields.
        (_, Wire(WireError::Trailing { .. })) => "5.0, section 2.1.4",
        _ => return None,
    })
}

const CODE: &str = "a reason code that is not of this packet";

/// The statement by which we take what they refuse: the session knows better, or has an answer.
fn acceptance(version: Version, packet: &Packet, why: &str) -> Option<&'static str> {
    use Version::{V5, V31, V311};
    let is_empty = |filter: &Text| filter.is_empty();
    Some(match (version, packet, why) {
        // Flags that mean nothing in a packet are unused in 3.1, which does not ask for a value.
        (V31, _, "UnsupportedPacketType") => "3.1, section 2.1",
        (V31, Packet::Connect(_), "ConnectReservedFlagSet" | "InvalidConnectFlags") => {
            "3.1, section 3.1"
        }
        // One without an identifier is given one, or the answer is a code of its own.
        (V31, Packet::Connect(asked), "InvalidClientId") if is_empty(&asked.client_id) => {
            "3.1, section 3.2"
        }
        (V311, Packet::Connect(asked), "InvalidClientId") if is_empty(&asked.client_id) => {
            "MQTT311-3.1.3-8"
        }
        (V5, Packet::Connect(asked), "InvalidClientId") if is_empty(&asked.client_id) => {
            "MQTT-3.1.3-6"
        }
        // An empty filter is answered.
        (V31 | V311, Packet::Subscribe(asked), "InvalidTopicFilter") => {
            let mut filters = asked.subscriptions.iter().map(|one| &one.filter);
            filters.any(is_empty).then_some("MQTT-3.9.3-2")?
        }
        (V31 | V311, Packet::Unsubscribe(asked), "InvalidTopicFilter") => asked
            .filters
            .iter()
            .any(is_empty)
            .then_some("MQTT-3.10.4-5")?,
        // Alias 0 has a reason code of its own; an expiry of 0 nothing forbids.
        (V5, Packet::Publish(publish), _) if has(publish, &Property::TopicAlias(0)) => {
            "MQTT-3.3.2-8"
        }
        (V5, Packet::Publish(publish), _) if has(publish, &Property::MessageExpiry(0)) => {
            "5.0, section 3.3.2.3.3"
        }
        _ => return None,
    })
}

fn has(publish: &Publish, wanted: &Property) -> bool {
    publish.properties.iter().any(|one| one == *wanted)
}

/// The version that a packet is in: CONNECT says its own.
fn spoken(packet: &Result<Packet, DecodeError>, version: Version) -> Version {
    match packet {
        Ok(Packet::Connect(connect)) => connect.version,
        _ => version,
    }
}

#[test]
fn a_million_damaged_packets_are_judged_alike_or_the_specification_says_who_is_right() {
    let corpus = corpus();
    let mut dice = Dice(SEED);
    let (mut taken, mut refused) = (BTreeMap::new(), 0);
    let (mut explained, mut unexplained) = (BTreeMap::new(), 0);
    for _ in 0..ROUNDS {
        let (version, mut frame) = corpus[dice.roll(corpus.len())].clone();
        let other = corpus[dice.roll(corpus.len())].1.1.clone();
        for _ in 0..=dice.roll(3) {
            damage(&mut dice, &mut frame, &other);
        }
        let bytes = wire(&frame);
        let ours = ours(&bytes, version);
        let version = spoken(&ours, version);
        let theirs = theirs(&bytes, version);
        let statement = match (&ours, &theirs) {
            (Ok(_), Ok(())) => {
                *taken.entry((version, frame.0 >> 4)).or_insert(0) += 1;
                continue;
            }
            (Err(_), Err(_)) => {
                refused += 1;
                continue;
            }
            (Ok(packet), Err(why)) => acceptance(version, packet, why),
            (Err(why), Ok(())) => refusal(version, why),
        };
        match statement {
            Some(statement) => *explained.entry(statement).or_insert(0) += 1,
            None => {
                println!("{version:?} {bytes:02x?}: {ours:?}, they: {theirs:?}");
                unexplained += 1;
            }
        }
    }
    println!("differential: taken by version and type {taken:?}");
    println!("differential: {refused} refused, explained {explained:?}");
    assert_eq!(unexplained, 0, "see above");
    assert!(refused > ROUNDS / 4, "{refused}");
    let types = [(Version::V31, 14), (Version::V311, 14), (Version::V5, 15)];
    for (version, last) in types {
        for number in 1..=last {
            let count = taken.get(&(version, number)).copied().unwrap_or(0);
            assert!(count > ROUNDS / 2_000, "{version:?} type {number}: {count}");
        }
    }
}
