//! Damages frames of a corpus for `FAIRLEAD_FUZZ_SECONDS` (2 unless set) and feeds them to the codec.
//!
//! The seed is printed; `FAIRLEAD_FUZZ_SEED` repeats a run. An input that fails is worth a file in
//! `tests/corpus`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test says what it expects and stops where it is wrong"
)]

use std::path::Path;
use std::time::Duration;

use bytes::BytesMut;
use fairlead_amqp::codec::{Frame, Payload, encode_content, encode_method, protocol_header};
use fairlead_amqp::names::{RoutingKey, key_of, path_of};
use tokio::time::Instant;

const FRAME_MAX: usize = 131_072;
/// Damages made to one input before it is fed; few keep most of its structure.
const EDITS_MAX: usize = 6;

/// xorshift64*: repeatable from its seed, and enough to choose what to damage.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(high).unwrap() % sides.max(1)
    }
}

#[expect(clippy::disallowed_methods, reason = "settings of this test alone")]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn corpus() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
        .iter()
        .map(|file| std::fs::read(file).unwrap())
        .collect()
}

fn damage(dice: &mut Dice, input: &mut Vec<u8>, other: &[u8]) {
    let at = dice.roll(input.len() + 1);
    match dice.roll(5) {
        0 => input.truncate(at),
        1 => input.insert(at, u8::try_from(dice.roll(256)).unwrap()),
        2 => drop(input.splice(at.., other.iter().copied().skip(dice.roll(other.len())))),
        3 => input.extend_from_within(at..),
        _ => {
            if let Some(byte) = input.get_mut(at) {
                *byte = [0, 1, 0x7f, 0x80, 0xff, b'F', b'A', b'S'][dice.roll(8)];
            }
        }
    }
}

/// What can be read can be written, and what was written reads as much.
fn feed(input: &[u8]) -> usize {
    let mut stream = BytesMut::from(input);
    if stream.starts_with(b"A") && protocol_header(&mut stream) != Ok(true) {
        return 0;
    }
    let mut frames = 0;
    while let Ok(Some(frame)) = Frame::decode(&mut stream, FRAME_MAX) {
        frames += 1;
        let mut out = BytesMut::new();
        match &frame.payload {
            Payload::Method(method) => encode_method(&mut out, frame.channel, method).unwrap(),
            Payload::Header(header) => {
                encode_content(&mut out, frame.channel, header, b"", FRAME_MAX).unwrap();
            }
            Payload::Body(body) => {
                // Any bytes are a routing key; they must come home.
                let key = &body[..body.len().min(255)];
                let home = key_of(&path_of(key).unwrap());
                assert!(matches!(home, RoutingKey::Whole(whole) if whole.as_bytes() == key));
                continue;
            }
            Payload::Heartbeat => continue,
        }
        assert!(Frame::decode(&mut out, FRAME_MAX).unwrap().is_some());
        assert!(out.is_empty());
    }
    frames
}

#[test]
fn damaged_frames_are_understood_or_refused_and_nothing_else() {
    let seed = setting("FAIRLEAD_FUZZ_SEED").unwrap_or_else(|| u64::from(std::process::id()) + 1);
    let seconds = setting("FAIRLEAD_FUZZ_SECONDS").unwrap_or(2);
    println!("amqp fuzz: FAIRLEAD_FUZZ_SEED={seed} FAIRLEAD_FUZZ_SECONDS={seconds}");
    let corpus = corpus();
    for input in &corpus {
        feed(input);
    }
    let mut dice = Dice(seed);
    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut rounds, mut frames) = (0_u64, 0);
    while Instant::now() < end {
        let mut input = corpus[dice.roll(corpus.len())].clone();
        for _ in 0..=dice.roll(EDITS_MAX) {
            let other = dice.roll(corpus.len());
            damage(&mut dice, &mut input, &corpus[other]);
        }
        frames += feed(&input);
        rounds += 1;
    }
    println!("amqp fuzz: {rounds} inputs, {frames} frames understood");
    assert!(
        frames > 0,
        "nothing was understood: the fuzzer tests nothing"
    );
}
