//! A million damaged packets through our decoder and through one that others wrote: both take them or
//! both refuse them, or a statement of the specification says who is right.

#![cfg(test)]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::BytesMut;
use fairlead_canon::Text;
use fairlead_mqtt::codec::{DecodeError, Packet, Property, Version, decode};
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

/// Every packet of every recording, with the version it was said in.
fn corpus() -> Vec<(Version, Frame)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus");
    let entries = fs::read_dir(folder).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut frames = Vec::new();
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

/// Why we refuse what they take.
fn refusal_is_right(why: &DecodeError) -> bool {
    let explained = [
        // MQTT-1.5.4-2
        "U+0000 in a string",
        // MQTT-1.5.5-1
        "a variable byte integer in too many bytes",
        // MQTT-3.1.2-11
        "will flags without a will",
        // MQTT311-3.1.2-22
        "a password without a user name",
        // MQTT-3.3.1-2
        "DUP on QoS 0",
        // MQTT-3.8.3-5
        "reserved subscription options",
        // MQTT-3.3.2-2 and MQTT-3.1.3-11
        "text with a wildcard is not a topic name",
        // A packet is as long as its fields (section 2.1.4).
        "bytes follow the last field",
    ];
    let why = why.to_string();
    explained.iter().any(|rule| why.contains(rule))
}

/// Why we take what they refuse: where the session knows better, or has an answer.
fn acceptance_is_right(packet: &Packet, why: &str) -> bool {
    let is_empty = |filter: &Text| filter.is_empty();
    match (packet, why) {
        // MQTT-3.1.3-6 allows it, and MQTT-3.1.3-8 says what a refusal is answered with.
        (Packet::Connect(connect), "InvalidClientId") => connect.client_id.is_empty(),
        // MQTT-3.9.3-2: it is answered by a code of its own.
        (Packet::Subscribe(asked), "InvalidTopicFilter") => {
            let mut asked = asked.subscriptions.iter();
            asked.any(|one| is_empty(&one.filter))
        }
        (Packet::Unsubscribe(asked), "InvalidTopicFilter") => asked.filters.iter().any(is_empty),
        // MQTT-3.3.2-8: alias 0 has a reason code of its own; an expiry of 0 nothing forbids.
        (Packet::Publish(publish), "MalformedPacket") => publish
            .properties
            .iter()
            .any(|one| matches!(one, Property::TopicAlias(0) | Property::MessageExpiry(0))),
        _ => false,
    }
}

/// Packets that only servers send are refused whole, and a CONNECT of the other version goes to a
/// decoder of that version: neither is compared.
fn is_comparable(packet: &Result<Packet, DecodeError>, first: u8, version: Version) -> bool {
    let is_of_server = matches!(first >> 4, 2 | 9 | 11 | 13);
    let is_other = match packet {
        Ok(Packet::Connect(connect)) => connect.version != version,
        Err(DecodeError::UnsupportedVersion(_)) => true,
        _ => false,
    };
    !is_of_server && !is_other
}

#[test]
fn a_million_damaged_packets_are_judged_alike_or_the_specification_says_who_is_right() {
    let corpus = corpus();
    let mut dice = Dice(SEED);
    let (mut taken, mut refused) = (0, 0);
    let (mut explained, mut unexplained) = (0, 0);
    for round in 0_u64.. {
        if taken + refused + explained == ROUNDS {
            break;
        }
        let (version, mut frame) = corpus[dice.roll(corpus.len())].clone();
        let other = corpus[dice.roll(corpus.len())].1.1.clone();
        for _ in 0..=dice.roll(3) {
            damage(&mut dice, &mut frame, &other);
        }
        let bytes = wire(&frame);
        let ours = ours(&bytes, version);
        if !is_comparable(&ours, frame.0, version) {
            continue;
        }
        let is_right = match (&ours, theirs(&bytes, version)) {
            (Ok(_), Ok(())) => {
                taken += 1;
                continue;
            }
            (Err(_), Err(_)) => {
                refused += 1;
                continue;
            }
            (Ok(packet), Err(why)) => acceptance_is_right(packet, &why),
            (Err(why), Ok(())) => refusal_is_right(why),
        };
        if !is_right {
            println!("round {round}, {version:?} {bytes:02x?}: {ours:?}");
            unexplained += 1;
        }
        explained += 1;
    }
    println!("differential: {taken} taken, {refused} refused, {explained} explained");
    assert_eq!(unexplained, 0, "see above");
    assert!(
        taken > ROUNDS / 20 && refused > ROUNDS / 4,
        "{taken} {refused}"
    );
}
